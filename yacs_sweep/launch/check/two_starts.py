"""Tries whether a trainer resumes: starts one point, ends it after its first value, and starts it again in its folder."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGTERM
from typing import Any

from ...base.errors import ConfigError
from ...base.processes import catches
from ...base.values import finite_number
from ...records.folder import SweepPaths, TrialPaths, TrialRecord
from ...records.launch_file import save_spec
from ...trainers.ways.resume import newest_checkpoint
from ...trial.contract import Assignment, Launch
from ...trial.process import Limits, Stop
from ...trial.runner import TrialRunner
from ..plan.dry_run import next_trials
from ..plan.plan import Plan
from ..workers.agent import load_launch

SAVES = 60.0  # seconds at least that a trainer which takes no SIGTERM gets to save its first checkpoint
WRITTEN = 2.0  # seconds after its last change, at most, that a checkpoint is taken to be whole
_COUNTER = re.compile(r"(?<![\w.-])(epoch|iteration|iter|step)\b\W{0,3}(\d+)", re.IGNORECASE)


@contextlib.contextmanager
def _folder(plan: Plan) -> Iterator[SweepPaths]:
    """Gives a sweep's folder for the two starts, and deletes it with everything that was made for it."""
    base = Path(plan.spec.results_dir_base).expanduser().resolve()
    made = [path for path in (base, *base.parents) if not path.exists()]
    try:
        base.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="try-", dir=base))
    except OSError as error:
        raise ConfigError(f"cannot write results to {base}: {error.strerror}") from error
    try:
        yield SweepPaths(folder, "try")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()


@dataclass
class Start:
    """Holds what was seen of one start of the trainer; it is what the trial runner calls, too.

    Attributes:
        metric: the compared metric.
        axis: name of the x-axis in the rows.
        before: what the first start has shown; None: this is the first.
    """

    metric: str
    axis: str
    folder: Path
    patterns: tuple[str, ...]
    deadline: float
    before: Start | None = None
    began: float = field(default_factory=time.monotonic)
    record: TrialRecord | None = None
    places: list[float] = field(default_factory=list)  # on the x-axis
    at_values: list[float | None] = field(default_factory=list)  # the place of each value of the metric
    counters: dict[str, int] = field(default_factory=dict)  # the first ones that were printed
    value_at: float | None = None  # seconds (monotonic) of the first value
    timed_out: bool = False

    def started(self, record: TrialRecord, paths: TrialPaths) -> None:
        """Keeps the record."""
        self.record = record

    def log(self, row: Mapping[str, Any], step: int) -> None:
        """Looks at a row."""
        place = row.get(self.axis)
        if isinstance(place, int | float) and finite_number(place):
            self.places.append(float(place))
        if self.metric in row:
            self.at_values.append(self.places[-1] if self.places else None)
            self.value_at = self.value_at or time.monotonic()

    def should_stop(self) -> str | None:
        """Never ends the trial as early stopping does; `stop` does so."""
        return None

    def ended(self, record: TrialRecord) -> None:
        """Keeps how it ended."""
        self.record = record

    def stop(self) -> Stop | None:
        """Returns why the start is over; None while it may say more."""
        now = time.monotonic()
        if now > self.deadline:
            self.timed_out = True
        elif self.before is not None:
            if not (self.at_values or later(self.before, self)):
                return None
        elif self.value_at is None or not self._has_saved(now):
            return None
        return Stop("stopped")

    def _has_saved(self, now: float) -> bool:
        """Tells whether a trainer that has logged a value can be ended: it saves then, or has saved, or had the time to."""
        assert self.value_at is not None
        if not self.patterns or self.record is None or self.record.pid is None:
            return True
        if catches(self.record.pid, SIGTERM) is not False:
            return True
        found = newest_checkpoint(self.folder, self.patterns)
        whole = min(WRITTEN, (self.value_at - self.began) / 4)  # epochs may be shorter than that
        if found is not None and time.time() - last_change(found) > whole:
            return True
        return now - self.value_at > max(SAVES, 2 * (self.value_at - self.began))

    def read_counters(self, output: str) -> None:
        """Reads the first line of its output that says an epoch or an iteration."""
        for line in output.splitlines():
            if found := _COUNTER.findall(line):
                self.counters = {name.lower(): int(number) for name, number in reversed(found)}
                return

    @property
    def failure(self) -> str | None:
        """Why it failed; None where it did not."""
        return self.record.reason if self.record is not None and self.record.state == "failed" else None


