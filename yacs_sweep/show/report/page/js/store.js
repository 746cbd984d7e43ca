// The data of the page, and what of it is looked at. Every part draws from `report.store` and listens to its changes.
"use strict";
(() => {
  const report = window.report = window.report || {};
  const NOT_FINITE = { NaN: NaN, Infinity: Infinity, "-Infinity": -Infinity };
  const FIELDS = [  // of a trial, with what their column is called
    ["rank", "#"], ["name", "trial"], ["number", "number"], ["state", "state"], ["duration", "time"], ["value", "value"],
    ["error", "± error"], ["seeds", "seeds"], ["front", "front"], ["started", "started"], ["ended", "ended"], ["reason", "reason"], ["cause", "cause"],
    ["point", "point"], ["seed", "seed"], ["attempts", "attempts"], ["exit_code", "exit code"], ["gpus", "GPUs"], ["host", "machine"],
    ["retry_of", "retry of"], ["parent", "parent"], ["begun_at", "begun at"], ["replaces", "replaces"], ["until", "pauses at"], ["violated", "misses"], ["id", "id"],
  ];
  const NUMBERS = new Set(["rank", "number", "duration", "value", "error", "seeds", "attempts", "exit_code", "begun_at", "until"]);
  const TIMES = new Set(["started", "ended"]);
  // What is looked at. `where` is an expression, `sort` is [[column, "+" or "-"], …], `columns` null are the usual ones, `chosen` are
  // trials ticked in the table, `compare` those side by side, `brush` is {column: [least, largest]}.
  const FIRST = { where: "", sort: [], columns: null, page: 1, size: 15, chosen: [], compare: [], trial: null, metric: null, axis: null, smooth: 0, brush: {} };

  const MOST = 6;  // trials that are ticked, or side by side

  const listeners = { view: new Set(), data: new Set() };
  const lists = new Map();  // of values, by the column's key
  const places = new Map();  // of rows, by the trial's name
  let blob = { sweep: {}, trials: { name: [] }, curves: {}, figures: {} };
  let columns = [], byKey = new Map();
  let view = { ...FIRST };
  let seen = null;  // rows after filter, brush and sort; null: to be found
  let kept = null;  // the same before they are sorted

  const tell = (event, change) => { for (const listener of [...listeners[event]]) listener(change); };
  const isNumber = (value) => typeof value === "number";

  function restored(list) {  // JSON has no way to write these numbers
    return list.some((value) => typeof value === "string" && value in NOT_FINITE) ? list.map((value) => (typeof value === "string" && value in NOT_FINITE ? NOT_FINITE[value] : value)) : list;
  }
  // A name means what it means on the command line: a parameter, else a field, else a metric. Another of the name gets a prefix.
  function index() {
    columns = []; byKey = new Map(); lists.clear(); places.clear();
    const { trials, sweep } = blob;
    trials.name.forEach((name, row) => places.set(name, row));
    const add = (of, name, label, values, kind) => {
      const key = byKey.has(name) ? `${of}:${name}` : name;
      const column = { key, name, label, of, kind };
      byKey.set(key, column); columns.push(column); lists.set(key, values);
    };
    for (const [name, values] of Object.entries(trials.params || {})) {
      const found = restored(values), given = found.filter((value) => value !== null);
      add("param", name, name, found, given.length && given.every(isNumber) ? "number" : "text");
    }
    for (const [name, label] of FIELDS) {
      if (!trials[name]) continue;
      const kind = name === "state" ? "state" : NUMBERS.has(name) ? "number" : TIMES.has(name) ? "time" : "text";
      add("trial", name, name === "name" ? sweep.noun || label : name === "seeds" ? `${sweep.repeat || "seed"}s` : label, restored(trials[name]), kind);
    }
    for (const [name, values] of Object.entries(trials.values || {})) add("metric", name, name, restored(values), "number");
    for (const [name, values] of Object.entries(trials.best || {})) add("metric", `best ${name}`, `best ${name}`, restored(values), "number");
    for (const [alias, key] of Object.entries(sweep.aliases || {})) {  // an expression may name a parameter by either
      if (byKey.has(key) && !byKey.has(alias)) { byKey.set(alias, byKey.get(key)); lists.set(alias, lists.get(key)); }
    }
  }

  // -- what is visible
  function found() {
    if (kept) return kept;
    const rows = [];
    const holds = view.where && report.filter ? report.filter.compiled(view.where) : null;
    const ranges = Object.entries(view.brush).filter(([key]) => lists.has(key)).map(([key, range]) => [lists.get(key), range]);
    for (let row = 0; row < store.count; row++) {
      if (ranges.some(([list, range]) => !within(list[row], range))) continue;
      if (holds && holds(row) !== true) continue;
      rows.push(row);
    }
    kept = rows;
    return rows;
  }
  // Whether a brush keeps a value: it has the least and the largest of numbers, one pair after the other where there are gaps;
  // of anything else the values that are kept.
  function within(value, range) {
    if (isNumber(value)) return range.every(isNumber) ? pairs(range).some(([least, most]) => value >= least && value <= most) : range.includes(value);
    return range.includes(typeof value === "object" && value !== null ? JSON.stringify(value) : value);
  }
  const pairs = (range) => Array.from({ length: Math.ceil(range.length / 2) }, (_, at) => range.slice(2 * at, 2 * at + 2));
  // The brush that keeps some levels: `levels` are [its values, whether it is kept], in their order.
  function brushOf(levels) {
    const kept = levels.filter(([, on]) => on).flatMap(([values]) => values), found = [];
    if (!kept.every(isNumber)) return kept;
    let last = null;  // the largest number of the level before, where it is kept
    for (const [values, on] of levels) {
      if (!on || !values.length) { last = on ? last : null; continue; }
      const [least, most] = [Math.min(...values), Math.max(...values)];
      if (last !== null && least >= last) found[found.length - 1] = most; else found.push(least, most);
      last = most;
    }
    return found;
  }
  function sorted(rows) {
    const by = view.sort.filter(([key]) => lists.has(key)).map(([key, direction]) => [lists.get(key), direction === "-" ? -1 : 1]);
    // What is equal stands best first, as everywhere (records.folder.rank): ranked ones, others with a value, the rest by number.
    for (const [name, sign] of [["rank", 1], ["value", blob.sweep.goal === "maximize" ? -1 : 1], ["number", 1]]) {
      const column = columns.find((each) => each.of === "trial" && each.name === name);
      if (column) by.push([lists.get(column.key), sign]);
    }
    return [...rows].sort((a, b) => {
      for (const [list, sign] of by) {
        const order = compared(list[a], list[b], sign);
        if (order) return order;
      }
      return a - b;
    });
  }
  // Numbers before texts; what has no value comes last in either direction.
  function compared(a, b, sign) {
    const none = (value) => value === null || value === undefined || Number.isNaN(value);
    if (none(a) || none(b)) return none(a) - none(b);
    const numbers = isNumber(a) - isNumber(b);
    if (numbers) return -numbers;
    if (isNumber(a)) return sign * (a < b ? -1 : a > b ? 1 : 0);
    const [one, two] = [String(a), String(b)];
    return sign * (one < two ? -1 : one > two ? 1 : 0);
  }

  const store = report.store = {
    get sweep() { return blob.sweep; },
    get curves() { return blob.curves; },
    get details() { return blob.details || {}; },
    get figures() { return blob.figures; },
    get blob() { return blob; },
    get columns() { return columns; },
    get view() { return view; },
    get count() { return blob.trials.name.length; },
    within, pairs, brushOf,
    column: (key) => byKey.get(key),
    value(row, key) { const list = lists.get(key); return list && list[row] !== undefined ? list[row] : null; },
    list: (key) => lists.get(key),
    name: (row) => blob.trials.name[row],
    // A field of a trial as the data has it, such as `members` or `url`, whether a column shows it or not.
    field(row, name) { const list = blob.trials[name]; return list && list[row] !== undefined ? list[row] : null; },
    row(name) { const row = places.get(name); return row === undefined ? -1 : row; },
    // Rows that satisfy filter and brush, in the table's order.
    get visible() { return seen || (seen = sorted(found())); },

    // Changes what is looked at; `replace`: without a step that the browser's Back goes to. Only other pages are such steps.
    set(patch, { replace = !("trial" in patch || "compare" in patch), quiet = false } = {}) {
      const changed = Object.keys(FIRST).filter((name) => name in patch && JSON.stringify(patch[name]) !== JSON.stringify(view[name]));
      if (!changed.length) return;
      view = { ...view, ...Object.fromEntries(changed.map((name) => [name, patch[name]])) };
      if ((changed.includes("where") || changed.includes("sort") || changed.includes("brush")) && !("page" in patch)) view.page = 1;
      if (changed.includes("where") || changed.includes("brush")) kept = null;
      if (changed.includes("where") || changed.includes("brush") || changed.includes("sort")) seen = null;
      if (!quiet && report.address) report.address.write(replace);
      tell("view", new Set(changed));
    },
    MOST,
    // Ticks a trial in the table, or takes the tick away.
    choose(name, on) {
      const others = view.chosen.filter((other) => other !== name);
      store.set({ chosen: on ? [...others, name].slice(0, MOST) : others });
    },
    reset(patch = {}, options) { store.set({ ...FIRST, ...patch }, options); },
    get first() { return { ...FIRST }; },
    on(event, listener) { listeners[event].add(listener); return () => listeners[event].delete(listener); },

    // Takes the whole data of the page.
    load(content) {
      blob = content;
      index();
      kept = seen = null;
      tell("data", new Set(blob.trials.name));
    },
    // Adds or replaces trials: `trials` has the columns of those that changed, `curves` and `details` theirs, `sweep` what changed of it.
    merge({ trials = null, curves = {}, details = {}, sweep = {}, figures = null } = {}) {
      Object.assign(blob.sweep, sweep);
      if (figures) blob.figures = figures;
      blob.details = { ...store.details, ...details };
      for (const [name, own] of Object.entries(curves)) blob.curves[name] = { ...blob.curves[name], ...own };
      const names = trials ? trials.name : [];
      if (trials) {
        const rows = names.map((name) => { if (!places.has(name)) { places.set(name, places.size); blob.trials.name.push(name); } return places.get(name); });
        const into = (target, source) => {
          for (const name of new Set([...Object.keys(target), ...Object.keys(source)])) {
            if (name === "name" || ["params", "values", "best"].includes(name)) continue;
            const list = target[name] = target[name] || [];
            while (list.length < store.count) list.push(null);
            rows.forEach((row, at) => { list[row] = source[name] ? source[name][at] : null; });
          }
        };
        into(blob.trials, trials);
        for (const part of ["params", "values", "best"]) into(blob.trials[part] = blob.trials[part] || {}, trials[part] || {});
      }
      index();
      kept = seen = null;
      tell("data", new Set([...names, ...Object.keys(curves), ...Object.keys(details)]));
    },
  };

  // -- start: parts that need the data wait for it
  const waiting = [];
  let started = false;
  report.whenReady = (f) => { if (started) f(); else waiting.push(f); };
  report.unpack = async (text) => {
    const letters = atob(text), bytes = new Uint8Array(letters.length);
    for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
  };
  report.source = async () => (await report.unpack(document.getElementById("data").textContent)).json();  // the served page has another
  report.start = async () => {
    store.load(await report.source());
    started = true;
    if (report.address) report.address.read();
    for (const f of waiting) f();
  };
})();
