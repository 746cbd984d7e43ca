// Values over trials, when and where each ran, and which parameters led to the best.
"use strict";
(() => {
  const report = window.report, store = report.store, plots = report.plots;
  const { STATES, HOVER, plain, short, clock, value, error, state, number, put, layout } = plots;

  plots.define("history", (element) => {
    const c = plots.colours(), data = plots.data(), rows = plots.visible().filter((row) => value(row) !== null);
    const traces = [];
    for (const one of STATES) {
      const own = rows.filter((row) => state(row) === one);
      if (!own.length) continue;
      traces.push({
        type: "scatter", mode: "markers", x: own.map(number), y: own.map(value), customdata: own,
        text: own.map(plots.about), hovertemplate: HOVER, error_y: plots.bars(c, own.map(error)),
        marker: { size: store.count > 300 ? 5 : 7, color: plots.stateColour(c, one), opacity: one === "paused" || one === "killed" ? 1 : 0.8,
          symbol: one === "finished" ? own.map((row) => plots.counts(row) ? "circle" : "circle-open") : one === "stopped" || one === "paused" ? "triangle-down" : "x-thin-open", line: { width: 0 } },
      });
    }
    const x = [], y = [];
    let best = null;
    for (const row of rows.filter(plots.counts).sort((a, b) => number(a) - number(b))) {
      if (best === null || plots.better(value(row), best)) best = value(row);
      x.push(number(row));
      y.push(best);
    }
    traces.push({ type: "scatter", mode: "lines", x, y, line: { shape: "hv", color: c.ink, width: 1.5 }, hoverinfo: "skip" });
    traces.push(...plots.rings(c, number, value));
    const last = Math.max(0, ...rows.map(number)), room = Math.max(0.5, 0.02 * last);
    put(element, traces, layout(c, 320, { xaxis: { title: data.noun, range: [-room, last + room] }, yaxis: { title: plain(data.metric) + plots.seeds() } }), {
      heads: ["number", data.noun, "state", data.metric, "standard error", "counts"],
      rows: () => rows.map((row) => [number(row), store.name(row), state(row), value(row), error(row), plots.counts(row) ? 1 : 0]),
    });
  });

  plots.define("timeline", (element) => {
    const c = plots.colours(), data = plots.data(), t = data.timeline, seeds = data.all;  // with repeats a bar is a seed, not a point
    const points = new Map();  // of seeds: the row of their point
    if (seeds.length) plots.all().forEach((row) => (store.field(row, "members") || []).forEach((name) => points.set(name, row)));
    const rowOf = (place) => seeds.length ? points.get(seeds[place][0]) : place;
    const stateOf = (place) => seeds.length ? seeds[place][1] : state(place);
    const told = (place) => seeds.length ? `<b>${plain(seeds[place][0])}</b>${seeds[place][2] === null ? "" : `<br>${plain(data.metric)} ${short(seeds[place][2])}`}<br>${seeds[place][1]}` : plots.about(place);
    const span = Math.max(1, ...t.bars.map((b) => b[1] + b[2]));
    const [unit, name] = span > 3 * 86400 ? [86400, "days"] : span > 3 * 3600 ? [3600, "hours"] : span > 180 ? [60, "minutes"] : [1, "seconds"];
    const inside = (b) => { const row = rowOf(b[3]); return row === undefined || plots.isVisible(row); };
    const chosen = new Set(plots.marked());
    const PATTERNS = { stopped: "/", paused: ".", failed: "x", lost: "x", killed: "-", running: "" };  // beside the colours
    const pattern = (name) => (t.bars.length > 400 || !PATTERNS[name] ? {} : { pattern: { shape: PATTERNS[name], fillmode: "overlay", fgcolor: c.paper, size: 6, solidity: 0.25 } });
    const group = (bars, colour, opacity, name) => ({
      type: "bar", orientation: "h", base: bars.map((b) => b[1] / unit), x: bars.map((b) => Math.max(b[2] / unit, span / unit / 1500)), y: bars.map((b) => b[0]), width: 0.62,
      text: bars.map((b) => told(b[3]) + `<br>${clock(b[2])}`), textposition: "none", hovertemplate: HOVER, customdata: bars.map((b) => rowOf(b[3])),
      name, showlegend: Boolean(name), marker: { color: colour, opacity, ...pattern(name), line: { width: bars.map((b) => chosen.has(rowOf(b[3])) ? 2.5 : t.bars.length > 400 ? 0.3 : 1), color: bars.map((b) => chosen.has(rowOf(b[3])) ? c.ink : c.paper) } },
    });
    const traces = STATES.map((one) => [one, t.bars.filter((b) => stateOf(b[3]) === one && inside(b))]).filter(([, bars]) => bars.length)
      .map(([one, bars]) => group(bars, plots.stateColour(c, one), 0.8, one));
    const others = t.bars.filter((b) => !inside(b));
    if (others.length) traces.unshift(group(others, c.faint, 0.2));
    const moments = t.orders.map((order) => order[0] / unit);
    const lines = moments.map((x) => ({ type: "line", x0: x, x1: x, y0: -0.6, y1: t.lanes.length - 0.4, line: { color: c.soft, width: 1, dash: "dot" } }));
    if (moments.length) traces.push({
      type: "scatter", mode: "markers", x: moments, y: moments.map(() => -0.5), text: t.orders.map((order) => plain(order[1], 80)), hovertemplate: HOVER,
      showlegend: false, marker: { symbol: "triangle-down", size: 9, color: c.ink }, cliponaxis: false,
    });
    const labels = t.lanes.map((lane) => plain(lane, plots.narrow() ? 12 : 28));
    // 64: the library cuts the margins, and prints the axis' title over its ticks, rather than draw less.
    put(element, traces, layout(c, 94 + Math.max(64, Math.min(900, 26 * t.lanes.length)), {
      showlegend: true, legend: { ...plots.LEGEND(c), traceorder: "normal" },
      barmode: "overlay", shapes: lines, xaxis: { title: `${name} since the first start`, range: [0, 1.02 * span / unit] },
      yaxis: { tickvals: labels.map((_, i) => i), ticktext: labels, range: [t.lanes.length - 0.4, -0.6], showgrid: false },
    }), {
      heads: ["worker", "trial", "state", "start in seconds", "seconds"],
      rows: () => t.bars.filter(inside).map((b) => [t.lanes[b[0]], seeds.length ? seeds[b[3]][0] : store.name(b[3]), stateOf(b[3]), b[1], b[2]]),
    });
  });

  // Which parameters in which iterations: a step line for each parameter, one below the other.
  plots.define("descent", (element) => {
    const c = plots.colours(), d = plots.data().descent, many = d.columns.length, gap = 0.22 / many;
    const more = {};
    const traces = d.columns.map((column, at) => {
      const x = [], y = [], text = [], customdata = [];
      d.spans.forEach(([first, last], place) => {
        for (const end of [first - 1, last]) {
          x.push(end); y.push(column.values[place]); customdata.push(store.row(d.trials[place]));
          text.push(`<b>${plain(d.trials[place])}</b>, iterations ${first} to ${last}<br>${plain(column.name)} ${plots.given(column, place)}`);
        }
      });
      const which = at ? `${at + 1}` : "", top = 1 - at / many;
      const ends = [Math.min(...column.values.filter((own) => own !== null)), Math.max(...column.values)];
      const ticks = column.kind === "number" ? { tickvals: ends, ticktext: ends.map((own) => short(own, 3)) } : {};
      more[`yaxis${which}`] = { ...plots.paramAxis(column), ...ticks, domain: [top - 1 / many + (at < many - 1 ? gap : 0), top] };
      return { type: "scatter", mode: "lines+markers", x, y, text, customdata, hovertemplate: HOVER, yaxis: `y${which}`, line: { color: c.series[0], width: 2 }, marker: { color: c.series[0], size: 5 }, connectgaps: false };
    });
    put(element, traces, layout(c, 90 + 110 * many, { ...more, xaxis: { title: "iteration", anchor: many > 1 ? `y${many}` : "y", rangemode: "tozero", ...plots.byOnes(d.spans[d.spans.length - 1][1]) } }), {
      heads: ["trial", "first iteration", "last iteration", ...d.columns.map((column) => column.name)],
      rows: () => d.trials.map((name, place) => [name, ...d.spans[place], ...d.columns.map((column) => column.kind === "category" && column.values[place] !== null ? column.levels[column.values[place]] : column.values[place])]),
    });
  });
})();
