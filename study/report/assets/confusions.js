// Confusion matrices of several models: one at a time, in one order of the classes; of many classes those that are
// confused most, or those around a class.
window.drawings = [...document.querySelectorAll("script[data-confusions]")].map((data) => {
  const { classes, labels, cells, levels } = JSON.parse(data.textContent);
  const part = data.closest(".confusions");
  const [model, order, place, around, which] = ["model", "order", "place", "around", "which"].map((n) => part.querySelector(`.${n}`));
  const plot = document.getElementById(data.dataset.confusions);
  const n = classes.length;
  const [SMALL, NAMED, WITH_COUNTS, MOST] = [12, 60, 26, 30];
  const matrices = new Map(); // of the models that were looked at
  const matrixOf = (i) => {
    if (!matrices.has(i)) {
      const matrix = new Uint32Array(n * n);
      const raw = Uint8Array.from(atob(cells[i]), (c) => c.charCodeAt(0));
      const triples = new Uint32Array(raw.buffer); // true, predicted, count
      for (let k = 0; k < triples.length; k += 3) matrix[triples[k] * n + triples[k + 1]] = triples[k + 2];
      matrices.set(i, matrix);
    }
    return matrices.get(i);
  };
  const bySimilarity = [...classes.keys()];
  const byName = [...classes.keys()].sort((a, b) => classes[a].localeCompare(classes[b], undefined, { numeric: true }));
  const brief = (name) => (name.length <= 20 ? name : `${name.slice(0, 19)}…`);
  const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const supportOf = (matrix) => classes.map((_, i) => matrix.subarray(i * n, i * n + n).reduce((a, b) => a + b, 0) || 1);
  const mostConfused = () => {
    const matrix = matrixOf(model.selectedIndex);
    const support = supportOf(matrix);
    const wrong = [];
    matrix.forEach((count, at) => {
      const [i, j] = [Math.floor(at / n), at % n];
      if (count && i !== j) wrong.push([count / support[i], i, j]);
    });
    wrong.sort((a, b) => b[0] - a[0]);
    const chosen = new Set();
    for (const [, i, j] of wrong) {
      if (chosen.size + !chosen.has(i) + !chosen.has(j) > MOST) break;
      chosen.add(i).add(j);
    }
    return chosen;
  };
  const shown = () => {
    const all = order.value === "similarity" ? bySimilarity : byName;
    const middle = all.findIndex((i) => classes[i] === place.value);
    const reach = Number(around.value);
    if (middle >= 0) {
      const first = Math.max(0, Math.min(middle - reach, n - 2 * reach - 1));
      return all.slice(first, first + 2 * reach + 1);
    }
    if (which.value === "all") return all;
    const chosen = mostConfused();
    return chosen.size ? all.filter((i) => chosen.has(i)) : all;
  };
  const current = () => {
    const matrix = matrixOf(model.selectedIndex);
    const support = supportOf(matrix);
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
    if (those.length > SMALL) axis.tickfont = { size: 10 };
    const gap = those.length <= WITH_COUNTS ? 2 : those.length <= NAMED ? 1 : 0;
    const words = those.length > MOST ? [] : [true, false].map((dark) => {
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
  const controls = { model, order, place, around, which };
  const first = Object.fromEntries(Object.entries(controls).map(([name, control]) => [name, control.value]));
  const say = () => plot.setAttribute("aria-label", `${plot.dataset.alt} Now shown: ${labels[model.selectedIndex]}, ${shown().length} classes.`);
  const redraw = () => {
    for (const [name, control] of Object.entries(controls)) {
      view.set(`${plot.id}.${name}`, control.value === first[name] ? null : control.value);
    }
    view.set(`zoom.${plot.id}`, null); // it was of other classes
    say();
    document.dispatchEvent(new CustomEvent("redraw", { detail: plot }));
  };
  for (const [name, control] of Object.entries(controls)) {
    const chosen = view.get(`${plot.id}.${name}`);
    if (chosen !== null) control.value = chosen;
    if (control.selectedIndex === -1) control.value = first[name]; // a link to something else
    control.addEventListener("change", () => {
      if (control === which) place.value = "";
      redraw();
    });
  }
  say();
  part.parentElement.addEventListener("click", ({ target }) => {
    const name = target.closest("button[data-class]")?.dataset.class;
    if (name === undefined) return;
    place.value = name;
    redraw();
    plot.scrollIntoView({ block: "nearest" });
  });
  return { plot, current };
});
