"""Finds the sweeps that a command looks at: by an id, by a batch's id, or all that are known; and a trial by its name."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...base.command_line import COMMAND
from ...base.errors import ConfigError
from ...base.wording import nearest
from ...records.folder import SweepPaths, TrialRecord
from ...records.known_sweeps import BATCH, find_bases, notes_folder, result_bases
from ..lines import command_text
from ..snapshot import last_change, read_snapshot, summary_head

_NAMED = 5  # names in a message


@dataclass(frozen=True)
class Found:
    """Holds the sweeps that a command looks at.

    Attributes:
        one: whether they are the one that an id names.
        batch: whether they are a batch's.
    """

    sweeps: tuple[SweepPaths, ...]
    one: bool = False
    batch: bool = False


def known_sweeps(results_dir: str | None) -> list[SweepPaths]:
    """Finds the sweeps below the results folder, and, unless the user names one, those of the user's notes.

    Returns:
        The latest first.
    """
    found: dict[Path, SweepPaths] = {}
    places = [
        (base, path.parent.name) for base in result_bases(results_dir) for path in base.glob("sweep/*/launch.json")
    ]
    with contextlib.suppress(OSError):
        for note in [] if results_dir else notes_folder().iterdir():
            with contextlib.suppress(OSError):
                places.append((Path(note.read_text(encoding="utf-8").strip()), note.name))
    for base, sweep_id in places:
        paths = SweepPaths(base, sweep_id)
        if paths.launch.is_file():
            found.setdefault(paths.dir.resolve(), paths)
    return sorted(found.values(), key=last_change, reverse=True)


def open_batches(bases: Iterable[Path], open_: Container[str]) -> list[tuple[str, list[str]]]:
    """Lists the batches below some results folders that have a sweep among `open_`: id, and the ids of the sweeps."""
    found = []
    for base in sorted(bases):
        for path in sorted(base.glob(f"sweep/{BATCH}*/summary.json")):
            ids = [str(row.get("sweep_id")) for row in summary_head(path).get("sweeps") or ()]
            if any(sweep_id in open_ for sweep_id in ids):
                found.append((path.parent.name, ids))
    return found


def check_folder(results_dir: str | None) -> None:
    """Raises ConfigError for a results folder that the user names and that is not there."""
    for base in result_bases(results_dir) if results_dir else []:
        if not base.is_dir():
            raise ConfigError(f"--results_dir {results_dir}: no such folder; write the one that holds sweep/ID")


def find_sweeps(sweep_id: str | None, results_dir: str | None, option: str = "--sweep_id") -> Found:
    """Finds a sweep, the sweeps of a batch, or, without an id, all known ones.

    Args:
        option: names the sweep, for messages.

    Raises:
        ConfigError: no such sweep, or no such folder.
    """
    check_folder(results_dir)
    bases = result_bases(results_dir)
    looked = ", ".join(str(base / "sweep") for base in bases)
    if sweep_id is None:
        if not (known := known_sweeps(results_dir)):
            raise ConfigError(f"--status: no sweep in {looked}")
        return Found(tuple(known))
    name = sweep_id.split("/")[-1]
    for base in find_bases(sweep_id, bases, option, remembered=not results_dir):
        paths = SweepPaths(base, name)
        if paths.launch.is_file():
            return Found((paths,), one=True)
        if rows := summary_head(paths.summary).get("sweeps"):
            return Found(tuple(SweepPaths(Path(row["base"]), row["sweep_id"]) for row in rows), batch=True)
    close = nearest(name, [paths.sweep_id for paths in known_sweeps(results_dir)], count=_NAMED)
    meant = f"; did you mean {' or '.join(close)}?" if close else ""
    raise ConfigError(
        f"{option} {sweep_id}: no such sweep{meant} (looked in {looked}; --results_dir names another folder)"
    )


def listing_command(sweep_id: str, results_dir: str | None) -> str:
    """Formats the command that lists a sweep's trials."""
    folder = ["--results_dir", results_dir] if results_dir else []
    return command_text([*COMMAND, "--status", "--sweep_id", sweep_id, *folder, "--where", "number >= 0"])


def find_trial(records: Sequence[TrialRecord], name: str, label: str, listing: str) -> TrialRecord:
    """Finds a trial by its name, id or number, or by the beginning or the end of its name, where only one has that.

    Args:
        label: what messages begin with: the option and the name.
        listing: the command that lists the trials, for messages (`listing_command`).

    Raises:
        ConfigError: no trial, or several.
    """
    if exact := [record for record in records if name in (record.name, record.id)]:
        return exact[0]
    numbered = [record for record in records if name.isdecimal() and record.number == int(name)]
    parts = [record for record in records if record.name.startswith(name) or record.name.endswith(f"-{name}")]
    of_point = [record for record in records if record.point == name]
    for found in (numbered, parts):
        if len(found) == 1:
            return found[0]
    if several := numbered or parts or of_point:
        names = [record.name for record in several]
        more = f", +{len(names) - _NAMED} more" if len(names) > _NAMED else ""
        what = "is a point; name one of its trials" if not (numbered or parts) else "may be several trials; name one"
        raise ConfigError(f"{label}: {what}: {', '.join(names[:_NAMED])}{more}")
    if not records:
        raise ConfigError(f"{label}: the sweep has no trials yet")
    close = nearest(name, [record.name for record in records], count=_NAMED)
    hint = f"did you mean {' or '.join(close)}?" if close else f"they are listed by: {listing}"
    raise ConfigError(f"{label}: no such trial; {hint}")


def find_trial_of(
    given: str, sweep_id: str | None, results_dir: str | None, option: str
) -> tuple[SweepPaths, TrialRecord]:
    """Finds a trial by `NAME`, of the sweep that --sweep_id names, or by `ID/NAME`.

    Raises:
        ConfigError: no such sweep or trial.
    """
    before, slash, name = given.rpartition("/")
    if not slash and sweep_id is None:
        if given in [paths.sweep_id for paths in known_sweeps(results_dir)]:
            raise ConfigError(f"{option} {given}: is a sweep; name one of its trials: {option} {given}/NAME")
        raise ConfigError(f"{option} {given}: of which sweep? write --sweep_id ID, or {option} ID/{given}")
    found = find_sweeps(before or sweep_id, results_dir, option if before else "--sweep_id")
    if found.batch:
        names = ", ".join(paths.sweep_id for paths in found.sweeps)
        raise ConfigError(f"{option} {given}: {before or sweep_id} is a batch; name one of its sweeps: {names}")
    (paths,) = found.sweeps
    listing = listing_command(paths.sweep_id, results_dir)
    return paths, find_trial(read_snapshot(paths).records, name, f"{option} {name}", listing)
