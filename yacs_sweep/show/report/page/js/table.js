// The table of trials: filter line, order, columns, pages, ticks to compare, downloads. It takes the place of the first rows
// that stand in the page without a script.
"use strict";
(() => {
  const report = window.report, { store, element, format } = report;
  const SIZES = [15, 50, 200];
  const BRIEF = 16;  // letters of a text that stays in one line
  const USUAL = ["rank", "name", "value", "error", "seeds", "front", "state", "duration"];
  const place = document.getElementById("table");
  if (!place) return;
  const noun = () => store.sweep.noun || "trial";
  const counted = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;

  // -- columns
  const metric = (name) => store.columns.find((column) => column.of === "metric" && column.name === name);
  const field = (name) => store.columns.find((column) => column.of === "trial" && column.name === name);
  const param = (name) => store.columns.find((column) => column.of === "param" && column.name === name);
  // The usual columns: how good, how sure, what else was measured, how it ended, and the parameters that were searched.
  function usual() {
    const own = USUAL.map((name) => (name === "value" && store.sweep.metric ? metric(store.sweep.metric) : field(name)));
    const more = (store.sweep.metrics || []).slice(1).map(({ name }) => metric(name));
    own.splice(5, 0, ...more);
    return [...own, ...(store.sweep.searched || []).map(param)].filter(Boolean);
  }
  function shown() {
    const { columns } = store.view;
    const found = columns ? columns.map((key) => store.column(key)).filter(Boolean) : usual();
    return found.length ? found : usual();
  }

  // -- cells
  let marks = new Map(), again = new Map();
  function facts() {  // of all trials: places that several share, and the trials that tried a point again
    marks = new Map(); again = new Map();
    const count = new Map();
    for (let row = 0; row < store.count; row++) {
      const rank = store.field(row, "rank"), earlier = store.field(row, "retry_of");
      if (rank !== null) count.set(rank, (count.get(rank) || 0) + 1);
      if (earlier !== null) again.set(earlier, store.name(row));
    }
    const alike = new Set(store.sweep.alike || []);
    for (let row = 0; row < store.count; row++) {
      const rank = store.field(row, "rank");
      if (rank !== null) marks.set(row, count.get(rank) > 1 ? " =" : alike.size > 1 && alike.has(store.name(row)) ? " ≈" : "");
    }
  }
  function named(row) {
    const name = store.name(row), url = store.field(row, "url");
    const own = element("a", { href: report.address.of({ trial: name, compare: [] }) }, name);
    return url && /^https?:\/\//.test(url) ? [own, " ", element("a", { href: url, "aria-label": `${name} on its server` }, "↗")] : [own];
  }
  function ended(row) {
    const state = store.field(row, "state"), misses = state === "finished" ? store.field(row, "violated") : null;
    const label = report.stateLabel(state);
    if (misses) return [label, " ", element("span", { class: "violates" }, misses)];
    const later = again.get(store.field(row, "id"));
    return later ? [label, ` tried again as ${later}`] : [label];
  }
  function cell(column, row) {
    const value = store.value(row, column.key);
    if (column.of === "trial") {
      switch (column.name) {
        case "rank": return [value === null ? "" : `${value}${marks.get(row) || ""}`];
        case "name": return named(row);
        case "state": return ended(row);
        case "duration": return [format.duration(value)];
        case "front": return [value ? "●" : ""];
        case "seeds": { const members = store.field(row, "members"); return [value === null ? "" : members && members.length !== value ? `${value} of ${members.length}` : String(value)]; }
        case "started": case "ended": return [value ? value.slice(0, 16).replace("T", " ") : "–"];
        default:
      }
    }
    const text = format.text(value);
    if (text.length <= BRIEF) return [element("span", { class: "brief" }, text)];
    return text.length <= 48 ? [text] : [element("span", { title: text.slice(0, 500) }, `${text.slice(0, 47)}…`)];
  }

  // -- the parts, made once
  const field_ = element("input", { id: "where", type: "search", autocomplete: "off", spellcheck: "false", autocapitalize: "off", "aria-describedby": "where-wrong where-shown" });
  const wrong = element("p", { id: "where-wrong", class: "wrong", role: "alert" });
  const count = element("p", { id: "where-shown", class: "lead", role: "status" });
  const clear = element("button", { type: "button", onclick: () => { field_.value = ""; apply(); store.set({ brush: {} }); field_.focus(); } }, "Clear");
  const compare = element("button", { type: "button", hidden: true, onclick: () => store.set({ compare: store.view.chosen, trial: null }) });
  const chooser = element("fieldset", { class: "choose" });
  const menu = element("details", { class: "menu" }, element("summary", {}, "Columns"), chooser);
  const saver = element("div", { class: "choose" });
  const save = element("details", { class: "menu" }, element("summary", {}, "Download"), saver);
  const head = element("tr"), body = element("tbody");
  const table = element("table", {}, element("caption", { class: "unseen" }), element("thead", {}, head), body);
  const scroll = element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Table" }, table);
  const pager = element("nav", { class: "pager", "aria-label": "Pages of the table" });
  const form = element("form", { class: "filter", role: "search", onsubmit: (event) => { event.preventDefault(); apply(); } },
    element("label", { for: "where" }, "Filter"), field_, clear, menu, save, compare);

  let timer = 0;
  field_.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(apply, 120); });
  function apply() {
    clearTimeout(timer);
    const text = field_.value.trim(), error = report.filter.error(text);
    tell(error);
    if (!error) store.set({ where: text });
  }
  // Says what is wrong with the expression in the field; while that is so, the rows are those of the last one that could be read.
  function tell(error) {
    wrong.textContent = error;
    if (error) field_.setAttribute("aria-invalid", "true");
    else field_.removeAttribute("aria-invalid");
    counts();
  }
  function counts() {
    const all = store.count, some = store.visible.length, { where, brush } = store.view;
    const filtered = some < all || where || Object.keys(brush).length;
    const still = !wrong.textContent || where === field_.value.trim() ? "" : where ? `, still by the filter ${where}` : ", not filtered";
    count.textContent = `${filtered ? `${some.toLocaleString("en")} of ${counted(all, noun())}` : counted(all, noun())}${still}.`;
    count.classList.toggle("stale", Boolean(still));
    clear.hidden = !filtered && !field_.value;
  }

  // -- order
  const better = (column) => {  // the direction that the first click sorts by: the best first
    const goal = column.of === "metric" ? (store.sweep.metrics || []).find(({ name }) => name === column.name) : column.name === "value" ? { goal: store.sweep.goal } : null;
    const own = goal || (column.of === "metric" && column.name === store.sweep.metric ? { goal: store.sweep.goal } : null);
    return own && own.goal === "maximize" ? "-" : "+";
  };
  function sortBy(column, more) {
    const now = store.view.sort, at = now.findIndex(([key]) => key === column.key), first = better(column);
    const next = at < 0 ? [column.key, first] : now[at][1] === first ? [column.key, first === "-" ? "+" : "-"] : null;
    if (!more) { store.set({ sort: next ? [next] : [] }); return; }
    const sort = now.filter((_, place) => place !== at);
    if (next) sort.splice(at < 0 ? sort.length : at, 0, next);
    store.set({ sort });
  }
  let built = "";
  function heads(columns) {
    const key = JSON.stringify(columns.map((column) => [column.key, column.label, column.kind]));
    if (key !== built) {
      built = key;
      head.replaceChildren(element("th", { scope: "col", class: "tick" }, element("span", { class: "unseen" }, "compare")), ...columns.map((column) => element("th", { scope: "col", class: kind(column), "data-key": column.key },
        element("button", { type: "button", title: "Sort; with Shift by several columns", onclick: (event) => sortBy(column, event.shiftKey) }, ...format.breakable(column.label), element("span", { class: "arrow", "aria-hidden": "true" })))));
    }
    for (const th of head.querySelectorAll("[data-key]")) {
      const usualOrder = !store.view.sort.length && th.dataset.key === "rank";
      const at = store.view.sort.findIndex(([name]) => name === th.dataset.key), direction = usualOrder ? "+" : at < 0 ? "" : store.view.sort[at][1];
      if (direction && (usualOrder || at === 0)) th.setAttribute("aria-sort", direction === "-" ? "descending" : "ascending");
      else th.removeAttribute("aria-sort");
      th.querySelector(".arrow").textContent = direction ? ` ${direction === "-" ? "↓" : "↑"}${store.view.sort.length > 1 ? at + 1 : ""}` : "";
    }
  }
  const kind = (column) => (column.key === "name" ? "name" : column.key === "rank" ? "num rank" : column.kind === "number" ? "num" : "");

  // -- drawing
  function rows(columns) {
    const { page, size } = store.view, visible = store.visible;
    const pages = Math.max(1, Math.ceil(visible.length / size)), now = Math.min(page, pages);
    const best = store.sweep.best, ranked = store.list("rank"), chosen = new Set(store.view.chosen), back = focused();
    body.replaceChildren(...visible.slice((now - 1) * size, now * size).map((row) => {
      const name = store.name(row), cells = columns.map((column) => (column.key === "name" && column.of === "trial"
        ? element("th", { scope: "row", class: "name" }, ...cell(column, row)) : element("td", { class: kind(column) }, ...cell(column, row))));
      const full = chosen.size >= store.MOST && !chosen.has(name);
      const tick = element("input", { type: "checkbox", "aria-label": `compare ${name}`, disabled: full, onchange: (event) => store.choose(name, event.target.checked) });
      tick.checked = chosen.has(name);
      return element("tr", { class: (ranked ? store.field(row, "rank") === 1 : name === best) ? "best" : false, "data-trial": name }, element("td", { class: "tick" }, tick), ...cells);
    }));
    back();
    counts();
    turn(now, pages);
  }
  // Rows are made anew when trials change: what had the focus has it again.
  function focused() {
    const row = body.contains(document.activeElement) ? document.activeElement.closest("tr") : null;
    if (!row) return () => {};
    const own = "a, input", at = [...row.querySelectorAll(own)].indexOf(document.activeElement);
    return () => {
      const same = [...body.rows].find((other) => other.dataset.trial === row.dataset.trial);
      const part = same && same.querySelectorAll(own)[at];
      if (part) part.focus({ preventScroll: true });
    };
  }
  function turn(now, pages) {
    const to = (page, label, name) => element("button", { type: "button", "aria-label": name, "data-to": name, disabled: page < 1 || page > pages || page === now, onclick: () => { store.set({ page }); const same = pager.querySelector(`[data-to="${name}"]`); if (same && !same.disabled) same.focus(); } }, label);
    const size = element("select", { "aria-label": "Rows a page", onchange: () => store.set({ size: Number(size.value), page: 1 }) }, ...[...new Set([...SIZES, store.view.size])].sort((a, b) => a - b).map((number) => element("option", { value: number, selected: number === store.view.size }, `${number} rows`)));
    pager.replaceChildren(...(pages > 1 ? [to(1, "«", "first page"), to(now - 1, "‹", "previous page"), element("span", {}, `page ${now} of ${pages}`), to(now + 1, "›", "next page"), to(pages, "»", "last page")] : []), ...(store.visible.length > SIZES[0] ? [size] : []));
  }
  function columnsMenu() {
    const on = new Set(shown().map((column) => column.key));
    const group = (of, title) => {
      const own = store.columns.filter((column) => column.of === of && !(of === "trial" && column.name === "value" && metric(store.sweep.metric)));
      return own.length ? element("div", { role: "group", "aria-label": title }, element("b", {}, title), ...own.map((column) => {
        const tick = element("input", { type: "checkbox", onchange: () => {
          const keys = shown().map((other) => other.key);
          store.set({ columns: tick.checked ? [...keys, column.key] : keys.filter((key) => key !== column.key) });
        } });
        tick.checked = on.has(column.key);
        return element("label", {}, tick, ` ${column.label}`);
      })) : null;
    };
    chooser.replaceChildren(element("legend", { class: "unseen" }, "Columns of the table"), ...[group("trial", "Trial"), group("param", "Parameters"), group("metric", "Metrics")].filter(Boolean),
      element("button", { type: "button", onclick: () => { store.set({ columns: null }); columnsMenu(); } }, "The usual columns"));
  }
  menu.addEventListener("toggle", () => { if (menu.open) columnsMenu(); });

  // -- downloads
  const HEADS = { trial: "", param: "param:", metric: "last:" };
  function csvOf(places, columns) {
    return format.csv(columns.map((column) => (column.name === "name" && column.of === "trial" ? "trial" : HEADS[column.of] + column.name)), places.map((row) => columns.map((column) => store.value(row, column.key))));
  }
  function jsonOf(places, columns) {
    const written = (value) => (typeof value === "number" && !Number.isFinite(value) ? (Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity") : value);
    const rowOf = (row) => {
      const found = { name: store.name(row) }, parts = { param: "params", metric: "values" };
      for (const column of columns) {
        const value = written(store.value(row, column.key));
        if (value === null) continue;
        if (column.of === "trial") found[column.name] = value;
        else (found[parts[column.of]] = found[parts[column.of]] || {})[column.name] = value;
      }
      return found;
    };
    return JSON.stringify({ sweep_id: store.sweep.id, where: store.view.where || null, trials: places.map(rowOf) }, null, 1);
  }
  function saveMenu() {
    const everyRow = Array.from({ length: store.count }, (_, row) => row);
    const file = (end) => `${store.sweep.id}-trials.${end}`;
    const make = (label, places, columns) => element("div", { role: "group", "aria-label": label }, element("span", {}, `${label}: `),
      element("button", { type: "button", onclick: () => report.download(file("csv"), csvOf(places, columns), "text/csv") }, "csv"), " ",
      element("button", { type: "button", onclick: () => report.download(file("json"), jsonOf(places, columns), "application/json") }, "json"));
    saver.replaceChildren(make(`${counted(store.visible.length, noun())}, these columns`, store.visible, shown()), make(`All ${counted(store.count, noun())}, every column`, everyRow, store.columns));
  }
  save.addEventListener("toggle", () => { if (save.open) saveMenu(); });
  report.table = { csvOf, jsonOf, shown };

  // A menu closes with Escape, and when the reader works elsewhere.
  for (const each of [menu, save]) {
    each.addEventListener("keydown", (event) => { if (event.key === "Escape" && each.open) { each.open = false; each.querySelector("summary").focus(); } });
    document.addEventListener("pointerdown", (event) => { if (each.open && !each.contains(event.target)) each.open = false; });
  }

  function draw() {
    const columns = shown();
    heads(columns);
    rows(columns);
    const { chosen } = store.view;
    compare.hidden = chosen.length < 1;
    compare.disabled = chosen.length < 2;
    compare.textContent = chosen.length < 2 ? "Compare: tick another" : `Compare ${chosen.length}`;
    if (save.open) saveMenu();
  }
  function example() {  // an expression that holds of the better half
    const { metric: name, goal } = store.sweep, list = name && metric(name) ? store.list(metric(name).key).filter(Number.isFinite).sort((a, b) => a - b) : [];
    const ticked = /^[\p{L}_][\p{L}\p{N}_.]*(?:\/[\p{L}_][\p{L}\p{N}_.]*)*$/u.test(name || "") ? name : `\`${name}\``;
    return list.length > 1 ? `${ticked} ${goal === "maximize" ? ">" : "<"} ${Number(list[Math.floor(list.length / 2)].toPrecision(2))} and state == 'finished'` : "state == 'finished'";
  }
  const given = () => { if (document.activeElement !== field_) field_.value = store.view.where; tell(report.filter.error(field_.value.trim())); };
  report.whenReady(() => {
    if (!store.count) return;
    table.querySelector("caption").textContent = `${noun() === "point" ? "Points" : "Trials"} of the sweep ${store.sweep.name || store.sweep.id}`;
    field_.placeholder = example();
    facts();
    given();
    draw();
    place.replaceChildren(form, wrong, count, scroll, pager);
    store.on("view", (changed) => { if (changed.has("where")) given(); if (["where", "sort", "columns", "page", "size", "chosen", "brush"].some((name) => changed.has(name))) draw(); });
    store.on("data", () => { facts(); draw(); });
  });
})();
