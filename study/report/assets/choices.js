// A list to choose from shows one of several parts.
for (const list of document.querySelectorAll("select[data-choice]")) {
  const parts = [...list.closest(".choice").querySelectorAll(":scope > .option")];
  const name = `show.${list.dataset.choice}`;
  const show = () => parts.forEach((part, i) => (part.hidden = i !== list.selectedIndex));
  const chosen = [...list.options].findIndex((option) => option.text === view.get(name));
  if (chosen > 0) {
    list.selectedIndex = chosen;
    show();
  }
  list.addEventListener("change", () => {
    show();
    view.set(name, list.selectedIndex ? list.options[list.selectedIndex].text : null);
  });
}
