// Fetches the details of the trials that are looked at: those that the page does not have, and those that change.
"use strict";
(() => {
  const report = window.report, { store } = report;
  const AGAIN = 4000;  // ms between two questions for the same trial
  const address = document.getElementById("live").dataset.trial;
  const known = new Map();  // by name, the trial's state when it was last asked for, and when

  const looked = () => (store.view.trial !== null ? [store.view.trial] : store.view.compare);
  // A trial's state; of a seed, which has no row, what its details say. A point has no details of its own.
  const stateOf = (name) => (store.row(name) >= 0 ? store.field(store.row(name), "state") : store.details[name]?.own?.state ?? null);
  const isPoint = (name) => store.row(name) >= 0 && store.field(store.row(name), "members") !== null;

  function isStale(name) {
    const before = known.get(name), state = stateOf(name), has = Boolean(store.details[name]);
    if (!before) return !has || state === "running" || report.live.hasChanged(name);
    if (before.state !== state) return true;
    return (!has || state === "running") && performance.now() - before.at > AGAIN;
  }

  async function ask(name) {
    known.set(name, { state: stateOf(name), at: performance.now() });
    try {
      const response = await fetch(address + encodeURIComponent(name), { credentials: "same-origin" });
      if (!response.ok) return;
      const content = await response.json();
      if (JSON.stringify(content) !== JSON.stringify(store.details[name])) store.merge({ details: { [name]: content } });
    } catch { /* the stream says that the server does not answer */ }
  }

  function look() { for (const name of looked()) if (!isPoint(name) && isStale(name)) ask(name); }

  report.whenReady(() => {
    store.on("view", (changed) => { if (changed.has("trial") || changed.has("compare")) look(); });
    store.on("data", look);
    setInterval(look, AGAIN);
    look();
  });
})();
