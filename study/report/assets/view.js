// What a reader has chosen is in the address, as `#SECTION?NAME=VALUE&...`, so that a link shows it and a reload keeps it.
"use strict";
window.view = (() => {
  const read = () => {
    const [section, query] = location.hash.slice(1).split(/\?(.*)/s);
    return [decodeURIComponent(section), new URLSearchParams(query ?? "")];
  };
  let [section, chosen] = read();
  let waiting;
  const address = () => `#${section}${chosen.size ? `?${chosen}` : ""}`;
  const write = () => {
    clearTimeout(waiting);
    history.replaceState(null, "", address());
  };
  const changed = () => {
    clearTimeout(waiting);
    waiting = setTimeout(write, 150); // browsers refuse to be told too often
    document.getElementById("reset").hidden = chosen.size === 0;
  };
  const show = () => {
    const target = document.getElementById(section);
    target?.scrollIntoView();
    return target;
  };
  addEventListener("pagehide", write);
  addEventListener("hashchange", () => {
    const [other, query] = read();
    if (`${query}` !== `${chosen}`) return location.reload();
    section = other;
    show();
  });
  addEventListener("load", () => {
    const isReload = performance.getEntriesByType("navigation")[0]?.type === "reload"; // which comes back to its place
    if (section && chosen.size && !isReload) show();
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='#']");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    section = link.hash.slice(1);
    history.pushState(null, "", address());
    const target = show();
    target.tabIndex = -1;
    target.focus({ preventScroll: true });
  });
  document.getElementById("reset").addEventListener("click", () => {
    chosen = new URLSearchParams();
    write();
    location.reload();
  });
  document.getElementById("reset").hidden = chosen.size === 0;
  return {
    get: (name) => chosen.get(name),
    all: (name) => chosen.getAll(name),
    // null is what is not chosen
    set(name, value) {
      if (value === null) chosen.delete(name);
      else chosen.set(name, value);
      changed();
    },
    setAll(name, values) {
      chosen.delete(name);
      for (const value of values) chosen.append(name, value);
      changed();
    },
    write,
  };
})();
