"""Names the paths of a sweep's folder, and reads and writes ``trial.json``.

``trial.json`` is the truth about a trial and is written by its agent alone; ``summary.json`` and ``best.yml`` are
derived from it and written by the supervisor alone. Files appear whole or not at all (`write_atomically`); the two that
grow (``metrics.jsonl``, ``stdout.log``) are appended line by line and need no closing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.files import FULL, ensure_folder, make_way, read_regular, regain, write_atomically
from ..base.values import finite_number, from_json, of_field_types, to_json, utc_now, utc_seconds

STATES = ("running", "finished", "stopped", "paused", "failed", "killed", "lost")
ENDED_WELL = ("finished", "stopped", "paused")
RESUMES = "it resumes from its checkpoint"  # of a trial that was cut short and is not given up
OVER = ("finished", "stopped", "failed")  # ended by themselves: their trial.json does not change any more
DEADLINE = "deadline"  # cause of a trial that was ended since the sweep's time was up: it resumes with the sweep
ORDERED_ENDS = ("interrupted", DEADLINE)  # causes of trials that a user, or the budget, has ended: no failures
MACHINE_CAUSES = ("disk_full", "gpu_fault")  # failures that say nothing of the point
# Failures of the trainer's own. A point that is tried again after one starts from nothing: what the trainer left may be
# what it fails on, and one that had come to its end would do nothing.
OWN_FAILURES = ("exit", "import_error", "start", "diverged", "no_metric", "refused")
REPLACED = "replaced"  # cause of a trial that ended for one with a better trial's checkpoint, by which it counts
SEEDS_FILE = "seeds.json"
WARM_FILE = "warm.json"
LAUNCHER_FILES = ("trial.json", "metrics.jsonl", "stdout.log")  # in a trial's folder
# In trial.json only where the sweep uses them, and the value of one that does not.
_USED_ONLY: dict[str, Any] = {
    "given": {},
    "values": None,
    "facts": None,
    "feasible": None,
    "violated": [],
    "point": None,
    "seed": None,
    "resumed_with": [],
    "until": None,
    "iterations": None,
    "repeated": 0,
    "starts": [],
    "trained": 0.0,
    "asleep": 0.0,
    "ran": [],
    "parent_trial": None,
    "begun_at": 0,
    "replaces": None,
}
RESERVED = (
    "agents",
    "best",
    "inputs",
    "mlflow",
    "pareto",
    "tensorboard",
    "wandb",
)  # the sweep's own folders, beside its trials'


# -- paths ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class TrialPaths:
    """The paths of one trial."""

    dir: Path

    @property
    def record(self) -> Path:
        return self.dir / "trial.json"

    @property
    def metrics(self) -> Path:
        return self.dir / "metrics.jsonl"

    @property
    def wandb_run(self) -> Path:
        """Returns the file with the name and config that the trainer gave its W&B run; absent where it gave none."""
        return self.dir / ".wandb-run.json"

    @property
    def stdout(self) -> Path:
        return self.dir / "stdout.log"


@dataclass(frozen=True)
class SweepPaths:
    """The paths of one sweep, below ``{base}/sweep/{sweep_id}``."""

    base: Path
    sweep_id: str

    @property
    def dir(self) -> Path:
        return self.base / "sweep" / self.sweep_id

    @property
    def spec(self) -> Path:
        return self.dir / "sweep.yaml"

    @property
    def launch(self) -> Path:
        """The launch file: everything that resuming by the sweep's id needs."""
        return self.dir / "launch.json"

    @property
    def inputs(self) -> Path:
        """Copies of the files that describe the sweep."""
        return self.dir / "inputs"

    @property
    def summary(self) -> Path:
        return self.dir / "summary.json"

    @property
    def best(self) -> Path:
        return self.dir / "best.yml"

    @property
    def schedule(self) -> Path:
        """Which parameters in which iterations led to the best trial of a population."""
        return self.dir / "best_schedule.yml"

    @property
    def pareto(self) -> Path:
        """The folder with a configuration file for each trial or point on the front of several objectives."""
        return self.dir / "pareto"

    def front_file(self, name: str) -> Path:
        """Returns the configuration file of a trial or point on the front."""
        return self.pareto / f"{name}{self.best.suffix}"

    @property
    def journal(self) -> Path:
        """The embedded storage's file."""
        return self.dir / "storage.journal"

    @property
    def agents(self) -> Path:
        """The folder of lock files (see `records.alive`)."""
        return self.dir / "agents"

    @property
    def control(self) -> Path:
        """What users have ordered the running sweep to do (see `records.control`)."""
        return self.dir / "control.jsonl"

    @property
    def calls(self) -> Path:
        """A folder for each running trial: what its trainer logs through W&B's client, until it is in metrics.jsonl."""
        return self.dir / ".calls"

    def trial(self, name: str) -> TrialPaths:
        """Returns the paths of the trial with this folder name."""
        return TrialPaths(self.dir / name)

    def records(self) -> Iterator[TrialRecord]:
        """Reads every trial.json that is not damaged, in order of the trials' numbers."""
        found = [record for _, record in self.scan() if record is not None]
        return iter(sorted(found, key=lambda record: (record.number, record.started)))

    def scan(self) -> Iterator[tuple[Path, TrialRecord | None]]:
        """Yields the path of every trial's trial.json and its content; None for a damaged one. Copies are left out."""
        for path in self.dir.glob("*/trial.json"):
            record = None
            with contextlib.suppress(OSError, ValueError, TypeError):
                record = TrialRecord.load(path)
            if record is None or record.name == path.parent.name:
                yield path, record

    def record(self, name: str) -> TrialRecord | None:
        """Reads the record of the trial with this folder name; None where none can be read, or the folder is a copy."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            record = TrialRecord.load(self.trial(name).record)
            return record if record.name == name else None
        return None

    def copies(self) -> dict[str, str]:
        """Finds copied or renamed trial folders, which are no trials: the name of the trial inside, by the folder's name."""
        found = {}
        for path in self.dir.glob("*/trial.json"):
            with contextlib.suppress(OSError, ValueError, TypeError):
                name = TrialRecord.load(path).name
                if name != path.parent.name and path.parent.name not in RESERVED:
                    found[path.parent.name] = name
        return found


