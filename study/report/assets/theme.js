// Light or dark: the reader's system decides, until the button does.
{
  const button = document.getElementById("theme");
  const isDark = () => {
    const chosen = document.documentElement.style.colorScheme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const show = () => button.setAttribute("aria-pressed", isDark());
  if (["light", "dark"].includes(view.get("theme"))) document.documentElement.style.colorScheme = view.get("theme");
  button.hidden = false;
  show();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  button.addEventListener("click", () => {
    document.documentElement.style.colorScheme = isDark() ? "light" : "dark";
    view.set("theme", document.documentElement.style.colorScheme);
    show();
    document.dispatchEvent(new CustomEvent("redraw"));
  });
}
