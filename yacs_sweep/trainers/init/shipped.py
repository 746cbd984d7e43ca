"""Tells whether a profile that ships with the launcher fits a project's trainer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...base.errors import ConfigError
from ...base.shipped import TRAINERS
from ..load import load_profile
from ..profile import TrainerProfile
from .read_log import LogMetrics, read_lines, read_log


def fitting_profile(
    root: Path,
    script: Path,
    schema: str,
    leaves: Mapping[str, Any],
    printed: Iterable[str],
    logs: Iterable[Path],
) -> tuple[TrainerProfile, LogMetrics] | None:
    """Returns the profile that starts this script, has this tree, and reads its lines; with the metrics it finds.

    Args:
        printed: lines as the source prints them; they count where no log is given.
    """
    lines = [f"{line}\n".encode() for line in printed]
    best: tuple[tuple[bool, int, int, int], TrainerProfile, LogMetrics] | None = None
    for path in sorted(TRAINERS.glob("*.yaml")):
        try:  # by path, and seen from no project: profiles of the same names do not count
            profile = load_profile(str(path), project_root=TRAINERS.parents[1])
        except ConfigError:
            continue
        if not _drives(profile, script, schema, leaves):
            continue
        found = [read_log(log, profile.metrics) for log in logs] or [read_lines(lines, profile.metrics)]
        metrics = LogMetrics({name: n for item in found for name, n in item.counts.items()}, profile.metrics.axis)
        names = metrics.counts.keys() - {"epoch", "iter", profile.metrics.axis}
        if not names and (list(logs) or _sees(profile, lines)):
            continue
        own = _is_source(path, root)  # the profile of this very repository, then the original before its descendants
        score = (own, len(names), -len(profile.read_from), len(profile.aliases))
        if best is None or score > best[0]:
            best = (score, profile, metrics)
    return (best[1], best[2]) if best else None


def is_shipped(name: str) -> bool:
    """Tells whether a profile of this name ships with the launcher."""
    return (TRAINERS / f"{name}.yaml").is_file()


def _drives(profile: TrainerProfile, script: Path, schema: str, leaves: Mapping[str, Any]) -> bool:
    """Tells whether the profile's command and keys are those of the trainer."""
    if script.as_posix() not in profile.command or profile.schema is None or not profile.metrics.entries:
        return False
    file = schema.partition(":")[0]
    module = file.removesuffix(".py").replace("/", ".")
    places = (schema, f"{module}:", f"{module.rpartition('.')[0]}:")
    if not any(tree == places[0] or tree.startswith(places[1:]) for tree in profile.schema.trees):
        return False
    keys = [*profile.aliases.values(), *([profile.output_dir_key] if profile.output_dir_key else [])]
    return all(key in leaves for key in keys)


def _is_source(path: Path, root: Path) -> bool:
    """Tells whether a profile was read from this repository, by the name at its head.

    The project's folder is called so, or its README says so at the beginning.
    """
    match = re.match(r"#\s*[\w.-]+/([\w.-]+) [0-9a-f]{7}\b", path.read_text("utf-8", errors="replace"))
    if match is None:
        return False
    readme = next(iter(sorted(root.glob("README*"))), None)
    head = readme.read_text("utf-8", errors="replace")[:300] if readme is not None and readme.is_file() else ""
    name, *titles = (re.sub(r"[\W_]+", "", text.lower()) for text in (match[1], root.resolve().name, *head.split("\n")))
    return any(title.startswith(name) for title in titles)


def _sees(profile: TrainerProfile, lines: list[bytes]) -> bool:
    """Tells whether the lines hold metrics of usual names, which the profile should have found."""
    found = read_lines(lines).counts
    return any(name.rsplit("/", 1)[-1].lower() in ("loss", "map", "acc", "accuracy", "acc@1") for name in found)


def profile_name(root: Path) -> str:
    """Makes a profile's name of the project's folder; none of a profile that ships, which others may extend."""
    name = re.sub(r"[^a-z0-9]+", "_", root.resolve().name.lower()).strip("_") or "trainer"
    return f"my_{name}" if is_shipped(name) else name