def folder_name(name: str, fallback: str) -> str:
    """Makes a folder's name from a trial's: `name` where that is safe, else a cleaned one that ends in `fallback`.

    Names come from a server that other people can write to: no separators, no leading dot or dash, at most 80
    characters.
    """
    clean = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".-")[:80]
    if clean == name and clean and clean not in RESERVED:
        return name
    tail = re.sub(r"[^A-Za-z0-9_-]+", "-", fallback).strip("-")[:40] or "trial"
    return f"{clean}-{tail}" if clean else tail


# -- records ----------------------------------------------------------------------------------------------------------
@dataclass
class TrialRecord:
    """The record of a trial: the content of trial.json."""

    id: str
    name: str
    number: int
    params: dict[str, Any]
    state: str = "running"
    command: list[str] = field(default_factory=list)
    exit_code: int | None = None  # negative: the signal that ended it
    reason: str = ""  # why it ended, in words
    cause: str = ""  # the reason as one term: finished, stopped, timeout, stalled, exit, signal, oom, cuda_oom, …
    started: str = ""
    ended: str | None = None
    value: float | None = None  # of the sweep's metric: its last or its best, as the sweep's `optimize` says
    values: dict[str, float | None] | None = None  # of each objective, where the sweep has several
    facts: dict[str, Any] | None = None  # what the constraints mention, as it was measured
    feasible: bool | None = None  # whether it keeps the constraints; None: there are none, or that is not known
    violated: list[str] = field(default_factory=list)  # the constraints it does not keep
    point: str | None = None  # of a sweep with repeats: the point that it is a trial of, "point-0003",
    seed: int | float | str | None = None  # and the seed that it was trained with, which `params` does not hold
    rows: int = 0
    until: int | None = None  # iteration at which it pauses next, or has paused; None: it runs to its end
    iterations: int | None = None  # values that trials are compared by, each iteration once, where they end early
    repeated: int = 0  # iterations that a further start of its trainer has trained again, each time counted
    attempts: int = 1
    starts: list[int] = field(default_factory=list)  # last step of metrics.jsonl at each start after the first
    trained: float = 0.0  # seconds of earlier launches of its trainer, which `started` and `ended` do not span,
    ran: list[list[str]] = field(default_factory=list)  # and when these were: start and end of each (UTC ISO)
    asleep: float = 0.0  # seconds between `started` and `ended` for which Ctrl-Z had stopped its trainer
    retry_of: str | None = None
    parent_trial: str | None = None  # name of the trial whose checkpoint it began from,
    begun_at: int = 0  # the iterations that this one had made, whose rows its metrics.jsonl begins with,
    replaces: str | None = None  # and the name of the trial that ended for it
    git_commit: str | None = None
    host: str = ""
    gpu_ids: list[str] = field(default_factory=list)
    pid: int | None = None
    agent: str = ""  # the lock file of the agent that owns it
    last_lines: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)  # what it read that was edited since the sweep began
    dir: str = ""
    resumed_with: list[str] = field(default_factory=list)  # the words that told its last start to resume
    given: dict[str, Any] = field(default_factory=dict)  # beside the command: `trainers.ways.start.Start`

    @property
    def seconds(self) -> float | None:
        """How long the trial took, without pauses and Ctrl-Z; None while it runs, and where the clock was set back meanwhile."""
        start, end = utc_seconds(self.started), utc_seconds(self.ended)
        if start is None or end is None or end < start:
            return None
        return round(max(0.0, end - start - self.asleep) + self.trained, 3)

    @property
    def settled(self) -> bool:
        """Whether the trial's point has been evaluated; otherwise a resumed sweep tries the point again."""
        return self.state in OVER and self.cause not in MACHINE_CAUSES

    @property
    def ended_well(self) -> bool:
        """Whether the trial has ended, or was ended, as the user wanted."""
        return self.state in ENDED_WELL or (self.state == "killed" and self.cause in ORDERED_ENDS)

    @property
    def keeps_constraints(self) -> bool:
        """Whether the trial is known to keep the sweep's constraints; True where the sweep has none."""
        return self.feasible is True or self.facts is None

    def lose(self, reason: str = "its agent died") -> None:
        """Sets the state of a trial whose agent is gone."""
        self.state, self.cause, self.reason = "lost", "lost", reason
        self.ended, self.pid = utc_now(), None

    def pause(self) -> None:
        """Sets the state of a trial whose agent is gone, and that resumes in its folder."""
        self.state, self.cause, self.reason = "paused", "lost", f"its agent died; {RESUMES}"
        self.ended, self.pid = self.ended or utc_now(), None

    def save(self, paths: TrialPaths, *, durable: bool = True) -> None:
        """Writes trial.json (`durable`: see `write_atomically`), whatever a trainer has put in its place.

        Raises:
            OSError: it cannot be written.
        """
        content = to_json(self.row(), indent=2) + "\n"
        try:
            write_atomically(paths.record, content, durable=durable)
        except OSError as error:
            if error.errno in FULL:
                raise
            ensure_folder(paths.dir)
            make_way(paths.record)
            write_atomically(paths.record, content, durable=durable)

    def row(self) -> dict[str, Any]:
        """Converts the record to trial.json's object; what the sweep does not use is left out."""
        row = dataclasses.asdict(self)
        return {name: value for name, value in row.items() if name not in _USED_ONLY or value != _USED_ONLY[name]}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> TrialRecord:
        """Converts trial.json's object to a record; keys of other versions are left out.

        Raises:
            TypeError: a required key is missing, or a value is not of its type.
        """
        numbers = {
            key: {name: from_json(value) for name, value in row[key].items()}
            for key in ("values", "facts")
            if isinstance(row.get(key), dict)
        }
        return cls(**of_field_types(cls, {**row, "value": from_json(row.get("value")), **numbers}))

    @classmethod
    def load(cls, path: Path) -> TrialRecord:
        """Reads a trial.json.

        Raises:
            OSError, ValueError, TypeError: the file cannot be read, or holds no record.
        """
        try:
            data = read_regular(path)
        except PermissionError:
            regain(path)
            data = read_regular(path)
        record = cls.from_row(json.loads(data))
        if record.dir and record.dir != str(path.parent):  # the folder may have been moved since it was written
            record.command = move_paths(record.command, record.dir, str(path.parent))
            record.given = _move_given(record.given, record.dir, str(path.parent))
            record.dir = str(path.parent)
        return record


