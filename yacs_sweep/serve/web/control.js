// Gives orders to the sweep: buttons, which ask first where something ends.
"use strict";
(() => {
  const report = window.report, { element: make } = report;
  const section = document.getElementById("live");
  const answer = make("p", { class: "told", role: "status" });
  const ofTrial = make("p", { class: "told", role: "status" });  // beside the trials that run
  let before = Promise.resolve();  // orders are given one after the other: none is lost
  let stopped = null, gone = null, ran = null;  // the trial that the answer is about; it has ended; whether the sweep ran

  function send(order, said = answer) { before = before.then(() => give(order, said)); }

  async function give(order, said) {
    said.textContent = "The order is given …";
    if (order.trial) [stopped, gone] = [order.trial, null];
    try {
      const response = await fetch(section.dataset.orders, {
        method: "POST",
        headers: { "content-type": "application/json", "x-yacs-sweep": "order" },
        body: JSON.stringify(order),
        credentials: "same-origin",
      });
      const text = await response.text();
      let lines = [text];
      try { lines = JSON.parse(text).lines; } catch { /* the server's own words */ }
      said.textContent = (response.ok || order.act === "stop_trial" ? "" : "Not done: ") + lines.join("\n");
      if (order.trial && gone === order.trial) said.textContent = hasEnded(gone);  // it ended before this answer came
      if (response.ok) dispatchEvent(new CustomEvent("report-ordered"));
      return response.ok;
    } catch (error) {
      said.textContent = `Not done: the server does not answer (${error.message}).`;
    }
  }

  function hasEnded(name) { return `${name} has ended.`; }

  // A question in a dialog: the button that changes nothing has the focus, Escape does the same.
  function ask(question, yes, order, said = answer) {
    const before = document.activeElement;
    const close = () => { dialog.close(); };
    const no = make("button", { type: "button", onclick: close }, "Change nothing");
    const dialog = make("dialog", { class: "ask", "aria-labelledby": "ask-text" },
      make("p", { id: "ask-text" }, question),
      make("div", { class: "row" }, no,
        make("button", { type: "button", class: "ends", onclick: () => { close(); send(order, said); } }, yes)));
    dialog.addEventListener("close", () => { dialog.remove(); before?.focus?.(); });
    document.body.append(dialog);
    dialog.showModal();
    no.focus();
  }

  const pause = make("button", { type: "button", onclick: () => send({ act: pause.dataset.act }) });
  const stop = make("button", { type: "button", onclick: () => ask(
    "Stop this sweep? No further trial starts, and it ends when the running ones have finished.",
    "Stop the sweep", { act: "stop" }) }, "Stop …");
  const cancel = make("button", { type: "button", class: "ends", onclick: () => ask(
    "Cancel this sweep? Its running trials are ended now.", "Cancel the sweep", { act: "cancel" }) }, "Cancel …");

  const now = make("input", { type: "checkbox", id: "workers-now" });
  function numberForm(id, label, take, more = []) {
    const input = make("input", { type: "number", id, min: 1, max: 1000000, step: 1, required: "", inputmode: "numeric" });
    const form = make("form", { onsubmit: (event) => {
      event.preventDefault();
      if (Number.isInteger(input.valueAsNumber)) take(input.valueAsNumber);
    } }, make("label", { for: id }, label), input, ...more, make("button", { type: "submit" }, "Set"));
    return [form, input];
  }
  const [workersForm, workers] = numberForm("set-workers", "Workers", (number) => {
    const order = { act: "set_workers", workers: number, now: now.checked };
    if (!now.checked) send(order);
    else ask(`Have ${number} workers now? Trials that are too many are ended, and tried again later.`,
      "End what is too much", order);
  }, [make("label", {}, now, " at once")]);
  const [countForm, count] = numberForm("set-count", "Trials in all", (number) => send({ act: "set_count", count: number }));


  // What is ordered rarely. Mistakes in the points stand below them, and the text stays as it was typed.
  const gpus = make("input", { type: "text", id: "set-gpus", size: 10, required: "", placeholder: "0,1", autocomplete: "off" });
  const gpusNow = make("input", { type: "checkbox", id: "gpus-now" });
  const gpusForm = make("form", { onsubmit: (event) => {
    event.preventDefault();
    const order = { act: "set_gpus", gpus: gpus.value.trim(), now: gpusNow.checked };
    if (!gpusNow.checked) send(order);
    else ask(`Use GPU ${order.gpus} alone now? Trials on other GPUs are ended, and tried again later.`, "End those on other GPUs", order);
  } }, make("label", { for: "set-gpus" }, "GPUs"), gpus, make("label", {}, gpusNow, " at once"), make("button", { type: "submit" }, "Set"));
  const points = make("textarea", { id: "add-points", rows: 4, required: "", spellcheck: "false", "aria-describedby": "add-points-answer" });
  const pointsAnswer = make("p", { class: "told", role: "status", id: "add-points-answer" });
  const pointsForm = make("form", { class: "points", onsubmit: (event) => {
    event.preventDefault();
    send({ act: "add_points", text: points.value }, pointsAnswer);
  } }, make("label", { for: "add-points" }, "Points to try next, as YAML or JSON: a line for each"), points,
  make("button", { type: "submit" }, "Add points"), pointsAnswer);
  const more = make("details", {}, make("summary", {}, "GPUs, points to try next"), gpusForm, pointsForm);

  // A point as it may be typed, with the parameters that are searched.
  function example() {
    const { sweep } = report.store, row = sweep.best === null ? 0 : Math.max(0, report.store.row(sweep.best));
    const given = (sweep.searched || []).map((name) => [name, report.store.value(row, name)]).filter(([, value]) => value !== null);
    return given.length ? `- {${given.map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join(", ")}}` : "";
  }
  report.whenReady(() => { points.placeholder = example(); });

  report.control = {
    element: make("div", { class: "control" },
      make("div", { class: "row" }, pause, stop, cancel, workersForm, countForm), answer, more),
    ofTrial,

    // A trial runs no longer: that it is being ended is true no more.
    ended(name) {
      if (stopped !== name) return;
      [stopped, gone] = [null, name];
      ofTrial.textContent = hasEnded(name);
    },

    // Shows what the sweep can be ordered to do as it is now.
    update(state) {
      const paused = state.order !== null && state.order.act === "pause";
      pause.dataset.act = paused ? "resume" : "pause";
      pause.textContent = paused ? "Resume" : "Pause";
      pause.disabled = !state.running && !paused;  // there is nothing to pause
      if (ran && !state.running) answer.textContent = "";  // what trials were about to do, they have done
      ran = state.running;
      for (const button of [stop, cancel, ...workersForm.querySelectorAll("button"), ...gpusForm.querySelectorAll("button")]) button.disabled = !state.running;
      pointsForm.hidden = state.method === "grid" || state.controller === "wandb";  // they take none
      if (document.activeElement !== workers && !workers.value && state.workers) workers.value = state.workers;
      if (document.activeElement !== count && !count.value && state.target) count.value = state.target;
    },

    stopButton(name) {
      return make("button", { type: "button", "aria-label": `Stop ${name}`, onclick: () => ask(
        `Stop ${name}? It is ended now, and counts as stopped.`, "Stop the trial", { act: "stop_trial", trial: name }, ofTrial,
      ) }, "Stop …");
    },
  };
})();
