// Confusion matrices of several models: one at a time, in one order of the classes, whole or around a class.
window.drawings = [...document.querySelectorAll("script[data-confusions]")].map((data) => {
  const { classes, labels, counts, bytes, levels } = JSON.parse(data.textContent);
  const part = data.closest(".confusions");
  const [model, order, place, around] = ["model", "order", "place", "around"].map((n) => part.querySelector(`.${n}`));
  const plot = document.getElementById(data.dataset.confusions);
  const n = classes.length;
  const [SMALL, NAMED, WITH_COUNTS] = [12, 60, 26];
  const numbers = (base64) => {
    const raw = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    return bytes === 1 ? raw : bytes === 2 ? new Uint16Array(raw.buffer) : new Uint32Array(raw.buffer);
  };
  const bySimilarity = [...classes.keys()];
  const byName = [...classes.keys()].sort((a, b) => classes[a].localeCompare(classes[b], undefined, { numeric: true }));
  const brief = (name) => (name.length <= 20 ? name : `${name.slice(0, 19)}…`);
  const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const shown = () => {
    const all = order.value === "similarity" ? bySimilarity : byName;
    const middle = all.findIndex((i) => classes[i] === place.value);
    const reach = Number(around.value);
    if (middle < 0 || !reach) return all;
    const first = Math.max(0, Math.min(middle - reach, n - 2 * reach - 1));
    return all.slice(first, first + 2 * reach + 1);
  };
  const current = () => {
    const matrix = numbers(counts[model.selectedIndex]);
    const support = classes.map((_, i) => matrix.subarray(i * n, i * n + n).reduce((a, b) => a + b, 0) || 1);
    const those = shown();
    const share = those.map((i) => those.map((j) => matrix[i * n + j] / support[i]));
    const worst = Math.max(0.01, ...share.map((row, i) => Math.max(0, ...row.filter((_, j) => i !== j))));
    // wrong ones below zero, so that one scale has both colours; each by its level, as most are small
    const z = share.map((row, i) => row.map((s, j) => (i === j ? s : -s / worst)));
    const said = those.map((i) => those.map((j) => `${matrix[i * n + j]} images, ${(100 * matrix[i * n + j] / support[i]).toFixed(1)} % of the class`));
    const names = those.map((i) => plain(brief(classes[i])));
    const ticks = those.length <= NAMED
      ? { tickvals: [...names.keys()], ticktext: names }
      : { labelalias: Object.fromEntries(names.map((name, i) => [i, name])) };
    const axis = { ...levels.axis, ...ticks, showgrid: false, zeroline: false, automargin: true };
    const gap = those.length <= WITH_COUNTS ? 2 : 0;
    const words = those.length > WITH_COUNTS ? [] : [true, false].map((dark) => {
      const cells = those.flatMap((i, y) => those.map((j, x) => ({ x, y, count: matrix[i * n + j], is: i === j ? share[y][x] > 0.5 : share[y][x] > 0.6 * worst })));
      const kept = cells.filter((cell) => cell.count && cell.is === dark);
      return {
        type: "scatter", mode: "text", hoverinfo: "skip", x: kept.map((c) => c.x), y: kept.map((c) => c.y),
        text: kept.map((c) => String(c.count)),
        textfont: { size: those.length <= SMALL ? 12 : 9, color: dark ? "var(--on-dark-cell)" : "var(--on-light-cell)" },
      };
    });
    return {
      data: [{
        type: "heatmap", z, text: said, zmin: -1, zmax: 1, colorscale: levels.colors, showscale: false, xgap: gap, ygap: gap,
        x: [...names.keys()], y: [...names.keys()],
        customdata: those.map((i) => those.map((j) => [plain(classes[i]), plain(classes[j])])),
        hovertemplate: "true %{customdata[0]}<br>predicted %{customdata[1]}<br>%{text}<extra></extra>",
      }, ...words],
      layout: {
        ...levels.layout,
        xaxis: { ...axis, title: { text: "predicted class", standoff: 10 }, range: [-0.5, those.length - 0.5], tickangle: those.length > 6 ? -90 : 0 },
        yaxis: { ...axis, title: { text: "true class", standoff: 10 }, range: [those.length - 0.5, -0.5] },
      },
    };
  };
  const redraw = () => {
    plot.setAttribute("aria-label", `${plot.dataset.alt} Now shown: ${labels[model.selectedIndex]}, ${shown().length} classes.`);
    document.dispatchEvent(new CustomEvent("redraw", { detail: plot }));
  };
  [model, order, place, around].forEach((control) => control.addEventListener("change", redraw));
  part.querySelector(".all").addEventListener("click", () => {
    place.value = "";
    redraw();
  });
  part.parentElement.addEventListener("click", ({ target }) => {
    const name = target.closest("button[data-class]")?.dataset.class;
    if (name === undefined) return;
    place.value = name;
    redraw();
    plot.scrollIntoView({ block: "nearest" });
  });
  return { plot, current };
});
