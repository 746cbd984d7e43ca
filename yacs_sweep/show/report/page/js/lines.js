// Curves of up to six trials, a small picture for each metric. They are SVG: sharp on paper, in the page's colours, with a text.
"use strict";
(() => {
  const report = window.report, { store, make, curve: { DASHES, axes, places, smoothed, thinned, unit }, format: { csv } } = report;
  const WIDTH = 380, HEIGHT = 210, RIGHT = 10, TOP = 10, BOTTOM = 32;
  const LETTER = 6.6;  // width of a digit beside the axis
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
    const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough);
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
    return found;
  }
  const dot = (place, cx, cy) => (place % 2 ? draw("rect", { class: `dot s${place % 6}`, x: cx - 2.4, y: cy - 2.4, width: 4.8, height: 4.8 })
    : draw("circle", { class: `dot s${place % 6}`, cx, cy, r: 2.8 }));
  const run = (xs, ys, point) => {  // a path with a gap where there is no number
    let path = "", pen = false;
    xs.forEach((x, place) => {
      if (!isNumber(x) || !isNumber(ys[place])) { pen = false; return; }
      path += `${pen ? "L" : "M"}${point(x, ys[place]).map((at) => at.toFixed(1)).join(" ")}`;
      pen = true;
    });
    return path;
  };

  /* Draws a figure. `series` are {name, x, y, error, points: whether these are points instead of a line}; `by`: whether its title
     names the x-axis. */
  report.drawLines = (title, series, { xTitle = "", smooth = 0, tell = "", log = false, by = false } = {}) => {
    const across = (x) => (!log ? x : x > 0 ? Math.log10(x) : null), back = (x) => (log ? 10 ** x : x);  // to where a value is on the axis
    const given = series.map((one) => ({ ...one, x: one.x.map((x) => (isNumber(x) ? across(x) : null)), shown: one.points ? one.y : smoothed(one.y, smooth) }));
    const xs = given.flatMap((one) => one.x.filter((x, place) => isNumber(x) && isNumber(one.shown[place])));
    const ys = given.flatMap((one) => one.shown.filter(isNumber));
    const caption = make("figcaption", {}, by ? `${title} by ${xTitle}` : title);
    if (!ys.length) return make("figure", { class: "lines" }, caption, make("p", { class: "lead" }, "no value yet"));
    const room = given.some((one) => one.points) ? 0.03 * (Math.max(...xs) - Math.min(...xs)) : 0;  // no point lies on the axis
    const [x0, x1] = [Math.min(...xs) - room, Math.max(...xs) + room], [low, high] = [Math.min(...ys), Math.max(...ys)];
    const whole = xs.every(Number.isInteger) && x1 > x0;  // epochs and steps: nothing lies between
    const pad = (high - low || Math.abs(high) || 1) * 0.06, [y0, y1] = [low - pad, high + pad];
    const levels = ticks(y0, y1, 4).map((y) => [y, report.format.number(y, 4)]);
    const LEFT = Math.max(36, 12 + LETTER * Math.max(0, ...levels.map(([, text]) => text.length)));
    const point = (x, y) => [LEFT + (WIDTH - LEFT - RIGHT) * (x1 > x0 ? (x - x0) / (x1 - x0) : 0.5), HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - y0) / (y1 - y0)];
    const ends = given.map((one) => `${one.name}: ${report.format.number([...one.shown].reverse().find(isNumber))} at the end`).join("; ");
    const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title} by ${xTitle}, between ${report.format.number(low)} and ${report.format.number(high)}. ${tell || ends}` });
    for (const [y, text] of levels) {
      const [, at] = point(x0, y);
      svg.append(draw("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: at, y2: at }), draw("text", { x: LEFT - 6, y: at + 4, "text-anchor": "end" }, text));
    }
    for (const x of x1 > x0 ? ticks(x0, x1, log && x1 - x0 < 1.5 ? 2 : 5).filter((at) => Number.isInteger(at) || (log ? x1 - x0 < 1.5 : !whole)) : [x0]) {
      const at = point(x, y0)[0], text = report.format.number(back(x), log ? 2 : 4);
      svg.append(draw("text", { x: Math.min(at, WIDTH - 2 - 3.5 * text.length), y: HEIGHT - BOTTOM + 15, "text-anchor": "middle" }, text));  // none is cut
    }
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
      if (one.points) one.x.forEach((x, at) => { if (isNumber(x) && isNumber(one.y[at])) svg.append(dot(place, ...point(x, one.y[at]))); });
      else {
        svg.append(draw("path", { ...look, d: run(one.x, one.shown, point) }));
        const last = one.shown.findLastIndex(isNumber);
        if (last >= 0) svg.append(dot(place, ...point(one.x[last], one.shown[last])));
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
    const heads = ["name", xTitle, title, ...(given.some((one) => one.error) ? ["standard error"] : []), ...(smooth ? ["smoothed"] : [])];
    const rows = () => given.flatMap((one, place) => one.y.map((y, at) => [one.name, (series[place].rows || series[place].x)[at], y, ...(heads.includes("standard error") ? [one.error ? one.error[at] : null] : []), ...(smooth ? [one.shown[at]] : [])]));
    const names = () => given.map((one, place) => [one.name, given.length > 1 ? sample(one.place ?? place) : null]);
    const file = async (format) => {
      if (format === "csv") return new Blob([csv(heads, rows())], { type: "text/csv" });
      const shown = names(), place = make("div", { class: "unseen", "aria-hidden": "true" }, shown.map(([, picture]) => picture));
      figure.append(place);  // only what is on the page has a style
      try { return await report.svgFile(svg, format, `${title} by ${xTitle}`, shown); } finally { place.remove(); }
    };
    const figure = make("figure", { class: "lines" }, caption, svg, make("div", { class: "below" }, said, report.saveBar(by ? `${title} by ${xTitle}` : title, file)));
    return figure;
  };
  const sample = (place) => draw("svg", { class: "sample", viewBox: "0 0 28 10", width: 28, height: 10, "aria-hidden": "true" },
    draw("path", { class: `series s${place % 6}`, "stroke-dasharray": DASHES[place % 6], d: "M0 5L28 5" }), dot(place, 14, 5));
  report.legend = (names) => make("p", { class: "legend" }, names.map((name, place) => make("span", {}, sample(place), " ", name)));

  // Curves of trials, all metrics that one of them has: `trials` are [name, {metric: curve}, seconds that it took].
  report.curvesOf = (trials, { faint = [] } = {}) => {
    const { axis, smooth } = store.view, own = store.sweep.axis;
    const metrics = [...new Set(trials.flatMap(([, curves]) => Object.keys(curves || {})))];
    if (!metrics.length) return make("p", { class: "lead" }, "No curve: nothing is logged yet, or its rows are not here.");
    const all = trials.flatMap(([, curves]) => Object.values(curves || {})), timed = trials.filter(([, , seconds]) => isNumber(seconds));
    const known = axes(trials.map(([, curves]) => curves), timed.length), chosen = known.includes(axis) ? axis : own;
    const [size, word] = unit(Math.max(0, ...timed.map(([, , seconds]) => seconds))), xTitle = chosen === "time" ? word : chosen;
    const told = make("output", {}, smooth ? String(smooth) : "raw");
    const controls = make("p", { class: "controls" },
      known.length > 1 && make("label", {}, "Over ", make("select", { "data-key": "axis", onchange: (event) => store.set({ axis: event.target.value === own ? null : event.target.value }) }, known.map((name) => make("option", { value: name, selected: name === chosen }, name)))),
      make("label", {}, "Smoothed ", make("input", { type: "range", min: 0, max: 0.95, step: 0.05, value: smooth, "data-key": "smooth", oninput: (event) => { told.textContent = Number(event.target.value) ? event.target.value : "raw"; }, onchange: (event) => store.set({ smooth: Number(event.target.value) }) })), told);
    const without = chosen === "time" ? trials.filter(([, curves, seconds]) => curves && !isNumber(seconds)).map(([name]) => name) : [];
    const notes = [chosen === "time" ? "Each trial's rows are spread evenly over its time." : "", without.length ? `Without a duration, and left out: ${without.join(", ")}.` : "", thinned(all)].filter(Boolean).join(" ");
    const curvesOf = (metric) => trials.map(([, curves]) => curves && curves[metric]), lines = metrics.filter((metric) => curvesOf(metric).some((curve) => curve && curve.y.length > 1));
    const once = metrics.filter((metric) => !lines.includes(metric));  // one value is no line
    const values = once.length ? report.grid("Logged once", ["metric", ...(trials.length > 1 ? trials.map(([name]) => name) : ["value"])], once.map((metric) => [metric, ...curvesOf(metric).map((curve) => make("td", { class: "num" }, curve ? report.format.text(curve.y[0]) : "–"))])) : null;
    const figures = lines.map((metric) => report.drawLines(metric, trials.map(([name, curves, seconds], place) => {
      const curve = curves && curves[metric], x = curve ? places(curve, chosen, seconds) : null, scaled = x && chosen === "time" ? x.map((at) => at / size) : x;
      return scaled && { name, place, x: scaled, rows: chosen === own ? curve.x : scaled, y: curve.y, error: curve.error, faint: faint.includes(name) };
    }).filter(Boolean), { xTitle, smooth }));
    return make("div", {}, controls, notes && make("p", { class: "lead" }, notes), trials.length > 1 && report.legend(trials.map(([name]) => name)), make("div", { class: "figures" }, figures), values);
  };
})();
