// Two sweeps on the same axes: the pictures of the section that the page has beside another sweep, and that sweep's trials.
"use strict";
(() => {
  const report = window.report, store = report.store;
  const NUMBERS = { NaN: NaN, Infinity: Infinity, "-Infinity": -Infinity };  // JSON has no way to write these
  const plain = (value) => (typeof value === "string" && value in NUMBERS ? NUMBERS[value] : value);
  const other = () => store.blob.beside?.other;

  // A trial of the other sweep, named `ID/NAME`, as `report.trialOf` has those of this one; it has no page of its own here.
  report.otherTrial = (name) => {
    const sweep = other(), own = sweep && name.startsWith(`${sweep.id}/`) ? name.slice(sweep.id.length + 1) : null;
    const row = own === null ? -1 : sweep.trials.name.indexOf(own);
    if (row < 0) return null;
    const of = (lists, label = (key) => key) => Object.fromEntries(Object.entries(lists || {}).filter(([, list]) => list[row] !== null).map(([key, list]) => [label(key), plain(list[row])]));
    const { axis } = store.sweep;
    const curves = Object.entries(sweep.curves[own] || {}).filter(([, curve]) => axis === sweep.axis || curve.step).map(([key, curve]) => [key, axis === sweep.axis ? curve : { ...curve, x: curve.step }]);
    return {
      name, row, details: sweep.details[own] || null, members: null, point: null,
      field: (key) => (sweep.trials[key] ? plain(sweep.trials[key][row]) ?? null : null),
      params: () => of(sweep.trials.params),
      metrics: () => ({ ...of(sweep.trials.values), ...of(sweep.trials.best, (key) => `best ${key}`) }),
      curves: () => (axis === sweep.axis || axis === "step" ? Object.fromEntries(curves) : {}),
    };
  };
  report.otherNames = () => { const sweep = other(); return sweep ? sweep.trials.name.map((name) => `${sweep.id}/${name}`) : []; };
  report.whenReady(() => {
    const place = document.getElementById("beside-pictures"), found = store.blob.beside;
    if (!place || !found) return;
    if (store.sweep.best !== null && found.other.best !== null) {
      place.append(report.make("p", {}, report.linkTo({ trial: null, compare: [store.sweep.best, `${found.other.id}/${found.other.best}`] }, `Compare the two best ${store.sweep.noun}s`)));
    }
    if (!found.figures.length) return;
    place.append(report.legend(found.names), report.make("div", { class: "figures" }, found.figures.map((figure) => {
      const curve = figure.x_title === store.sweep.axis;
      const series = figure.series.map((one) => ({ ...one, x: curve ? report.curve.places(one, figure.x_title) : one.x, rows: one.x, name: found.names[one.place] }));
      const tell = series.map((one) => `${one.name}: ${one.points ? `${one.y.length} trials` : `${report.format.number(one.y[one.y.length - 1])} at the end`}`).join("; ");
      return report.drawLines(figure.title, series, { xTitle: figure.x_title, log: figure.log, tell, by: true });
    })));
  });
})();
