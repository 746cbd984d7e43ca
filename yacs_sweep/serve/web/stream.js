// Follows a stream of server-sent events for as long as the server has something to say.
"use strict";
(() => {
  const report = window.report = window.report || {};
  const RELOADED = "report-reloaded", AGAIN = 10000;

  // The page is loaded again where events were missed; a second time within a moment it would help no more.
  function reload(say) {
    let before = 0;
    try {
      before = Number(sessionStorage.getItem(RELOADED)) || 0;
      sessionStorage.setItem(RELOADED, String(Date.now()));
    } catch { /* without storage: ask */ before = Date.now(); }
    if (Date.now() - before > AGAIN) location.reload();
    else say("missed", "Some changes were missed: load the page again.");
  }

  // Calls on[name](content) for each event; `say` gets the state of the connection: a word, and a text for the reader.
  report.follow = (address, mark, on, say) => {
    const source = new EventSource(`${address}?after=${encodeURIComponent(mark)}`);
    source.onopen = () => say("open", "Follows the sweep");
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) {
        say("closed", "The server does not answer: open the address that report.py --serve has printed last.");
      } else say("lost", "Connection lost, trying again …");
    };
    for (const [name, take] of Object.entries(on)) {
      source.addEventListener(name, (event) => take(JSON.parse(event.data)));
    }
    source.addEventListener("reload", () => { source.close(); reload(say); });
    source.addEventListener("over", () => {
      source.close();
      say("over", "Nobody works on the sweep, so that nothing changes.");
    });
    addEventListener("pagehide", () => source.close());
    return source;
  };

  // Makes an element; children are elements or text, which never becomes HTML.
  report.make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") element.addEventListener(name, value);
      else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, String(value));
    }
    element.append(...children.filter((child) => child !== null && child !== undefined).map((child) =>
      child instanceof Node ? child : String(child)));
    return element;
  };

  report.number = (value) => {
    if (typeof value !== "number") return value === null || value === undefined ? "–" : String(value);
    const text = Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-4) ? value.toExponential(3) : String(Number(value.toPrecision(4)));
    return text.replace("-", "−");
  };

  report.duration = (seconds) => {
    const whole = Math.max(0, Math.round(seconds));
    if (whole < 100) return `${whole} s`;
    if (whole < 7200) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
    return `${Math.floor(whole / 3600)} h ${String(Math.floor(whole / 60) % 60).padStart(2, "0")} min`;
  };
})();
