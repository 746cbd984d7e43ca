"""Holds what a report shows (trials, their curves, the search), and reads these from a sweep's folder."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from ...base.errors import SweepError
from ...base.files import read_json
from ...base.values import finite_number
from ...base.wording import sentence
from ...records import environment
from ...records.alive import count_agents, launchers
from ...records.control.order_file import OrderFile
from ...records.control.orders import count_wanted
from ...records.control.words import Given, orders_given
from ...records.folder import SEEDS_FILE, WARM_FILE, SweepPaths, TrialRecord, best_of, rank
from ...records.front import front_of_points, front_of_trials
from ...records.launch_file import load_spec_of, read_launch
from ...records.metrics import readable_metrics
from ...records.points import Point, group_points, noun_of, target_reached
from ...records.progress import Progress, Tally, count_settled, retried_trials
from ...records.standings import best_by, rank_points
from ...records.summary import known_records
from ...spec.parameter import Parameter
from ...spec.sweep import SweepSpec
from ..same_seeds import same_seeds_text
from ..same_value import same_value_text

POINTS = 80  # points of a curve: more than a screen shows apart
TAIL = 16  # last values of the metric that are kept unthinned, to estimate the noise
AXIS = "epoch"  # the x-axis where rows have one; else the step
META = ("step", AXIS)  # keys of a row that are no metrics


@dataclass(frozen=True)
class Curve:
    """The course of a metric over a trial, thinned to `POINTS`."""

    x: list[float]
    y: list[float]
    step: list[float] = field(default_factory=list)  # of each point, where x is the epoch; empty where it is not known


@dataclass
class Trial:
    """A trial, the curves of its metrics, and its page's address."""

    record: TrialRecord
    curves: dict[str, Curve] = field(default_factory=dict)
    tail: list[float] = field(default_factory=list)  # the last values of the sweep's metric, unthinned
    epochs: bool = False  # whether the x-axis of its curves is the epoch
    reached: dict[str, tuple[float, float]] = field(default_factory=dict)  # least and largest value of each metric
    url: str = ""
    point: Point | None = None  # of a sweep with repeats seen by its points: the one that `record` has the means of
    able: bool = True  # whether it has enough seeds to be the best
    bands: dict[str, list[float | None]] = field(default_factory=dict)  # standard errors along the curves of means

    @property
    def seconds(self) -> float | None:
        """How long the trial took; None while it runs."""
        return self.record.seconds


