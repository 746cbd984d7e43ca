// Two of several objectives: the front with its stair, what it dominates, what is out of the question and why.
"use strict";
(() => {
  const report = window.report, store = report.store, plots = report.plots;
  const { plain, short, number } = plots;
  const APART = 0.045;  // of the picture's sides: numbers of points that are nearer cover each other

  /* Chooses the rows whose number is written: along the front, those that are far enough from the last one. */
  function numbered(rows, x, y) {
    const span = (of) => { const own = rows.map(of); return Math.max(...own) - Math.min(...own) || 1; }, [width, height] = [span(x), span(y)];
    const found = new Set();
    let last = null;
    for (const row of [...rows].sort((a, b) => x(a) - x(b))) {
      if (last !== null && Math.hypot((x(row) - x(last)) / width, (y(row) - y(last)) / height) < APART) continue;
      found.add(row);
      last = row;
    }
    return found;
  }
  const LOOKS = (c) => ({ front: ["circle", c.accent, 10], dominated: ["circle", c.faint, 7], early: ["triangle-down-open", c.faint, 7], few: ["circle-open", c.faint, 7], beyond: ["diamond-open", c.soft, 8], violates: ["x-thin-open", c.warn, 8] });

  const front = (which) => (element) => {
    const c = plots.colours(), data = plots.data(), f = data.front, [second, first] = f.pairs[which], looks = LOOKS(c);  // the first objective upwards
    const kinds = [["dominated", "dominated"], ["early", "not finished"], ["few", `not enough ${data.repeats}`], ["beyond", "worse than a threshold"], ["violates", "violates a constraint"], ["front", "on the front"]];
    const [x, y] = [f.objectives[first], f.objectives[second]];
    const at = (row, which) => (row < f.values.length ? f.values[row][which] : null);
    const own = (which) => (row) => at(row, which);
    const there = plots.visible().filter((row) => at(row, first) !== null && at(row, second) !== null);
    const bars = (rows, which) => plots.bars(c, rows.map((row) => f.errors[row][which]));
    const traces = [], on = there.filter((row) => f.kind[row] === "front").sort((a, b) => at(a, first) - at(b, first));
    if (f.objectives.length === 2) {
      traces.push({ type: "scatter", mode: "lines", x: on.map(own(first)), y: on.map(own(second)), hoverinfo: "skip", showlegend: false,
        line: { shape: x.goal === "minimize" ? "hv" : "vh", color: c.accent, width: 1.5 } });
    }
    for (const [kind, name] of kinds) {
      const rows = there.filter((row) => f.kind[row] === kind);
      if (!rows.length) continue;
      const [symbol, colour, size] = looks[kind], open = symbol.includes("open");
      const label = kind === "front" && rows.length <= (plots.narrow() ? 8 : 24), written = label ? numbered(rows, own(first), own(second)) : null;
      traces.push({ type: "scatter", mode: label ? "markers+text" : "markers", x: rows.map(own(first)), y: rows.map(own(second)), customdata: rows,
        text: label ? rows.map((row) => (written.has(row) ? String(number(row)) : "")) : undefined, textposition: (x.goal === "minimize" ? "bottom right" : "bottom left"), textfont: { size: 11, color: c.soft },
        hovertext: rows.map((row) => plots.about(row) + f.objectives.map((o, i) => i ? `<br>${plain(o.name)} ${short(at(row, i))}` : "").join("") + `<br>${name}`), hovertemplate: "%{hovertext}<extra></extra>",
        error_x: bars(rows, first), error_y: bars(rows, second), name,
        marker: { symbol, size, color: colour, opacity: kind === "front" ? 1 : 0.9, line: { width: open ? 1.8 : 0.8, color: open ? colour : c.paper } } });
    }
    // Bounds within reach of the trials are lines; one far off would press them together.
    const shapes = [], annotations = [], axes = [[first, "x"], [second, "y"]];
    const reach = (which) => { const v = there.map(own(which)), low = Math.min(...v), high = Math.max(...v), room = 0.6 * (high - low || Math.abs(high) || 1); return [low - room, high + room]; };
    const draw = (objective, bound, text, colour, dash) => {
      for (const [place, axis] of axes) {
        if (place !== objective || bound < reach(place)[0] || bound > reach(place)[1]) continue;
        const upright = axis === "x", left = !upright && x.goal !== "minimize";
        shapes.push({ type: "line", [`${axis}0`]: bound, [`${axis}1`]: bound, [upright ? "y0" : "x0"]: 0, [upright ? "y1" : "x1"]: 1, [upright ? "yref" : "xref"]: "paper", line: { color: colour, width: 1.2, dash }, layer: "below" });
        // Written at the axis, inside the plot: upwards beside an upright line.
        annotations.push({ [axis]: bound, [upright ? "y" : "x"]: upright ? 0.02 : left ? 0.01 : 0.99, [upright ? "yref" : "xref"]: "paper", text: plain(text, 34), showarrow: false, textangle: upright ? -90 : 0,
          xanchor: left ? "left" : "right", yanchor: "bottom", font: { size: 11, color: colour }, bgcolor: c.paper, opacity: 0.9, borderpad: 1 });
        // A line that no trial crosses would lie outside.
        traces.push({ type: "scatter", mode: "markers", x: [upright ? bound : at(there[0], first)], y: [upright ? at(there[0], second) : bound], marker: { size: 1, opacity: 0 }, hoverinfo: "skip", showlegend: false });
      }
    };
    if (there.length) {
      f.bounds.forEach((bound) => draw(bound.objective, bound.at, bound.text, c.warn, "dash"));
      f.objectives.forEach((o, i) => o.threshold === null || draw(i, o.threshold, `threshold ${short(o.threshold)}`, c.soft, "dot"));
    }
    traces.push(...plots.rings(c, own(first), own(second)));
    const title = (o) => `${plain(o.name, 30)} (${o.goal}${data.means ? ", mean" : ""})`;
    plots.put(element, traces, plots.layout(c, 400, { shapes, annotations, xaxis: { title: title(x) }, yaxis: { title: title(y) }, showlegend: true, legend: plots.LEGEND(c) }), {
      heads: [data.noun, ...f.objectives.flatMap((o) => [o.name, `standard error of ${o.name}`]), "kind"],
      rows: () => there.map((row) => [store.name(row), ...f.objectives.flatMap((_, i) => [at(row, i), f.errors[row][i]]), f.kind[row]]),
    });
  };
  plots.define("front", front);
})();
