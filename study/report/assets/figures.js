// Unpacks plotly.js and draws every figure in the colours of the page; again when the theme changes or to print.
(async () => {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);

  const swatch = document.body.appendChild(document.createElement("span")); // the browser computes a colour for it
  swatch.hidden = true;
  const variable = /^var\((--[\w-]+)\)$/;
  const colored = (value, seen) => {
    if (typeof value === "string") {
      if (!variable.test(value)) return value;
      if (!seen.has(value)) {
        swatch.style.color = value;
        seen.set(value, getComputedStyle(swatch).color);
      }
      return seen.get(value);
    }
    if (Array.isArray(value)) return value.map((item) => colored(item, seen));
    if (value && typeof value === "object" && !ArrayBuffer.isView(value)) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, colored(item, seen)]));
    }
    return value;
  };
  const config = {
    displaylogo: false,
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
    toImageButtonOptions: { format: "svg" },
  };
  const isTouch = matchMedia("(pointer: coarse)").matches; // there a drag scrolls the page
  const figures = [...document.querySelectorAll("script[data-figure]")].map((data) => {
    const drawing = JSON.parse(data.textContent);
    return { plot: document.getElementById(data.dataset.figure), current: () => drawing };
  });
  figures.push(...(window.drawings ?? [])); // what other scripts compute: `plot`, and `current()` to draw
  const stale = new Set(figures);
  const draw = (figure) => {
    const { plot, current } = figure;
    if (plot.clientWidth === 0) return; // hidden: drawn when it is shown
    const { data, layout } = current();
    const seen = new Map();
    const shown = data.map((trace) => (window.isLeftOut?.(trace.meta) ? { ...trace, visible: false } : trace));
    const dressed = { ...colored(layout, seen), dragmode: isTouch ? false : "zoom" };
    Plotly.react(plot, colored(shown, seen), dressed, config);
    stale.delete(figure);
  };
  const redraw = (those = figures) => {
    those.forEach((figure) => stale.add(figure));
    those.forEach(draw);
  };
  for (const figure of figures) {
    if (stale.has(figure)) draw(figure);
    await new Promise((resolve) => setTimeout(resolve)); // what is drawn is seen, and the page answers
  }
  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const figure = figures.find(({ plot }) => plot === target);
      if (stale.has(figure)) draw(figure);
      else if (target.clientWidth > 0) Plotly.Plots.resize(target);
    }
  });
  figures.forEach(({ plot }) => resized.observe(plot));
  document.addEventListener("redraw", ({ detail }) => {
    redraw(detail ? figures.filter(({ plot }) => plot === detail) : figures);
  });
  document.documentElement.dataset.figures = "drawn";
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
  matchMedia("print").addEventListener("change", () => redraw());
})();
