// What parameters do: importance and correlation, which are of all trials, and values over one parameter and over two.
"use strict";
(() => {
  const report = window.report, store = report.store, plots = report.plots;
  const { HOVER, plain, short, value, early, put, layout } = plots;
  const labelled = (effects, text, most) => ({ tickvals: effects.map((_, i) => i), ticktext: effects.map((effect) => plain(text(effect), most)), range: [-0.6, effects.length - 0.4], showgrid: false });
  const height = (effects) => 60 + Math.max(64, 30 * effects.length);  // lower, and the library prints the axis' title over its numbers
  const table = (effects) => ({
    heads: ["parameter", "importance", "reached by chance", "level", "correlation", "from", "to"],
    rows: () => effects.map((e) => [e.name, e.importance, e.chance, e.level, e.correlation, ...(e.interval || [null, null])]),
  });

  plots.define("importance", (element) => {
    const c = plots.colours(), effects = [...plots.data().effects].reverse(), places = effects.map((_, i) => i);
    put(element, [
      { type: "bar", orientation: "h", y: places, x: effects.map((e) => e.importance), width: 0.55, hovertemplate: HOVER,
        marker: { color: effects.map((e) => e.clear ? c.accent : c.faint) },
        text: effects.map((e) => `<b>${plain(e.name)}</b><br>explains ${(100 * e.importance).toFixed(0)} %<br>chance reaches ${(100 * e.chance).toFixed(0)} %`),
        textposition: "none" },
      { type: "scatter", mode: "markers", y: places, x: effects.map((e) => e.chance), hoverinfo: "skip",
        marker: { symbol: "line-ns-open", size: 14, line: { width: 2, color: c.ink }, color: c.ink } },
    ], layout(c, height(effects), {
      xaxis: { title: "share explained", tickformat: ".0%", rangemode: "tozero", nticks: 5 },
      yaxis: labelled(effects, (e) => e.name, plots.narrow() ? 20 : 34),
    }), table(plots.data().effects));
  });

  plots.define("correlation", (element) => {
    const c = plots.colours(), effects = [...plots.data().effects].reverse(), places = effects.map((_, i) => i);
    const clear = (e) => e.interval && (e.interval[0] > 0 || e.interval[1] < 0);
    put(element, [{
      type: "scatter", mode: "markers", y: places, x: effects.map((e) => e.correlation), hovertemplate: HOVER,
      text: effects.map((e) => `<b>${plain(e.name)}</b>${e.level ? ` = ${plain(e.level)}` : ""}<br>rank correlation ${short(e.correlation, 2)}` +
        (e.interval ? `<br>95 %: ${short(e.interval[0], 2)} to ${short(e.interval[1], 2)}` : "")),
      marker: { size: 9, color: effects.map((e) => !clear(e) ? c.faint : e.correlation > 0 ? c.accent : c.bad) },
      error_x: { type: "data", symmetric: false, thickness: 1.5, width: 0, color: c.faint,
        array: effects.map((e) => e.interval ? e.interval[1] - e.correlation : 0),
        arrayminus: effects.map((e) => e.interval ? e.correlation - e.interval[0] : 0) },
    }], layout(c, height(effects), {
      xaxis: { title: `rank correlation with ${plain(plots.data().metric)}`, range: [-1.05, 1.05], tickvals: [-1, -0.5, 0, 0.5, 1], zeroline: true, zerolinecolor: c.faint, zerolinewidth: 1 },
      yaxis: labelled(effects, (e) => (e.level ? `${e.name} = ${e.level}` : e.name), plots.narrow() ? 22 : 34),
    }), table(plots.data().effects));
  });

  // Points of one level would cover each other: spread by a fixed sequence, the same on every visit.
  const spread = (column, row, by) => column.values[row] + (column.kind === "category" ? ((row * by) % 1 - 0.5) * 0.4 : 0);
  // Trials that ended early are a trace of their own, a triangle each: one look for a whole trace is drawn in half the time.
  const groups = (rows, trace) => [rows.filter((row) => !early(row)), rows.filter(early)].map((own, cut) => [own, cut]).filter(([own]) => own.length).map(([own, cut]) => trace(own, Boolean(cut)));
  const has = (column) => (row) => (column.values[row] ?? null) !== null;

  const slice = (which) => (element) => {
    const c = plots.colours(), data = plots.data(), column = plots.columns()[data.slices[which]], [low, high] = plots.valueRange();
    const rows = plots.visible().filter((row) => plots.drawn(row) && has(column)(row)), x = (row) => spread(column, row, 0.618034);
    put(element, [...groups(rows, (own, cut) => ({
      type: "scatter", mode: "markers", x: own.map(x), y: own.map(value), customdata: own,
      text: own.map(plots.about), hovertemplate: HOVER, error_y: plots.bars(c, own.map(plots.error)),
      marker: { size: rows.length > 300 ? 5 : 7, opacity: 0.85, symbol: cut ? "triangle-down" : "circle", color: own.map(value), colorscale: plots.scaleOf(c),
        cmin: low, cmax: high, line: { width: cut ? 1.5 : 0.6, color: cut ? c.warn : c.faint } },
    })), ...plots.rings(c, (row) => (has(column)(row) ? x(row) : null), value)],
    layout(c, 300, { xaxis: plots.paramAxis(column), yaxis: { title: plain(data.metric) + plots.seeds() } }), {
      heads: [data.noun, column.name, data.metric, "standard error"], rows: () => rows.map((row) => [store.name(row), store.value(row, column.name), value(row), plots.error(row)]),
    });
  };
  plots.define("slice0", slice(0));
  plots.define("slice1", slice(1));

  plots.define("surface", (element) => {
    const c = plots.colours(), s = plots.data().surface, x = plots.columns()[s.x], y = plots.columns()[s.y];
    const [low, high] = s.score ? [0, 1] : plots.valueRange();
    const colour = s.score ? (row) => plots.flag(row, "score") : value;
    const scale = s.score ? c.scale : plots.scaleOf(c), bar = plots.bar(c);
    const title = { ...bar, ...(s.score ? { tickformat: ".0%", title: { ...bar.title, text: "trials beaten" } } : {}) };
    const rows = plots.visible().filter((row) => plots.drawn(row) && has(x)(row) && has(y)(row));
    const smooth = s.kind === "contour", alone = !s.z.length;
    const traces = alone ? [] : [
      { type: smooth ? "contour" : "heatmap", x: s.xs, y: s.ys, z: s.z, colorscale: scale, zmin: low, zmax: high, zauto: false,
        hoverinfo: "skip", colorbar: title, connectgaps: false, opacity: 0.9,
        ...(smooth ? { line: { width: 0 }, contours: { coloring: "fill", start: low, end: high, size: (high - low) / 10 } } : { xgap: x.kind === "category" ? 2 : 0, ygap: y.kind === "category" ? 2 : 0 }) }];
    const atX = (row) => (has(x)(row) ? spread(x, row, 0.618034) : null), atY = (row) => (has(y)(row) ? spread(y, row, 0.754878) : null);
    traces.push(
      ...groups(rows, (own, cut) => ({ type: "scatter", mode: "markers", x: own.map(atX), y: own.map(atY), customdata: own, text: own.map(plots.about), hovertemplate: HOVER,
        marker: { size: (rows.length > 300 ? 4 : 6) + 2 * alone, symbol: cut ? "triangle-down" : "circle", color: own.map(colour), colorscale: scale, cmin: low, cmax: high,
          showscale: alone && (own[0] === rows[0]), colorbar: title, line: { width: cut ? 1.5 : 1, color: !alone ? c.paper : cut ? c.warn : c.faint } } })),
      ...plots.rings(c, atX, atY));
    put(element, traces, layout(c, 380, { xaxis: { ...plots.paramAxis(x), showgrid: alone }, yaxis: { ...plots.paramAxis(y), showgrid: alone } }), {
      heads: [plots.data().noun, x.name, y.name, s.score ? "trials beaten" : plots.data().metric],
      rows: () => rows.map((row) => [store.name(row), store.value(row, x.name), store.value(row, y.name), colour(row)]),
    });
  });
})();
