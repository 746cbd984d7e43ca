// Two sweeps on the same axes: the pictures of the section that the page has beside another sweep.
"use strict";
(() => {
  const report = window.report;
  report.whenReady(() => {
    const place = document.getElementById("beside-pictures"), found = report.store.blob.beside;
    if (!place || !found || !found.figures.length) return;
    place.append(report.legend(found.names), report.make("div", { class: "figures" }, found.figures.map((figure) => {
      const curve = figure.x_title === report.store.sweep.axis;
      const series = figure.series.map((one) => ({ ...one, x: curve ? report.curve.places(one, figure.x_title) : one.x, rows: one.x, name: found.names[one.place] }));
      const tell = series.map((one) => `${one.name}: ${one.points ? `${one.y.length} trials` : `${report.format.number(one.y[one.y.length - 1])} at the end`}`).join("; ");
      return report.drawLines(figure.title, series, { xTitle: figure.x_title, log: figure.log, tell, by: true });
    })));
  });
})();
