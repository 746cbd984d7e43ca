// Learning curves: of the best trials first, over epochs, steps or time, as logged or smoothed.
"use strict";
(() => {
  const report = window.report, { store, plots, smoothed } = report;
  const { HOVER, plain, state, finite } = plots;
  const LINES = 240;  // curves drawn; more cannot be told apart
  const COLOURED = 5;

  // -- what a curve is
  /* Places of a curve on an axis; null where these are not known. Rows have no time: they are spread evenly over the trial's. */
  function places(row, curve, axis) {
    const own = store.sweep.axis;
    if (axis === own) return curve.x;
    if (axis === "step") return curve.step || null;
    if (axis !== "time") return null;
    const steps = curve.step || curve.x, last = steps[steps.length - 1], seconds = finite(store.field(row, "duration"));
    return seconds === null || !(last > 0) ? null : steps.map((step) => seconds * step / last);
  }
  const curveOf = (row, metric) => { const own = store.curves[store.name(row)]; return own && own[metric] && own[metric].y.length ? own[metric] : null; };
  const metrics = () => {
    const known = plots.data().curves ? plots.data().curves.metrics : [], found = new Set(known);
    for (const own of Object.values(store.curves)) for (const name of Object.keys(own)) found.add(name);
    return [...found];
  };
  const axes = () => {
    const own = store.sweep.axis;
    const steps = own === "epoch" && Object.values(store.curves).some((each) => Object.values(each).some((curve) => curve.step));
    return [own, ...(steps ? ["step"] : []), ...(store.list("duration") ? ["time"] : [])];
  };

  /* Draws the curves of rows, the first few of them in colours of their own; returns how many are drawn, and of how many.
     `axis` is epoch, step or time; `smooth` is the weight of the moving average, 0 for values as they were logged. */
  function draw(element, rows, { metric, axis, smooth }) {
    const c = plots.colours();
    const known = rows.map((row) => [row, curveOf(row, metric)]).filter(([, curve]) => curve).map(([row, curve]) => [row, curve, places(row, curve, axis)]).filter(([, , x]) => x);
    const own = known.slice(0, LINES);
    const most = axis === "time" ? Math.max(0, ...own.map(([, , x]) => x[x.length - 1])) : 0;
    const [unit, word] = most > 3 * 3600 ? [3600, "hours"] : most > 180 ? [60, "minutes"] : [1, "seconds"];
    const scaled = (x) => (axis === "time" ? x.map((one) => one / unit) : x);
    const opacity = own.length > 60 ? 0.3 : 0.5;
    const groups = {
      rest: { x: [], y: [], text: [], customdata: [], colour: c.faint, opacity },
      cut: { x: [], y: [], text: [], customdata: [], colour: c.warn, opacity: opacity + 0.12 },
    };
    const ends = { x: [], y: [], text: [], customdata: [] }, chosen = new Set(plots.marked());
    const lines = [];  // each in a colour of its own
    let best = 0;
    for (const [row, curve, at] of own) {
      const x = scaled(at), y = smoothed(curve.y, smooth), cut = state(row) === "stopped" || state(row) === "paused";
      if (chosen.has(row) || (best < COLOURED && !cut && plots.counts(row))) {
        lines.push({ row, curve, x, y, colour: chosen.has(row) ? c.ink : c.series[best % c.series.length], first: best === 0 });
        if (!chosen.has(row)) best += 1;
        continue;
      }
      const group = cut ? groups.cut : groups.rest, text = plots.named(row) + `<br>${state(row)}`;
      for (let i = 0; i < x.length; i++) { group.x.push(x[i]); group.y.push(y[i]); group.text.push(text); group.customdata.push(row); }
      group.x.push(null); group.y.push(null); group.text.push(""); group.customdata.push(null);
      if (cut) { ends.x.push(x[x.length - 1]); ends.y.push(y[y.length - 1]); ends.text.push(text); ends.customdata.push(row); }
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
    lines.reverse().forEach(({ row, x, y, colour, first }) => traces.push({
      type: "scatter", mode, x, y, customdata: x.map(() => row), line: { color: colour, width: first || chosen.has(row) ? 2.4 : 1.6 }, marker: { color: colour, size: 7 },
      text: x.map(() => plots.named(row)), hovertemplate: HOVER, name: plain(store.name(row), 26), showlegend: true,
    }));
    const title = { epoch: "epoch", step: "step", time: `${word}, each trial's rows spread evenly over its time` }[axis] || plain(axis);
    plots.put(element, traces, plots.layout(c, 400, {
      xaxis: { title }, yaxis: { title: plain(metric) + (plots.data().means ? " (mean, ± standard error)" : "") + (smooth ? `, smoothed ${smooth}` : "") },
      showlegend: lines.length > 0, legend: plots.LEGEND(c),
    }), {
      heads: ["trial", axis === "time" ? "seconds" : axis, metric, "standard error", ...(smooth ? ["smoothed"] : [])],
      rows: () => own.flatMap(([row, curve, x]) => { const soft = smoothed(curve.y, smooth); return curve.y.map((y, i) => [store.name(row), x[i], y, curve.error ? curve.error[i] : null, ...(smooth ? [soft[i]] : [])]); }),
    });
    return [own.length, known.length];
  }

  // -- the report's own picture, with its controls
  const axisNow = () => (axes().includes(store.view.axis) ? store.view.axis : axes()[0]);
  const metricNow = () => (metrics().includes(store.view.metric) ? store.view.metric : metrics()[0]);
  plots.define("curves", (element) => {
    const rows = plots.ranked(plots.visible());
    const [shown, all] = draw(element, rows, { metric: metricNow(), axis: axisNow(), smooth: store.view.smooth });
    const note = document.getElementById("curves-note"), noun = plots.data().noun;
    const without = axisNow() === "time" ? rows.filter((row) => curveOf(row, metricNow()) && !places(row, curveOf(row, metricNow()), "time")).length : 0;
    const text = (shown < all ? `${shown} of ${all.toLocaleString("en")} ${noun}s are drawn, the best first. ` : "") + (without ? `${without} without a duration ${without === 1 ? "is" : "are"} left out.` : "");
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
