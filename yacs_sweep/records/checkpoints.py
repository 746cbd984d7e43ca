"""Deletes checkpoints that are not wanted, and keeps `best/`: checkpoints, metrics and configuration of the best trial.

Only regular files of a trial that has ended are ever deleted: inside its own folder, no link followed, and only those
that the trainer's profile calls checkpoints. The launcher's own files are no checkpoints, whatever the patterns say.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from ..base.files import read_json, write_atomically
from ..base.values import to_json
from .folder import LAUNCHER_FILES, SweepPaths, TrialRecord, rank
from .metrics import last_values
from .trial_files import Problems, link_or_copy, walk

BEST = "best"  # folder of the sweep; no trial has this name
RECORD = "best.json"  # in it, beside best.yml, metrics.jsonl and the checkpoints
ELSEWHERE = "elsewhere.json"  # in it, when the best trial ran on another machine: which trial, and where
# Names of model files, for trainers whose profile does not say which it writes.
MODELS = (
    "*.pth",
    "*.pt",
    "*.ckpt",
    "*.safetensors",
    "*.bin",
    "*.h5",
    "*.keras",
    "*.onnx",
    "*.pkl",
    "*.joblib",
    "*.npz",
)
CHOICES = "all, best, none or top-N (top-3)"


@dataclass(frozen=True)
class Keep:
    """The policy of `--keep`: the checkpoints of all trials stay (None), or those of the best `count`."""

    count: int | None = None

    @classmethod
    def parse(cls, text: str) -> Keep:
        """Parses `all`, `best`, `none` or `top-3`.

        Raises:
            ValueError: the text is no policy.
        """
        named = {"all": None, "best": 1, "none": 0}
        if text in named:
            return cls(named[text])
        head, _, count = text.partition("-")
        if head != "top" or not count.isdecimal() or int(count) == 0:
            raise ValueError(f"{text!r} is not {CHOICES}")
        return cls(int(count))

    def superfluous(self, records: Iterable[TrialRecord], goal: str) -> list[TrialRecord]:
        """Lists the trials whose checkpoints are not wanted any more; never one that may be resumed from them."""
        if self.count is None:
            return []
        known = list(records)
        finished = [record for record in rank(known, goal) if record.state == "finished"]
        kept = {record.id for record in finished[: self.count]}
        resumed = {record.retry_of for record in known if record.settled}  # by a trial that has ended
        return [record for record in known if (record.settled or record.id in resumed) and record.id not in kept]


def checkpoint_files(
    folder: Path, patterns: Sequence[str], problems: Problems | None = None
) -> Iterator[tuple[str, int, str]]:
    """Yields a trial's checkpoints: the path in its folder, and the descriptor of an open folder with the name in it.

    Args:
        problems: gets what cannot be read.
    """
    for entry in walk(folder, Problems() if problems is None else problems):
        if not entry.is_file or entry.path in LAUNCHER_FILES or entry.name.startswith("."):
            continue
        if any(PurePath(entry.path).match(pattern) for pattern in patterns):
            yield entry.path, entry.folder, entry.name


def delete_checkpoints(paths: SweepPaths, record: TrialRecord, patterns: Sequence[str]) -> int:
    """Deletes a trial's checkpoints; returns their number. A folder that is not the trial's is left alone."""
    trial = paths.trial(record.name)
    if PurePath(record.name).name != record.name or trial.dir.is_symlink():
        return 0
    try:
        if TrialRecord.load(trial.record).id != record.id:
            return 0
    except (OSError, ValueError, TypeError):
        return 0
    deleted = 0
    for _, descriptor, name in checkpoint_files(trial.dir, patterns):
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=descriptor)
            deleted += 1
    return deleted


def gather_best(
    paths: SweepPaths,
    record: TrialRecord,
    patterns: Sequence[str],
    about: Mapping[str, Any],
    problems: Problems | None = None,
) -> Path:
    """Replaces `best/` by the best trial's checkpoints (as hard links where the file system has them), metrics.jsonl,
    best.yml, and best.json with its parameters and last values.

    Args:
        about: entries of best.json that say which sweep and which metric.
        problems: gets the files that cannot be read, and so are not in `best/`.

    Raises:
        OSError: `best/` cannot be written; the former one stays.
    """
    trial, target = paths.trial(record.name), paths.dir / BEST
    problems = Problems() if problems is None else problems
    new, old = paths.dir / ".best.new", paths.dir / ".best.old"
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    new.mkdir()
    for relative, _, _ in checkpoint_files(trial.dir, patterns, problems):
        try:
            (new / relative).parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(trial.dir / relative, new / relative)
        except OSError as error:
            problems.add(relative, error)
    for source in (trial.metrics, paths.best):
        if os.path.isfile(source):
            try:
                shutil.copyfile(source, new / source.name)
            except OSError as error:
                problems.add(source.name, error)
    content = {
        **about,
        "trial": record.name,
        "id": record.id,
        "value": record.value,
        "params": record.params,
        "metrics": last_values(trial),
        "command": record.command,
        "git_commit": record.git_commit,
    }
    if problems:
        content["missing"] = str(problems)
    write_atomically(new / RECORD, to_json(content, indent=1) + "\n")
    if target.exists():
        os.rename(target, old)
    os.rename(new, target)
    shutil.rmtree(old, ignore_errors=True)
    return target


def left_model(paths: SweepPaths, record: TrialRecord, patterns: Sequence[str]) -> bool:
    """Tells whether a trial has left a model: a file in its folder, or kept of it in `best/`, that a pattern fits.

    True where the trial's folder is not on this machine.
    """
    trial = paths.trial(record.name)
    if not trial.record.is_file():
        return True
    kept = [paths.dir / BEST] if gathered_trial(paths) == record.id else []
    return any(next(checkpoint_files(place, patterns), None) for place in (trial.dir, *kept))


def note_other_machine(paths: SweepPaths, record: TrialRecord) -> None:
    """Writes a note into `best/` that another machine has a better trial.

    Raises:
        OSError: the note cannot be written.
    """
    folder = paths.dir / BEST
    folder.mkdir(exist_ok=True)
    content = {
        "trial": record.name,
        "value": record.value,
        "params": record.params,
        "host": record.host,
        "dir": record.dir,
    }
    write_atomically(folder / ELSEWHERE, to_json(content, indent=1) + "\n")


def gathered_trial(paths: SweepPaths) -> str | None:
    """Returns the id of the trial in `best/`, after putting back a `best/` that a killed launcher was replacing: its
    checkpoints may be nowhere else. None without a best trial."""
    target, old = paths.dir / BEST, paths.dir / ".best.old"
    if not target.exists() and old.is_dir():
        with contextlib.suppress(OSError):
            os.rename(old, target)
    found = read_json(target / RECORD).get("id")
    return None if found is None else str(found)


class Keeper:
    """Keeps `best/` up to date while a sweep runs, and deletes the checkpoints that `keep` does not want."""

    def __init__(
        self,
        paths: SweepPaths,
        patterns: Sequence[str],
        keep: Keep,
        goal: str,
        about: Mapping[str, Any],
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Takes the policy `keep`, and `about` for best.json (see `gather_best`); `note` shows the user a line."""
        self._note = note
        self.paths, self.patterns, self.keep, self.goal, self.about = paths, patterns, keep, goal, about
        self._gathered = gathered_trial(paths)
        self._incomplete = bool(
            read_json(paths.dir / BEST / RECORD).get("missing")
        )  # not all of its files are in best/
        self._done: set[str] = set()

    def update(self, best: TrialRecord | None, records: Iterable[TrialRecord]) -> None:
        """Follows the end of a trial; the best trial's checkpoints are in `best/` before any is deleted.

        Raises:
            OSError: `best/` cannot be written; then nothing is deleted.
        """
        if best is not None and best.id != self._gathered:
            if os.path.isfile(self.paths.trial(best.name).record):
                problems = Problems()
                gather_best(self.paths, best, self.patterns, self.about, problems)
                self._incomplete = bool(problems)
                if problems:
                    self._note(f"warning: files of {best.name} are not in best/, and stay where they are: {problems}")
            else:
                note_other_machine(self.paths, best)
            self._gathered = best.id
        for record in self.keep.superfluous(records, self.goal):
            if self._incomplete and best is not None and record.id == best.id:
                continue
            if record.id not in self._done:
                self._done.add(record.id)
                delete_checkpoints(self.paths, record, self.patterns)
