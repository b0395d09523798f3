// While a study runs, its page is loaded again every so many seconds, and shows the place where the reader was.
{
  const { refresh, written } = document.body.dataset;
  const name = `study page ${location.pathname}`;
  const parts = [...document.querySelectorAll("main [id]")];
  const controls = (part) => [...part.querySelectorAll("a, button, input, select, [tabindex]")];
  const kept = (() => {
    try {
      return JSON.parse(sessionStorage.getItem(name));
    } catch {
      return null; // a browser may keep nothing
    }
  })();
  if (kept) {
    history.scrollRestoration = "manual";
    const back = () => {
      const part = document.getElementById(kept.part);
      if (part) scrollBy({ top: part.getBoundingClientRect().top - kept.top, behavior: "instant" });
    };
    back();
    addEventListener("load", back);
    const focused = document.getElementById(kept.within);
    if (focused) controls(focused)[kept.control]?.focus({ preventScroll: true });
    sessionStorage.removeItem(name);
  }
  if (refresh !== undefined) {
    // a study whose machine has died writes no more: it is looked for ever more seldom
    const same = kept?.written === written ? kept.same + 1 : 0;
    const busy = () =>
      document.hidden || document.activeElement?.matches("input, select") || !getSelection().isCollapsed ||
      document.querySelector("[data-dragged]") || document.documentElement.dataset.figures === "drawing";
    const again = () => {
      if (busy()) return setTimeout(again, 1000);
      const part = parts.findLast((one) => one.getBoundingClientRect().top <= 80 && one.offsetParent) ?? parts[0];
      const within = document.activeElement?.closest("main [id]");
      const control = within ? controls(within).indexOf(document.activeElement) : -1;
      try {
        const top = part.getBoundingClientRect().top;
        sessionStorage.setItem(name, JSON.stringify({ part: part.id, top, within: within?.id, control, written, same }));
      } catch {
        // then the reader is taken to where the browser thinks
      }
      view.write();
      location.reload();
    };
    setTimeout(again, 1000 * Number(refresh) * 2 ** Math.min(5, same / 4));
  }
}
