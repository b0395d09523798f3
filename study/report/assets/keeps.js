// Rows of a comparison are left out by family, pretraining and dataset (buttons), and one by one (ticks in the ranking).
window.keeps = (() => {
  const controls = [...document.querySelectorAll("[data-keeps]")];
  const isKept = (control) => (control.type === "checkbox" ? control.checked : control.ariaPressed === "true");
  const keep = (control, kept) => {
    if (control.type === "checkbox") control.checked = kept;
    else control.ariaPressed = String(kept);
  };
  const word = (control) => `${control.dataset.keeps}.${control.value}`;
  const out = new Set(view.all("without"));
  const isOut = (of, kinds = ["family", "pretraining", "row", "other"]) =>
    Boolean(of) && kinds.some((kind) => of[kind] && out.has(`${kind === "other" ? "row" : kind}.${of[kind]}`));
  const apply = () => {
    for (const marked of document.querySelectorAll("[data-family], [data-row]")) {
      const isRanking = marked.closest(".standing"); // where a row is ticked again
      marked.classList.toggle("left-out", isOut(marked.dataset, isRanking ? ["family", "pretraining"] : undefined));
      if (isRanking) marked.classList.toggle("unticked", isOut(marked.dataset, ["row"]));
    }
    for (const marked of document.querySelectorAll("[data-group]")) {
      marked.classList.toggle("left-out", out.has(`group.${marked.dataset.group}`));
    }
    for (const button of document.querySelectorAll("button[data-ticks]")) {
      button.hidden = !controls.some((control) => control.type === "checkbox" && !control.checked);
    }
  };
  const changed = () => {
    out.clear();
    controls.filter((control) => !isKept(control)).forEach((control) => out.add(word(control)));
    apply();
    view.setAll("without", [...out].sort());
    document.dispatchEvent(new CustomEvent("redraw"));
  };
  for (const control of controls) {
    control.disabled = false;
    keep(control, !out.has(word(control)));
    if (control.type === "checkbox") control.addEventListener("change", changed);
    else {
      control.addEventListener("click", () => {
        keep(control, !isKept(control));
        changed();
      });
    }
  }
  for (const button of document.querySelectorAll("button[data-ticks]")) {
    button.addEventListener("click", () => {
      controls.filter((control) => control.type === "checkbox").forEach((control) => keep(control, true));
      changed();
    });
  }
  if (out.size) apply();
  return { isOut };
})();
