// Shows what the running sweep does: its state, the running trials with their last row, what has ended, orders.
"use strict";
(() => {
  const report = window.report, { element: make, format: { duration, text: written } } = report;
  const section = document.getElementById("live");
  let made = new Date();
  const state = { sweep: null, trials: new Map(), last: new Map(), at: new Map(), orders: [], ended: new Map(), shown: new Map() };

  // -- the frame: made once, so that what has the focus keeps it ---------------------------------------------------------
  const headline = make("p", { class: "headline" });
  const connection = make("span", { role: "status", class: "connection" });
  const again = make("button", { type: "button", hidden: "", onclick: () => location.reload() }, "Follow again");
  const body = make("tbody");
  const heads = ["Trial", "Parameters", "At", "Metric", "Other values", "For"];
  const running = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Running trials", hidden: "" },
    make("table", { id: "running" },
      make("caption", {}, "Running trials"),
      make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)),
        report.control ? make("th", { scope: "col" }, "Control") : null)),
      body));
  const news = make("div", { class: "news", hidden: "" });
  const orders = make("ul");
  const orderBox = make("details", { hidden: "" }, make("summary", {}, "Orders"), orders);
  section.append(make("h2", {}, "Live"), headline,
    make("p", { class: "follow" }, connection, " ", again),
    ...(report.control ? [report.control.element] : []), running,
    ...(report.control ? [report.control.ofTrial] : []), news, orderBox);

  // -- what changes -------------------------------------------------------------------------------------------------------
  function showState() {
    const sweep = state.sweep;
    if (!sweep) return;
    const counts = Object.entries(sweep.counts).map(([name, many]) => `${many} ${name}`).join(", ");
    const where = sweep.launchers.map((each) => `${each.host}, ${each.workers} ${each.workers === 1 ? "worker" : "workers"}`);
    const ordered = { pause: "paused", stop: sweep.running ? "stopping" : "stopped", cancel: "cancelled" };
    const word = !sweep.running && sweep.done >= sweep.target ? "done"
      : sweep.order ? ordered[sweep.order.act] || sweep.order.act : sweep.running ? "running" : "open";
    const metric = sweep.metrics.length ? sweep.metrics[0].name : "";
    const best = sweep.best ? make("strong", { id: "live-best" },
      `best ${metric} ${written(sweep.best.mean ?? sweep.best.value)} in ${sweep.best.point ?? sweep.best.name}`) : "no best trial yet";
    headline.replaceChildren(make("span", { class: `state ${word}` }, word), " · ",
      make("span", { id: "live-done" }, `${sweep.done} of ${sweep.target} trials`), counts ? ` (${counts})` : "", " · ", best,
      where.length ? ` · ${where.join("; ")}` : "", sweep.order ? ` · ${sweep.order.act} by ${sweep.order.by}` : "");
    report.control?.update(sweep);
  }

  function textOf(params) {
    return Object.entries(params).map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : written(value)}`).join(" ");
  }

  function rowOf(name) {
    let row = state.shown.get(name);
    if (!row) {
      const cells = heads.slice(1).map(() => make("td"));
      row = make("tr", { "data-trial": name }, make("th", { scope: "row" }, report.linkTo({ trial: name, compare: [] }, name)), ...cells,
        report.control ? make("td", {}, report.control.stopButton(name)) : null);
      state.shown.set(name, row);
      body.append(row);
    }
    return row;
  }

  // Where a row was logged.
  const placeOf = (row) => (!row ? "–" : "epoch" in row ? `epoch ${written(row.epoch)}` : "step" in row ? `step ${written(row.step)}` : "–");

  // The metrics of a running trial, each with its own epoch where that is not the last row's.
  function metricsOf(cell, name, metrics) {
    const last = state.last.get(name) || {}, { row, of } = state.at.get(name) || { row: null, of: {} };
    const parts = metrics.map((metric) => [written(last[metric]), of[metric] && placeOf(of[metric]) !== placeOf(row) ? placeOf(of[metric]) : ""]);
    if (cell.dataset.shown === JSON.stringify(parts)) return;
    cell.dataset.shown = JSON.stringify(parts);
    cell.replaceChildren(...(parts.length ? parts.flatMap(([value, place], at) => [...(at ? [" · "] : []), make("span", {}, value), ...(place ? [make("small", {}, ` (${place})`)] : [])]) : ["–"]));
  }

  function write(cell, text) { if (cell.textContent !== text) cell.textContent = text; }

  function showTrials() {
    for (const [name, row] of [...state.shown]) {
      if (state.trials.get(name)?.state === "running") continue;
      row.remove();
      state.shown.delete(name);
      report.control?.ended(name);
    }
    const metrics = (state.sweep?.metrics || []).map((metric) => metric.name);
    for (const trial of state.trials.values()) {
      if (trial.state !== "running") continue;
      const last = state.last.get(trial.name) || {}, cells = rowOf(trial.name).cells;
      write(cells[1], textOf(trial.params));
      write(cells[2], placeOf(state.at.get(trial.name)?.row));
      metricsOf(cells[3], trial.name, metrics);
      const others = Object.keys(last).filter((name) => !["step", "epoch", ...metrics].includes(name)).slice(0, 4);
      write(cells[4], others.map((name) => `${name}\u00a0${written(last[name])}`).join(" · "));
    }
    running.hidden = !state.shown.size;
    tick();
  }

  function tick() {
    for (const [name, row] of state.shown) {
      const started = Date.parse(state.trials.get(name)?.started);
      write(row.cells[5], Number.isNaN(started) ? "–" : duration(Math.max(0, Date.now() - started) / 1000));
    }
  }

  function showNews() {
    news.hidden = !state.ended.size;
    if (news.hidden) return;
    const last = [...state.ended.values()].slice(-6).reverse();
    const at = `${String(made.getHours()).padStart(2, "0")}:${String(made.getMinutes()).padStart(2, "0")}`;
    const many = state.ended.size === 1 ? "1 trial has" : `${state.ended.size} trials have`;
    news.replaceChildren(
      make("p", {}, `${many} ended since the answer and the pictures were made, at ${at}. `,
        make("button", { type: "button", id: "reload", onclick: () => report.live.load(true) }, "Bring them up to date")),
      make("ul", {}, ...last.map((trial) => make("li", {}, make("b", {}, trial.name), " ",
        make("span", { class: `state ${trial.state}` }, trial.state), " ",
        trial.value === null ? "" : `${written(trial.value)} `, trial.state === "finished" ? "" : trial.reason))));
  }

  function showOrders() {
    orderBox.hidden = !state.orders.length;
    orders.replaceChildren(...[...state.orders].reverse().map((order) => make("li", {},
      `${order.at.slice(0, 19).replace("T", " ")} UTC, ${order.who}: `, make("b", {}, order.text), ": ",
      order.answers.map((answer) => `${answer.text} (${answer.host}, process ${answer.pid})`).join("; ") || "no answer yet")));
  }

  function take(changes, whole) {
    if (whole) { state.trials.clear(); }
    if (changes.state) state.sweep = changes.state;
    for (const trial of changes.trials || []) {
      state.trials.set(trial.name, trial);
      if (trial.state === "running" || trial.state === "paused") state.ended.delete(trial.name);
      else if (!whole) state.ended.set(trial.name, trial);
    }
    for (const [name, rows] of Object.entries(changes.rows || {})) {
      state.last.set(name, Object.assign({}, state.last.get(name), ...rows));
      const at = state.at.get(name) || { row: null, of: {} };
      for (const row of rows) {
        at.row = row;
        for (const key of Object.keys(row)) at.of[key] = row;
      }
      state.at.set(name, at);
    }
    if (changes.orders) { state.orders = changes.orders; showOrders(); }
    if (changes.state) showState();
    showTrials();
    showNews();
    report.live.take(changes, whole);
  }
  addEventListener("report-loaded", () => { made = new Date(); state.ended.clear(); showNews(); });

  setInterval(tick, 1000);
  let said = "";
  const follow = (mark) => report.follow(section.dataset.events, mark,
    { whole: (changes) => take(changes, true), change: (changes) => take(changes, false) },
    (word, text) => {
      said = word;
      connection.textContent = text;
      connection.className = `connection ${word}`;
      again.hidden = !["over", "missed", "closed"].includes(word);
    });
  follow(section.dataset.mark);
  addEventListener("report-ordered", () => { if (said === "over") follow(""); });  // nobody tells otherwise what has changed
})();
