// Shows what the running sweep does: its state, the running trials with their last row, what has ended, orders.
"use strict";
(() => {
  const report = window.report, { element: make, format: { duration, text: written } } = report;
  const section = document.getElementById("live");
  let made = new Date();
  const state = { sweep: null, trials: new Map(), last: new Map(), orders: [], ended: new Map(), shown: new Map() };

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
    ...(report.control ? [report.control.element] : []), running, news, orderBox);

  // -- what changes -------------------------------------------------------------------------------------------------------
  function showState() {
    const sweep = state.sweep;
    if (!sweep) return;
    const counts = Object.entries(sweep.counts).map(([name, many]) => `${many} ${name}`).join(", ");
    const where = sweep.launchers.map((each) => `${each.host}, ${each.workers} ${each.workers === 1 ? "worker" : "workers"}`);
    const word = sweep.order ? { pause: "paused", stop: "stopping", cancel: "cancelled" }[sweep.order.act] || sweep.order.act
      : sweep.running ? "running" : sweep.done < sweep.target ? "open" : "done";
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

  function write(cell, text) { if (cell.textContent !== text) cell.textContent = text; }

  function showTrials() {
    for (const [name, row] of [...state.shown]) {
      if (state.trials.get(name)?.state === "running") continue;
      row.remove();
      state.shown.delete(name);
    }
    const metrics = (state.sweep?.metrics || []).map((metric) => metric.name);
    for (const trial of state.trials.values()) {
      if (trial.state !== "running") continue;
      const last = state.last.get(trial.name) || {}, cells = rowOf(trial.name).cells;
      write(cells[1], textOf(trial.params));
      write(cells[2], "epoch" in last ? `epoch ${written(last.epoch)}` : "step" in last ? `step ${written(last.step)}` : "–");
      write(cells[3], metrics.length ? metrics.map((name) => written(last[name])).join(" · ") : "–");
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
    }
    if (changes.orders) { state.orders = changes.orders; showOrders(); }
    if (changes.state) showState();
    showTrials();
    showNews();
    report.live.take(changes, whole);
  }
  addEventListener("report-loaded", () => { made = new Date(); state.ended.clear(); showNews(); });

  setInterval(tick, 1000);
  report.follow(section.dataset.events, section.dataset.mark,
    { whole: (changes) => take(changes, true), change: (changes) => take(changes, false) },
    (word, text) => {
      connection.textContent = text;
      connection.className = `connection ${word}`;
      again.hidden = !["over", "missed", "closed"].includes(word);
    });
})();
