// A trial's own page: how it ended, curves, parameters beside the defaults and the best, command, output, code, machine, files.
"use strict";
(() => {
  const report = window.report, store = report.store, make = report.make, short = report.format.text;
  const UNITS = ["bytes", "kB", "MB", "GB", "TB"];

  // A trial by its name: of a sweep with repeats, also one that is a seed of a point, whose fields are among its details.
  report.trialOf = (name) => {
    const row = store.row(name), own = store.details[name] || null;
    if (row < 0 && !own) return null;
    const seed = (own && own.own) || {};
    const parent = row < 0 && seed.point ? store.row(seed.point) : -1;
    const field = (key) => (row >= 0 ? store.field(row, key) : seed[key] ?? null);
    return {
      name, row, details: own, field,
      members: (row >= 0 && store.field(row, "members")) || null,
      point: row < 0 ? seed.point || null : field("point"),
      params: () => {
        const place = row >= 0 ? row : parent, given = {};
        for (const column of store.columns) if (column.of === "param") { const value = place >= 0 ? store.value(place, column.key) : null; if (value !== null) given[column.name] = value; }
        return given;
      },
      metrics: () => {
        if (row < 0) return seed.values || {};
        const given = {};
        for (const column of store.columns) if (column.of === "metric") { const value = store.value(row, column.key); if (value !== null) given[column.name] = value; }
        return given;
      },
      curves: () => (row >= 0 ? store.curves[name] : null) || {},
    };
  };
  report.isSame = (one, other) => JSON.stringify(one ?? null) === JSON.stringify(other ?? null);
  report.trialLink = (name, text = name) => (report.trialOf(name) ? report.linkTo({ trial: name, compare: [] }, text, { "data-key": `trial ${name}` }) : document.createTextNode(text));

  const size = (bytes) => {
    if (bytes < 0) return "folder";
    let unit = 0;
    while (bytes >= 1000 && unit < UNITS.length - 1) { bytes /= 1000; unit++; }
    return `${unit ? bytes.toPrecision(3) : bytes} ${UNITS[unit]}`;
  };
  const section = (title, ...content) => (content.some(Boolean) ? [make("section", {}, make("h2", {}, title), ...content.filter(Boolean))] : []);
  const time = report.moment = (text) => (text ? text.replace("T", " ").replace(/(\.\d+)?(Z|\+00:00)$/, " UTC") : null);

  function neighbours(name) {
    const names = store.visible.map((row) => store.name(row)), at = names.indexOf(name);
    const link = (other, text, key) => (other === undefined ? null : report.linkTo({ trial: other, compare: [] }, text, { "data-key": key }));
    return make("p", { class: "crumbs" },
      report.linkTo({ trial: null, compare: [] }, `← All ${store.sweep.noun || "trial"}s`, { "data-key": "all" }),
      at > 0 && link(names[at - 1], "Previous", "previous"), at >= 0 && link(names[at + 1], "Next", "next"),
      at >= 0 && make("span", {}, `${at + 1} of ${names.length} in the table's order`));
  }
  function headline(trial) {
    const { field } = trial, metric = store.sweep.metric, rank = field("rank"), value = field("value"), error = field("error");
    const rows = [];
    const add = (name, ...content) => { if (content.some((item) => item !== null && item !== "" && item !== undefined)) rows.push(make("dt", {}, name), make("dd", {}, ...content.filter((item) => item !== null && item !== undefined))); };
    add("state", report.stateLabel(field("state")), field("reason") && field("reason") !== field("state") ? ` · ${field("reason")}` : null, field("violated") ? ` violates ${field("violated")}` : null);
    if (metric && value !== null) add(metric, short(value), error === null ? null : ` ± ${short(error, 2)} (standard error)`, rank ? ` · place ${rank}` : null, trial.name === store.sweep.best ? " · the best" : null);
    if (field("duration") !== null) add("took", report.format.duration(field("duration")));
    add("started", time(field("started")));
    add("ended", time(field("ended")));
    if (field("attempts") > 1) add("attempts", `${field("attempts")}`, trial.details && trial.details.starts ? `; begun again after step ${trial.details.starts.join(", ")}` : null);
    if (field("seed") !== null) add(store.sweep.repeat || "seed", String(field("seed")));
    if (trial.row < 0 && trial.point) add("point", report.trialLink(trial.point));
    const own = trial.details || {};
    if (own.earlier) add("tries again", report.trialLink(own.earlier));
    if (own.later) add("tried again as", report.trialLink(own.later));
    if (field("parent")) add("continues", report.trialLink(field("parent")), field("begun_at") ? ` from iteration ${field("begun_at")}` : null);
    if (field("replaces")) add("replaces", report.trialLink(field("replaces")));
    const children = store.list("parent") ? [...Array(store.count).keys()].filter((row) => store.field(row, "parent") === trial.name).map((row) => store.name(row)) : [];
    if (children.length) add("continued by", ...children.flatMap((name, place) => [place ? ", " : "", report.trialLink(name)]));
    const url = field("url");
    if (url && /^https?:\/\//.test(url)) add("on W&B", make("a", { href: url, rel: "noreferrer" }, url));
    return make("dl", { class: "facts" }, rows);
  }
  function siblings(trial) {  // the seeds of its point
    const names = trial.members || (trial.point && trial.row < 0 && store.row(trial.point) >= 0 ? store.field(store.row(trial.point), "members") : null);
    if (!names || names.length < 2) return null;
    const noun = store.sweep.repeat || "seed";
    const rows = names.map((name) => {
      const one = report.trialOf(name);
      if (!one || one.row >= 0) return [name, "–", "–", "–", "–"];
      return [name === trial.name ? make("b", {}, name) : report.trialLink(name), short(one.field("seed")), report.stateLabel(one.field("state")), make("td", { class: "num" }, short(one.field("value"))), make("td", { class: "num" }, report.format.duration(one.field("duration")))];
    });
    return report.grid(`The ${noun}s of ${trial.members ? trial.name : trial.point}`, ["trial", noun, "state", store.sweep.metric || "value", "time"], rows);
  }
  function parameters(trial, best) {
    const own = trial.params(), of = best ? best.params() : {}, defaults = store.sweep.defaults || {};
    const names = [...new Set([...(store.sweep.searched || []), ...Object.keys(own), ...Object.keys(of)])].filter((name) => name in own || name in of);
    if (!names.length) return null;
    const some = names.some((name) => name in defaults);
    let other = 0;
    const cell = (value, differs) => make("td", { class: differs ? "differs" : null }, differs && make("span", { "aria-hidden": "true" }, "≠ "), short(value), differs && make("span", { class: "unseen" }, ", differs"));
    const rows = names.map((name) => {
      const value = own[name], cells = [];
      if (some) cells.push(cell(name in defaults ? defaults[name] : null, name in defaults && !report.isSame(defaults[name], value)));
      cells.push(make("td", {}, make("b", {}, short(value))));
      if (best) { const differs = !report.isSame(of[name], value); other += differs; cells.push(cell(of[name], differs)); }
      return [name, ...cells];
    });
    const caption = best ? `${other ? `${other} of ${names.length} differ` : "None differs"} from the best, ${best.name}` : "Parameters";
    return report.grid(caption, ["parameter", ...(some ? ["default"] : []), "this", ...(best ? ["best"] : [])], rows);
  }
  function output(trial) {
    const { log, cut } = trial.details || {};
    if (trial.members) return null;
    if (!log) {
      const { with_log: some = 0, total = 0 } = store.sweep;
      if (!trial.details || !total) return null;
      return make("p", { class: "lead" }, `Not in this file, which has the output of ${some} of ${total} trials. `, make("code", {}, `--logs ${store.sweep.id}/${trial.name}`), " prints it.");
    }
    if (!log.length) return make("p", { class: "lead" }, "Nothing was printed.");
    const pre = make("pre", { tabindex: "0", "aria-label": "last lines of the output", class: "tail" }, log.join("\n"));
    return make("div", {}, cut && make("p", { class: "lead" }, `The last ${log.length} lines. `, make("code", {}, `--logs ${store.sweep.id}/${trial.name}`), " prints all."), pre);
  }
  function code(trial) {
    const own = trial.details || {}, dirty = (own.commit || "").endsWith("+dirty"), commit = (own.commit || "").replace(/\+dirty$/, "");
    const best = store.details[store.sweep.best] || {}, of = (best.commit || "").replace(/\+dirty$/, "");
    const lines = [];
    if (commit) lines.push(make("p", {}, "git commit ", make("code", {}, commit), dirty ? " with changes that were not committed" : ""));
    if (commit && of && commit !== of) lines.push(make("p", {}, "The best ran another commit: ", make("code", {}, `git diff ${of} ${commit}`)));
    if (own.changed) lines.push(make("p", {}, `Changed since the sweep began: ${own.changed.join(", ")}`));
    const { diff, diff_cut: more } = store.sweep;
    if (dirty && diff) lines.push(make("details", { "data-key": "diff" }, make("summary", {}, `What was not committed as the sweep began${more ? " (the beginning of it; inputs/code.diff has more)" : ""}`), make("pre", { tabindex: "0", "aria-label": "uncommitted changes" },
      ...diff.split("\n").map((line) => make("span", { class: /^\+(?!\+\+)/.test(line) ? "added" : /^-(?!--)/.test(line) ? "removed" : null }, `${line}\n`)))));
    return lines.length ? make("div", {}, lines) : null;
  }
  function machine(trial) {
    const rows = [];
    if (trial.field("host")) rows.push(["machine", trial.field("host")]);
    if (trial.field("gpus")) rows.push(["GPU", trial.field("gpus")]);
    if (trial.details && trial.details.pid) rows.push(["process", String(trial.details.pid)]);
    for (const [name, text] of Object.entries(store.sweep.environment || {})) rows.push([name, text]);
    return rows.length ? report.grid("Where it ran; versions as the sweep began", ["", ""], rows) : null;
  }
  function files(trial) {
    const own = trial.details || {};
    if (!own.files) return null;
    return make("div", {}, own.dir && make("p", { class: "lead" }, make("code", {}, own.dir)), report.grid(own.more_files ? `The largest files of its folder; ${own.more_files} more` : "Files of its folder", ["file", "size"], own.files.map(([name, bytes]) => [name, make("td", { class: "num" }, size(bytes))])));
  }
  function command(trial) {
    const own = trial.details || {}, parts = [];
    const env = Object.entries(own.env || {}).map(([name, text]) => `${name}=${/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\"'\"'")}'`} `).join("");
    if (own.command) parts.push(make("h3", {}, "As it was started"), report.copied(env + own.command, "command"));
    if (own.words) parts.push(make("h3", {}, "Parameters beside the command"), report.copied(own.words.join(" "), "words"));
    if (own.resumed_with) parts.push(make("p", {}, "Its last start was told to resume: ", make("code", {}, own.resumed_with)));
    if (own.again) parts.push(make("h3", {}, "Train it again, in a new folder"), report.copied(own.again, "command that trains it again"));
    return parts.length ? make("div", {}, parts) : null;
  }

  function page(place, name) {
    const trial = report.trialOf(name);
    if (!trial) {
      place.append(make("p", { class: "crumbs" }, report.linkTo({ trial: null }, "← All trials")), make("h1", {}, name), make("p", { class: "note" }, "This page has no trial of this name."));
      return [name];
    }
    const bestName = store.sweep.best, best = bestName && bestName !== name && (trial.row >= 0 || trial.point !== bestName) ? report.trialOf(bestName) : null;
    const curves = [[name, trial.curves(), trial.field("duration")], ...(best && Object.keys(trial.curves()).length ? [[`${best.name} (best)`, best.curves(), best.field("duration")]] : [])];
    place.append(
      neighbours(name), make("h1", {}, name), headline(trial),
      make("p", { class: "crumbs" },
        best && report.linkTo({ trial: null, compare: [name, best.name] }, "Compare with the best", { "data-key": "compare" }),
        trial.details && trial.details.earlier && report.trialOf(trial.details.earlier) && report.linkTo({ trial: null, compare: [trial.details.earlier, name] }, "Compare with the earlier try", { "data-key": "compare earlier" })),
      ...section(trial.members ? "Seeds" : "Its point", siblings(trial)),
      ...section("Curves", trial.row >= 0 ? report.curvesOf(curves, { faint: best ? [`${best.name} (best)`] : [] }) : make("p", { class: "lead" }, "The curves of its point are means: ", report.trialLink(trial.point || ""))),
      ...section("Parameters", parameters(trial, best)),
      ...section("Command", command(trial)),
      ...section("Output", output(trial)),
      ...section("Code", code(trial)),
      ...section("Machine", machine(trial)),
      ...section("Files", files(trial)),
    );
    if (!trial.details && !trial.members) {
      const { with_details: some = 0, total = 0 } = store.sweep;
      place.append(make("p", { class: "note" }, `Command, output, code and files of this trial are not in this file, which has those of ${some} of ${total} trials. They are in its folder.`));
    }
    return [name, bestName, ...(trial.members || [])];
  }
  report.addView({ wants: (view) => view.trial, draw: page, title: (name) => name });
})();
