// The ranges that trials are kept within, as words that can be taken away, and as a form for who has no mouse.
"use strict";
(() => {
  const report = window.report, store = report.store, plots = report.plots, make = report.element;
  const place = document.getElementById("ranges");
  if (!place) return;
  const isNumber = (value) => typeof value === "number";
  const said = (value) => (value === null ? "–" : isNumber(value) ? plots.short(value) : String(value));
  const between = ([least, most]) => (least === most ? said(least) : `${said(least)} to ${said(most)}`);
  const words = (range) => (range.every(isNumber) ? store.pairs(range).map(between) : range.map(said)).join(", ");

  const chips = make("span", { class: "chips" });
  const body = make("div", { class: "ranges" });
  place.append(chips, make("details", {}, make("summary", {}, "Type the ranges"), body));

  function showChips() {
    const found = Object.entries(store.view.brush).map(([key, range]) => {
      const column = store.column(key), name = column ? column.label : key, button = make("button", { type: "button", class: "chip" }, `${name}: ${words(range)} ×`);
      button.setAttribute("aria-label", `Let go of ${name}: ${words(range)}`);
      button.addEventListener("click", () => plots.brush(key, null));
      return button;
    });
    if (found.length > 1) {
      const clear = make("button", { type: "button" }, "Clear all ranges");
      clear.addEventListener("click", () => store.set({ brush: {} }));
      found.push(clear);
    }
    chips.replaceChildren(...found);
  }

  const fields = new Map();  // by key: how the form's field takes a range
  function field(axis) {
    if (axis.kind === "number") {
      const [least, most] = axis.ends;
      const input = (what, end) => {
        const element = make("input", { type: "number", step: "any", placeholder: String(Number(end.toPrecision(4))), "aria-label": `${axis.name}, ${what}` });
        element.addEventListener("change", () => {
          const own = inputs.map((each) => (each.value === "" ? null : Number(each.value)));
          plots.brush(axis.key, own.every((one) => one === null) ? null : [own[0] ?? Math.min(least, own[1]), own[1] ?? Math.max(most, own[0])]);
        });
        return element;
      };
      const inputs = [input("from", least), input("to", most)];
      fields.set(axis.key, (range) => inputs.forEach((each, i) => { if (each !== document.activeElement) each.value = range && range.every(isNumber) ? range[i] : ""; }));
      return [make("span", {}, axis.name), make("span", {}, inputs[0], " to ", inputs[1])];
    }
    const boxes = axis.levels.map(([level, values]) => {
      const box = make("input", { type: "checkbox" });
      box.addEventListener("change", () => {
        plots.brush(axis.key, boxes.every((each) => each.box.checked) ? null : store.brushOf(boxes.map((each) => [each.values, each.box.checked])));
      });
      return { box, values, label: make("label", {}, box, ` ${level.length > 40 ? `${level.slice(0, 39)}…` : level}`) };
    });
    fields.set(axis.key, (range) => boxes.forEach(({ box, values }) => { box.checked = !range || values.some((one) => store.within(one, range)); }));
    return [make("span", {}, axis.name), make("span", { role: "group", "aria-label": axis.name }, ...boxes.map((each) => each.label))];
  }
  function showForm() {
    for (const [key, take] of fields) take(store.view.brush[key]);
  }
  function build() {
    if (body.contains(document.activeElement)) return;
    fields.clear();
    body.replaceChildren(...plots.axes().flatMap(field));
    showForm();
  }
  const details = body.parentElement;
  details.addEventListener("toggle", () => { if (details.open) build(); });
  report.whenReady(showChips);
  store.on("data", () => { if (details.open) build(); });
  store.on("view", (changed) => { if (changed.has("brush")) { showChips(); showForm(); } });
})();
