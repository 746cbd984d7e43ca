"""Reads the state of a sweep from its folder for `--status`, quickly and while the sweep is running.

The truth about a trial is its trial.json. Reading ten thousand of them takes seconds, so summary.json, which holds all
trials, is used for those that have not changed since: only trial.json files younger than summary.json (by `SLACK`, as
it is composed before it is written), those that it lacks, and those of trials that had not ended are read.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from ..base.errors import SweepError
from ..base.values import utc_seconds
from ..records.alive import Launcher, count_agents, launchers
from ..records.control.order_file import OrderFile
from ..records.control.orders import Entry, Order, count_wanted, standing_order
from ..records.folder import OVER, SweepPaths, TrialRecord
from ..records.known_sweeps import origin_of
from ..records.launch_file import load_spec_of, read_launch
from ..records.points import Point, group_points, point_of_seeds, target_reached
from ..records.progress import Progress, Tally, count_settled, read_objectives, read_repeats, unretried
from ..records.standings import best_by
from ..spec.budget.budget import Budget
from ..spec.budget.lifting import budget_of_words
from ..spec.sweep import Metric, Repeats, SweepSpec
from .live.budget import BudgetText

SLACK = 60.0  # seconds
HEAD = 1 << 16  # bytes of a summary.json that hold everything but its trials


@dataclass(frozen=True)
class Snapshot:
    """The state of a sweep at one moment."""

    paths: SweepPaths
    name: str
    method: str
    controller: str
    objectives: tuple[Metric, ...]
    launch: dict[str, Any]  # launch.json
    records: list[TrialRecord]  # in order of their numbers
    launchers: list[Launcher]
    agents: int
    constraints: tuple[str, ...] = ()
    repeats: Repeats | None = None

    @property
    def seeds_enough(self) -> int:
        """The number of seeds that a point needs to be the best."""
        return self.repeats.enough if self.repeats else 1

    @cached_property
    def spec(self) -> SweepSpec | None:
        """The sweep's description, which few lines need; None where it cannot be read."""
        with contextlib.suppress(SweepError):
            return load_spec_of(self.paths)
        return None

    @property
    def seed(self) -> str | None:
        """The parameter that holds the seed, where `--train-best` trains one configuration with several."""
        return self.spec.several_values if origin_of(self.paths.sweep_id) and self.spec is not None else None

    @property
    def objective(self) -> Metric | None:
        """The first objective; None where the sweep has none."""
        return self.objectives[0] if self.objectives else None

    @property
    def metric(self) -> str | None:
        """The objective's name."""
        return self.objective.name if self.objective else None

    @property
    def goal(self) -> str:
        """The objective's goal: minimize or maximize."""
        return self.objective.goal if self.objective else "minimize"

    @cached_property
    def orders(self) -> list[Entry]:
        """What users have ordered, and what launches have answered."""
        return OrderFile(self.paths).read()

    @cached_property
    def standing_order(self) -> Order | None:
        """The order by which the sweep is paused, or was stopped or cancelled; None where it was resumed since."""
        order = standing_order(self.orders)
        if order is None or order.act == "pause":
            return order
        began = [record.started for record in self.records] + [launcher.started for launcher in self.launchers]
        given = utc_seconds(order.at) or 0.0
        return None if any((utc_seconds(at) or 0.0) > given for at in began) else order

    @property
    def counts(self) -> dict[str, int]:
        """Trials by state, as the tally has them."""
        return self.tally.counts

    @cached_property
    def tally(self) -> Tally:
        """Trials by state; one that was tried again counts by its later trial, one that is yet to be not at all."""
        return Tally.of(self.records, self.launch.get("retry") or ())

    @cached_property
    def current(self) -> list[TrialRecord]:
        """The trials that were not tried again."""
        return unretried(self.records)

    @cached_property
    def points(self) -> list[Point]:
        """The trials by their points, in order of the points' first trials."""
        return group_points(self.records)

    @cached_property
    def best_point(self) -> Point | None:
        """The best point; of the seeds with which `--train-best` trains, all of them. None without any."""
        if self.seed is not None:
            return point_of_seeds(self.records, self.seed)
        return best_by(self, self.points)

    @cached_property
    def progress(self) -> Progress:
        """How far the sweep is."""
        settled = count_settled(self.records, self.launch.get("retry") or ())
        target = max(count_wanted(self.launch, self.orders), settled)
        return Progress(settled, target, target_reached(self, self.records))

    @property
    def cut_off(self) -> int:
        """The number of trials that run or may be resumed, of a sweep that nobody works on; 0 while somebody does."""
        return 0 if self.at_work else self.counts.get("running", 0) + self.resumable

    @property
    def resumable(self) -> int:
        """The number of paused trials that may be resumed, of a sweep that nobody works on; 0 while somebody does."""
        return 0 if self.at_work or self.launch.get("exhausted") else self.counts.get("paused", 0)

    @property
    def words(self) -> list[str]:
        """The options of the last launch that hold for one launch."""
        return [str(word) for word in self.launch.get("words") or ()]

    @cached_property
    def budget(self) -> BudgetText | None:
        """The budget of the last launch, and what is used of it; None without one."""
        of_file = self.spec.budget if self.spec is not None else None
        found = budget_of_words(self.words, of_file)
        return (
            BudgetText(found, self.paths, {record.id: record for record in self.records}) if found != Budget() else None
        )

    @property
    def asleep(self) -> float | None:
        """Since when all launchers are stopped by Ctrl-Z, in seconds since 1970; None while one of them is not."""
        since = [utc_seconds(launcher.asleep) for launcher in self.launchers if launcher.asleep is not None]
        known = [each for each in since if each is not None]
        return max(known) if known and len(known) == len(self.launchers) else None

    @property
    def at_work(self) -> bool:
        """Whether any launcher or agent is alive."""
        return bool(self.launchers or self.agents)


