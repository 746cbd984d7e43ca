// Curves of up to six trials, a small picture for each metric. They are SVG: sharp on paper, in the page's colours, with a text.
"use strict";
(() => {
  const report = window.report, store = report.store, make = report.make;
  const WIDTH = 380, HEIGHT = 210, LEFT = 52, RIGHT = 10, TOP = 10, BOTTOM = 32;
  const DASHES = ["", "7 4", "2 3", "9 3 2 3", "12 4", "4 2"];  // told apart without colours, too
  const SPACE = "http://www.w3.org/2000/svg";
  const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

  const draw = (tag, given = {}, ...children) => {
    const element = document.createElementNS(SPACE, tag);
    for (const [name, value] of Object.entries(given)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  function ticks(low, high, many) {
    const span = high - low || Math.abs(high) || 1, rough = span / many, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
    return found;
  }
  // Exponential moving average without the bias of its start: y_t / (1 − w^t), where what is not finite is left out.
  function smoothed(values, weight) {
    if (!weight) return values;
    let sum = 0, scale = 1;
    return values.map((value) => {
      if (!isNumber(value)) return null;
      sum = sum * weight + (1 - weight) * value;
      scale *= weight;
      return sum / (1 - scale);
    });
  }
  report.smoothed = smoothed;
  const axisOf = (curve, axis) => (axis === "step" && curve.step) || curve.x;
  const run = (xs, ys, point) => {  // a path with a gap where there is no number
    let path = "", pen = false;
    xs.forEach((x, place) => {
      if (!isNumber(x) || !isNumber(ys[place])) { pen = false; return; }
      path += `${pen ? "L" : "M"}${point(x, ys[place]).map((at) => at.toFixed(1)).join(" ")}`;
      pen = true;
    });
    return path;
  };

  // `series` are {name, x, y, error, points: whether these are points instead of a line}; returns a figure.
  report.drawLines = (title, series, { xTitle = "", smooth = 0, tell = "", log = false } = {}) => {
    const across = (x) => (!log ? x : x > 0 ? Math.log10(x) : null), back = (x) => (log ? 10 ** x : x);  // to where a value is on the axis
    const given = series.map((one) => ({ ...one, x: one.x.map((x) => (isNumber(x) ? across(x) : null)), shown: one.points ? one.y : smoothed(one.y, smooth) }));
    const xs = given.flatMap((one) => one.x.filter((x, place) => isNumber(x) && isNumber(one.shown[place])));
    const ys = given.flatMap((one) => one.shown.filter(isNumber));
    const caption = make("figcaption", {}, title);
    if (!ys.length) return make("figure", { class: "lines" }, caption, make("p", { class: "lead" }, "no value yet"));
    const [x0, x1] = [Math.min(...xs), Math.max(...xs)], [low, high] = [Math.min(...ys), Math.max(...ys)];
    const whole = xs.every(Number.isInteger) && x1 > x0;  // epochs and steps: nothing lies between
    const pad = (high - low || Math.abs(high) || 1) * 0.06, [y0, y1] = [low - pad, high + pad];
    const point = (x, y) => [LEFT + (WIDTH - LEFT - RIGHT) * (x1 > x0 ? (x - x0) / (x1 - x0) : 0.5), HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - y0) / (y1 - y0)];
    const ends = given.map((one) => `${one.name}: ${report.format.number([...one.shown].reverse().find(isNumber))} at the end`).join("; ");
    const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title} by ${xTitle}, between ${report.format.number(low)} and ${report.format.number(high)}. ${tell || ends}` });
    for (const y of ticks(y0, y1, 4)) {
      const [, at] = point(x0, y);
      svg.append(draw("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: at, y2: at }), draw("text", { x: LEFT - 6, y: at + 4, "text-anchor": "end" }, report.format.number(y, 4)));
    }
    for (const x of x1 > x0 ? ticks(x0, x1, log && x1 - x0 < 1.5 ? 2 : 5).filter((at) => Number.isInteger(at) || (log ? x1 - x0 < 1.5 : !whole)) : [x0]) svg.append(draw("text", { x: point(x, y0)[0], y: HEIGHT - BOTTOM + 15, "text-anchor": "middle" }, report.format.number(back(x), log ? 2 : 4)));
    svg.append(draw("text", { x: WIDTH - RIGHT, y: HEIGHT - 3, "text-anchor": "end" }, xTitle));
    given.forEach((one, at) => {
      const place = one.place ?? at;  // of its colour
      const look = { class: `series s${place % 6}${one.faint ? " faint" : ""}`, "stroke-dasharray": DASHES[place % 6] };
      if (one.error) {
        const part = (sign) => one.shown.map((y, at) => (isNumber(y) && isNumber(one.error[at]) ? y + sign * one.error[at] : null));
        const [up, down] = [part(1), part(-1)].map((list) => one.x.map((x, at) => [x, list[at]]).filter(([x, y]) => isNumber(x) && isNumber(y)).map(([x, y]) => point(x, Math.max(y0, Math.min(y1, y))).join(" ")));
        if (up.length > 1) svg.append(draw("path", { class: `band s${place % 6}`, d: `M${up.join("L")}L${down.reverse().join("L")}Z` }));
      }
      if (smooth && !one.points) svg.append(draw("path", { ...look, class: `${look.class} raw`, d: run(one.x, one.y, point) }));
      if (one.points) one.x.forEach((x, at) => { if (isNumber(x) && isNumber(one.y[at])) { const [cx, cy] = point(x, one.y[at]); svg.append(draw(place % 2 ? "rect" : "circle", place % 2 ? { class: `dot s${place % 6}`, x: cx - 2.4, y: cy - 2.4, width: 4.8, height: 4.8 } : { class: `dot s${place % 6}`, cx, cy, r: 2.8 })); } });
      else {
        svg.append(draw("path", { ...look, d: run(one.x, one.shown, point) }));
        const last = one.shown.findLastIndex(isNumber);
        if (last >= 0) { const [cx, cy] = point(one.x[last], one.shown[last]); svg.append(draw("circle", { class: `dot s${place % 6}`, cx, cy, r: 2.8 })); }
      }
    });
    // The values under the mouse.
    const line = draw("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" }), said = make("p", { class: "readout", "aria-hidden": "true" }, "\u00a0");
    svg.append(line);
    const lines = given.filter((one) => !one.points);
    if (lines.length) svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect(), at = (event.clientX - box.left) * WIDTH / box.width, x = x0 + (x1 - x0) * (at - LEFT) / (WIDTH - LEFT - RIGHT);
      const near = (one) => one.x.reduce((best, each, place) => (Math.abs(each - x) < Math.abs(one.x[best] - x) ? place : best), 0);
      const chosen = lines[0].x[near(lines[0])], cx = point(chosen, y0)[0];
      line.setAttribute("x1", cx); line.setAttribute("x2", cx); line.setAttribute("visibility", "visible");
      said.textContent = `${xTitle} ${report.format.number(back(chosen))}: ${lines.map((one) => `${one.name} ${report.format.number(one.shown[near(one)])}`).join(", ")}`;
    });
    svg.addEventListener("pointerleave", () => { line.setAttribute("visibility", "hidden"); said.textContent = "\u00a0"; });
    return make("figure", { class: "lines" }, caption, svg, said);
  };
  report.legend = (names) => make("p", { class: "legend" }, names.map((name, place) => {
    const sample = draw("svg", { viewBox: "0 0 28 10", width: 28, height: 10, "aria-hidden": "true" });
    sample.append(draw("path", { class: `series s${place % 6}`, "stroke-dasharray": DASHES[place % 6], d: "M0 5L28 5" }));
    return make("span", {}, sample, " ", name);
  }));

  // Curves of trials, all metrics that one of them has: `trials` are [name, {metric: curve}].
  report.curvesOf = (trials, { faint = [] } = {}) => {
    const { axis, smooth } = store.view, own = store.sweep.axis;
    const metrics = [...new Set(trials.flatMap(([, curves]) => Object.keys(curves || {})))];
    if (!metrics.length) return make("p", { class: "lead" }, "No curve: nothing is logged yet, or its rows are not here.");
    const all = trials.flatMap(([, curves]) => Object.values(curves || {}));
    const axes = [own, ...(all.some((curve) => curve.step) ? ["step"] : [])];  // a curve over epochs knows its steps
    const chosen = axes.includes(axis) ? axis : own;
    const controls = make("p", { class: "controls" },
      axes.length > 1 && make("label", {}, "by ", make("select", { "data-key": "axis", onchange: (event) => store.set({ axis: event.target.value === own ? null : event.target.value }) }, axes.map((name) => make("option", { value: name, selected: name === chosen }, name)))),
      make("label", {}, "smoothed ", make("input", { type: "range", min: 0, max: 0.95, step: 0.05, value: smooth, "data-key": "smooth", onchange: (event) => store.set({ smooth: Number(event.target.value) }) })));
    const figures = metrics.map((metric) => report.drawLines(metric, trials.map(([name, curves], place) => [name, curves, place]).filter(([, curves]) => curves && curves[metric]).map(([name, curves, place]) => ({
      name, place, x: axisOf(curves[metric], chosen), y: curves[metric].y, error: curves[metric].error, faint: faint.includes(name),
    })), { xTitle: chosen, smooth }));
    return make("div", {}, controls, trials.length > 1 && report.legend(trials.map(([name]) => name)), make("div", { class: "figures" }, figures));
  };
})();
