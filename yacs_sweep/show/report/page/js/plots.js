// What each plot shows. Colours come from the page's style, so that light and dark are one description.
"use strict";
window.reportPlots = (data) => {
  const trials = data.trials;
  const touch = matchMedia("(pointer: coarse)").matches;
  const narrow = () => document.documentElement.clientWidth < 620;
  const STATES = ["finished", "stopped", "paused", "failed", "lost", "killed", "running"];

  // Names and values come from servers other people write to; the library reads a little HTML in texts.
  const plain = (text, most = 44) => {
    const all = String(text);
    const cut = all.length > most ? all.slice(0, most - 1) + "…" : all;
    return cut.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  };
  const short = (value, digits = 4) => {
    if (value === null || value === undefined) return "–";
    if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6)) {
      return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e").replace("-", "−").replace("e-", "e−");
    }
    return String(Number(value.toPrecision(digits))).replace("-", "−");
  };
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colours = () => {
    const dark = document.documentElement.dataset.theme === "dark";
    return {
      ink: css("--ink"), soft: css("--soft"), faint: css("--faint"), line: css("--line"), paper: css("--paper"),
      raised: css("--raised"), accent: css("--accent"), good: css("--good"), warn: css("--warn"), bad: css("--bad"), dark,
      // Perceptually even, readable without colour vision; the good end stands out from the paper.
      scale: dark
        ? [[0, "#24344d"], [0.35, "#3d5a80"], [0.65, "#7a8f8a"], [0.85, "#c9b458"], [1, "#ffe066"]]
        : [[0, "#e9e4c8"], [0.25, "#bcc8a8"], [0.55, "#6ba3a0"], [0.8, "#2c6d92"], [1, "#12305c"]],
      series: dark ? ["#6db3f2", "#e5b567", "#4cc9a4", "#f08a5d", "#c79bea", "#9fb3c8"]
        : ["#0f5fa6", "#c77700", "#00795c", "#b3400a", "#8249a8", "#5b6b7c"],
    };
  };
  const stateColour = (c, state) => ({ finished: c.accent, stopped: c.warn, paused: c.faint, running: c.good, killed: c.faint }[state] || c.bad);

  function layout(c, height, more = {}) {
    const axis = (given = {}) => ({
      gridcolor: c.line, zeroline: false, linecolor: c.line, tickcolor: c.line, ticklen: 4, tickfont: { color: c.soft, size: 12 },
      title: { font: { color: c.soft, size: 12 }, standoff: 8 }, automargin: true, fixedrange: touch, ...given,
      ...(given.title ? { title: { text: given.title, font: { color: c.soft, size: 12 }, standoff: 8 } } : {}),
    });
    const { xaxis, yaxis, ...given } = more;
    const rest = Object.fromEntries(Object.entries(given).map(([key, value]) => [key, /^yaxis\d+$/.test(key) ? axis(value) : value]));
    return {
      height, autosize: true, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
      font: { family: getComputedStyle(document.body).fontFamily, color: c.ink, size: 12 },
      margin: { l: 8, r: 12, t: 10, b: 8 }, hovermode: "closest", dragmode: touch ? false : "zoom",
      hoverlabel: { bgcolor: c.raised, bordercolor: c.line, font: { color: c.ink, size: 12 }, align: "left" },
      xaxis: axis(xaxis), yaxis: axis(yaxis), ...rest,
    };
  }
  const printing = () => Boolean(document.documentElement.dataset.print);
  function put(element, traces, settings) {
    const inner = element.querySelector(".inner") || element;
    const sized = printing() ? { ...settings, width: inner.clientWidth } : settings;
    Plotly.react(inner, traces, sized, { displayModeBar: false, responsive: true });
    if (!printing() && inner._fullLayout.width !== inner.clientWidth) Plotly.Plots.resize(inner);
  }

  const seeds = data.means ? " (mean ± standard error)" : "";
  const errors = (c, own) => data.means ? { type: "data", array: own.map((p) => trials.error[p] || 0), color: c.faint, thickness: 1, width: 0 } : undefined;
  const named = (place) => `<b>${plain(trials.name[place])}</b>` +
    (trials.value[place] === null ? "" : `<br>${plain(data.metric)} ${short(trials.value[place])}${trials.error[place] === null ? "" : ` ± ${short(trials.error[place], 2)}`}`);
  const given = (column, place) => {
    const value = column.values[place];
    return value === null ? "–" : column.kind === "category" ? plain(column.levels[value]) : short(value);
  };
  const about = (place) => named(place) + `<br>${trials.state[place]}${trials.violates[place].map((text) => `, violates ${plain(text)}`).join("")}${trials.early[place] ? `, value of an earlier ${plain(data.axis)}` : ""}` +
    data.columns.slice(0, 8).filter((column) => column.values[place] !== null)
      .map((column) => `<br>${plain(column.name)} ${given(column, place)}`).join("");
  const indices = (wanted) => trials.name.map((_, place) => place).filter(wanted);
  const counted = indices((place) => trials.counts[place]);
  const valued = indices((place) => trials.drawn[place]);  // those that ended early among them
  const better = (a, b) => (data.goal === "maximize" ? a > b : a < b);
  const HOVER = "%{text}<extra></extra>";

  // The scale of values: bad ones would stretch it, so it ends where the outliers begin.
  function valueRange() {
    const values = valued.map((place) => trials.value[place]).sort((a, b) => a - b);
    if (!values.length) return [0, 1];
    const at = (share) => values[Math.min(values.length - 1, Math.max(0, Math.round(share * (values.length - 1))))];
    const [low, high] = data.goal === "maximize" ? [at(0.1), at(1)] : [at(0), at(0.9)];
    return low < high ? [low, high] : [low - 0.5, high + 0.5];
  }
  const scaleOf = (c) => data.goal === "maximize" ? c.scale : c.scale.map(([at], i) => [at, c.scale[c.scale.length - 1 - i][1]]);
  const bar = (c) => ({ thickness: 8, outlinewidth: 0, ticklen: 0, tickfont: { color: c.soft, size: 11 }, nticks: 4,
    title: { text: plain(data.metric), side: "right", font: { color: c.soft, size: 12 } } });

  function logTicks(values) {
    const least = Math.min(...values), most = Math.max(...values), decades = Math.log10(most / least);
    const steps = decades > 4 ? [1] : decades > 1.6 || narrow() ? [1, 3] : [1, 2, 5];
    const found = [];
    for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(most)); power++) {
      for (const step of steps) found.push(Number(`${step}e${power}`));
    }
    return found.filter((value) => value >= least / 1.5 && value <= most * 1.5);
  }
  function paramAxis(column) {
    if (column.kind === "category") {
      const labels = column.levels.map((level) => plain(level, narrow() ? 12 : 22));
      return { title: plain(column.name), tickvals: labels.map((_, i) => i), ticktext: labels, range: [-0.6, labels.length - 0.4] };
    }
    if (!column.log) return { title: plain(column.name) };
    const ticks = logTicks(column.values.filter((value) => value !== null));
    return { title: plain(column.name), type: "log", tickvals: ticks, ticktext: ticks.map((value) => short(value, 3)) };
  }

  function history(element) {
    const c = colours();
    const traces = [];
    for (const state of STATES) {
      const own = indices((place) => trials.state[place] === state && trials.value[place] !== null);
      if (!own.length) continue;
      traces.push({
        type: "scatter", mode: "markers", x: own.map((p) => trials.number[p]), y: own.map((p) => trials.value[p]),
        text: own.map(about), hovertemplate: HOVER, error_y: errors(c, own),
        marker: { size: trials.name.length > 300 ? 5 : 7, color: stateColour(c, state), opacity: state === "finished" ? 0.55 : 0.7,
          symbol: state === "finished" ? own.map((p) => trials.counts[p] ? "circle" : "circle-open") : state === "stopped" || state === "paused" ? "triangle-down" : "x-thin-open", line: { width: 0 } },
      });
    }
    const x = [], y = [];
    let best = null;
    for (const place of [...counted].sort((a, b) => trials.number[a] - trials.number[b])) {
      if (best === null || better(trials.value[place], best)) best = trials.value[place];
      x.push(trials.number[place]);
      y.push(best);
    }
    traces.push({ type: "scatter", mode: "lines", x, y, line: { shape: "hv", color: c.ink, width: 1.5 }, hoverinfo: "skip" });
    put(element, traces, layout(c, 320, { xaxis: { title: data.noun, range: [-0.02 * Math.max(...trials.number), 1.02 * Math.max(...trials.number)] }, yaxis: { title: plain(data.metric) + seeds } }));
  }

  // Parallel coordinates. The library's own need WebGL, which a phone or a remote desktop may not have; these are lines of
  // one colour for each of a dozen ranges of the metric, and a drag along an axis keeps the trials within.
  const BINS = 12;
  const kept = new Map();  // axis → range, both from 0 to 1
  const missing = -0.09;
  function dimensions() {
    const found = data.columns.slice(0, data.dimensions).map((column) => {
      const at = (value) => column.log ? Math.log10(value) : value;
      const there = valued.map((place) => column.values[place]).filter((value) => value !== null).map(at);
      const levels = column.kind === "category" ? column.levels : null;
      let least = levels ? 0 : Math.min(...there), most = levels ? Math.max(1, levels.length - 1) : Math.max(...there);
      const shares = least === most ? [0.5] : [0, 0.5, 1];  // a single value has no range to tell
      if (least === most) { least -= 0.5; most += 0.5; }
      const scaled = (value) => (value - least) / (most - least);
      const ticks = levels ? levels.map((level, i) => [scaled(i), plain(level, 12)])
        : shares.map((share) => [share, short(column.log ? 10 ** (least + share * (most - least)) : least + share * (most - least), 3)]);
      if (there.length < valued.length) ticks.push([missing, "–"]);
      return { name: column.name, ticks, at: (place) => column.values[place] === null ? missing : scaled(at(column.values[place])) };
    });
    const values = valued.map((place) => trials.value[place]);
    const least = Math.min(...values), most = Math.max(...values), size = most - least || 1;
    found.push({ name: data.metric, ticks: [0, 0.5, 1].map((share) => [share, short(least + share * size, 3)]), at: (place) => (trials.value[place] - least) / size });
    return found;
  }
  const mix = (a, b, share) => "#" + [1, 3, 5].map((i) => Math.round(parseInt(a.slice(i, i + 2), 16) * (1 - share) + parseInt(b.slice(i, i + 2), 16) * share).toString(16).padStart(2, "0")).join("");
  function colourAt(scale, share) {
    const i = Math.max(1, scale.findIndex(([at]) => at >= share));
    const [[from, a], [to, b]] = [scale[i - 1], scale[i]];
    return mix(a, b, Math.max(0, Math.min(1, (share - from) / (to - from))));
  }

  const MARGIN = { l: 64, r: 46, t: 40, b: 14 }, LOW = -0.14, HIGH = 1.04;
  function parallel(element) {
    const c = colours(), axes = dimensions(), scale = scaleOf(c);
    const [low, high] = valueRange();
    const inner = element.querySelector(".inner");
    inner.style.minWidth = printing() ? "" : `${Math.min(axes.length * 104, 2000)}px`;
    const inside = (place) => [...kept].every(([axis, [from, to]]) => { const y = axes[axis].at(place); return y >= from && y <= to; });
    // A group for each range of the metric and, dashed, for those of its trials that ended early.
    const groups = Array.from({ length: 2 * BINS + 1 }, () => ({ x: [], y: [], text: [] }));
    for (const place of valued) {
      const share = Math.max(0, Math.min(0.9999, (trials.value[place] - low) / (high - low)));
      const group = inside(place) ? groups[1 + Math.floor(share * BINS) + (trials.early[place] ? BINS : 0)] : groups[0];
      const text = about(place);
      axes.forEach((axis, i) => { group.x.push(i); group.y.push(axis.at(place)); group.text.push(text); });
      group.x.push(null); group.y.push(null); group.text.push("");
    }
    const bin = (i) => (i - 1) % BINS;
    const best = (i) => (i > BINS ? 0 : BINS) + (data.goal === "maximize" ? bin(i) : BINS - bin(i));
    const thick = valued.length > 200 ? 1 : 1.5;
    const traces = groups.map((group, i) => ({
      type: "scatter", mode: "lines", ...group, hovertemplate: HOVER, hoverinfo: i ? undefined : "skip", connectgaps: false, order: i ? best(i) : -1,
      opacity: i ? 0.85 : 0.16, line: { width: i ? thick : 1, dash: i > BINS ? "5px,4px" : "solid", color: i ? colourAt(scale, (bin(i) + 0.5) / BINS) : c.faint },
    })).filter((trace) => trace.x.length).sort((a, b) => a.order - b.order).map(({ order, ...trace }) => trace);
    const gap = (inner.clientWidth - MARGIN.l - MARGIN.r) / (axes.length - 1);
    const most = Math.max(8, Math.min(26, Math.floor(gap / 8)));  // letters that fit between two axes
    const label = (x, y, text, more) => ({ x, y, text, showarrow: false, font: { size: 11, color: c.soft }, bgcolor: c.paper, borderpad: 1, opacity: 0.92, ...more });
    const annotations = axes.flatMap((axis, i) => [
      label(i, 1, plain(axis.name.length > most ? "…" + axis.name.slice(1 - most) : axis.name, 40), { yref: "paper", yanchor: "bottom", yshift: 10, font: { size: 12, color: c.ink } }),
      ...axis.ticks.map(([y, text]) => label(i, y, text, { xanchor: "right", xshift: -5 })),
    ]);
    const shapes = axes.map((_, i) => ({ type: "line", x0: i, x1: i, y0: LOW, y1: HIGH, line: { color: c.faint, width: 1 }, layer: "above" }));
    for (const [axis, [from, to]] of kept) {
      shapes.push({ type: "rect", x0: axis - 0.05, x1: axis + 0.05, y0: from, y1: to, fillcolor: c.accent, opacity: 0.35, line: { width: 1, color: c.accent } });
    }
    const hidden = { visible: false, fixedrange: true };
    put(element, traces, layout(c, 380, { margin: MARGIN, annotations, shapes, dragmode: false,
      xaxis: { ...hidden, range: [0, axes.length - 1] }, yaxis: { ...hidden, range: [LOW, HIGH] } }));
    const note = document.getElementById("parallel-kept");
    const count = valued.filter(inside).length;
    note.textContent = kept.size ? `${count} of ${valued.length} ${data.noun}s kept; click an axis to let go` : "";
    if (!touch) brush(element, inner, axes.length);
  }
  function brush(element, inner, size) {
    if (inner.dataset.brush) return;
    inner.dataset.brush = "yes";
    let axis = null, from = 0;
    const where = (event) => {
      const box = inner.getBoundingClientRect();
      const x = (event.clientX - box.left - MARGIN.l) / (box.width - MARGIN.l - MARGIN.r) * (size - 1);
      const y = HIGH - (event.clientY - box.top - MARGIN.t) / (box.height - MARGIN.t - MARGIN.b) * (HIGH - LOW);
      return [x, Math.max(LOW, Math.min(HIGH, y))];
    };
    inner.addEventListener("pointerdown", (event) => {
      const [x, y] = where(event);
      if (event.button || Math.abs(x - Math.round(x)) > 0.25 || Math.round(x) < 0 || Math.round(x) >= size) return;
      axis = Math.round(x);
      from = y;
      event.preventDefault();
      const end = (last) => {
        removeEventListener("pointerup", end);
        const to = where(last)[1];
        if (Math.abs(to - from) < 0.015) kept.delete(axis); else kept.set(axis, [Math.min(from, to), Math.max(from, to)]);
        axis = null;
        parallel(element);
      };
      addEventListener("pointerup", end);
    }, { capture: true });
    inner.addEventListener("pointermove", (event) => {
      const [x, y] = where(event);
      inner.style.cursor = Math.abs(x - Math.round(x)) < 0.1 ? "ns-resize" : "";
      if (axis === null) return;
      kept.set(axis, [Math.min(from, y), Math.max(from, y)]);
      requestAnimationFrame(() => axis !== null && parallel(element));
    });
  }

  function importance(element) {
    const c = colours();
    const effects = [...data.effects].reverse();
    const labels = effects.map((effect) => plain(effect.name, narrow() ? 20 : 34));
    const places = effects.map((_, i) => i);
    put(element, [
      { type: "bar", orientation: "h", y: places, x: effects.map((e) => e.importance), width: 0.55, hovertemplate: HOVER,
        marker: { color: effects.map((e) => e.clear ? c.accent : c.faint) },
        text: effects.map((e) => `<b>${plain(e.name)}</b><br>explains ${(100 * e.importance).toFixed(0)} %<br>chance reaches ${(100 * e.chance).toFixed(0)} %`),
        textposition: "none" },
      { type: "scatter", mode: "markers", y: places, x: effects.map((e) => e.chance), hoverinfo: "skip",
        marker: { symbol: "line-ns-open", size: 14, line: { width: 2, color: c.ink }, color: c.ink } },
    ], layout(c, 60 + 30 * effects.length, {
      xaxis: { title: "share explained", tickformat: ".0%", rangemode: "tozero", nticks: 5 },
      yaxis: { tickvals: places, ticktext: labels, range: [-0.6, effects.length - 0.4], showgrid: false },
    }));
  }

  function correlation(element) {
    const c = colours();
    const effects = [...data.effects].reverse();
    const places = effects.map((_, i) => i);
    const labels = effects.map((e) => plain(e.level ? `${e.name} = ${e.level}` : e.name, narrow() ? 22 : 34));
    const clear = (e) => e.interval && (e.interval[0] > 0 || e.interval[1] < 0);
    const shown = effects.map((e) => e.correlation);
    put(element, [{
      type: "scatter", mode: "markers", y: places, x: shown, hovertemplate: HOVER,
      text: effects.map((e) => `<b>${plain(e.name)}</b>${e.level ? ` = ${plain(e.level)}` : ""}<br>rank correlation ${short(e.correlation, 2)}` +
        (e.interval ? `<br>95 %: ${short(e.interval[0], 2)} to ${short(e.interval[1], 2)}` : "")),
      marker: { size: 9, color: effects.map((e) => !clear(e) ? c.faint : e.correlation > 0 ? c.accent : c.bad) },
      error_x: { type: "data", symmetric: false, thickness: 1.5, width: 0, color: c.faint,
        array: effects.map((e) => e.interval ? e.interval[1] - e.correlation : 0),
        arrayminus: effects.map((e) => e.interval ? e.correlation - e.interval[0] : 0) },
    }], layout(c, 60 + 30 * effects.length, {
      xaxis: { title: `rank correlation with ${plain(data.metric)}`, range: [-1.05, 1.05], tickvals: [-1, -0.5, 0, 0.5, 1], zeroline: true, zerolinecolor: c.faint, zerolinewidth: 1 },
      yaxis: { tickvals: places, ticktext: labels, range: [-0.6, effects.length - 0.4], showgrid: false },
    }));
  }

  // Points of one level would cover each other: spread by a fixed sequence, the same on every visit.
  const spread = (column, place, by) => column.values[place] + (column.kind === "category" ? ((place * by) % 1 - 0.5) * 0.4 : 0);
  const symbols = (own) => own.map((place) => trials.early[place] ? "triangle-down" : "circle");

  const slice = (which) => (element) => {
    const c = colours();
    const column = data.columns[data.slices[which]];
    const [low, high] = valueRange();
    const own = valued.filter((place) => column.values[place] !== null);
    put(element, [{
      type: "scatter", mode: "markers", x: own.map((p) => spread(column, p, 0.618034)), y: own.map((p) => trials.value[p]),
      text: own.map(about), hovertemplate: HOVER, error_y: errors(c, own),
      marker: { size: own.length > 300 ? 5 : 7, opacity: 0.85, symbol: symbols(own), color: own.map((p) => trials.value[p]), colorscale: scaleOf(c),
        cmin: low, cmax: high, line: { width: own.map((p) => trials.early[p] ? 1.5 : 0.6), color: own.map((p) => trials.early[p] ? c.warn : c.faint) } },
    }], layout(c, 300, { xaxis: paramAxis(column), yaxis: { title: plain(data.metric) + seeds } }));
  };

  function surface(element) {
    const c = colours();
    const s = data.surface, x = data.columns[s.x], y = data.columns[s.y];
    const [low, high] = s.score ? [0, 1] : valueRange();
    const colour = s.score ? trials.score : trials.value;
    const scale = s.score ? c.scale : scaleOf(c);
    const title = { ...bar(c), ...(s.score ? { tickformat: ".0%", title: { ...bar(c).title, text: "trials beaten" } } : {}) };
    const own = valued.filter((place) => x.values[place] !== null && y.values[place] !== null);
    const smooth = s.kind === "contour";
    const alone = !s.z.length;
    const traces = alone ? [] : [
      { type: smooth ? "contour" : "heatmap", x: s.xs, y: s.ys, z: s.z, colorscale: scale, zmin: low, zmax: high, zauto: false,
        hoverinfo: "skip", colorbar: title, connectgaps: false, opacity: 0.9,
        ...(smooth ? { line: { width: 0 }, contours: { coloring: "fill", start: low, end: high, size: (high - low) / 10 } } : { xgap: x.kind === "category" ? 2 : 0, ygap: y.kind === "category" ? 2 : 0 }) }];
    traces.push(
      { type: "scatter", mode: "markers", x: own.map((p) => spread(x, p, 0.618034)), y: own.map((p) => spread(y, p, 0.754878)),
        text: own.map(about), hovertemplate: HOVER,
        marker: { size: (own.length > 300 ? 4 : 6) + 2 * alone, symbol: symbols(own), color: own.map((p) => colour[p]), colorscale: scale, cmin: low, cmax: high,
          showscale: alone, colorbar: title, line: { width: own.map((p) => trials.early[p] ? 1.5 : 1), color: own.map((p) => trials.early[p] ? c.warn : alone ? c.faint : c.paper) } } });
    put(element, traces, layout(c, 380, { xaxis: { ...paramAxis(x), showgrid: alone }, yaxis: { ...paramAxis(y), showgrid: alone } }));
  }

  // Two of several objectives: the front with its stair, what it dominates, what is out of the question and why.
  const KINDS = [["dominated", "dominated"], ["early", "not finished"], ["few", `not enough ${data.repeats}`], ["beyond", "worse than a threshold"], ["violates", "violates a constraint"], ["front", "on the front"]];
  const front = (which) => (element) => {
    const c = colours(), f = data.front, [second, first] = f.pairs[which];  // the first objective upwards
    const [x, y] = [f.objectives[first], f.objectives[second]];
    const there = indices((p) => f.values[p][first] !== null && f.values[p][second] !== null);
    const looks = { front: ["circle", c.accent, 10], dominated: ["circle", c.faint, 7], early: ["triangle-down-open", c.faint, 7], few: ["circle-open", c.faint, 7], beyond: ["diamond-open", c.soft, 8], violates: ["x-thin-open", c.warn, 8] };
    const error = (own, at) => data.means ? { type: "data", array: own.map((p) => f.errors[p][at] || 0), color: c.faint, thickness: 1, width: 0 } : undefined;
    const traces = [], on = there.filter((p) => f.kind[p] === "front").sort((a, b) => f.values[a][first] - f.values[b][first]);
    if (f.objectives.length === 2) {
      traces.push({ type: "scatter", mode: "lines", x: on.map((p) => f.values[p][first]), y: on.map((p) => f.values[p][second]), hoverinfo: "skip", showlegend: false,
        line: { shape: x.goal === "minimize" ? "hv" : "vh", color: c.accent, width: 1.5 } });
    }
    for (const [kind, name] of KINDS) {
      const own = there.filter((p) => f.kind[p] === kind);
      if (!own.length) continue;
      const [symbol, colour, size] = looks[kind];
      const label = kind === "front" && own.length <= (narrow() ? 5 : 12);
      traces.push({ type: "scatter", mode: label ? "markers+text" : "markers", x: own.map((p) => f.values[p][first]), y: own.map((p) => f.values[p][second]),
        text: label ? own.map((p) => String(trials.number[p])) : undefined, textposition: (x.goal === "minimize" ? "bottom right" : "bottom left"), textfont: { size: 11, color: c.soft },
        hovertext: own.map((p) => about(p) + f.objectives.map((o, i) => i ? `<br>${plain(o.name)} ${short(f.values[p][i])}` : "").join("") + `<br>${name}`), hovertemplate: "%{hovertext}<extra></extra>",
        error_x: error(own, first), error_y: error(own, second), name,
        marker: { symbol, size, color: colour, opacity: kind === "front" ? 1 : 0.75, line: { width: symbol.includes("open") ? 1.8 : 0.8, color: symbol.includes("open") ? colour : c.paper } } });
    }
    // Bounds within reach of the trials are lines; one far off would press them together.
    const shapes = [], annotations = [], axes = [[first, "x"], [second, "y"]];
    const reach = (at) => { const v = there.map((p) => f.values[p][at]), low = Math.min(...v), high = Math.max(...v), room = 0.6 * (high - low || Math.abs(high) || 1); return [low - room, high + room]; };
    const draw = (objective, at, text, colour, dash) => {
      for (const [place, axis] of axes) {
        if (place !== objective || at < reach(place)[0] || at > reach(place)[1]) continue;
        shapes.push({ type: "line", [`${axis}0`]: at, [`${axis}1`]: at, [axis === "x" ? "y0" : "x0"]: 0, [axis === "x" ? "y1" : "x1"]: 1, [axis === "x" ? "yref" : "xref"]: "paper", line: { color: colour, width: 1.2, dash }, layer: "below" });
        // Written at the axis, inside the plot: upwards beside an upright line.
        annotations.push({ [axis]: at, [axis === "x" ? "y" : "x"]: axis === "x" ? 0.02 : x.goal === "minimize" ? 0.99 : 0.01, [axis === "x" ? "yref" : "xref"]: "paper", text: plain(text, 34), showarrow: false, textangle: axis === "x" ? -90 : 0,
          xanchor: axis === "x" || x.goal === "minimize" ? "right" : "left", yanchor: "bottom", font: { size: 11, color: colour }, bgcolor: c.paper, opacity: 0.9, borderpad: 1 });
        // A line that no trial crosses would lie outside.
        traces.push({ type: "scatter", mode: "markers", x: [axis === "x" ? at : f.values[there[0]][first]], y: [axis === "y" ? at : f.values[there[0]][second]], marker: { size: 1, opacity: 0 }, hoverinfo: "skip", showlegend: false });
      }
    };
    if (there.length) {
      f.bounds.forEach((bound) => draw(bound.objective, bound.at, bound.text, c.warn, "dash"));
      f.objectives.forEach((o, i) => o.threshold === null || draw(i, o.threshold, `threshold ${short(o.threshold)}`, c.soft, "dot"));
    }
    const title = (o) => `${plain(o.name, 30)} (${o.goal}${data.means ? ", mean" : ""})`;
    put(element, traces, layout(c, 400, { shapes, annotations, xaxis: { title: title(x) }, yaxis: { title: title(y) }, showlegend: true,
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12, color: c.soft }, traceorder: "reversed", itemclick: false, itemdoubleclick: false } }));
  };

  let shown = 0;
  function curves(element) {
    const c = colours();
    const own = data.curves.lines.filter((line) => line.xy[shown]);
    const groups = {
      rest: { x: [], y: [], text: [], colour: c.faint, width: 1, dash: "solid", opacity: own.length > 60 ? 0.3 : 0.5 },
      stopped: { x: [], y: [], text: [], colour: c.warn, width: 1, dash: "solid", opacity: own.length > 60 ? 0.4 : 0.65 },
    };
    const ends = { x: [], y: [], text: [] };
    const best = [];
    for (const line of own) {
      const [x, y] = line.xy[shown];
      const state = trials.state[line.trial];
      const cut = state === "stopped" || state === "paused";
      if (!cut && line.best < 5 && trials.counts[line.trial]) { best.push(line); continue; }
      const group = cut ? groups.stopped : groups.rest;
      const label = named(line.trial) + `<br>${state}`;
      for (let i = 0; i < x.length; i++) { group.x.push(x[i]); group.y.push(y[i]); group.text.push(label); }
      group.x.push(null); group.y.push(null); group.text.push("");
      if (cut || state === "failed") {
        const last = y.length - 1;
        if (last >= 0 && cut) { ends.x.push(x[last]); ends.y.push(y[last]); ends.text.push(label); }
      }
    }
    const few = Math.max(0, ...own.map((line) => line.xy[shown][0].length)) < 2;
    const traces = Object.values(groups).filter((g) => g.x.length).map((g) => ({
      type: "scatter", mode: few ? "markers" : "lines", x: g.x, y: g.y, text: g.text, hovertemplate: HOVER, opacity: g.opacity,
      line: { color: g.colour, width: g.width, dash: g.dash }, marker: { color: g.colour, size: 5 }, connectgaps: false, showlegend: false,
    }));
    if (ends.x.length) {
      traces.push({ type: "scatter", mode: "markers", ...ends, hovertemplate: HOVER, showlegend: false, marker: { symbol: "x-thin-open", size: 7, color: c.warn, line: { width: 1.5, color: c.warn } } });
    }
    for (const line of best) {
      const band = line.bands && line.bands[shown];
      if (!band || band[0].length < 2) continue;
      const colour = c.series[line.best];
      traces.push({ type: "scatter", mode: "lines", x: [...band[0], ...[...band[0]].reverse()], y: [...band[1], ...[...band[2]].reverse()], fill: "toself",
        fillcolor: colour + "2e", line: { width: 0, color: colour }, hoverinfo: "skip", showlegend: false });
    }
    best.reverse().forEach((line) => traces.push({
      type: "scatter", mode: few ? "markers" : "lines", x: line.xy[shown][0], y: line.xy[shown][1], line: { color: c.series[line.best], width: line.best ? 1.6 : 2.4 },
      marker: { color: c.series[line.best], size: 7 }, text: line.xy[shown][0].map(() => named(line.trial)), hovertemplate: HOVER,
      name: plain(trials.name[line.trial], 26), showlegend: true,
    }));
    put(element, traces, layout(c, 400, {
      xaxis: { title: plain(data.axis) }, yaxis: { title: plain(data.curves.metrics[shown]) + (data.means ? " (mean, ± standard error)" : "") },
      showlegend: best.length > 0, legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12, color: c.soft }, traceorder: "reversed", itemclick: false, itemdoubleclick: false },
    }));
  }
  const select = document.getElementById("curve-metric");
  if (select) {
    data.curves.metrics.forEach((name, place) => select.append(new Option(name, place)));
    select.addEventListener("change", () => { shown = Number(select.value); curves(document.querySelector('[data-plot="curves"]')); });
  }

  function timeline(element) {
    const c = colours();
    const t = data.timeline, all = data.all;  // with repeats a bar is a seed, not a point
    const stateOf = (place) => all.length ? all[place][1] : trials.state[place];
    const told = (place) => all.length ? `<b>${plain(all[place][0])}</b>${all[place][2] === null ? "" : `<br>${plain(data.metric)} ${short(all[place][2])}`}<br>${all[place][1]}` : about(place);
    const span = Math.max(1, ...t.bars.map((b) => b[1] + b[2]));
    const [unit, name] = span > 3 * 86400 ? [86400, "days"] : span > 3 * 3600 ? [3600, "hours"] : span > 180 ? [60, "minutes"] : [1, "seconds"];
    const traces = STATES.map((state) => [state, t.bars.filter((b) => stateOf(b[3]) === state)]).filter(([, bars]) => bars.length)
      .map(([state, bars]) => ({
        type: "bar", orientation: "h", base: bars.map((b) => b[1] / unit), x: bars.map((b) => Math.max(b[2] / unit, span / unit / 1500)), y: bars.map((b) => b[0]), width: 0.62,
        text: bars.map((b) => told(b[3]) + `<br>${clock(b[2])}`), textposition: "none", hovertemplate: HOVER,
        marker: { color: stateColour(c, state), opacity: 0.8, line: { width: t.bars.length > 400 ? 0.3 : 1, color: c.paper } },
      }));
    const moments = t.orders.map((order) => order[0] / unit);
    const lines = moments.map((x) => ({ type: "line", x0: x, x1: x, y0: -0.6, y1: t.lanes.length - 0.4, line: { color: c.soft, width: 1, dash: "dot" } }));
    if (moments.length) traces.push({
      type: "scatter", mode: "markers", x: moments, y: moments.map(() => -0.5), text: t.orders.map((order) => plain(order[1], 80)), hovertemplate: HOVER,
      marker: { symbol: "triangle-down", size: 9, color: c.ink }, cliponaxis: false,
    });
    const labels = t.lanes.map((lane) => plain(lane, narrow() ? 12 : 28));
    // 64: the library cuts the margins, and prints the axis' title over its ticks, rather than draw less.
    put(element, traces, layout(c, 70 + Math.max(64, Math.min(900, 26 * t.lanes.length)), {
      barmode: "overlay", shapes: lines, xaxis: { title: `${name} since the first start`, rangemode: "tozero" },
      yaxis: { tickvals: labels.map((_, i) => i), ticktext: labels, range: [t.lanes.length - 0.4, -0.6], showgrid: false },
    }));
  }
  // Which parameters in which iterations: a step line for each parameter, one below the other.
  function descent(element) {
    const c = colours(), d = data.descent, many = d.columns.length, gap = 0.22 / many;
    const more = {};
    const traces = d.columns.map((column, at) => {
      const x = [], y = [], text = [];
      d.spans.forEach(([first, last], place) => {
        const value = column.values[place];
        const shown = value === null ? "–" : column.kind === "category" ? plain(column.levels[value]) : short(value);
        for (const end of [first - 1, last]) { x.push(end); y.push(value); text.push(`<b>${plain(d.trials[place])}</b>, iterations ${first} to ${last}<br>${plain(column.name)} ${shown}`); }
      });
      const which = at ? `${at + 1}` : "", top = 1 - at / many;
      const ends = [Math.min(...column.values.filter((value) => value !== null)), Math.max(...column.values)];
      const ticks = column.kind === "number" ? { tickvals: ends, ticktext: ends.map((value) => short(value, 3)) } : {};
      more[`yaxis${which}`] = { ...paramAxis(column), ...ticks, domain: [top - 1 / many + (at < many - 1 ? gap : 0), top] };
      return { type: "scatter", mode: "lines+markers", x, y, text, hovertemplate: HOVER, yaxis: `y${which}`, line: { color: c.series[0], width: 2 }, marker: { color: c.series[0], size: 5 }, connectgaps: false };
    });
    put(element, traces, layout(c, 90 + 110 * many, { ...more, xaxis: { title: "iteration", anchor: many > 1 ? `y${many}` : "y", rangemode: "tozero" } }));
  }
  const clock = (seconds) => seconds < 100 ? `${seconds.toFixed(0)} s` : seconds < 5400 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;

  const fronts = Object.fromEntries((data.front ? data.front.pairs : []).map((_, which) => [`front${which}`, front(which)]));
  return { ...fronts, history, parallel, importance, correlation, slice0: slice(0), slice1: slice(1), surface, curves, descent, timeline };
};
