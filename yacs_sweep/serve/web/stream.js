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
})();
