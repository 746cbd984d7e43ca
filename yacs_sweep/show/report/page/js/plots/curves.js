// Learning curves: of the best trials first, over epochs, steps or time, as logged or smoothed.
"use strict";
(() => {
  const report = window.report, { store, plots, curve: { DASHES, axes: axesOf, places: placesOf, smoothed, thinned, unit: unitOf } } = report;
  const { HOVER, plain, state, finite } = plots;
  const LINES = 240;  // curves drawn; more cannot be told apart
  const COLOURED = 5;
  const HEIGHT = 400, LINE = 13;  // of the picture, and of a name in it, in pixels

  // -- what a curve is
  const places = (row, curve, axis) => placesOf(curve, axis, finite(store.field(row, "duration")));
  const curveOf = (row, metric) => { const own = store.curves[store.name(row)]; return own && own[metric] && own[metric].y.length ? own[metric] : null; };
  const metrics = () => {
    const known = plots.data().curves ? plots.data().curves.metrics : [], found = new Set(known);
    for (const own of Object.values(store.curves)) for (const name of Object.keys(own)) found.add(name);
    return [...found];
  };
  const axes = () => axesOf(Object.values(store.curves), Boolean(store.list("duration")));

  /* Draws the curves of rows, the first few of them in colours of their own; returns how many are drawn, and of how many.
     `axis` is epoch, step or time; `smooth` is the weight of the moving average, 0 for values as they were logged. */
  function draw(element, rows, { metric, axis, smooth }) {
    const c = plots.colours();
    const known = rows.map((row) => [row, curveOf(row, metric)]).filter(([, curve]) => curve).map(([row, curve]) => [row, curve, places(row, curve, axis)]).filter(([, , x]) => x);
    const own = known.slice(0, LINES);
    const most = axis === "time" ? Math.max(0, ...own.map(([, , x]) => x[x.length - 1])) : 0;
    const [unit, word] = unitOf(most);
    const scaled = (x) => (axis === "time" ? x.map((one) => one / unit) : x);
    const opacity = own.length > 60 ? 0.3 : 0.6;
    const groups = {
      rest: { x: [], y: [], text: [], customdata: [], colour: c.soft, opacity },
      cut: { x: [], y: [], text: [], customdata: [], colour: c.warn, opacity: opacity + 0.12 },
    };
    const ends = { x: [], y: [], text: [], customdata: [] }, chosen = new Set(plots.marked());
    const lines = [];  // each in a colour and a dash of its own
    let best = 0;
    for (const [row, curve, at] of own) {
      const x = scaled(at), y = smoothed(curve.y, smooth), cut = state(row) === "stopped" || state(row) === "paused";
      if (chosen.has(row) || (best < COLOURED && !cut && plots.counts(row))) {
        lines.push({ row, curve, x, y, colour: chosen.has(row) ? c.ink : c.series[best % c.series.length], dash: DASHES[lines.length % DASHES.length].replace(/(\d+)/g, "$1px").replaceAll(" ", ",") || "solid", first: best === 0 });
        if (!chosen.has(row)) best += 1;
        continue;
      }
      const group = cut ? groups.cut : groups.rest, text = plots.named(row) + `<br>${state(row)}`;
      for (let i = 0; i < x.length; i++) { group.x.push(x[i]); group.y.push(y[i]); group.text.push(text); group.customdata.push(row); }
      group.x.push(null); group.y.push(null); group.text.push(""); group.customdata.push(null);
      if (cut) { ends.x.push(x[x.length - 1]); ends.y.push(y[y.length - 1]); ends.text.push(text); ends.customdata.push(row); }
    }
    // A trial that has just begun: its first point would be below the lines.
    const begun = { x: [], y: [], text: [], customdata: [] };
    for (const [row, curve, at] of own) {
      if (state(row) !== "running" || !at.length) continue;
      begun.x.push(scaled(at).at(-1)); begun.y.push(smoothed(curve.y, smooth).at(-1)); begun.text.push(`${plots.named(row)}<br>running`); begun.customdata.push(row);
    }
    const few = Math.max(0, ...own.map(([, curve]) => curve.y.length)) < 2;
    const mode = few ? "markers" : "lines";
    const traces = Object.values(groups).filter((group) => group.x.length).map(({ colour, opacity, ...group }) => ({
      type: "scatter", mode, ...group, hovertemplate: HOVER, opacity, line: { color: colour, width: 1 }, marker: { color: colour, size: 5 }, connectgaps: false, showlegend: false,
    }));
    if (ends.x.length) {
      traces.push({ type: "scatter", mode: "markers", ...ends, hovertemplate: HOVER, showlegend: false, marker: { symbol: "x-thin-open", size: 7, color: c.warn, line: { width: 1.5, color: c.warn } } });
    }
    for (const { curve, x, y, colour } of lines) {
      const known = y.map((_, i) => i).filter((i) => curve.error && finite(curve.error[i]) !== null && finite(y[i]) !== null);
      if (known.length > 1) {
        const low = known.map((i) => y[i] - curve.error[i]), high = known.map((i) => y[i] + curve.error[i]), at = known.map((i) => x[i]);
        traces.push({ type: "scatter", mode: "lines", x: [...at, ...[...at].reverse()], y: [...low, ...high.reverse()], fill: "toself", fillcolor: colour + "2e", line: { width: 0, color: colour }, hoverinfo: "skip", showlegend: false });
      }
      if (smooth && !few) traces.push({ type: "scatter", mode: "lines", x, y: curve.y, hoverinfo: "skip", opacity: 0.28, line: { color: colour, width: 1 }, showlegend: false });
    }
    lines.reverse().forEach(({ row, x, y, colour, dash, first }) => traces.push({
      type: "scatter", mode, x, y, customdata: x.map(() => row), line: { color: colour, dash, width: first || chosen.has(row) ? 2.6 : 1.8 }, marker: { color: colour, size: 7 },
      text: x.map(() => plots.named(row)), hovertemplate: HOVER, name: plain(store.name(row), 26), showlegend: true,
    }));
    if (begun.x.length) {
      traces.push({ type: "scatter", mode: "markers", ...begun, hovertemplate: HOVER, name: "running, the last point", showlegend: true, marker: { symbol: "circle-open", size: 9, color: c.ink, line: { width: 2, color: c.ink } } });
    }
    const title = { epoch: "epoch", step: "step", time: `${word}, each trial's rows spread evenly over its time` }[axis] || plain(axis);
    const annotations = labels(lines, own.flatMap(([, curve]) => curve.y)).map(({ x, y, shift, colour, text }) => ({ x, y, text, yshift: shift, xanchor: "left", xshift: 5, showarrow: false, font: { size: 11, color: colour } }));
    plots.put(element, traces, plots.layout(c, HEIGHT, {
      annotations, xaxis: { title, ...(axis === "time" ? {} : plots.byOnes(Math.max(0, ...own.map(([, , x]) => x[x.length - 1] - x[0])))) }, yaxis: { title: plain(metric) + (plots.data().means ? " (mean, ± standard error)" : "") + (smooth ? `, smoothed ${smooth}` : "") },
      showlegend: lines.length + begun.x.length > 0, legend: plots.LEGEND(c),
    }), {
      heads: ["trial", axis === "time" ? "seconds" : axis, metric, "standard error", ...(smooth ? ["smoothed"] : [])],
      rows: () => own.flatMap(([row, curve, at]) => { const soft = smoothed(curve.y, smooth), x = axis === store.sweep.axis ? curve.x : at; return curve.y.map((y, i) => [store.name(row), x[i], y, curve.error ? curve.error[i] : null, ...(smooth ? [soft[i]] : [])]); }),
    });
    return [own.length, known.length];
  }

  /* The names of lines, each at its line's end, moved apart where they would cover each other. */
  function labels(lines, values) {
    const known = values.filter((y) => finite(y) !== null), [low, high] = [Math.min(...known), Math.max(...known)];
    const pixels = (HEIGHT - 90) / (high - low || 1);  // about: the library chooses the margins
    const found = lines.map(({ row, x, y, colour }) => {
      const last = y.findLastIndex((one) => finite(one) !== null), name = store.name(row);
      return { row, colour, x: x[last], y: y[last], shift: 0, text: name.length <= (plots.narrow() ? 0 : 16) ? plain(name) : String(plots.number(row) ?? "") };
    }).filter(({ y, text }) => finite(y) !== null && text).sort((a, b) => b.y - a.y);
    found.forEach((own, place) => {
      const above = found[place - 1], top = above ? above.at - LINE : Infinity;
      own.at = Math.min(own.y * pixels, top);
      own.shift = own.at - own.y * pixels;
    });
    return found;
  }

  // -- the report's own picture, with its controls
  const axisNow = () => (axes().includes(store.view.axis) ? store.view.axis : axes()[0]);
  const metricNow = () => (metrics().includes(store.view.metric) ? store.view.metric : metrics()[0]);
  plots.define("curves", (element) => {
    const rows = plots.ranked(plots.visible());
    const [shown, all] = draw(element, rows, { metric: metricNow(), axis: axisNow(), smooth: store.view.smooth });
    const note = document.getElementById("curves-note"), noun = plots.data().noun;
    const without = axisNow() === "time" ? rows.filter((row) => curveOf(row, metricNow()) && !places(row, curveOf(row, metricNow()), "time")).length : 0;
    const text = (shown < all ? `${shown} of ${all.toLocaleString("en")} ${noun}s are drawn, the best first. ` : "") + (without ? `${without} without a duration ${without === 1 ? "is" : "are"} left out. ` : "") + thinned(rows.map((row) => curveOf(row, metricNow())).filter(Boolean));
    if (note && note.textContent !== text) note.textContent = text;
  });

  const controls = document.getElementById("curve-controls");
  if (!controls) return;
  const [metric, axis, smooth, told] = ["curve-metric", "curve-axis", "curve-smooth", "curve-smoothed"].map((id) => document.getElementById(id));
  const options = (select, names) => {
    if (JSON.stringify(names) !== JSON.stringify([...select.options].map((option) => option.text))) select.replaceChildren(...names.map((name, place) => new Option(name, place)));
    select.parentElement.hidden = names.length < 2;
  };
  function show() {
    options(metric, metrics());
    options(axis, axes());
    metric.value = metrics().indexOf(metricNow());
    axis.value = axes().indexOf(axisNow());
    smooth.value = store.view.smooth;
    told.textContent = store.view.smooth ? `${store.view.smooth}` : "raw";
    controls.hidden = false;
  }
  metric.addEventListener("change", () => store.set({ metric: Number(metric.value) ? metrics()[metric.value] : null }));
  axis.addEventListener("change", () => store.set({ axis: Number(axis.value) ? axes()[axis.value] : null }));
  smooth.addEventListener("input", () => store.set({ smooth: Number(smooth.value) }, { quiet: true }));
  smooth.addEventListener("change", () => report.address.write(true));
  report.whenReady(show);
  store.on("data", show);
  store.on("view", (changed) => { if (["metric", "axis", "smooth"].some((name) => changed.has(name))) show(); });
})();
