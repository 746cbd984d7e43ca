"""Shows the trainer profiles there are, and what one of them says (`--trainer list`, `--trainer list:NAME`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path

from ..base.errors import ConfigError
from ..base.shipped import TRAINERS
from ..base.streams import is_terminal, output_width, print_lines
from ..base.wording import clipped, wrap
from ..trainers.choose import DEFAULT_TRAINER
from ..trainers.load import load_profile, named_profiles, profile_folders
from ..trainers.profile import TrainerProfile
from .lines import command_text
from .table import text_table

SHOWN = 70  # characters of a profile's purpose
_FOR_EDITORS = re.compile(r"# yaml-language-server:")


def show_profiles(name: str, project_root: Path, say: Callable[[str], None] = print_lines) -> int:
    """Shows all profiles, or the one of that name or file; returns the exit status.

    Raises:
        ConfigError: the profile does not exist, or is wrong.
    """
    lines = describe_profile(load_profile(name, project_root=project_root)) if name else list_profiles(project_root)
    say("\n".join(lines))
    return 0


def list_profiles(project_root: Path) -> Iterator[str]:
    """Yields a table of all profiles that have a name, and the folders in the order in which they are searched."""
    rows = [["profile", "metric", "for"]]
    for name, path in named_profiles(project_root).items():
        shown = f"{name} (default)" if name == DEFAULT_TRAINER else name
        rows.append([shown, _metric_of(path, project_root), purpose(path)])
    used = sum(max(len(row[column]) for row in rows) + 2 for column in (0, 1))
    room = max(20, min(SHOWN, output_width() - used))
    yield from text_table([[*row[:2], clipped(row[2], room)] for row in rows])
    yield ""
    folders = profile_folders(project_root)
    for place, folder in enumerate(folders, start=1):
        yield from _broken(
            f"searched {place}.: {folder}{' (come with the launcher)' * (folder == TRAINERS.resolve())}", 4
        )
    yield "one profile: --trainer list:NAME"


def describe_profile(profile: TrainerProfile) -> Iterator[str]:
    """Yields what a profile says, a line each."""
    in_command = any("{output_dir}" in word for word in profile.command)
    after = f", after {profile.overrides_option}" if profile.overrides_option else ""
    metric = profile.default_metric
    printed = " (printed after its metrics)" if profile.metrics.axis_after else ""
    reads = [f"{len(profile.metrics.entries)} patterns"] * bool(profile.metrics.entries)
    reads += [source.path for source in profile.files] + ["wandb.log"] * profile.metrics.wandb
    reads += ["lines that look like metrics"] * profile.metrics.generic
    fields = {
        "for": purpose(profile.path),
        "file": str(profile.path),
        "extends": ", ".join(str(path) for path in profile.read_from if path != profile.path),
        "command": command_text((*profile.wrap, *profile.command)),
        "starts in": str(profile.cwd),
        "overrides": profile.overrides + after,
        "tree": str(profile.schema or "none: keys are not checked"),
        "output folder": profile.output_dir_key
        or ("a word of the command" if in_command else "the trainer is not told it"),
        "GPU key": profile.gpu_key.key if profile.gpu_key else "",
        "metric": f"{metric.goal} {metric.name}" if metric else "none: the sweep file names it",
        "x-axis": profile.metrics.axis + printed,
        "read from": ", ".join(reads),
        "checkpoints": ", ".join(profile.checkpoints),
        "resumes": profile.resume.described,
    }
    yield profile.name
    for field, text in fields.items():
        if text:
            yield from _broken(f"  {field:<14}{text}", 16)
    if profile.aliases:
        yield "  aliases"
        yield from (f"    {line}" for line in text_table([list(pair) for pair in profile.aliases.items()], rule=False))


def _broken(line: str, indent: int) -> list[str]:
    """Breaks a line where standard output is a terminal."""
    return wrap(line, output_width(), indent=indent) if is_terminal() else [line]


def purpose(path: Path) -> str:
    """Returns the first words of a profile's comment, up to the end of a clause; empty without a comment."""
    head = takewhile(lambda line: line.startswith("#"), path.read_text("utf-8", errors="replace").splitlines())
    text = " ".join(line.lstrip("# ") for line in head if not _FOR_EDITORS.match(line))
    return re.split(r"(?<=\))[,.:] |(?<=\d\)) |[:.;] |, (?![^(]*\))", text, maxsplit=1)[0].rstrip(".:")


def _metric_of(path: Path, project_root: Path) -> str:
    """Returns the metric of a profile; empty where there is none, and where the profile is not one by itself."""
    try:
        metric = load_profile(path, project_root=project_root).default_metric
    except ConfigError:
        return ""
    return metric.name if metric else ""
