"""Tries whether a trainer resumes: starts one point, ends it at its first rung, starts it again in its folder and in another."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGTERM
from typing import Any

from ...base.errors import ConfigError
from ...base.processes import catches
from ...base.values import finite_number
from ...records.folder import SweepPaths, TrialPaths, TrialRecord
from ...records.launch_file import save_spec
from ...trainers.profile import TrainerProfile
from ...trainers.ways.resume import newest_checkpoint
from ...trial.contract import Assignment, Launch
from ...trial.first_trial import trainer_files
from ...trial.process import Limits, Stop
from ...trial.runner import TrialRunner
from ..plan.dry_run import next_trials
from ..plan.plan import Plan
from ..workers.agent import load_launch
from .outside import written_checkpoint

SAVES = 60.0  # seconds at least that a trainer which takes no SIGTERM gets to save its first checkpoint
WRITTEN = 2.0  # seconds after its last change, at most, that a checkpoint is taken to be whole
SETTLED = 10.0  # seconds after its value at the first rung, at most, that a trainer has saved what it saves then
NO_CHECKPOINTS = (".txt", ".log", ".csv", ".yaml", ".yml")  # suffixes
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
        to_end: whether the start runs to its own end.
        wanted: values of the metric that the first start logs: those up to the first rung.
        files: lists what the trainer has left in its folder.
    """

    metric: str
    axis: str
    folder: Path
    patterns: tuple[str, ...]
    deadline: float
    before: Start | None = None
    to_end: bool = False
    wanted: int = 1
    files: Callable[[], list[Path]] = list
    began: float = field(default_factory=time.monotonic)
    began_at: float = field(default_factory=time.time)  # seconds since the epoch
    record: TrialRecord | None = None
    places: list[float] = field(default_factory=list)  # on the x-axis
    at_values: list[float | None] = field(default_factory=list)  # the place of each value of the metric
    counters: dict[str, int] = field(default_factory=dict)  # the first ones that were printed
    value_at: float | None = None  # seconds (monotonic) of the first value
    rung_at: float | None = None  # and of that at the first rung
    saved: bool = False  # whether the first start has left a checkpoint

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
            if len(self.at_values) >= self.wanted:
                self.rung_at = self.rung_at or time.monotonic()

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
            return Stop("stopped")
        if self.before is not None:
            if self.to_end or not (self.at_values or later(self.before, self)):
                return None
        elif self.value_at is None or self.rung_at is None or not self._can_end(now, self.value_at, self.rung_at):
            return None
        return Stop("stopped")

    def _can_end(self, now: float, value_at: float, rung_at: float) -> bool:
        """Tells whether a trainer at its first rung can be ended: its checkpoint is whole, or it had the time to save one.

        Args:
            now: seconds (monotonic), as the others are.
            value_at: when it logged its first value.
            rung_at: when it logged the one at the first rung.
        """
        if self.record is None or self.record.pid is None:
            return True
        pace = value_at - self.began
        waited = now - rung_at
        if waited > max(SAVES, 2 * pace):
            return True
        takes_sigterm = catches(self.record.pid, SIGTERM) is not False  # it may save then
        # Another value, or some time: what it saves with each value, shortly before or behind it, has been saved.
        saves_over = len(self.at_values) > self.wanted or waited > SETTLED
        found = self.checkpoint()
        if found is None:
            return takes_sigterm and saves_over
        whole = min(WRITTEN, pace / 4)  # epochs may be shorter than that
        is_whole = time.time() - last_change(found) > whole
        if self.patterns:
            return takes_sigterm or is_whole
        return saves_over and (takes_sigterm or is_whole or waited > SETTLED)  # files such as logs change all the time

    def checkpoint(self) -> Path | None:
        """Finds the newest checkpoint in the trainer's folder; without patterns, the newest file but for logs and settings."""
        if self.patterns:
            return newest_checkpoint(self.folder, self.patterns)
        return max((path for path in self.files() if path.suffix not in NO_CHECKPOINTS), key=last_change, default=None)

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


@dataclass
class Tried:
    """Holds what was seen of the starts.

    Attributes:
        starts: the first, the second in the first one's folder, and the third in a folder of its own: those that were made.
        left: whether the first has left any file in its folder.
        elsewhere: a file outside the folder that has been written meanwhile and looks like a checkpoint.
        failed_before: why the second start failed at the first try; None: it did not.
    """

    starts: list[Start]
    left: bool = False
    elsewhere: Path | None = None
    failed_before: str | None = None

    @property
    def is_outside(self) -> bool:
        """Whether the trainer resumes from what is not in the trial's folder."""
        if len(self.starts) < 2 or not later(self.starts[0], self.starts[1]):
            return False
        return not self.left or (len(self.starts) > 2 and later(self.starts[0], self.starts[2]) is True)