@dataclass
class Sweep:
    """Everything a report shows. `trials` are in the order of their numbers."""

    id: str
    name: str
    source: str  # the folder or the address that the sweep was read from
    controller: str
    method: str
    metric: str | None
    goal: str
    trials: list[Trial]
    spec: SweepSpec | None = None
    launch: dict[str, Any] = field(default_factory=dict)  # launch.json
    warm: dict[str, Any] = field(default_factory=dict)  # warm.json
    environment: dict[str, Any] = field(default_factory=dict)  # environment.json
    seeds: dict[str, Any] = field(default_factory=dict)  # seeds.json: the best configuration, trained again
    best_files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    orders: list[Given] = field(default_factory=list)  # what users ordered while it ran
    folder: str = ""  # the sweep's folder on this machine; empty where there is none
    alive: bool | None = None  # whether somebody works on it; None: not known here

    @property
    def records(self) -> list[TrialRecord]:
        """The trials' records."""
        return [trial.record for trial in self.trials]

    @property
    def finished(self) -> list[Trial]:
        """Trials whose value counts: finished, with a number."""
        return [trial for trial in self.trials if is_finished(trial)]

    @property
    def tally(self) -> Tally:
        """Trials by state, each point by its last trial."""
        return Tally.of(self.records)

    @property
    def progress(self) -> Progress:
        """How far the sweep is; its target is the number of trials so far where no launch says how many are to run."""
        settled = count_settled(self.records, self.launch.get("retry") or ())
        target = max(count_wanted(self.launch, [given.order for given in self.orders]), settled)
        return Progress(settled, target, self.spec is not None and target_reached(self.spec, self.records))

    @property
    def left(self) -> int:
        """The number of trials that run, or are still to be run."""
        return max(self.progress.left, self.tally.counts.get("running", 0))

    @property
    def runs(self) -> bool:
        """Whether somebody works on the trials that are left; where that is not known here, whether a trial runs."""
        return bool(self.left and (self.tally.counts.get("running") if self.alive is None else self.alive))

    @property
    def retried(self) -> dict[str, TrialRecord]:
        """The trials that tried a point again, by the id of the earlier trial."""
        return retried_trials(self.records)

    @property
    def axis(self) -> str:
        """The name of the curves' x-axis: epoch or step."""
        return AXIS if any(trial.epochs for trial in self.trials) else "step"

    @property
    def noun(self) -> str:
        """The word for one of `trials`: with repeats it is a point."""
        return "point" if self.by_points else "trial"

    @property
    def repeat_noun(self) -> str:
        """The word for one of the repeats of a point: seed, or fold of a cross-validation."""
        return noun_of(self.spec)

    @property
    def by_points(self) -> bool:
        """Whether `trials` are points, with the means of their seeds."""
        return any(trial.point is not None for trial in self.trials)

    @property
    def best(self) -> TrialRecord | None:
        """The best finished trial; with repeats that of the best point."""
        if self.by_points:
            return next((trial.record for trial in self.ranked()[:1] if is_finished(trial)), None)
        if self.spec is not None and self.spec.repeats is not None:
            best = best_by(self.spec, group_points(self.records))
            return best.typical if best is not None else None
        return best_of(self.records, self.goal)

    @property
    def best_trial(self) -> Trial | None:
        """The trial, or point, that has the best record."""
        best = self.best
        return next((trial for trial in self.trials if best is not None and trial.record.name == best.name), None)

    def front(self) -> list[str]:
        """Names what is on the front of several objectives, best in the first one first; empty with one objective."""
        if self.spec is None or len(self.spec.objectives) < 2:
            return []
        if not self.by_points:
            return [record.name for record in front_of_trials(self.records, self.spec.objectives)]
        points = [trial.point for trial in self.trials if trial.point is not None]
        enough, constraints = self.spec.seeds_enough, self.spec.constraints
        return [point.name for point in front_of_points(points, self.spec.objectives, constraints, enough=enough)]

    def ranked(self) -> list[Trial]:
        """Sorts the trials, best first (see `records.folder.rank`); points with too few seeds to be the best come later."""
        if self.by_points and self.spec is not None:
            points = [trial.point for trial in self.trials if trial.point is not None]
            places = {point.name: place for place, point in enumerate(rank_points(self.spec, points))}
            return sorted(self.trials, key=lambda trial: places[trial.record.name])
        order = {id(record): place for place, record in enumerate(rank(self.records, self.goal))}
        return sorted(self.trials, key=lambda trial: order[id(trial.record)])

    def parameters(self) -> list[str]:
        """Lists the names of all parameters, the sweep file's first."""
        declared = [item.name for item in self.spec.parameters] if self.spec else []
        return list(dict.fromkeys([*declared, *(name for record in self.records for name in record.params)]))

    def searched(self) -> list[str]:
        """Lists the parameters that have several values, among the trials or to choose from."""
        found = []
        for name in self.parameters():
            declared = self.declared(name)
            if declared is not None and declared.distribution != "constant":
                found.append(name)
                continue
            values = {text_of(record.params[name]) for record in self.records if name in record.params}
            if len(values) > 1:
                found.append(name)
        return found

    def declared(self, name: str) -> Parameter | None:
        """Finds the sweep file's parameter of this name."""
        return next((item for item in self.spec.parameters if item.name == name), None) if self.spec else None


def is_finished(trial: Trial) -> bool:
    """Tells whether a trial's value counts: it finished, with a number, keeps the constraints, and has enough seeds."""
    record = trial.record
    return record.state == "finished" and finite_number(record.value) and record.keeps_constraints and trial.able


def text_of(value: Any) -> str:
    """Formats a parameter's value as a category's name: 1 and 1.0 are the same, lists and mappings are JSON."""
    if isinstance(value, bool) or value is None or isinstance(value, list | tuple | Mapping):
        return json.dumps(value, default=str, sort_keys=True)
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def thin(x: Sequence[float], y: Sequence[float], points: int = POINTS) -> Curve:
    """Thins a curve to evenly spaced points, with the first and the last."""
    chosen = thin_places(len(x), points)
    return Curve([x[place] for place in chosen], [y[place] for place in chosen])


def thin_places(size: int, points: int = POINTS) -> Sequence[int]:
    """Chooses evenly spaced places of `size`, the first and the last among them."""
    if size <= points:
        return range(size)
    return [round(place * (size - 1) / (points - 1)) for place in range(points)]


def trial_of(record: TrialRecord, rows: Iterable[Mapping[str, Any]], metric: str | None, url: str = "") -> Trial:
    """Makes a trial of its record and rows: every metric thinned, the last values of `metric` unthinned."""
    found = list(rows)
    epochs = any(AXIS in row for row in found)
    steps = _finite([row.get("step") for row in found], range(len(found)))
    xs = _finite([row.get(AXIS) for row in found], steps) if epochs else steps
    curves, reached, ys = {}, {}, {}
    for name in dict.fromkeys(name for keys in dict.fromkeys(map(tuple, found)) for name in keys):
        if name in META:
            continue
        places, values = _numbers(found, name)
        if not values:
            continue
        ys[name] = values
        chosen = [places[place] for place in thin_places(len(values))]
        own = [steps[place] for place in chosen] if epochs else []
        thinned = [values[place] for place in thin_places(len(values))]
        curves[name] = Curve([xs[place] for place in chosen], thinned, own)
        known = values if all(map(math.isfinite, values)) else [value for value in values if math.isfinite(value)]
        if known:
            reached[name] = min(known), max(known)
    tail = [value for value in ys.get(metric, ())[-TAIL:] if finite_number(value)] if metric else []
    return Trial(record, curves, tail, epochs, reached, url)


