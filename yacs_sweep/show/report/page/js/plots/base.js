// What all pictures share: colours, axes, what is said of a trial, which trials are drawn, and the call that draws.
// Colours come from the page's style, so that light and dark are one description.
"use strict";
(() => {
  const report = window.report, store = report.store;
  const draws = new Map();  // how a picture is drawn, by its name
  const drawings = new WeakMap();  // what was drawn last, by its element
  const touch = matchMedia("(pointer: coarse)").matches;
  const narrow = () => document.documentElement.clientWidth < 620;
  const printing = () => Boolean(document.documentElement.dataset.print);
  const STATES = ["finished", "stopped", "paused", "failed", "lost", "killed", "running"];
  const HOVER = "%{text}<extra></extra>";
  const PRINTED = 0.72;  // height on paper, of that on the screen

  // -- words
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
  const clock = (seconds) => seconds < 100 ? `${seconds.toFixed(0)} s` : seconds < 5400 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;

  // -- colours
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colours = () => {
    const dark = document.documentElement.dataset.theme === "dark";
    return {
      ink: css("--ink"), soft: css("--soft"), faint: css("--faint"), line: css("--line"), paper: css("--paper"),
      raised: css("--raised"), accent: css("--accent"), good: css("--good"), warn: css("--warn"), bad: css("--bad"), dark,
      // Perceptually even, readable without colour vision; the good end stands out, the other has a contrast of 3 with the paper.
      scale: dark
        ? [[0, "#5c78a6"], [0.35, "#7089a3"], [0.65, "#8f9c8c"], [0.85, "#cdb95a"], [1, "#ffe066"]]
        : [[0, "#9a8138"], [0.25, "#7c8458"], [0.55, "#4c7d7e"], [0.8, "#2a6288"], [1, "#12305c"]],
      series: [0, 1, 2, 3, 4, 5].map((place) => css(`--s${place}`)),
    };
  };
  const stateColour = (c, state) => ({ finished: c.accent, stopped: c.warn, paused: c.faint, running: c.good, killed: c.faint }[state] || c.bad);
  const mix = (a, b, share) => "#" + [1, 3, 5].map((i) => Math.round(parseInt(a.slice(i, i + 2), 16) * (1 - share) + parseInt(b.slice(i, i + 2), 16) * share).toString(16).padStart(2, "0")).join("");
  function colourAt(scale, share) {
    const i = Math.max(1, scale.findIndex(([at]) => at >= share));
    const [[from, a], [to, b]] = [scale[i - 1], scale[i]];
    return mix(a, b, Math.max(0, Math.min(1, (share - from) / (to - from))));
  }

  // -- trials, which are rows of the store
  const data = () => store.figures;
  const finite = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);
  const value = (row) => finite(store.field(row, "value"));
  const error = (row) => finite(store.field(row, "error"));
  const state = (row) => store.field(row, "state");
  const number = (row) => store.field(row, "number");
  // The report has judged each trial once; one that has changed or begun since is judged by its state and value alone.
  function flag(row, name) {
    const known = data().trials;
    if (row < known.state.length && known.state[row] === state(row)) return known[name][row];
    const valued = value(row) !== null && store.field(row, "cause") !== "diverged", finished = state(row) === "finished";
    return { counts: valued && finished && !store.field(row, "violated"), drawn: valued, early: valued && !finished, score: null }[name];
  }
  const counts = (row) => Boolean(flag(row, "counts"));
  const early = (row) => Boolean(flag(row, "early"));
  const drawn = (row) => Boolean(flag(row, "drawn"));
  const better = (a, b) => (data().goal === "maximize" ? a > b : a < b);
  const all = () => Array.from({ length: store.count }, (_, row) => row);

  let cache = {};
  store.on("data", () => { cache = {}; });
  const once = (name, make) => (name in cache ? cache[name] : (cache[name] = make()));
  // Rows that filter and brush leave, in the order of the data; best first in `ranked`.
  function visible() {
    const seen = store.visible;
    if (cache.seen !== seen) { cache.seen = seen; cache.rows = [...seen].sort((a, b) => a - b); cache.inside = new Set(seen); }
    return cache.rows;
  }
  const isVisible = (row) => { visible(); return cache.inside.has(row); };
  const ranked = (rows) => {
    const rank = (row) => store.field(row, "rank") ?? Infinity;
    return [...rows].sort((a, b) => rank(a) - rank(b) || number(a) - number(b));
  };
  const valued = () => once("valued", () => all().filter(drawn));
  const marked = () => [...new Set([store.view.trial, ...store.view.chosen].map((name) => store.row(name)).filter((row) => row >= 0))];
  const choose = (name) => store.choose(name, !store.view.chosen.includes(name));

  // Parameters as columns of numbers. What has come since the report was made is added by the values that are known.
  const columns = () => once("columns", () => data().columns.map((column) => {
    const raw = store.list(column.name) || [], values = [...column.values], levels = [...column.levels];
    const known = new Map(column.values.map((place, row) => [JSON.stringify(raw[row]), place]));
    for (let row = values.length; row < store.count; row++) {
      const own = raw[row] ?? null, text = JSON.stringify(own);
      if (own === null || column.kind === "number") values.push(finite(own));
      else {
        if (!known.has(text)) { known.set(text, levels.length); levels.push(typeof own === "string" ? own : text); }
        values.push(known.get(text));
      }
    }
    return { ...column, values, levels };
  }));

  // -- what is said of a trial
  const named = (row) => `<b>${plain(store.name(row))}</b>` +
    (value(row) === null ? "" : `<br>${plain(data().metric)} ${short(value(row))}${error(row) === null ? "" : ` ± ${short(error(row), 2)}`}`);
  const given = (column, row) => {
    const own = column.values[row];
    return own === null || own === undefined ? "–" : column.kind === "category" ? plain(column.levels[own]) : short(own);
  };
  function about(row) {
    const texts = once("about", () => new Map());
    if (!texts.has(row)) {
      texts.set(row, named(row) + `<br>${state(row)}${store.field(row, "violated") ? `, ${plain(store.field(row, "violated"))}` : ""}` +
        `${early(row) ? `, value of an earlier ${plain(data().axis)}` : ""}` + columns().slice(0, 8).filter((column) => (column.values[row] ?? null) !== null)
        .map((column) => `<br>${plain(column.name)} ${given(column, row)}`).join(""));
    }
    return texts.get(row);
  }
  const seeds = () => (data().means ? " (mean ± standard error)" : "");
  const bars = (c, values) => (data().means ? { type: "data", array: values.map((own) => own || 0), color: c.faint, thickness: 1, width: 0 } : undefined);

  // -- scales and axes
  // The scale of values is that of all trials, so that a filter leaves the colours; bad ones would stretch it, so it ends
  // where the outliers begin.
  const valueRange = () => once("range", () => {
    const values = valued().map(value).sort((a, b) => a - b);
    if (!values.length) return [0, 1];
    const at = (share) => values[Math.min(values.length - 1, Math.max(0, Math.round(share * (values.length - 1))))];
    const [low, high] = data().goal === "maximize" ? [at(0.1), at(1)] : [at(0), at(0.9)];
    return low < high ? [low, high] : [low - 0.5, high + 0.5];
  });
  const scaleOf = (c) => data().goal === "maximize" ? c.scale : c.scale.map(([at], i) => [at, c.scale[c.scale.length - 1 - i][1]]);
  const bar = (c) => ({ thickness: 8, outlinewidth: 0, ticklen: 0, tickfont: { color: c.soft, size: 11 }, nticks: 4,
    title: { text: plain(data().metric), side: "right", font: { color: c.soft, size: 12 } } });
  function logTicks(values) {
    const least = Math.min(...values), most = Math.max(...values), decades = Math.log10(most / least);
    const steps = decades > 4 ? [1] : decades > 1.6 || narrow() ? [1, 3] : [1, 2, 5];
    const found = [];
    for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(most)); power++) {
      for (const step of steps) found.push(Number(`${step}e${power}`));
    }
    return found.filter((one) => one >= least / 1.5 && one <= most * 1.5);
  }
  function paramAxis(column) {
    if (column.kind === "category") {
      const labels = column.levels.map((level) => plain(level, narrow() ? 12 : 22));
      return { title: plain(column.name), tickvals: labels.map((_, i) => i), ticktext: labels, range: [-0.6, labels.length - 0.4] };
    }
    if (!column.log) return { title: plain(column.name) };
    const ticks = logTicks(column.values.filter((own) => own !== null));
    return { title: plain(column.name), type: "log", tickvals: ticks, ticktext: ticks.map((own) => short(own, 3)) };
  }
  /* An axis of whole numbers has no ticks between them. */
  const byOnes = (span) => (span <= 10 ? { dtick: 1 } : {});
  const LEGEND = (c) => ({ orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12, color: c.soft }, traceorder: "reversed", itemclick: false, itemdoubleclick: false });
  function layout(c, height, more = {}) {
    const axis = (own = {}) => ({
      gridcolor: c.line, zeroline: false, linecolor: c.line, tickcolor: c.line, ticklen: 4, tickfont: { color: c.soft, size: 12 },
      automargin: true, fixedrange: touch, ...own, title: { ...(own.title ? { text: own.title } : {}), font: { color: c.soft, size: 12 }, standoff: 8 },
    });
    const { xaxis, yaxis, ...others } = more;
    const rest = Object.fromEntries(Object.entries(others).map(([key, own]) => [key, /^yaxis\d+$/.test(key) ? axis(own) : own]));
    return {
      height, autosize: true, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
      font: { family: getComputedStyle(document.body).fontFamily, color: c.ink, size: 12 },
      margin: { l: 8, r: 12, t: 10, b: 8 }, hovermode: "closest", dragmode: touch ? false : "zoom",
      hoverlabel: { bgcolor: c.raised, bordercolor: c.line, font: { color: c.ink, size: 12 }, align: "left" },
      xaxis: axis(xaxis), yaxis: axis(yaxis), ...rest,
    };
  }

  // -- drawing
  // A ring around each trial that is ticked in the table or looked at, with its number.
  const rings = (c, x, y, rows = marked().filter(isVisible)) => rows.filter((row) => finite(x(row)) !== null && finite(y(row)) !== null).map((row) => ({
    type: "scatter", mode: "markers+text", x: [x(row)], y: [y(row)], text: [String(number(row) ?? "")], textposition: "top center", textfont: { color: c.ink, size: 12 },
    hoverinfo: "skip", showlegend: false, cliponaxis: false, marker: { symbol: "circle-open", size: 14, color: c.ink, line: { width: 2, color: c.ink } },
  }));
  /* Draws. `heads` and `rows` (a function) are the picture's data as a table; without a mark in it the picture says `none`. */
  function put(element, traces, settings, { heads = [], rows = () => [], none = "No trial that the filter leaves has what is drawn here." } = {}) {
    const inner = element.querySelector(".inner") || element;
    const empty = !traces.some((trace) => (trace.x || []).length);
    const hidden = { visible: false, range: [0, 1] };
    const whole = empty ? { ...settings, height: 120, shapes: [], xaxis: hidden, yaxis: hidden, showlegend: false,
      annotations: [{ text: none, x: 0.5, y: 0.5, xref: "paper", yref: "paper", showarrow: false, font: settings.font }] } : settings;
    const height = whole.height < 260 ? whole.height : Math.round(PRINTED * whole.height);  // a low one has no room to give
    const sized = printing() ? { ...whole, width: inner.clientWidth, height } : whole;
    Plotly.react(inner, empty ? [] : traces, sized, { displayModeBar: false, responsive: true });
    if (!printing() && inner._fullLayout.width !== inner.clientWidth) Plotly.Plots.resize(inner);
    if (!inner.dataset.follows) {
      inner.dataset.follows = "yes";
      inner.on("plotly_click", (event) => {
        const row = event.points.length ? event.points[0].customdata : undefined;
        if (typeof row === "number") choose(store.name(row));
      });
    }
    sayFiltered(element);
    drawings.set(element, { traces, settings: whole, heads, rows });
    if (plots.tools) plots.tools(element);
  }

  // The caption is of all trials; with a filter it says how many are left, or that the picture does not follow it.
  const OF_ALL = new Set(["importance", "correlation", "descent"]);
  function sayFiltered(element) {
    const caption = element.querySelector("figcaption");
    if (!caption) return;
    const left = store.visible.length, filtered = left < store.count;
    const text = !filtered ? "" : OF_ALL.has(element.dataset.plot) ? ` Of all ${data().noun}s, whatever the filter leaves.` : ` The filter leaves ${left.toLocaleString("en")} of ${store.count.toLocaleString("en")} ${data().noun}s.`;
    let own = caption.querySelector(".filtered");
    if (!own) { own = document.createElement("span"); own.className = "filtered"; caption.append(own); }
    if (own.textContent !== text) own.textContent = text;
  }

  const plots = report.plots = {
    define(name, draw) { draws.set(name, draw); },
    of: (name) => draws.get(name) || (/^front\d+$/.test(name) && draws.get("front") ? draws.get("front")(Number(name.slice(5))) : undefined),
    drawing: (element) => drawings.get(element),
    // For the files of the pictures.
    STATES, HOVER, touch, narrow, printing, plain, short, clock, colours, stateColour, colourAt, data, finite, value, error, state, number, flag, counts, early, drawn,
    better, all, visible, isVisible, ranked, valued, marked, choose, columns, named, given, about, seeds, bars, valueRange, scaleOf, bar, paramAxis, byOnes, LEGEND,
    layout, rings, put, sayFiltered, OF_ALL,
  };
})();
