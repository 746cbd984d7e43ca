// What is looked at, as the part of the address behind #, so that a view can be sent: #where=val/mAP > 30&sort=-val/mAP.
"use strict";
(() => {
  const report = window.report;
  const LISTS = ["columns", "chosen", "compare"];
  // Only what would end a word of the address, or what the browser would change, is escaped: it stays readable.
  const escaped = (text) => encodeURI(text).replace(/[&#,=~'()]/g, (letter) => `%${letter.charCodeAt(0).toString(16).padStart(2, "0").toUpperCase()}`);
  const plain = (text) => { try { return decodeURIComponent(text); } catch { return text; } };

  function written(view, first) {
    const words = [];
    const add = (name, text) => words.push(`${name}=${text}`);
    if (view.trial !== null) add("trial", escaped(view.trial));
    for (const name of LISTS) if (view[name] && view[name].length) add(name, view[name].map(escaped).join(","));
    if (view.where) add("where", escaped(view.where));
    if (view.sort.length) add("sort", view.sort.map(([key, direction]) => direction + escaped(key)).join(","));
    if (view.page !== first.page) add("page", view.page);
    if (view.size !== first.size) add("size", view.size);
    if (view.metric !== first.metric) add("metric", escaped(view.metric));
    if (view.axis !== first.axis) add("axis", escaped(view.axis));
    if (view.smooth !== first.smooth) add("smooth", view.smooth);
    for (const [key, range] of Object.entries(view.brush)) add(`brush.${escaped(key)}`, range.map((end) => escaped(JSON.stringify(end))).join("~"));
    return words.join("&");
  }
  function read(text) {
    const first = report.store.first, found = { ...first, brush: {} };
    for (const word of text.replace(/^#/, "").split("&")) {
      const at = word.indexOf("=");
      if (at < 0) continue;
      const name = word.slice(0, at), value = word.slice(at + 1);
      const many = () => value.split(",").filter(Boolean).map(plain);
      const whole = (least, most) => Math.max(least, Math.min(most, Math.round(Number(value)) || least));
      if (name === "trial") found.trial = plain(value) || null;
      else if (LISTS.includes(name)) found[name] = many();
      else if (name === "where") found.where = plain(value);
      else if (name === "sort") found.sort = value.split(",").filter((item) => /^[+-]./.test(plain(item))).map((item) => [plain(item).slice(1), plain(item)[0]]);
      else if (name === "page") found.page = whole(1, 1e6);
      else if (name === "size") found.size = whole(10, 500);
      else if (name === "metric") found.metric = plain(value) || null;
      else if (name === "axis") found.axis = ["epoch", "step", "time"].includes(plain(value)) ? plain(value) : null;
      else if (name === "smooth") found.smooth = Math.max(0, Math.min(0.99, Number(value) || 0));
      else if (name.startsWith("brush.")) {
        // Numbers as they are, texts in quotes.
        const ends = value.split("~").map(plain).map((end) => { try { return JSON.parse(end); } catch { return NaN; } });
        if (ends.length && !ends.some(Number.isNaN)) found.brush[plain(name.slice(6))] = ends;
      }
    }
    return found;
  }
  // An address without = is a place on the page (#curves), and changes nothing.
  const isPlace = () => location.hash.length > 1 && !location.hash.includes("=");

  report.address = {
    of: (patch) => `#${written({ ...report.store.view, ...patch }, report.store.first)}`,
    write(replace) {
      const text = written(report.store.view, report.store.first);
      const address = text ? `#${text}` : location.pathname + location.search;
      if (`#${text}` === location.hash || (!text && !location.hash)) return;
      try { history[replace ? "replaceState" : "pushState"](null, "", address); } catch { location.hash = text; }
    },
    read() { if (!isPlace()) report.store.set(read(location.hash), { quiet: true }); },
  };
  const follow = () => report.address.read();
  addEventListener("popstate", follow);
  addEventListener("hashchange", follow);
})();