def _finite(values: Sequence[Any], otherwise: Iterable[float]) -> list[float]:
    """Returns the values as floats, each that is no finite number replaced by the other one."""
    if set(map(type, values)) <= {float, int}:
        with contextlib.suppress(OverflowError):  # of a whole number beyond every float
            found = list(map(float, values))
            if all(map(math.isfinite, found)):
                return found
    return [float(value if finite_number(value) else other) for value, other in zip(values, otherwise, strict=True)]


def _numbers(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """Finds the rows in which a metric is a number, nan and infinities among them, and the numbers."""
    places = [place for place, row in enumerate(rows) if name in row]
    values = [rows[place][name] for place in places]
    if set(map(type, values)) <= {float, int}:
        with contextlib.suppress(OverflowError):
            return places, list(map(float, values))
    kept = [
        (place, float(value))
        for place, value in zip(places, values, strict=True)
        if isinstance(value, float) or (type(value) is int and finite_number(value))
    ]
    return [place for place, _ in kept], [value for _, value in kept]


def read_local(paths: SweepPaths) -> Sweep:
    """Reads a sweep from its folder.

    Raises:
        SweepError: sweep.yaml cannot be read.
    """
    sweep = read_without_curves(paths, ())
    trials = list(_trials(paths, sweep.metric))
    found = list(paths.dir.parent.glob(f"{paths.sweep_id}-best*/{SEEDS_FILE}"))
    return replace(
        sweep,
        trials=trials,
        warm=read_json(paths.dir / WARM_FILE),
        environment=read_json(paths.dir / environment.FILE),
        seeds=read_json(max(found, key=lambda path: path.stat().st_mtime)) if found else {},
        orders=orders_given(OrderFile(paths).read()),
        alive=_alive(trials, paths),
        best_files=sorted(path.name for path in (paths.dir / "best").glob("*") if os.path.isfile(path)),
        notes=[*_elsewhere(trials, paths), *(_alike(trials, sweep.spec, paths) if sweep.spec else ())],
    )


def read_without_curves(paths: SweepPaths, records: Iterable[TrialRecord]) -> Sweep:
    """Reads what a sweep's folder says of the whole sweep, for trials whose records are known.

    Raises:
        SweepError: sweep.yaml cannot be read.
    """
    try:
        spec = load_spec_of(paths)
    except (OSError, SweepError, yaml.YAMLError) as error:
        raise SweepError(f"{paths.spec}: cannot be read: {error}") from error
    launch = read_launch(paths)
    return Sweep(
        id=paths.sweep_id,
        name=spec.name or paths.sweep_id,
        source=str(paths.dir),
        controller=str(launch.get("controller", "")),
        method=spec.method,
        metric=spec.metric.name if spec.metric else None,
        goal=spec.metric.goal if spec.metric else "minimize",
        trials=[Trial(record) for record in records],
        spec=spec,
        launch=launch,
        folder=str(paths.dir),
    )


def _trials(paths: SweepPaths, metric: str | None) -> Iterator[Trial]:
    """Reads the trials in order of their numbers."""
    for record in sorted(known_records(paths), key=lambda record: (record.number, record.started)):
        yield trial_of(record, readable_metrics(paths.trial(record.name).metrics), metric)


def _alike(trials: Sequence[Trial], spec: SweepSpec, paths: SweepPaths) -> list[str]:
    """Writes notes where all trials end with one value, or all seeds of a point do."""
    records, metric = [trial.record for trial in trials], spec.metric.name if spec.metric else None
    texts = (same_value_text(records, metric, paths), same_seeds_text(spec, records, paths))
    return [sentence(text) for text in texts if text]


def _alive(trials: Sequence[Trial], paths: SweepPaths) -> bool | None:
    """Looks whether a launcher or an agent works on the sweep; None where only another machine knows."""
    if launchers(paths) or count_agents(paths):
        return True
    running = [trial.record for trial in trials if trial.record.state == "running"]
    return False if all(os.path.isfile(paths.trial(record.name).record) for record in running) else None


def _elsewhere(trials: Sequence[Trial], paths: SweepPaths) -> list[str]:
    """Writes a note about the trials whose folders are on other machines, if there are any."""
    there = [trial.record for trial in trials if not os.path.isfile(paths.trial(trial.record.name).record)]
    if not there:
        return []
    hosts = ", ".join(sorted({record.host for record in there if record.host})) or "another machine"
    return [f"{len(there)} of {len(trials)} trials ran elsewhere ({hosts}): their curves and last lines are not here."]
