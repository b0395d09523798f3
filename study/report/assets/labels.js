// Names of points, placed where they touch no other name and no mark, for the size that a figure has now. One that finds
// no place is left out: it is in the hover, and in the table beside the figure.
window.labels = (() => {
  const FONT = 11;
  const [MARK, LINE] = [8, 14]; // half a mark, and the height of a name, in pixels
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `${FONT}px system-ui, sans-serif`;
  const share = (a, b) => Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0])) * Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  const candidates = [0, 12, 24, 38, 54].flatMap((away) =>
    [[1, 0], [-1, 0], [0, -1], [0, 1], [1, -1], [-1, -1], [1, 1], [-1, 1]].map(([right, down]) => [right, down, away]));
  const text = (label) => label.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
  // of each name that has a place: its box's middle, beside its point
  const placed = (points, width, height) => {
    const marks = points.map(({ x, y }) => [x - MARK, y - MARK, x + MARK, y + MARK]);
    const bars = points.map(({ x, low, high }) => [x - 2, high, x + 2, low]);
    const names = [];
    return points.flatMap((point, of) => {
      const wide = pen.measureText(text(point.label)).width + 4;
      let best = null;
      for (const [right, down, away] of candidates) {
        const x = point.x + right * (MARK + 2 + away + wide / 2);
        const y = point.y + down * (MARK + away + LINE / 2);
        const box = [x - wide / 2, y - LINE / 2, x + wide / 2, y + LINE / 2];
        if (box[0] < 0 || box[1] < 0 || box[2] > width || box[3] > height) continue;
        if (names.some((other) => share(box, other)) || marks.some((other, i) => i !== of && share(box, other))) continue;
        const cost = bars.reduce((sum, bar) => sum + share(box, bar), 0) + 2 * away + (down ? 3 : 0);
        if (best === null || cost < best.cost) best = { x, y, box, cost, away };
      }
      if (best === null) return [];
      names.push(best.box);
      return [{ ...point, to: best, wide }];
    });
  };
  const annotations = (plot) => {
    const { xaxis, yaxis, width } = plot._fullLayout;
    if (!width) return [];
    const unit = (axis, value) => (axis.type === "log" ? Math.log10(value) : value);
    const points = plot.data
      .filter((trace) => trace.meta?.label && trace.visible !== false)
      .map((trace) => {
        const [x, y] = [unit(xaxis, trace.x[0]), unit(yaxis, trace.y[0])];
        const { array = [0], arrayminus = [0] } = trace.error_y ?? {};
        const at = (value) => yaxis.l2p(value);
        return { label: trace.meta.label, data: [x, y], x: xaxis.l2p(x), y: at(y), low: at(y - arrayminus[0]), high: at(y + array[0]) };
      })
      .filter(({ x, y }) => x >= 0 && y >= 0 && x <= xaxis._length && y <= yaxis._length);
    return placed(points, xaxis._length + 8, yaxis._length).map(({ label, data, x, y, to }) => ({
      x: data[0], y: data[1], ax: to.x - x, ay: to.y - y, text: label, showarrow: true, arrowhead: 0,
      arrowwidth: 0.8, arrowcolor: to.away ? "var(--muted)" : "rgba(0,0,0,0)", standoff: MARK, borderpad: 0,
      font: { size: FONT, color: "var(--text)" }, captureevents: false,
    }));
  };
  return { annotations };
})();
