// How far trials came: rungs at which they paused and were resumed; and who began from whose checkpoint.
"use strict";
(() => {
  const report = window.report, store = report.store, plots = report.plots;
  const { HOVER, plain, value, state, finite, put, layout } = plots;
  const BARS = 200;  // trials with a bar; more are too thin
  const BINS = 12;  // colours of values
  const of = (row, name) => finite(store.field(row, name));

  /* What came how far, best first: the rows of the page, or, where these are points, the trials of those that are left. */
  function runs() {
    const seeds = plots.data().rungs.trials;
    const found = seeds ? seeds.map(([name, state, iterations, resumed, until, value, point]) => ({ name, state, iterations, resumed, until, value, row: store.row(point) })).filter(({ row }) => row < 0 || plots.isVisible(row))
      : plots.ranked(plots.visible()).map((row) => ({ name: store.name(row), state: state(row), iterations: of(row, "iterations"), resumed: store.field(row, "resumed") || [], until: of(row, "until"), value: value(row), row, about: plots.about(row) }));
    for (const run of found) run.about ??= `<b>${plain(run.name)}</b>${run.value === null ? "" : `<br>${plain(plots.data().metric)} ${plots.short(run.value)}`}<br>${run.state}`;
    return found.filter((run) => run.iterations);
  }
  plots.define("rungs", (element) => {
    const c = plots.colours(), data = plots.data(), came = runs(), rows = [...came].sort((a, b) => b.iterations - a.iterations).slice(0, BARS);
    const y = (_, i) => i, chosen = new Set(plots.marked()), traces = [], colours = rows.map((run) => plots.stateColour(c, run.state));
    const told = (run) => `${run.about}<br>${run.iterations} iterations${run.resumed.length ? `, resumed after ${run.resumed.join(", ")}` : ""}`;
    if (rows.length) {
      traces.push({ type: "bar", orientation: "h", y: rows.map(y), x: rows.map((run) => run.iterations), width: 0.7, text: rows.map(told), textposition: "none", hovertemplate: HOVER, customdata: rows.map((run) => run.row),
        marker: { color: colours, opacity: 0.45, line: { width: rows.map((run) => (chosen.has(run.row) ? 2 : 0)), color: c.ink } } });
    }
    const symbol = (run) => ({ finished: "circle", paused: "triangle-right", running: "circle-open" }[run.state] || "x-thin-open");
    traces.push({ type: "scatter", mode: "markers", x: rows.map((run) => run.iterations), y: rows.map(y), hoverinfo: "skip", cliponaxis: false,
      marker: { symbol: rows.map(symbol), size: rows.length > 80 ? 5 : 8, color: colours, line: { width: 1.5, color: colours } } });
    const ticks = rows.flatMap((run, i) => run.resumed.map((at) => [at, i]));
    traces.push({ type: "scatter", mode: "markers", x: ticks.map(([at]) => at), y: ticks.map(([, i]) => i), hoverinfo: "skip", marker: { symbol: "line-ns-open", size: rows.length > 80 ? 5 : 11, color: c.ink, line: { width: 2, color: c.ink } } });
    const shapes = data.rungs.levels.map((level) => ({ type: "line", x0: level, x1: level, y0: 0, y1: 1, yref: "paper", line: { color: c.soft, width: 1, dash: "dot" } }));
    const some = rows.length < came.length ? `the ${BARS} of ${came.length} trials that came farthest` : "trials";
    const names = rows.length > 40 ? { showticklabels: false } : { tickvals: rows.map(y), ticktext: rows.map((run) => plain(run.name, plots.narrow() ? 12 : 24)) };
    put(element, traces, layout(c, 90 + Math.max(40, Math.min(700, 14 * rows.length)), { shapes, bargap: 0, xaxis: { title: "iterations", rangemode: "tozero", ...plots.byOnes(Math.max(0, ...rows.map((run) => run.iterations))) },
      yaxis: { ...names, title: some, range: [rows.length - 0.4, -0.6], showgrid: false } }), {
      heads: ["trial", "state", "iterations", "pauses at", "resumed after", data.metric],
      rows: () => came.map((run) => [run.name, run.state, run.iterations, run.until, run.resumed.join(" "), run.value]),
    });
  });

  // A member of the population has a row: a trial takes that of the one that ended for it.
  function lanes() {
    const found = new Map(), rows = plots.all().sort((a, b) => plots.number(a) - plots.number(b));
    let next = 0;
    for (const row of rows) {
      const before = store.row(store.field(row, "replaces"));
      found.set(row, found.has(before) ? found.get(before) : next++);
    }
    return [found, next];
  }
  plots.define("family", (element) => {
    const c = plots.colours(), data = plots.data(), [lane, many] = lanes(), [low, high] = plots.valueRange(), scale = plots.scaleOf(c);
    const begun = (row) => of(row, "begun_at") || 0, ended = (row) => Math.max(begun(row), of(row, "iterations") || 0);
    const shown = plots.visible(), traces = [];
    const copies = shown.map((row) => [row, store.row(store.field(row, "parent"))]).filter(([, parent]) => parent >= 0);
    // Upwards and downwards of a row's line, so that a copy within one row is seen, too.
    const x = [], y = [];
    for (const [row, parent] of copies) { x.push(begun(row), begun(row), null); y.push(lane.get(parent), lane.get(row), null); }
    if (copies.length) traces.push({ type: "scatter", mode: "lines", x, y, hoverinfo: "skip", opacity: 0.7, line: { color: c.soft, width: 1 } });
    // One trace for each of a dozen colours, and one for those without a value.
    const groups = Array.from({ length: BINS + 1 }, () => ({ x: [], y: [], text: [], customdata: [] }));
    for (const row of shown) {
      const own = value(row), bin = own === null ? BINS : Math.floor(BINS * Math.max(0, Math.min(0.9999, (own - low) / (high - low)))), parent = store.field(row, "parent");
      const text = `${plots.about(row)}<br>iterations ${begun(row)} to ${ended(row)}${parent ? `<br>began from ${plain(parent)}` : ""}`;
      for (const end of [begun(row), ended(row), null]) {
        groups[bin].x.push(end); groups[bin].y.push(end === null ? null : lane.get(row)); groups[bin].text.push(text); groups[bin].customdata.push(row);
      }
    }
    groups.forEach((group, bin) => {
      const colour = bin === BINS ? c.faint : plots.colourAt(scale, (bin + 0.5) / BINS);
      if (group.x.length) traces.push({ type: "scatter", mode: "lines+markers", ...group, hovertemplate: HOVER, connectgaps: false, line: { width: 5, color: colour }, marker: { size: 6, color: colour } });
    });
    traces.push(...plots.rings(c, ended, (row) => lane.get(row)));
    if (shown.length) traces.push({ type: "scatter", mode: "markers", x: [0], y: [0], hoverinfo: "skip", marker: { size: 1, opacity: 0.01, color: [low], cmin: low, cmax: high, colorscale: scale, showscale: true, colorbar: plots.bar(c) } });
    put(element, traces, layout(c, 90 + Math.max(60, Math.min(700, 26 * many)), { xaxis: { title: "iterations", rangemode: "tozero", ...plots.byOnes(Math.max(0, ...shown.map(ended))) },
      yaxis: { title: "member", range: [many - 0.4, -0.6], dtick: Math.max(1, Math.ceil(many / 20)), showgrid: false } }), {
      heads: ["trial", "member", "first iteration", "last iteration", "began from", "replaces", data.metric],
      rows: () => shown.map((row) => [store.name(row), lane.get(row), begun(row), ended(row), store.field(row, "parent"), store.field(row, "replaces"), value(row)]),
    });
  });
})();
