// Saves a picture as png or svg, and what it shows as csv.
"use strict";
(() => {
  const report = window.report, plots = report.plots, { format: { csv } } = report;

  /* Makes the file of a picture: png (twice the size of the screen), svg or csv. */
  plots.file = async (element, format) => {
    const drawing = plots.drawing(element);
    if (format === "csv") return new Blob([csv(drawing.heads, drawing.rows())], { type: "text/csv" });
    const inner = element.querySelector(".inner"), paper = plots.colours().paper;
    const layout = { ...drawing.settings, paper_bgcolor: paper, plot_bgcolor: paper };
    const url = await Plotly.toImage({ data: drawing.traces, layout }, { format, width: inner.clientWidth, height: layout.height, scale: format === "png" ? 2 : 1 });
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