def try_starts(plan: Plan, metric: str, limit: float, grace: float, wanted: int) -> Tried:
    """Starts the trainer for the first point, ends it, and starts it again in its folder and then in an empty one.

    Nothing is left in the folders it is given. Where the second start fails the two are made once more: the first may have
    been ended while it wrote its checkpoint.

    Args:
        metric: the compared metric.
        limit: seconds of each start at most.
        grace: seconds between SIGTERM and SIGKILL.
        wanted: values of the metric after which the first start is ended.

    Raises:
        ConfigError: there is no room for results.
    """
    with _folder(plan) as paths:
        tries = _Tries(plan, paths, metric, limit, grace, wanted)
        try:
            return tries.run()
        finally:
            tries.runner.close()


class _Tries:
    """Starts the trainer in a sweep's folder."""

    def __init__(self, plan: Plan, paths: SweepPaths, metric: str, limit: float, grace: float, wanted: int) -> None:
        """Writes what the starts need into the folder; the arguments are those of `try_starts`."""
        self.plan, self.paths, self.metric, self.limit, self.wanted = plan, paths, metric, limit, wanted
        self.launch = _launch(plan, paths, grace)
        self.point: tuple[int, Mapping[str, Any], Any] = next(next_trials(plan), (0, {}, None))
        self.current: Start | None = None
        self.runner = TrialRunner(
            self.launch, stop_requested=lambda: self.current.stop() if self.current is not None else None
        )
        self.runner.use_gpus(plan.layout.places[0], shared=False)

    def run(self) -> Tried:
        """Makes the starts that are needed."""
        tried = self._two("try", self.wanted)
        if len(tried.starts) > 1 and tried.starts[1].failure and tried.left:
            before = tried.starts[1].failure
            tried = self._two("again", self.wanted + 1)  # at another moment
            tried.failed_before = before
        first, second = tried.starts[0], tried.starts[-1]
        if second is first or second.failure or not later(first, second):
            return tried
        if tried.left:
            to_end = first.record is not None and first.record.state == "finished"
            tried.starts.append(self._start("other", before=first, to_end=to_end))
        if tried.is_outside:
            folder = self.launch.profile.cwd
            tried.elsewhere = written_checkpoint(folder, first.began_at, self.paths.dir, first.patterns)
        return tried

    def _two(self, name: str, wanted: int) -> Tried:
        """Makes two starts in one folder; the second only where the first has logged a value."""
        first = self._start(name, wanted=wanted)
        left = bool(first.files())
        if first.failure or not first.at_values:
            return Tried([first], left)
        first.saved = first.checkpoint() is not None
        return Tried([first, self._start(name, before=first)], left)

    def _start(self, name: str, before: Start | None = None, **more: Any) -> Start:
        """Starts the trainer in the folder of a trial of this name; returns what was seen of it."""
        profile, trial = self.launch.profile, self.paths.trial(name)
        number, params, seed = self.point
        start = self.current = Start(
            self.metric,
            profile.metrics.axis,
            profile.output_dir(trial.dir),
            profile.resume.patterns,
            time.monotonic() + self.limit,
            before=before,
            files=lambda: _files(trial, profile, start.record),
            **more,
        )
        size = trial.stdout.stat().st_size if trial.stdout.is_file() else 0
        self.runner.run(Assignment(name, name, number, params, seed=seed), start)
        with open(trial.stdout, "rb") as file:
            file.seek(size)
            start.read_counters(file.read(1 << 24).decode("utf-8", "replace"))
        return start


def _files(trial: TrialPaths, profile: TrainerProfile, record: TrialRecord | None) -> list[Path]:
    """Lists what the trainer has left in its folder, as far as that can be read."""
    found: list[Path] = []
    if record is not None:
        with contextlib.suppress(OSError):
            found.extend(trainer_files(trial, profile, record))
    return found


def _launch(plan: Plan, paths: SweepPaths, grace: float) -> Launch:
    """Writes what the starts need into their folder; returns how they are run, as for a trial of the sweep."""
    paths.agents.mkdir(parents=True)
    save_spec(paths, plan.spec)
    replace(plan.launch, trainer=plan.profile.install(paths.dir)).save(paths)
    schema = plan.overrides.schema.packed() if plan.overrides.schema else None
    return replace(load_launch(paths, Limits(grace=grace), schema), watch=None)
