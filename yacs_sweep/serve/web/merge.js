// Merges what the server tells into the data of the page, which its table and pictures draw from; loads all of it anew at times.
"use strict";
(() => {
  const report = window.report, { store } = report;
  const FIELDS = {  // of a trial, from what the server sends
    number: (trial) => trial.number, state: (trial) => trial.state, value: (trial) => trial.value, duration: (trial) => trial.seconds,
    started: (trial) => trial.started || null, ended: (trial) => trial.ended, reason: (trial) => trial.reason || null,
    cause: (trial) => trial.cause || null, point: (trial) => trial.point, seed: (trial) => trial.seed,
    attempts: (trial) => (trial.attempts > 1 ? trial.attempts : null), exit_code: (trial) => trial.exit_code || null,
    gpus: (trial) => trial.gpus.join(",") || null, host: (trial) => trial.host || null, retry_of: (trial) => trial.retry_of,
    parent: (trial) => trial.parent, begun_at: (trial) => trial.begun_at || null, replaces: (trial) => trial.replaces,
    until: (trial) => trial.until, violated: (trial) => trial.violated.join(" and ") || null,
  };
  const CURVES = 8, METRICS = 60, LONGEST = 160;  // metrics with curves, and with columns; points of a curve before it is thinned
  const KEPT = 4000;  // rows of a trial that are kept for when all is loaded anew
  const LEAST = 1000, LOAD = 10000, SHARE = 50;  // ms between two merges, two loads; and how much longer a load's work is waited for

  const trials = new Map();  // all that have changed since the page was made, by name
  const rows = new Map();  // and all their rows
  let changed = new Set(), fresh = new Map();  // since the last merge
  const points = new Map(), placed = new Map();  // of a sweep with repeats: columns of changed points as {column: value}, and their ranks
  let timer = null, last = 0, took = 0;
  let before = null;  // whether the sweep ran, and its number of trials, at the last event
  let loaded = performance.now(), loadTook = 0, loading = false, loadTimer = null;

  const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
  const textOf = (value) => (value !== null && typeof value === "object" && !Array.isArray(value) ? JSON.stringify(value) : value);
  const better = (goal, a, b) => (goal === "maximize" ? a > b : a < b);

  function ranks() {
    const { goal } = store.sweep, list = [];
    const state = (row) => store.field(row, "state"), value = (row) => store.field(row, "value");
    for (let row = 0; row < store.count; row++) {
      if (state(row) === "finished" && isNumber(value(row)) && !store.field(row, "violated")) list.push(row);
    }
    list.sort((a, b) => (better(goal, value(a), value(b)) ? -1 : better(goal, value(b), value(a)) ? 1 : a - b));
    const found = new Map();
    list.forEach((row, place) => found.set(row, place && value(list[place - 1]) === value(row) ? found.get(list[place - 1]) : place + 1));
    return found;
  }

  // The columns of some trials: what the data has, with what is new.
  function columnsOf(names, news) {
    const { blob } = store, found = { name: names };
    const old = (lists, name) => names.map((own) => { const row = store.row(own); return row >= 0 && lists[name] ? lists[name][row] ?? null : null; });
    for (const name of new Set([...Object.keys(blob.trials), ...Object.keys(FIELDS)])) {
      if (["name", "params", "values", "best"].includes(name)) continue;
      const before = old(blob.trials, name), of = FIELDS[name];
      const list = of ? names.map((own, at) => { const trial = trials.get(own); return trial ? of(trial) ?? null : before[at]; }) : before;
      if (blob.trials[name] || list.some((value) => value !== null)) found[name] = list;
    }
    const lists = (part, keys, value) => Object.fromEntries(keys.map((key) => {
      const before = old(blob.trials[part] || {}, key);
      return [key, names.map((own, at) => value(own, key, before[at]))];
    }));
    const params = new Set(Object.keys(blob.trials.params || {}));
    for (const name of names) for (const key of Object.keys(trials.get(name)?.params || {})) params.add(key);
    found.params = lists("params", [...params], (own, key, before) => (trials.has(own) ? textOf(trials.get(own).params[key] ?? null) : before));
    const metrics = new Set(Object.keys(blob.trials.values || {}));
    for (const each of news.values()) for (const row of each) for (const key of Object.keys(row)) {
      if (key !== "step" && key !== "epoch" && metrics.size < METRICS) metrics.add(key);
    }
    const lastOf = new Map([...news].map(([name, each]) => [name, Object.assign({}, ...each)]));
    found.values = lists("values", [...metrics], (own, key, before) => {
      const trial = trials.get(own);
      if (trial && key === store.sweep.metric && trial.value !== null) return trial.value;
      return trial?.values?.[key] ?? lastOf.get(own)?.[key] ?? before;
    });
    const goals = Object.fromEntries((store.sweep.metrics || []).map((metric) => [metric.name, metric.goal]));
    found.best = lists("best", Object.keys(goals), (own, key, before) => (news.get(own) || []).reduce((best, row) => (
      isNumber(row[key]) && (!isNumber(best) || better(goals[key], row[key], best)) ? row[key] : best), before));
    return found;
  }

  // The curves of some trials with their new rows; one that has grown long is thinned to half.
  function curvesOf(news) {
    const { curves, sweep } = store, found = {};
    const drawn = new Set(Object.values(curves).flatMap((own) => Object.keys(own)));
    for (const [name, each] of news) {
      const before = curves[name] || {}, own = {};
      for (const row of each) {
        const x = sweep.axis === "epoch" ? row.epoch ?? row.step : row.step;
        if (!isNumber(x)) continue;
        for (const [key, y] of Object.entries(row)) {
          if (key === "step" || key === "epoch" || !isNumber(y)) continue;
          if (!drawn.has(key)) { if (drawn.size >= CURVES) continue; drawn.add(key); }
          const curve = own[key] = own[key] || (before[key] ? { ...before[key], x: [...before[key].x], y: [...before[key].y], ...(before[key].step ? { step: [...before[key].step] } : {}) } : { x: [], y: [], ...(sweep.axis === "epoch" ? { step: [] } : {}) });
          const places = curve.step || curve.x, place = curve.step ? row.step : x;
          if (places.length && isNumber(places.at(-1)) && place <= places.at(-1)) continue;  // the data has it already
          curve.x.push(x); curve.y.push(y);
          if (curve.step) curve.step.push(row.step ?? null);
          if (curve.x.length > LONGEST) {
            for (const list of ["x", "y", "step"]) if (curve[list]) curve[list] = curve[list].filter((_, at) => at % 2 === 0 || at === LONGEST);
          }
        }
      }
      if (Object.keys(own).length) found[name] = own;
    }
    return found;
  }

  // Points as the server sends them: each is kept by its name, for when all is loaded anew.
  function keepPoints({ trials: columns, curves, ranks }) {
    columns.name.forEach((name, at) => {
      const parts = Object.fromEntries(["params", "values", "best"].map((part) => [part, Object.fromEntries(Object.entries(columns[part]).map(([key, list]) => [key, list[at]]))]));
      const fields = Object.fromEntries(Object.entries(columns).filter(([, list]) => Array.isArray(list)).map(([key, list]) => [key, list[at]]));
      points.set(name, { fields, parts, curves: curves[name] || {} });
    });
    for (const [name, rank] of Object.entries(ranks)) placed.set(name, rank);
  }
  function mergePoints(names) {
    const own = names.map((name) => points.get(name));
    const lists = (of) => Object.fromEntries([...new Set(own.flatMap((point) => Object.keys(of(point))))].map((key) => [key, own.map((point) => of(point)[key] ?? null)]));
    if (own.length) {
      const parts = Object.fromEntries(["params", "values", "best"].map((part) => [part, lists((point) => point.parts[part])]));
      store.merge({ trials: { ...lists((point) => point.fields), ...parts }, curves: Object.fromEntries(names.map((name) => [name, points.get(name).curves])) });
    }
    const moved = [...placed].filter(([name, rank]) => store.row(name) >= 0 && store.field(store.row(name), "rank") !== rank).map(([name]) => name);
    if (moved.length) store.merge({ trials: { ...columnsOf(moved, new Map()), rank: moved.map((name) => placed.get(name)) } });
  }
  // Seeds have no row in the table: what is known of them is among their details.
  function mergeSeeds(names) {
    const details = {};
    for (const name of names) {
      const trial = trials.get(name), before = store.details[name] || {};
      if (!trial) continue;
      const last = Object.fromEntries(Object.entries(Object.assign({}, ...(rows.get(name) || []))).filter(([key]) => key !== "step" && key !== "epoch"));
      const own = { state: trial.state, reason: trial.reason, value: trial.value, values: { ...(before.own || {}).values, ...last }, seed: trial.seed, point: trial.point,
        duration: trial.seconds, started: trial.started, ended: trial.ended, host: trial.host, gpus: trial.gpus.join(",") };
      details[name] = { ...before, own: Object.fromEntries(Object.entries(own).filter(([, value]) => value !== null && value !== "")) };
    }
    if (Object.keys(details).length) store.merge({ details });
  }

  function merge() {
    timer = null;
    if (store.sweep.noun !== "trial") {
      const seeds = new Set([...changed, ...fresh.keys()]);
      changed = new Set(); fresh = new Map();
      mergeSeeds(seeds);
      last = performance.now();
      return;
    }
    const begun = performance.now(), before = ranks();
    const names = new Set([...changed, ...[...fresh.keys()].filter((name) => store.row(name) >= 0 || trials.has(name))]);
    store.merge({ trials: columnsOf([...names], fresh), curves: curvesOf(fresh) });
    const after = ranks();
    const moved = [...after].filter(([row, place]) => before.get(row) !== place).map(([row]) => row);
    const gone = [...before.keys()].filter((row) => !after.has(row));
    if (moved.length || gone.length) {
      const list = [...moved, ...gone].map((row) => store.name(row)), columns = columnsOf(list, new Map());
      columns.rank = list.map((name) => after.get(store.row(name)) ?? null);
      store.merge({ trials: columns });
    }
    changed = new Set(); fresh = new Map();
    last = performance.now(); took = last - begun;
  }

  function schedule() {
    if (timer === null) timer = setTimeout(merge, Math.max(0, last + Math.max(LEAST, 20 * took) - performance.now()));
  }

  // Loads the answer and all data. The server makes them anew at most as often as `SHARE` says, however many browsers ask.
  async function load(now) {
    if (loading) return;
    loading = true;
    try {
      const response = await fetch(`${document.getElementById("live").dataset.whole}${now ? "?now=1" : ""}`, { credentials: "same-origin" });
      if (!response.ok) throw new Error(String(response.status));
      const content = await response.json();
      loadTook = 1000 * content.took;
      const header = new DOMParser().parseFromString(content.header, "text/html").querySelector("header");
      if (header) document.querySelector("header").replaceChildren(...header.childNodes);
      store.load(content.data);
      // What has come meanwhile is not in it, or is there already: either way it is merged once more.
      if (trials.size) {
        changed = new Set(trials.keys());
        fresh = new Map(rows);
        merge();
      }
      mergePoints([...points.keys()]);
      dispatchEvent(new CustomEvent("report-loaded"));
    } finally { loading = false; loaded = performance.now(); }
  }

  report.live = {
    load,
    hasChanged: (name) => trials.has(name),
    take(changes, whole) {
      report.whenReady(() => {
        for (const trial of changes.trials || []) { trials.set(trial.name, trial); changed.add(trial.name); }
        for (const [name, each] of Object.entries(changes.rows || {})) {
          const kept = rows.get(name) || [];
          const from = kept.length ? kept.at(-1).step : -Infinity, news = each.filter((row) => !(row.step <= from));
          rows.set(name, [...kept, ...news].slice(-KEPT));
          fresh.set(name, [...(fresh.get(name) || []), ...news]);
        }
        if (changed.size || fresh.size) schedule();
        if (changes.points) { keepPoints(changes.points); mergePoints(changes.points.trials.name); }
        const ended = !whole && (changes.trials || []).some((trial) => trial.state !== "running");
        // Whether the sweep runs, and how many trials it is to have, stand in the answer, too.
        const aim = changes.state ? `${changes.state.running} ${changes.state.target}` : before;
        const other = before !== null && aim !== before;
        before = aim;
        if ((ended || other) && loadTimer === null) {
          const wait = Math.max(500, loaded + Math.max(LOAD, SHARE * loadTook) - performance.now());
          loadTimer = setTimeout(() => { loadTimer = null; load(false).catch(() => {}); }, wait);
        }
      });
    },
  };
})();