def move_paths(words: Sequence[str], old: str, new: str) -> list[str]:
    """Rewrites a command's paths after a folder in them, or one of its parents, has been moved from `old` to `new`."""
    before, after = Path(old).parts, Path(os.path.abspath(new)).parts
    if not os.path.isabs(old):
        return list(words)
    while len(before) > 2 and len(after) > 2 and before[-1] == after[-1]:
        before, after = before[:-1], after[:-1]
    if before == after:
        return list(words)
    root, other = str(Path(*before)), str(Path(*after))
    pattern = re.compile(rf"(?<![\w.-]){re.escape(root)}(?=/|$)")
    return [pattern.sub(lambda _: other, word) for word in words]


def _move_given(given: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """Rewrites the paths in what a trial was given beside its command, after a folder has been moved."""
    moved = dict(given)
    if isinstance(file := moved.get("config_file"), str):
        moved["config_file"] = move_paths([file], old, new)[0]
    if isinstance(env := moved.get("env"), dict):
        moved["env"] = dict(zip(env, move_paths([str(text) for text in env.values()], old, new), strict=True))
    return moved


def mark_lost(record: TrialRecord, paths: SweepPaths, *, resumes: bool = False) -> None:
    """Records that the trial's agent died while the trial ran. `resumes`: the trial is paused by that, and not lost."""
    if resumes:
        record.pause()
    else:
        record.lose()
    record.save(paths.trial(record.name))


def better(goal: str, left: float, right: float) -> bool:
    """Tells whether `left` is a better value of the metric than `right`; nan and infinities are worse than any number."""
    if not (finite_number(left) and finite_number(right)):
        return finite_number(left) and not finite_number(right)
    return left > right if goal == "maximize" else left < right


def rank(records: Iterable[TrialRecord], goal: str) -> list[TrialRecord]:
    """Sorts trials: finished ones with a value first, best first; then others with a value; then the rest by number.

    One that violates the sweep's constraints is among the others. Nan and infinities are no values here.
    """

    return sorted(records, key=_by_rank(goal))


def _by_rank(goal: str) -> Callable[[TrialRecord], tuple[int, float, int]]:
    """Returns what `rank` sorts trials by."""

    def key(record: TrialRecord) -> tuple[int, float, int]:
        if not finite_number(record.value):
            return (2, 0.0, record.number)
        value = -record.value if goal == "maximize" else record.value
        return (0 if record.state == "finished" and record.keeps_constraints else 1, value, record.number)

    return key


def best_of(records: Iterable[TrialRecord], goal: str) -> TrialRecord | None:
    """Finds the best finished trial that keeps the constraints; stopped and failed ones never count."""
    finished = (record for record in records if record.state == "finished" and record.keeps_constraints)
    best = min(finished, key=_by_rank(goal), default=None)
    return best if best is not None and finite_number(best.value) else None
