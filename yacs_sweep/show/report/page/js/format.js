// How values are written, and how elements are made: text of trials enters the page as text alone.
"use strict";
(() => {
  const report = window.report;
  const minus = (text) => text.replace("-", "−");

  function number(value, digits = 4) {
    if (value === null || value === undefined) return "–";
    if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : minus(value > 0 ? "inf" : "-inf");
    if (value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 10 ** digits)) {
      if (Number.isInteger(value) && Math.abs(value) < 1e6) return minus(String(value));
      const [head, tail] = value.toExponential(digits - 1).split("e");
      return minus(`${Number(head)}e`) + minus(tail.replace("+", ""));
    }
    return minus(String(Number(value.toPrecision(digits))));
  }
  function duration(seconds) {
    if (seconds === null || seconds === undefined) return "–";
    if (seconds < 100) return seconds >= 10 ? `${Math.round(seconds)} s` : `${seconds.toFixed(1)} s`;
    const whole = Math.round(seconds), minutes = Math.floor(whole / 60), two = (n) => String(n).padStart(2, "0");
    return minutes < 60 ? `${minutes} min ${two(whole % 60)} s` : `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  }
  // A long name may be broken after these letters.
  const breakable = (name) => name.length < 13 ? [name] : name.split(/(?<=[._/])/).flatMap((part, place) => (place ? [document.createElement("wbr"), part] : [part]));
  const text = (value, digits) => (value === null || value === undefined ? "–" : typeof value === "number" ? number(value, digits) : typeof value === "object" ? JSON.stringify(value).replace(/,/g, ", ") : String(value));

  // Makes an element: `given` are its attributes; a function is a listener (onclick: …), true an attribute without a value.
  function element(tag, given = {}, ...children) {
    const found = document.createElement(tag);
    for (const [name, value] of Object.entries(given)) {
      if (typeof value === "function") found.addEventListener(name.slice(2), value);
      else if (value === true) found.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) found.setAttribute(name, value);
    }
    found.append(...children.filter((child) => child !== null && child !== undefined));
    return found;
  }

  // Other people's text without what a terminal or a spreadsheet obeys, as yacs_sweep.base.wording.printable makes it.
  const printable = (text) => text.replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|.)/gu, "")
    .replace(/[\u00ad\u200b\u2060\ufeff]/gu, "").replace(/[^\S\n ]/gu, " ").replace(/[^\P{C}\n]/gu, "?");
  // A text that a spreadsheet would take as a formula begins with a quote, as in trials.csv (yacs_sweep/show/report/text.py).
  function csvCell(value) {
    if (value === null || value === undefined) return "";
    if (typeof value === "number") return String(value);
    const text = typeof value === "object" || typeof value === "boolean" ? JSON.stringify(value) : String(value);
    const clean = printable(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);
    return /[",\n\r]/.test(clean) ? `"${clean.replace(/"/g, '""')}"` : clean;
  }
  const csv = (heads, rows) => [heads, ...rows].map((row) => row.map(csvCell).join(",")).join("\n") + "\n";

  // Hands the reader a file that the page has made.
  function download(name, content, type) {
    const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
    const link = element("a", { href: address, download: name.replace(/[^\p{L}\p{N}._-]+/gu, "-") });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }

  report.format = { number, duration, text, csv, breakable };
  report.element = element;
  report.download = download;
})();
