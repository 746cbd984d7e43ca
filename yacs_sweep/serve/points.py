"""Makes what a page of a sweep with repeats shows of points whose trials have changed: their means, curves and ranks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..records.folder import SweepPaths, TrialRecord
from ..records.metrics import readable_metrics
from ..records.points import group_points
from ..show.report.data import Trial, read_without_curves, trial_of
from ..show.report.findings import places
from ..show.report.page.blob import curve_data, curve_metrics, metric_names, points_of_curves, trial_columns
from ..show.report.points import by_points

AT_ONCE = 4  # points whose curves are sent in one poll
SHARE = 50  # times as long as it takes, it is not done again: 2 % of a core


class PointRows:
    """Follows the points of one sweep."""

    def __init__(self, paths: SweepPaths, *, now: Callable[[], float] = time.monotonic) -> None:
        self._paths, self._now = paths, now
        self._changed: set[str] = set()  # names of trials that have changed since their points were sent
        self._ranks: dict[str, int | None] = {}
        self._next = 0.0

    def begin(self, records: Sequence[TrialRecord]) -> None:
        """Takes the trials as a page has them that is made now."""
        folded = by_points(read_without_curves(self._paths, records))
        ranked = folded.ranked()
        self._ranks = {trial.record.name: rank for trial, rank in zip(ranked, places(ranked), strict=True)}

    def poll(self, records: Sequence[TrialRecord], changed: Iterable[str]) -> dict[str, Any] | None:
        """Returns the points that have changed; None: none, or not yet.

        Args:
            records: of all trials.
            changed: names of trials that have changed since the last call.

        Returns:
            `trials` and `curves` as the page's data has them, and `ranks`: each that has changed, by the point's name.
        """
        self._changed.update(changed)
        begun = self._now()
        if not self._changed or begun < self._next:
            return None
        points = [point for point in group_points(records) if self._is_changed(point.trials)][:AT_ONCE]
        wanted = {record.name for point in points for record in point.trials}
        sweep = read_without_curves(self._paths, ())
        sweep.trials = [
            self._with_curves(each, sweep.metric) if each.name in wanted else Trial(each) for each in records
        ]
        folded = by_points(sweep)
        ranked = folded.ranked()
        ranks = {trial.record.name: rank for trial, rank in zip(ranked, places(ranked), strict=True)}
        moved = {name: rank for name, rank in ranks.items() if self._ranks.get(name) != rank}
        names = {point.name for point in points}
        trials = [trial for trial in folded.trials if trial.record.name in names]
        metrics = metric_names(folded)
        drawn = curve_metrics(folded, metrics)
        self._ranks = ranks
        self._changed -= wanted
        self._next = self._now() + SHARE * (self._now() - begun)
        return {
            "trials": trial_columns(folded, trials, metrics),
            "curves": curve_data(trials, drawn, points_of_curves(len(folded.trials), len(drawn))),
            "ranks": moved,
        }

    def _is_changed(self, records: Iterable[TrialRecord]) -> bool:
        return any(record.name in self._changed for record in records)

    def _with_curves(self, record: TrialRecord, metric: str | None) -> Trial:
        return trial_of(record, readable_metrics(self._paths.trial(record.name).metrics), metric)
