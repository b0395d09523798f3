// Parallel coordinates: a line per trial. What is brushed on the axes leaves all other trials out, here, in the figures
// whose traces have the same scope, and in the tables.
window.brushed = (() => {
  const outOf = new Map(); // scope: trials that are left out
  const [ABOVE, BELOW, LEAST, HEIGHT, SIDE] = [46, 12, 104, 340, 62];
  const STEP = 0.02; // by an arrow key, of an axis
  const svg = (name, attributes = {}, ...children) => {
    const made = document.createElementNS(document.querySelector("svg").namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const brief = (text, most) => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);
  const drawings = [...document.querySelectorAll("script[data-parallel]")].map((data) => {
    const { trials, kinds, shades, axes } = JSON.parse(data.textContent);
    const { scope } = data.dataset;
    const place = document.getElementById(data.dataset.parallel);
    const caption = place.parentElement.querySelector("figcaption");
    const [said, all] = [caption.querySelector("output"), caption.querySelector(".all")];
    const nameOf = (axis) => `brush.${scope}.${axis.name}`;
    const ranges = axes.map((axis) => {
      const [low, high] = (view.get(nameOf(axis)) ?? "").split("~").map(Number);
      return low < high ? [low, high] : null;
    });
    const y = (share) => ABOVE + (1 - share) * (HEIGHT - ABOVE - BELOW);
    const share = (y) => Math.min(1, Math.max(0, 1 - (y - ABOVE) / (HEIGHT - ABOVE - BELOW)));
    const isKept = (i) => axes.every(({ places }, k) => {
      if (!ranges[k]) return true;
      return places[i] !== null && places[i] >= ranges[k][0] - 1e-4 && places[i] <= ranges[k][1] + 1e-4;
    });
    // the best is drawn last, above all others
    const order = [...trials.keys()].sort((a, b) => Boolean(kinds[a]) - Boolean(kinds[b]) || shades[a] - shades[b]);
    let lines = [];
    let brushes = [];
    const word = (k, end) => {
      const within = trials.map((_, i) => i).filter((i) => axes[k].places[i] !== null && isKept(i));
      within.sort((a, b) => axes[k].places[a] - axes[k].places[b]);
      const at = within.at(end ? -1 : 0);
      return at === undefined ? "no trial" : axes[k].words[at];
    };
    const mark = () => {
      const out = new Set(trials.filter((_, i) => !isKept(i)));
      outOf.set(scope, out);
      order.forEach((i, at) => lines[at].classList.toggle("out", out.has(trials[i])));
      const isBrushed = ranges.some(Boolean);
      said.textContent = isBrushed ? `${trials.length - out.size} of ${trials.length} trials kept.` : "";
      all.hidden = !isBrushed;
      brushes.forEach(({ box, ends }, k) => {
        const [low, high] = ranges[k] ?? [0, 1];
        box.setAttribute("y", y(high));
        box.setAttribute("height", y(low) - y(high));
        box.classList.toggle("set", Boolean(ranges[k]));
        ends.forEach((end, top) => {
          end.setAttribute("transform", `translate(0 ${y(top ? high : low)})`);
          end.setAttribute("aria-valuenow", Math.round(100 * (top ? high : low)));
          end.setAttribute("aria-valuetext", word(k, top));
        });
      });
    };
    const tell = () => {
      axes.forEach((axis, k) => view.set(nameOf(axis), ranges[k] ? ranges[k].map((v) => +v.toFixed(3)).join("~") : null));
      for (const row of document.querySelectorAll("[data-trial]")) {
        if (row.closest("[data-scope]")?.dataset.scope !== scope) continue;
        row.classList.toggle("left-out", outOf.get(scope).has(row.dataset.trial));
      }
      document.dispatchEvent(new CustomEvent("redraw", { detail: { trials: scope } }));
    };
    const set = (k, low, high) => {
      ranges[k] = low <= 0 && high >= 1 ? null : [Math.max(0, low), Math.min(1, high)];
      mark();
    };
    const draw = () => {
      const width = Math.max(place.clientWidth, LEAST * axes.length);
      if (!place.clientWidth) return;
      const x = (k) => SIDE + (k * (width - 2 * SIDE)) / Math.max(1, axes.length - 1);
      const gap = (width - 2 * SIDE) / Math.max(1, axes.length - 1);
      const isTight = axes.some(({ title }, k) => k && (title.length + axes[k - 1].title.length) * 3.7 + 12 > gap);
      lines = order.map((i) => {
        const there = axes.map(({ places }, k) => [x(k), places[i]]).filter(([, at]) => at !== null);
        const line = svg("path", { class: `trial ${kinds[i]}`, d: `M${there.map(([at, v]) => `${at.toFixed(1)} ${y(v).toFixed(1)}`).join("L")}`, style: `--shade:${shades[i]}` });
        line.append(svg("title", {}, `${trials[i]}: ${axes.map(({ title, words }) => `${title} ${words[i]}`).join(", ")}`));
        return line;
      });
      brushes = axes.map((axis, k) => {
        const box = svg("rect", { class: "brush", x: -7, width: 14 });
        const ends = ["lowest", "highest"].map((end, top) => {
          const handle = svg("g", { class: "end", tabindex: 0, role: "slider", "aria-label": `${axis.title}, ${end} that is kept`, "aria-orientation": "vertical", "aria-valuemin": 0, "aria-valuemax": 100 }, svg("rect", { x: -9, y: -3, width: 18, height: 6, rx: 2 }));
          handle.addEventListener("keydown", (event) => {
            const step = { ArrowUp: STEP, ArrowDown: -STEP, PageUp: 5 * STEP, PageDown: -5 * STEP, Home: -2, End: 2 }[event.key];
            if (step === undefined && event.key !== "Escape") return;
            event.preventDefault();
            const [low, high] = ranges[k] ?? [0, 1];
            if (event.key === "Escape") set(k, 0, 1);
            else if (top) set(k, low, Math.max(low + STEP, Math.min(1, high + step)));
            else set(k, Math.min(high - STEP, Math.max(0, low + step)), high);
            tell();
          });
          return handle;
        });
        const ticks = axis.ticks.flatMap(([at, text]) => [
          svg("path", { class: "tick", d: `M-4 ${y(at)}H4` }),
          svg("text", { class: "value", x: k === axes.length - 1 ? 10 : -10, y: y(at) + 3.5, "text-anchor": k === axes.length - 1 ? "start" : "end" }, brief(text, 11)),
        ]);
        const hit = svg("rect", { class: "hit", x: -18, width: 36, y: ABOVE - 8, height: HEIGHT - ABOVE - BELOW + 16 });
        const title = svg("text", { class: "axis-title", x: 0, y: isTight && k % 2 ? 12 : 28, "text-anchor": k === 0 ? "start" : k === axes.length - 1 ? "end" : "middle", dx: k === 0 ? 8 - SIDE : k === axes.length - 1 ? SIDE - 8 : 0 }, brief(axis.title, 26));
        const group = svg("g", { transform: `translate(${x(k)} 0)` }, svg("path", { class: "axis", d: `M0 ${ABOVE}V${HEIGHT - BELOW}` }), ...ticks, title, box, hit, ...ends);
        const at = (event) => share(((event.clientY - group.ownerSVGElement.getBoundingClientRect().top) * HEIGHT) / group.ownerSVGElement.getBoundingClientRect().height);
        let from = null;
        for (const part of [hit, ...ends]) {
          part.addEventListener("pointerdown", (event) => {
            if (event.button) return;
            part.setPointerCapture(event.pointerId);
            const [low, high] = ranges[k] ?? [0, 1];
            from = part === ends[0] ? high : part === ends[1] ? low : at(event); // an end moves, the other one stays
            place.dataset.dragged = "";
            if (part === hit) event.preventDefault();
          });
          part.addEventListener("pointermove", (event) => {
            if (from === null) return;
            const [low, high] = [from, at(event)].sort((a, b) => a - b);
            if (high - low > 0.01) set(k, low, high);
          });
          part.addEventListener("pointerup", (event) => {
            if (from === null) return;
            if (part === hit && Math.abs(at(event) - from) <= 0.01) set(k, 0, 1); // a click frees the axis
            from = null;
            delete place.dataset.dragged;
            tell();
          });
        }
        return { group, box, ends };
      });
      place.replaceChildren(svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT }, svg("g", {}, ...lines), ...brushes.map(({ group }) => group)));
      mark();
    };
    all.addEventListener("click", () => {
      ranges.fill(null);
      mark();
      tell();
    });
    caption.querySelector(".brushing").hidden = false;
    return { place, draw, tell, isBrushed: () => ranges.some(Boolean) };
  });
  const drawn = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (!("dragged" in target.dataset)) drawings.find(({ place }) => place === target).draw();
    }
  });
  drawings.forEach(({ place, draw, tell, isBrushed }) => {
    draw();
    if (isBrushed()) tell();
    drawn.observe(place);
  });
  // a trace without the points of trials that are left out
  const without = (trace) => {
    const out = outOf.get(trace.meta?.trials);
    if (!out?.size || !trace.customdata) return trace;
    const isOut = trace.customdata.map((said) => out.has(Array.isArray(said) ? said[0] : said));
    return { ...trace, y: trace.y.map((value, i) => (isOut[i] ? null : value)) };
  };
  return { without };
})();