def summary_head(path: Path) -> dict[str, Any]:
    """Reads a summary.json without its trials, which are most of the file; empty when there is none."""
    try:
        with path.open("rb") as file:
            text = file.read(HEAD).decode("utf-8", "ignore")
        head, found, _ = text.partition(',\n "trials": [')
        content = json.loads(head + "}" if found else path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _from_summary(paths: SweepPaths) -> tuple[dict[str, Any], dict[str, TrialRecord], float]:
    """Reads summary.json: its object, the trials by their folders' names, and when the file was written (seconds)."""
    try:
        with paths.summary.open("rb") as file:
            written = os.fstat(file.fileno()).st_mtime
            content = json.load(file)
        return content, {row["name"]: TrialRecord.from_row(row) for row in content["trials"]}, written
    except (OSError, ValueError, KeyError, TypeError):
        return {}, {}, 0.0


def _records(paths: SweepPaths, known: dict[str, TrialRecord], written: float) -> list[TrialRecord]:
    """Replaces the records `known` from summary.json, written at `written`, by trial.json files that may be newer."""
    found = dict(known)
    with os.scandir(paths.dir) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".")]
    for name in names:
        record, path = known.get(name), f"{paths.dir}/{name}/trial.json"
        if record is not None and record.state in OVER:
            try:
                if os.stat(path).st_mtime < written - SLACK:
                    continue
            except OSError:  # of another machine: only the summary has it
                continue
        if (read := paths.record(name)) is not None:
            found[name] = read
    return sorted(found.values(), key=lambda record: (record.number, record.started))


def read_snapshot(paths: SweepPaths) -> Snapshot:
    """Reads the state of the sweep.

    Raises:
        OSError: the folder cannot be read.
    """
    content, known, written = _from_summary(paths)
    described = content or _described(paths)
    return Snapshot(
        paths,
        str(described.get("name") or paths.sweep_id),
        str(described.get("method", "")),
        str(described.get("controller") or read_launch(paths).get("controller", "")),
        read_objectives(described),
        read_launch(paths),
        _records(paths, known, written),
        launchers(paths),
        count_agents(paths),
        tuple(described.get("metric_constraints") or ()),
        read_repeats(described),
    )


def _described(paths: SweepPaths) -> dict[str, Any]:
    """Reads sweep.yaml, for a sweep without a summary.json; empty when the file is missing or damaged."""
    try:
        content = yaml.safe_load(paths.spec.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def last_change(paths: SweepPaths) -> float:
    """Finds when the sweep's main files were last written, in seconds since 1970; 0 when there are none."""
    times = [0.0]
    for path in (paths.summary, paths.launch, paths.journal):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return min(max(times), time.time())
