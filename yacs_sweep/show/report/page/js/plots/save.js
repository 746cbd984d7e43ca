// Saves a picture as png or svg, and what it shows as csv.
"use strict";
(() => {
  const report = window.report, plots = report.plots, { format: { csv } } = report;

  const ROOM = 28;  // pixels for the title
  // The picture's title in a file, where the page has it around the picture: the section's, and the sweep's name.
  function titleOf(element) {
    const head = element.closest("section")?.querySelector("h2")?.textContent, { sweep } = report.store;
    return [head, element.dataset.plot.startsWith("slice") ? plots.drawing(element).heads[1] : "", sweep.name || sweep.id].filter(Boolean).join(" · ");
  }

  /* Makes the file of a picture: png (twice the size of the screen), svg or csv. */
  plots.file = async (element, format) => {
    const drawing = plots.drawing(element);
    if (format === "csv") return new Blob([csv(drawing.heads, drawing.rows())], { type: "text/csv" });
    const inner = element.querySelector(".inner"), paper = plots.colours().paper;
    const { settings } = drawing, ink = settings.font;
    const title = { text: plots.plain(titleOf(element), 90), font: { ...ink, size: 14 }, x: 0.01, xanchor: "left", y: 1, yanchor: "top", yref: "container", pad: { t: 8, l: 4 } };
    const height = settings.height + ROOM, margin = { ...settings.margin, t: (settings.margin?.t || 0) + ROOM };
    const layout = { ...settings, paper_bgcolor: paper, plot_bgcolor: paper, title, height, margin };
    const url = await Plotly.toImage({ data: drawing.traces, layout }, { format, width: inner.clientWidth, height, scale: format === "png" ? 2 : 1 });
    // Not by fetch, which the page's policy forbids.
    const at = url.indexOf(","), text = url.slice(at + 1);
    if (format === "svg") return new Blob([decodeURIComponent(text)], { type: "image/svg+xml" });
    return new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], { type: "image/png" });
  };

  /* Adds the buttons of a picture, once. */
  plots.tools = (element) => {
    if (element.querySelector(".save") || !element.dataset.plot) return;
    element.append(report.saveBar(element.dataset.plot, (format) => plots.file(element, format)));
  };
})();
