// Unpacks plotly.js and draws every figure in the colours of the page; again when the theme changes, or to print.
(async () => {
  document.documentElement.dataset.figures = "drawing";
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

  // What is drawn of a figure: the zoom of the reader, and none of what the reader left out.
  const zoomed = (plot, layout) => {
    const ends = view.get(`zoom.${plot.id}`)?.split("~").map(Number) ?? [];
    if (ends.length !== 4 || ends.some(Number.isNaN)) return layout;
    const [left, right, low, high] = ends;
    return { ...layout, xaxis: { ...layout.xaxis, range: [left, right], autorange: false }, yaxis: { ...layout.yaxis, range: [low, high], autorange: false } };
  };
  // Titles of axes in lines that fit, for plotly.js cuts them.
  const wrapped = (axis, room) => {
    const most = Math.max(12, Math.floor(room / 7));
    const lines = (axis.title?.text ?? "").split(" ").reduce(
      (lines, word) => (`${lines.at(-1)} ${word}`.length > most ? [...lines, word] : [...lines.slice(0, -1), `${lines.at(-1)} ${word}`.trim()]),
      [""]);
    return { ...axis, title: { ...axis.title, text: lines.filter(Boolean).join("<br>") } };
  };
  const isOut = (trace) => window.keeps?.isOut(trace.meta);
  const kept = (traces) =>
    traces.map((trace) => (isOut(trace) ? { ...trace, visible: false } : (window.brushed?.without(trace) ?? trace)));
  const name = (plot) => {
    if (!plot.data.some((trace) => trace.meta?.label)) return;
    Plotly.relayout(plot, { annotations: colored(labels.annotations(plot), new Map()) });
  };
  const draw = (figure, size = {}) => {
    const { plot, current } = figure;
    if (plot.clientWidth === 0) return; // hidden: drawn when it is shown
    const { data, layout } = current();
    const seen = new Map();
    const [width, height] = [size.width ?? plot.clientWidth, size.height ?? plot.clientHeight];
    const axes = { xaxis: wrapped(layout.xaxis, width - 80), yaxis: wrapped(layout.yaxis, height - 90) };
    const dressed = { ...colored(zoomed(plot, { ...layout, ...axes }), seen), dragmode: isTouch ? false : "zoom", ...size };
    Plotly.react(plot, colored(kept(data), seen), dressed, config);
    name(plot);
    stale.delete(figure);
    if (!plot.dataset.watched) watch(plot);
  };
  const watch = (plot) => {
    plot.dataset.watched = "";
    // its words are those of `aria-label`; the buttons above it stay within reach
    plot.querySelectorAll("svg.main-svg").forEach((svg) => svg.setAttribute("aria-hidden", "true"));
    plot.on("plotly_relayout", (change) => {
      if (!Object.keys(change).some((key) => /axis\.(range|autorange)/.test(key))) return;
      const { xaxis, yaxis } = plot._fullLayout;
      const isReset = Object.keys(change).some((key) => key.endsWith("autorange")) || change["xaxis.range"] !== undefined;
      const ends = [...xaxis.range, ...yaxis.range].map((end) => Number(Number(end).toPrecision(5)));
      view.set(`zoom.${plot.id}`, isReset ? null : ends.join("~"));
      name(plot);
    });
  };
  const redraw = (those = figures) => {
    those.forEach((figure) => stale.add(figure));
    those.forEach((figure) => draw(figure));
  };
  for (const figure of figures) {
    if (stale.has(figure)) draw(figure);
    await new Promise((resolve) => setTimeout(resolve)); // what is drawn is seen, and the page answers
  }
  let isPrinting = false;
  const resized = new ResizeObserver((entries) => {
    if (isPrinting) return;
    for (const { target } of entries) {
      const figure = figures.find(({ plot }) => plot === target);
      if (stale.has(figure)) draw(figure);
      else if (target.clientWidth > 0) {
        Plotly.Plots.resize(target);
        name(target);
      }
    }
  });
  figures.forEach(({ plot }) => resized.observe(plot));
  document.addEventListener("redraw", ({ detail }) => {
    if (detail?.trials) redraw(figures.filter(({ current }) => current().data.some(({ meta }) => meta?.trials === detail.trials)));
    else redraw(detail ? figures.filter(({ plot }) => plot === detail) : figures);
  });
  document.documentElement.dataset.figures = "drawn";
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());

  // Paper is light, and its width is known to nobody before it is printed: each figure is drawn for about the width that
  // it will have, and scales to what it gets (page.css).
  const PAPER = 820; // px, of A4 and US letter without their margins; there are 720, so that letters become a little smaller
  const widths = { third: 0.31, half: 0.48, square: 0.58, confusions: 0.58 };
  let before = "";
  addEventListener("beforeprint", () => {
    isPrinting = true;
    before = document.documentElement.style.colorScheme;
    document.documentElement.style.colorScheme = "light";
    for (const figure of figures) {
      const { plot } = figure;
      const block = plot.closest("figure");
      const shape = Object.keys(widths).find((one) => block.classList.contains(one));
      const width = Math.round(PAPER * (widths[shape] ?? 1) * (block.closest(".choice.half") ? widths.half : 1));
      const height = block.matches(".square, .confusions") ? width : Math.round(Math.min(300, 0.62 * width + 40));
      draw(figure, { width, height, autosize: false });
      for (const svg of plot.querySelectorAll("svg.main-svg")) svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      plot.style.setProperty("--drawn", `${width} / ${height}`);
    }
  });
  addEventListener("afterprint", () => {
    isPrinting = false;
    document.documentElement.style.colorScheme = before;
    for (const svg of document.querySelectorAll("svg.main-svg")) svg.removeAttribute("viewBox");
    redraw();
    figures.filter(({ plot }) => plot.clientWidth).forEach(({ plot }) => Plotly.Plots.resize(plot));
  });
})();