def last_change(checkpoint: Path) -> float:
    """Returns when a checkpoint, or what is in it where it is a folder, was last changed (seconds since the epoch)."""
    paths = [checkpoint, *(checkpoint.rglob("*") if checkpoint.is_dir() else ())]
    times = [0.0]
    for path in paths:
        with contextlib.suppress(OSError):  # deleted meanwhile
            times.append(path.stat().st_mtime)
    return max(times)


def later(first: Start, second: Start) -> bool | None:
    """Tells whether the second start began later in the training than the first; None: nothing shows it.

    The x-axis counts first, then what the first lines print, then the number of values where both came to their end.
    """
    if first.places and second.places:
        if second.places[0] > first.places[0]:
            return True
        values = [start.at_values[0] if start.at_values else None for start in (first, second)]
        if values[0] is not None and values[1] is not None and values[1] > values[0]:
            return True
    names = [name for name in first.counters if name in second.counters]
    places = [tuple(start.counters[name] for name in names) for start in (first, second)]
    if names and places[1] > places[0]:
        return True
    ended = all(start.record is not None and start.record.state == "finished" for start in (first, second))
    if ended and len(first.at_values) != len(second.at_values):
        return len(second.at_values) < len(first.at_values)
    return False if names or (first.places and second.places) else None


def start_twice(plan: Plan, metric: str, limit: float, grace: float) -> tuple[Start, Start]:
    """Starts the trainer for the first point, ends it after a value of the metric, and starts it again in its folder.

    Nothing is left of it.

    Args:
        metric: the compared metric.
        limit: seconds of each start at most.
        grace: seconds between SIGTERM and SIGKILL.

    Returns:
        What was seen of both; the first twice where it failed or logged no value.

    Raises:
        ConfigError: there is no room for results.
    """
    with _folder(plan) as paths:
        return _start_twice(plan, paths, metric, limit, grace)


def _start_twice(plan: Plan, paths: SweepPaths, metric: str, limit: float, grace: float) -> tuple[Start, Start]:
    """Starts the trainer twice in a sweep's folder."""
    launch = _launch(plan, paths, grace)
    number, params, seed = next(next_trials(plan), (0, {}, None))
    assignment = Assignment("try", "try", number, params, seed=seed)
    trial = paths.trial("try")
    folder, patterns = launch.profile.output_dir(trial.dir), launch.profile.resume.patterns
    starts: list[Start] = []
    current: Start | None = None
    runner = TrialRunner(launch, stop_requested=lambda: current.stop() if current is not None else None)
    runner.use_gpus(plan.layout.places[0], shared=False)
    try:
        while len(starts) < 2:
            axis, deadline = launch.profile.metrics.axis, time.monotonic() + limit
            current = Start(metric, axis, folder, patterns, deadline, before=starts[0] if starts else None)
            size = trial.stdout.stat().st_size if trial.stdout.is_file() else 0
            runner.run(assignment, current)
            with open(trial.stdout, "rb") as file:
                file.seek(size)
                current.read_counters(file.read(1 << 24).decode("utf-8", "replace"))
            starts.append(current)
            if current.failure or not current.at_values:
                break
    finally:
        runner.close()
    return starts[0], starts[-1]


def _launch(plan: Plan, paths: SweepPaths, grace: float) -> Launch:
    """Writes what the starts need into their folder; returns how they are run, as for a trial of the sweep."""
    paths.agents.mkdir(parents=True)
    save_spec(paths, plan.spec)
    replace(plan.launch, trainer=plan.profile.install(paths.dir)).save(paths)
    schema = plan.overrides.schema.packed() if plan.overrides.schema else None
    return replace(load_launch(paths, Limits(grace=grace), schema), watch=None)
