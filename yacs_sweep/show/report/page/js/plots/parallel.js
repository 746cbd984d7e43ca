// Parallel coordinates. The library's own need WebGL, which a phone or a remote desktop may not have; these are lines of one
// colour for each of a dozen ranges of the metric. A drag along an axis keeps the trials within, on the whole page.
"use strict";
(() => {
  const report = window.report, store = report.store, plots = report.plots;
  const { plain, short, value, early, HOVER } = plots;
  const BINS = 12, LINES = 1500, OTHERS = 500;  // most lines of trials that are kept, and of the others
  const MISSING = -0.09, LOW = -0.14, HIGH = 1.04;
  const MARGIN = { l: 64, r: 46, t: 40, b: 14 };
  const isNumber = (one) => typeof one === "number";
  const textOf = (raw) => (typeof raw === "object" && raw !== null ? JSON.stringify(raw) : raw);  // as a brush holds it

  /* An axis: `at` is a row's place from 0 to 1, `range` what a brush between two places keeps, `spans` the places of a brush: from
     and to of each part. */
  function numberAxis(name, key, values, log, rows) {
    const to = (one) => (log ? Math.log10(one) : one), back = (one) => (log ? 10 ** one : one);
    const there = rows.map((row) => values[row]).filter((one) => one !== null).map(to);
    let least = Math.min(...there), most = Math.max(...there);
    const shares = least === most ? [0.5] : [0, 0.5, 1];  // a single value has no range to tell
    const ends = [back(least), back(most)];
    if (least === most) { least -= 0.5; most += 0.5; }
    const scaled = (one) => (to(one) - least) / (most - least);
    const unscaled = (share) => (share <= 0 ? back(least) : share >= 1 ? back(most) : Number(back(least + share * (most - least)).toPrecision(4)));
    const ticks = shares.map((share) => [share, short(back(least + share * (most - least)), 3)]);
    if (there.length < rows.length) ticks.push([MISSING, "–"]);
    return { name, key, ticks, ends, kind: "number", at: (row) => (values[row] === null ? MISSING : scaled(values[row])),
      range: (from, end) => (end < MISSING / 2 ? [null] : [unscaled(from), unscaled(end)]),
      spans: (brush) => (brush.every(isNumber) ? store.pairs(brush).map((pair) => pair.map((one) => (log && one <= 0 ? LOW : scaled(one)))) : [[MISSING - 0.03, MISSING + 0.03]]) };
  }
  function levelAxis(column, rows) {
    const raw = store.list(column.name), size = Math.max(1, column.levels.length - 1);
    const own = column.levels.map(() => new Map());  // values of each level, as a brush holds them
    let missing = false;
    for (const row of rows) {
      const place = column.values[row];
      if (place === null) missing = true; else own[place].set(JSON.stringify(raw[row]), textOf(raw[row]));
    }
    const scaled = (place) => place / size, ticks = column.levels.map((level, place) => [scaled(place), plain(level, 12)]);
    if (missing) ticks.push([MISSING, "–"]);
    const range = (from, end) => {
      const levels = own.map((level, place) => [[...level.values()], scaled(place) >= from && scaled(place) <= end]);
      return store.brushOf(missing ? [...levels, [[null], from <= MISSING && MISSING <= end]] : levels);
    };
    const spans = (brush) => {
      const found = missing && brush.includes(null) ? [[MISSING - 0.03, MISSING + 0.03]] : [];
      let open = false;  // whether the level before is kept
      own.forEach((level, place) => {
        const kept = [...level.values()].some((one) => store.within(one, brush));
        if (kept && open) found.at(-1)[1] = scaled(place) + 0.03; else if (kept) found.push([scaled(place) - 0.03, scaled(place) + 0.03]);
        open = kept;
      });
      return found;
    };
    const levels = column.levels.map((level, place) => [level, [...own[place].values()]]);
    return { name: column.name, key: column.name, ticks, kind: "category", levels, at: (row) => (column.values[row] === null ? MISSING : scaled(column.values[row])), range, spans };
  }
  function axes() {
    const data = plots.data(), rows = plots.valued();
    const found = plots.columns().slice(0, data.dimensions).map((column) => column.kind === "category" ? levelAxis(column, rows) : numberAxis(column.name, column.name, column.values, column.log, rows));
    const metric = store.columns.find((column) => column.of === "metric" && column.name === data.metric);
    found.push(numberAxis(data.metric, metric ? metric.key : "value", plots.all().map(value), false, rows));
    return found;
  }
  plots.axes = axes;

  /* Keeps, by key, what a brush says; an empty one is taken away. */
  plots.brush = (key, range, options) => {
    const brush = { ...store.view.brush };
    if (range && range.length) brush[key] = range; else delete brush[key];
    store.set({ brush }, options);
  };

  plots.define("parallel", (element) => {
    const c = plots.colours(), data = plots.data(), found = axes(), scale = plots.scaleOf(c);
    const [low, high] = plots.valueRange();
    const inner = element.querySelector(".inner");
    inner.style.minWidth = plots.printing() ? "" : `${Math.min(found.length * 104, 2000)}px`;
    const rows = plots.valued(), inside = rows.filter(plots.isVisible), others = rows.filter((row) => !plots.isVisible(row));
    const lines = inside.length > LINES ? plots.ranked(inside).slice(0, LINES) : inside;
    // A group for each range of the metric and, dashed, for those of its trials that ended early; the first is of the others.
    const groups = Array.from({ length: 2 * BINS + 1 }, () => ({ x: [], y: [], text: [], customdata: [] }));
    const add = (group, row, text) => {
      found.forEach((axis, i) => { group.x.push(i); group.y.push(axis.at(row)); group.text.push(text); group.customdata.push(row); });
      group.x.push(null); group.y.push(null); group.text.push(""); group.customdata.push(null);
    };
    others.slice(0, OTHERS).forEach((row) => add(groups[0], row, ""));
    for (const row of lines) {
      const share = Math.max(0, Math.min(0.9999, (value(row) - low) / (high - low)));
      add(groups[1 + Math.floor(share * BINS) + (early(row) ? BINS : 0)], row, plots.about(row));
    }
    const bin = (i) => (i - 1) % BINS;
    const best = (i) => (i > BINS ? 0 : BINS) + (data.goal === "maximize" ? bin(i) : BINS - bin(i));
    const thick = lines.length > 200 ? 1 : 1.5;
    const traces = groups.map((group, i) => ({
      type: "scatter", mode: "lines", ...group, hovertemplate: HOVER, hoverinfo: i ? undefined : "skip", connectgaps: false, order: i ? best(i) : -1,
      opacity: i ? 0.9 : 0.16, line: { width: i ? thick : 1, dash: i > BINS ? "5px,4px" : "solid", color: i ? plots.colourAt(scale, (bin(i) + 0.5) / BINS) : c.faint },
    })).filter((trace) => trace.x.length).sort((a, b) => a.order - b.order).map(({ order, ...trace }) => trace);
    for (const row of plots.marked().filter((one) => plots.isVisible(one) && plots.drawn(one))) {
      traces.push({ type: "scatter", mode: "lines+markers", x: found.map((_, i) => i), y: found.map((axis) => axis.at(row)), text: found.map(() => plots.about(row)), customdata: found.map(() => row),
        hovertemplate: HOVER, line: { width: 3, color: c.ink }, marker: { size: 7, color: c.ink } });
    }
    const gap = (inner.clientWidth - MARGIN.l - MARGIN.r) / (found.length - 1);
    const most = Math.max(8, Math.min(26, Math.floor(gap / 8)));  // letters that fit between two axes
    const label = (x, y, text, more) => ({ x, y, text, showarrow: false, font: { size: 11, color: c.soft }, bgcolor: c.paper, borderpad: 1, opacity: 0.92, ...more });
    const annotations = found.flatMap((axis, i) => [
      label(i, 1, plain(axis.name.length > most ? "…" + axis.name.slice(1 - most) : axis.name, 40), { yref: "paper", yanchor: "bottom", yshift: 10, font: { size: 12, color: c.ink } }),
      ...axis.ticks.map(([y, text]) => label(i, y, text, { xanchor: "right", xshift: -5 })),
    ]);
    const shapes = found.map((_, i) => ({ type: "line", x0: i, x1: i, y0: LOW, y1: HIGH, line: { color: c.faint, width: 1 }, layer: "above" }));
    found.forEach((axis, i) => {
      if (!store.view.brush[axis.key]) return;
      for (const [from, to] of axis.spans(store.view.brush[axis.key]).map((pair) => pair.map((at) => Math.max(LOW, Math.min(HIGH, at))))) shapes.push({ type: "rect", x0: i - 0.05, x1: i + 0.05, y0: from, y1: to, fillcolor: c.accent, opacity: 0.35, line: { width: 1, color: c.accent } });
    });
    const hidden = { visible: false, fixedrange: true };
    plots.put(element, traces, plots.layout(c, 380, { margin: MARGIN, annotations, shapes, dragmode: false,
      xaxis: { ...hidden, range: [0, found.length - 1] }, yaxis: { ...hidden, range: [LOW, HIGH] } }), {
      heads: [data.noun, ...plots.columns().slice(0, data.dimensions).map((column) => column.name), data.metric],
      rows: () => inside.map((row) => [store.name(row), ...plots.columns().slice(0, data.dimensions).map((column) => store.value(row, column.name)), value(row)]),
    });
    const note = document.getElementById("parallel-kept");
    const some = lines.length < inside.length ? `; the best ${LINES.toLocaleString("en")} are drawn` : "";
    const free = Object.keys(store.view.brush).length && !plots.touch ? "; click an axis to let go" : "";
    if (note) note.textContent = inside.length < rows.length || free || some ? `${inside.length} of ${rows.length} ${data.noun}s kept${some}${free}` : "";
    if (!plots.touch) follow(inner);
  });

  // Follows the mouse along an axis.
  function follow(inner) {
    if (inner.dataset.brush) return;
    inner.dataset.brush = "yes";
    let drag = null;  // the axis, where the drag began, and where it is
    const where = (event) => {
      const box = inner.getBoundingClientRect(), size = axes().length;
      const x = (event.clientX - box.left - MARGIN.l) / (box.width - MARGIN.l - MARGIN.r) * (size - 1);
      const y = HIGH - (event.clientY - box.top - MARGIN.t) / (box.height - MARGIN.t - MARGIN.b) * (HIGH - LOW);
      return [x, Math.max(LOW, Math.min(HIGH, y)), size];
    };
    const keep = (options) => {
      const [from, to] = [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)];
      plots.brush(drag.axis.key, to - from < 0.015 ? null : drag.axis.range(from, to), options);
    };
    inner.addEventListener("pointerdown", (event) => {
      const [x, y, size] = where(event), near = Math.round(x);
      if (event.button || Math.abs(x - near) > 0.25 || near < 0 || near >= size) return;
      drag = { axis: axes()[near], from: y, to: y };
      event.preventDefault();
      addEventListener("pointerup", (last) => {
        drag.to = where(last)[1];
        keep({ quiet: true });
        drag = null;
        report.address.write(true);  // once a drag: browsers refuse many changes of the address in a short time
      }, { once: true });
    }, { capture: true });
    let waits = false;
    inner.addEventListener("pointermove", (event) => {
      const [x, y] = where(event);
      inner.style.cursor = Math.abs(x - Math.round(x)) < 0.1 ? "ns-resize" : "";
      if (!drag) return;
      drag.to = y;
      if (waits) return;
      waits = true;
      requestAnimationFrame(() => { waits = false; if (drag) keep({ quiet: true }); });
    });
  }
})();
