// What a curve is, for every picture of curves: its axes, its places on an axis, its smoothing, and how lines are told apart.
"use strict";
(() => {
  const report = window.report, store = report.store;
  const DASHES = ["", "7 4", "2 3", "9 3 2 3", "14 4", "4 2"];  // told apart without colours, too
  const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

  /* Names of the axes that the curves of some trials can be drawn over; `trials` has each one's curves, `timed`: whether one of
     them has a duration. */
  function axes(trials, timed) {
    const own = store.sweep.axis, steps = own === "epoch" && trials.some((curves) => Object.values(curves || {}).some((curve) => curve.step));
    return [own, ...(steps ? ["step"] : []), ...(timed ? ["time"] : [])];
  }
  // Rows of one epoch are spread evenly over it: drawn at one place they would be an upright line.
  function spread(x) {
    if (!x.some((at, place) => place && at === x[place - 1])) return x;
    const found = [];
    for (let from = 0; from < x.length;) {
      let end = from + 1;
      while (end < x.length && x[end] === x[from]) end++;
      for (let place = from; place < end; place++) found.push(x[from] + (place - from) / (end - from));
      from = end;
    }
    return found;
  }
  /* Places of a curve's values on an axis; null where these are not known. Rows have no time: they are spread evenly over the
     trial's `seconds`. */
  function places(curve, axis, seconds) {
    if (axis === store.sweep.axis) return spread(curve.x);
    if (axis === "step") return curve.step || null;
    if (axis !== "time") return null;
    const steps = curve.step || curve.x, last = steps[steps.length - 1];
    return !isNumber(seconds) || !(last > 0) ? null : steps.map((step) => seconds * step / last);
  }
  /* The unit in which seconds are written, and how many it has. */
  const unit = (most) => (most > 3 * 3600 ? [3600, "hours"] : most > 180 ? [60, "minutes"] : [1, "seconds"]);
  // Exponential moving average without the bias of its start: y_t / (1 − w^t), where what is not finite is left out.
  function smoothed(values, weight) {
    if (!weight) return values;
    let sum = 0, scale = 1;
    return values.map((value) => {
      if (!isNumber(value)) return null;
      sum = sum * weight + (1 - weight) * value;
      scale *= weight;
      return sum / (1 - scale);
    });
  }
  /* Says that not every row is drawn, where that is so. */
  function thinned(curves) {
    const most = store.figures.curves ? store.figures.curves.points : Infinity;
    return curves.some((curve) => curve.y.length >= most) ? "Long curves are thinned: some rows are not drawn." : "";
  }
  report.curve = { DASHES, axes, places, unit, smoothed, thinned };
})();
