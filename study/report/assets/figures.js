// Unpacks plotly.js and draws every figure in the colours of the page; again when the theme changes or to print.
(async () => {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);

  const variable = /^var\((--[\w-]+)\)$/;
  const colored = (value, style) => {
    if (typeof value === "string") {
      const name = value.match(variable);
      return name ? style.getPropertyValue(name[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map((item) => colored(item, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, colored(item, style)]));
    }
    return value;
  };
  const config = {
    displaylogo: false,
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
    toImageButtonOptions: { format: "svg" },
  };
  const figures = [...document.querySelectorAll("script[data-figure]")].map((data) => ({
    plot: document.getElementById(data.dataset.figure),
    ...JSON.parse(data.textContent),
  }));
  const isTouch = matchMedia("(pointer: coarse)").matches; // there a drag scrolls the page
  const draw = () => {
    const style = getComputedStyle(document.documentElement);
    for (const { plot, data, layout } of figures) {
      const dressed = { ...colored(layout, style), dragmode: isTouch ? false : "zoom" };
      Plotly.react(plot, colored(data, style), dressed, config);
    }
  };
  draw();
  const resized = new ResizeObserver((entries) => entries.forEach((entry) => Plotly.Plots.resize(entry.target)));
  figures.forEach(({ plot }) => resized.observe(plot));
  document.documentElement.dataset.figures = "drawn";
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  matchMedia("print").addEventListener("change", draw);
})();
