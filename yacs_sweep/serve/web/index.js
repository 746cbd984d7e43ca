// Keeps the list of sweeps up to date.
"use strict";
(() => {
  const { follow, element: make, format: { text: written } } = window.report;
  const table = document.getElementById("sweeps"), body = table.tBodies[0];
  const connection = document.getElementById("connection");

  function age(changed) {
    const seconds = Math.max(0, Date.now() / 1000 - changed);
    if (seconds < 60) return "now";
    if (seconds < 7200) return `${Math.floor(seconds / 60)} min ago`;
    return seconds < 172800 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86400)} days ago`;
  }

  function rowOf(sweep) {
    const name = sweep.name === sweep.id ? null : ` ${sweep.name}`;
    const running = sweep.running ? `, ${sweep.running} running` : "";
    const failed = sweep.failed ? `, ${sweep.failed} failed` : "";
    return make("tr", { "data-id": sweep.id },
      make("th", { scope: "row" }, make("a", { href: `/sweep/${encodeURIComponent(sweep.id)}` }, sweep.id, name)),
      make("td", {}, make("span", { class: `state ${sweep.state}` }, sweep.state)),
      make("td", {}, `${sweep.done} of ${sweep.target}${running}${failed}`),
      make("td", {}, sweep.best === null ? "–" : `${sweep.metric} ${written(sweep.best)}`),
      make("td", { "data-changed": sweep.changed }, age(sweep.changed)));
  }

  function find(id) { return [...body.rows].find((row) => row.dataset.id === id); }

  function take({ sweeps, gone }) {
    for (const id of gone) find(id)?.remove();
    for (const sweep of [...sweeps].reverse()) {
      const old = find(sweep.id), row = rowOf(sweep);
      if (!old) body.prepend(row);
      else if (!old.contains(document.activeElement)) old.replaceWith(row);
      else [...row.cells].slice(1).forEach((cell, place) => old.cells[place + 1].replaceWith(cell));  // keeps the focus
    }
  }

  setInterval(() => {
    for (const cell of body.querySelectorAll("[data-changed]")) cell.textContent = age(Number(cell.dataset.changed));
  }, 20000);
  follow(table.dataset.events, table.dataset.mark, { whole: take, change: take }, (word, text) => {
    connection.textContent = word === "open" ? "" : text;
  });
})();
