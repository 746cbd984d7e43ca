// Pages of their own in place of the table: a trial, trials side by side. They are shown as the address says, and left with Back.
"use strict";
(() => {
  const report = window.report, store = report.store;
  const first = document.querySelector("main"), header = document.querySelector("header"), root = document.documentElement;

  // Makes an element; children may be lists, and what is false or null is left out.
  const make = report.make = (tag, given = {}, ...children) => report.element(tag, given, ...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  const STATES = ["finished", "stopped", "paused", "failed", "killed", "lost", "running"];
  report.stateLabel = (state) => make("span", { class: `state ${STATES.includes(state) ? state : ""}` }, state || "–");
  report.linkTo = (patch, text, given = {}) => make("a", { href: report.address.of(patch), ...given }, text);
  // A text with a button that copies it.
  report.copied = (text, label, content = [text]) => {
    const said = make("span", { role: "status", class: "said" }), pre = make("pre", { tabindex: "0", "aria-label": label }, ...content);
    const select = () => { const range = document.createRange(); range.selectNodeContents(pre); getSelection().removeAllRanges(); getSelection().addRange(range); };
    const copy = async () => {
      try { await navigator.clipboard.writeText(text); said.textContent = "copied"; } catch {
        select();
        said.textContent = document.execCommand("copy") ? "copied" : "selected: copy it with Ctrl+C";
      }
    };
    const button = make("button", { type: "button", "data-key": `copy ${label}`, onclick: copy }, "Copy");
    return make("div", { class: "copied" }, pre, make("p", { class: "controls" }, said, button));
  };
  // The commands that the page has from the start get their buttons.
  function buttons() {
    for (const pre of document.querySelectorAll("pre.command")) {
      if (pre.parentElement.classList.contains("copied")) continue;
      const own = report.copied(pre.textContent, "command", [...pre.childNodes]);
      own.querySelector("pre").className = "command";
      pre.replaceWith(own);
    }
  }
  addEventListener("report-loaded", buttons);
  // Heads are texts or elements; rows are lists of cells, the first of which names the row.
  report.grid = (caption, heads, rows, given = {}) => make("div", { class: "scroll" }, make("table", given,
    make("caption", {}, caption),
    make("thead", {}, make("tr", {}, heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, rows.map(([name, ...cells]) => make("tr", {}, make("th", { scope: "row" }, name), cells.map((cell) => (cell instanceof Element && cell.tagName === "TD" ? cell : make("td", {}, cell))))))));

  // -- which is shown
  const place = make("main", { id: "view", hidden: "", tabindex: "-1" });
  first.after(place);
  const kinds = [];  // {wants: view -> what it is of, or null; draw: (element, of) -> names of the trials it shows; title}
  let shown = null, left = null, title = document.title, of = [];

  report.addView = (kind) => kinds.push(kind);
  const wanted = () => kinds.map((kind) => [kind, kind.wants(store.view)]).find(([, what]) => what !== null) || null;

  function leave() {  // the table, to be found again as it is
    left = { y: scrollY, element: document.activeElement, href: document.activeElement && document.activeElement.getAttribute("href") };
    title = document.title;
    first.hidden = header.hidden = true;
    place.hidden = false;
    root.dataset.view = "one";
  }
  function comeBack() {
    first.hidden = header.hidden = false;
    place.hidden = true;
    place.replaceChildren();
    delete root.dataset.view;
    document.title = title;
    shown = null; of = [];
    dispatchEvent(new Event("resize"));  // pictures that were drawn meanwhile
    if (!left) return;
    const { y, element, href } = left;
    const target = element && element.isConnected && element !== document.body ? element : href && [...first.querySelectorAll("a[href]")].find((link) => link.getAttribute("href") === href);
    scrollTo(0, y);
    if (target) target.focus({ preventScroll: true });
    left = null;
  }
  function draw([kind, what], fresh) {
    const open = new Set([...place.querySelectorAll("details[open]")].map((item) => item.dataset.key));
    const key = place.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const content = make("div");
    of = kind.draw(content, what) || [];
    place.replaceChildren(...content.childNodes);
    for (const item of place.querySelectorAll("details")) if (open.has(item.dataset.key) && !fresh) item.open = true;
    for (const log of place.querySelectorAll(".tail")) log.scrollTop = log.scrollHeight;
    document.title = `${kind.title(what)} · ${title}`;
    if (fresh) {
      scrollTo(0, 0);
      const head = place.querySelector("h1, h2");
      if (head) { head.tabIndex = -1; head.focus({ preventScroll: true }); }
    } else if (key) [...place.querySelectorAll("[data-key]")].find((item) => item.dataset.key === key)?.focus({ preventScroll: true });
  }
  function follow(changed) {
    const now = wanted();
    if (!now) { if (shown !== null) comeBack(); return; }
    const name = JSON.stringify([kinds.indexOf(now[0]), now[1]]);
    if (shown === null) leave();
    const fresh = name !== shown;
    if (fresh || changed.has("axis") || changed.has("smooth")) draw(now, fresh);
    shown = name;
  }
  report.redrawView = () => { const now = wanted(); if (now && shown !== null) draw(now, false); };
  store.on("view", follow);
  store.on("data", (changed) => {
    if (shown === null) return;
    if (of.some((name) => changed.has(name))) report.redrawView();
  });
  report.whenReady(() => { buttons(); follow(new Set()); });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || shown === null || event.target.closest?.("input, select, textarea")) return;
    store.set({ trial: null, compare: [] });
  });
})();
