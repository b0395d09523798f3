// A list to choose from shows one of several parts. Buttons leave families, pretrainings and datasets out.
for (const list of document.querySelectorAll("select[data-choice]")) {
  const parts = [...list.closest(".choice").querySelectorAll(":scope > .option")];
  list.addEventListener("change", () => parts.forEach((part, i) => (part.hidden = i !== list.selectedIndex)));
}
{
  const buttons = [...document.querySelectorAll("button[data-keeps]")];
  const left = (attribute) =>
    new Set(buttons.filter((b) => b.dataset.keeps === attribute && b.ariaPressed === "false").map((b) => b.value));
  window.isLeftOut = (meta) => Boolean(meta) && ["family", "pretraining"].some((name) => left(name).has(meta[name]));
  const apply = () => {
    for (const marked of document.querySelectorAll("[data-family]")) {
      marked.classList.toggle("left-out", window.isLeftOut(marked.dataset));
    }
    for (const marked of document.querySelectorAll("[data-group]")) {
      marked.classList.toggle("left-out", left("group").has(marked.dataset.group));
    }
    document.dispatchEvent(new CustomEvent("redraw"));
  };
  for (const button of buttons) {
    button.disabled = false;
    button.addEventListener("click", () => {
      button.ariaPressed = button.ariaPressed === "true" ? "false" : "true";
      apply();
    });
  }
}
