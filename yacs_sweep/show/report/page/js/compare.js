// Two to six trials side by side: what differs first, then metrics, curves, and the words of their commands.
"use strict";
(() => {
  const report = window.report, store = report.store, make = report.make, short = report.format.text;
  const { MOST } = store;
  const trialOf = (name) => report.trialOf(name) || report.otherTrial(name);  // of the sweep, or of the one beside it

  const without = (names, name) => names.filter((each) => each !== name);
  // Words of a command that not all have at the same place; with another number of words, those that not all have.
  function words(trials) {
    const lists = trials.map((trial) => ((trial.details || {}).command || "").split(" ").filter(Boolean)), plain = lists.map((list, place) => list.map((word) => word.replaceAll(trials[place].name, "{trial}")));
    const known = plain.filter((list) => list.length), long = new Set(known.map((list) => list.length)).size > 1;
    return lists.map((list, place) => list.map((word, at) => {
      const own = plain[place][at];
      return [word, known.some((other) => (long ? !other.includes(own) : other[at] !== own))];
    }));
  }
  // Where on their curves some values stand, and the last place that all curves have; null where the values stand at one place.
  function apart(curves, values) {
    const same = (one, other) => typeof one === "number" && typeof other === "number" && Math.abs(one - other) <= 1e-4 * Math.abs(other);  // curves are rounded
    const at = curves.map((curve, place) => { const found = curve ? curve.y.findLastIndex((y) => same(y, values[place])) : -1; return found < 0 ? null : curve.x[found]; });
    if (new Set(at.filter((x) => x !== null)).size < 2) return null;
    const common = curves.filter(Boolean).map((curve) => new Set(curve.x)).reduce((all, own) => new Set([...all].filter((x) => own.has(x))));
    return { at, common: common.size ? Math.max(...common) : null };
  }
  // The rows of a table of metrics. Values of different epochs are not compared: those at the last common one are, in a row of their own.
  function metricRows(trials, measured, names) {
    const found = new Map();
    for (const name of names) {
      const values = trials.map((trial) => measured.get(trial)[name] ?? null), curves = trials.map((trial) => trial.curves()[name] || null);
      const ends = apart(curves, values), { axis } = store.sweep;
      found.set(name, { name, values, at: ends && ends.at.map((x) => (x === null ? "" : `${axis} ${short(x)}`)) });
      if (ends && ends.common !== null) found.set(`${name} at ${axis} ${short(ends.common)}`, { name, values: curves.map((curve) => (curve ? curve.y[curve.x.lastIndexOf(ends.common)] : null)), at: null });
    }
    return found;
  }
  function table(trials, caption, names, value, { numbers = false, goals = {}, differences = false, at = () => null } = {}) {
    const heads = ["", ...trials.map((trial) => report.trialLink(trial.name))];
    const rows = names.map((name) => {
      const values = trials.map((trial) => value(trial, name)), first = values[0], places = at(name);
      const finite = values.filter((each) => typeof each === "number" && Number.isFinite(each));
      const goal = places ? null : goals[name], top = goal && finite.length > 1 ? (goal === "maximize" ? Math.max(...finite) : Math.min(...finite)) : null;
      return [name, ...values.map((each, place) => {
        const less = numbers && !places && place > 0 && typeof each === "number" && typeof first === "number" ? each - first : null;
        const differs = differences && place > 0 && !report.isSame(each, first);
        return make("td", { class: [numbers ? "num" : "", differs ? "differs" : ""].join(" ").trim() || null },
          differs && make("span", { "aria-hidden": "true" }, "≠ "), top !== null && each === top ? make("b", {}, short(each)) : short(each),
          places && each !== null && make("small", {}, ` ${places[place]}`), less !== null && less !== 0 && make("small", {}, ` ${less > 0 ? "+" : "−"}${short(Math.abs(less), 3)}`), differs && make("span", { class: "unseen" }, ", differs from the first"));
      })];
    });
    return report.grid(caption, heads, rows, { class: "beside" });
  }
  function adding(names) {
    const said = make("span", { role: "status", class: "said" });
    const input = make("input", { list: "trials-to-add", "aria-label": "trial to add", placeholder: "trial", "data-key": "add", size: "18" });
    const add = (event) => {
      event.preventDefault();
      const name = input.value.trim();
      if (!trialOf(name)) said.textContent = name ? "no trial of this name" : "";
      else if (!names.includes(name)) store.set({ compare: [...names, name] });
    };
    const list = make("datalist", { id: "trials-to-add" }, [...store.visible.slice(0, 200).map((row) => store.name(row)), ...report.otherNames().slice(0, 200)].map((name) => make("option", { value: name })));
    return make("form", { class: "controls", onsubmit: add }, input, list, make("button", { type: "submit" }, "Add"), said);
  }

  function page(place, all) {
    const names = [...new Set(all)].slice(0, MOST), trials = names.map(trialOf).filter(Boolean), missing = names.filter((name) => !trialOf(name));
    place.append(
      make("p", { class: "crumbs" }, report.linkTo({ trial: null, compare: [] }, `← All ${store.sweep.noun || "trial"}s`, { "data-key": "all" })),
      make("h1", {}, `${trials.length} ${store.sweep.noun || "trial"}s side by side`),
      ...(missing.length ? [make("p", { class: "note" }, `There is no trial called ${missing.join(", ")}.`)] : []),
      ...(all.length > MOST ? [make("p", { class: "note" }, `The first ${MOST} are shown.`)] : []),
      make("p", { class: "legend chosen" }, trials.map((trial) => make("span", {}, report.trialLink(trial.name), " ", report.linkTo({ compare: without(names, trial.name) }, "×", { "aria-label": `remove ${trial.name}`, "data-key": `remove ${trial.name}` })))),
      ...(names.length < MOST ? [adding(names)] : []),
    );
    if (trials.length < 2) { place.append(make("p", { class: "lead" }, "Add another to compare.")); return names; }
    const params = trials.map((trial) => trial.params()), every = [...new Set([...(store.sweep.searched || []), ...params.flatMap(Object.keys)])].filter((name) => params.some((given) => name in given));
    const of = new Map(trials.map((trial, at) => [trial, params[at]])), measured = new Map(trials.map((trial) => [trial, trial.metrics()]));
    const differ = every.filter((name) => params.some((given) => !report.isSame(given[name], params[0][name]))), same = every.filter((name) => !differ.includes(name));
    const goals = Object.fromEntries((store.sweep.metrics || []).flatMap(({ name, goal }) => [[name, goal], [`best ${name}`, goal]]));
    const metrics = metricRows(trials, measured, [...new Set([...measured.values()].flatMap(Object.keys))]);
    for (const [label, { name }] of metrics) if (goals[name]) goals[label] = goals[name];
    const param = (trial, name) => of.get(trial)[name];
    const run = [["state", "state"], ["reason", "reason"], ["time", "duration"], ["started", "started"], ["machine", "host"], ["GPU", "gpus"], [store.sweep.repeat || "seed", "seed"], ["attempts", "attempts"], ["continues", "parent"]]
      .filter(([, key]) => trials.some((trial) => trial.field(key) !== null));
    const keys = Object.fromEntries(run);
    const commits = trials.map((trial) => ((trial.details || {}).commit || "").replace(/\+dirty$/, "")), two = [...new Set(commits.filter(Boolean))];
    const marked = words(trials), changed = marked.some((list) => list.some(([, differs]) => differs));
    place.append(
      make("section", {}, make("h2", {}, "Parameters"),
        differ.length ? table(trials, `${differ.length} of ${every.length} differ`, differ, param, { differences: true }) : make("p", { class: "lead" }, "No parameter differs."),
        ...(same.length ? [make("details", { "data-key": "same" }, make("summary", {}, `${same.length} with the same value`), table(trials.slice(0, 1), "The same in all", same, param))] : [])),
      ...(metrics.size ? [make("section", {}, make("h2", {}, "Metrics"), table(trials, "Last values, and the difference to the first; the best in bold", [...metrics.keys()], (trial, label) => metrics.get(label).values[trials.indexOf(trial)], { numbers: true, goals, at: (label) => metrics.get(label).at }))] : []),
      make("section", {}, make("h2", {}, "Curves"), report.curvesOf(trials.map((trial) => [trial.name, trial.curves(), trial.field("duration")]))),
      make("section", {}, make("h2", {}, "How they ran"), table(trials, "State, time and machine", run.map(([name]) => name), (trial, name) => { const value = trial.field(keys[name]); return value === null ? null : keys[name] === "duration" ? report.format.duration(value) : keys[name] === "started" ? report.moment(value) : value; })),
      ...(marked.some((list) => list.length) ? [make("section", {}, make("h2", {}, "Commands"), make("p", { class: "lead" }, changed ? "Words that differ are marked." : "No word differs."), ...trials.map((trial, at) => make("div", {}, make("h3", {}, trial.name),
        marked[at].length ? report.copied(trial.details.command, `command of ${trial.name}`, marked[at].flatMap(([word, differs], place) => [place ? " " : "", differs ? make("mark", {}, word) : word])) : make("p", { class: "lead" }, "Its command is not in this file."))))] : []),
      ...(two.length > 1 ? [make("section", {}, make("h2", {}, "Code"), make("p", {}, "They ran different commits: ", make("code", {}, `git diff ${two[0]} ${two[1]}`)))] : []),
    );
    return names;
  }
  report.addView({ wants: (view) => (view.trial === null && view.compare.length ? view.compare : null), draw: page, title: (names) => names.join(", ") });
})();
