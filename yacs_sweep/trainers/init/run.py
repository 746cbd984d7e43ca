"""Runs `--init`: finds a trainer in the folder it is started in, and writes its profile and a first sweep."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from ...base.command_line import COMMAND
from ...base.errors import ConfigError
from ...base.files import write_atomically
from ...base.streams import is_terminal, output_width, print_lines
from ...base.wording import wrap
from ..load import load_profile
from .find import Found, find_trainer
from .shipped import is_shipped, profile_name
from .try_run import command_of, try_run
from .write import profile_text, sweep_text

SPECIAL = ("list",)  # words that --trainer takes for something else


def init(
    words: Sequence[str],
    *,
    dry_run: bool = False,
    force: bool = False,
    try_for: float | None = None,
    python: str | None = None,
    name: str | None = None,
    root: Path | None = None,
    show: Callable[[str], None] = print_lines,
) -> int:
    """Writes configs/trainers/NAME.yaml and sweeps/NAME.yaml, of a script for W&B the latter alone; returns 0.

    Args:
        words: a script, configuration files and logs of the trainer.
        dry_run: show the files and write nothing.
        force: replace files that exist.
        try_for: seconds for which the trainer is run, so that its output is the log; None: no code runs.
        python: the trainer's interpreter, for this run.
        name: what the profile is called; default: as the project's folder.
        root: the project; default: the current folder.

    Raises:
        ConfigError: no script was found, a word names no file, or a file exists already.
    """
    root = root or Path.cwd()
    script, config, logs = _sort(words, root)
    name = profile_name(root) if name is None else name
    if not re.fullmatch(r"[\w-]+", name):
        raise ConfigError(f"--init --trainer {name}: is no name of a new profile; write letters, digits and _")
    if name in SPECIAL or is_shipped(name):
        raise ConfigError(
            f"--init --trainer {name}: a profile of this name ships with the launcher; choose another name"
        )
    profile, sweep = Path("configs", "trainers", f"{name}.yaml"), Path("sweeps", f"{name}.yaml")
    exist = [str(path) for path in (profile, sweep) if (root / path).exists()]
    if exist and not force and not dry_run:
        raise ConfigError(f"--init: would replace {' and '.join(exist)}; --force does, --dry-run shows the new content")
    found = find_trainer(root, script, config, logs)
    if found.is_program and try_for is not None:
        raise ConfigError(f"--try-run: what {found.script} prints says nothing of what it logs to W&B; leave it out")
    if dry_run:
        shown = "" if found.is_program else f"# {profile}\n{profile_text(found, name)}\n"
        show(f"{shown}# {sweep}\n{sweep_text(found, name)}")
        return 0
    if not found.is_program:
        _write(root / profile, profile_text(found, name))
    if try_for is not None:
        loaded = load_profile(str(root / profile), project_root=root)
        command = command_of(loaded, found.config, root, python)
        show(f"running for at most {try_for:g} s: {shlex.join(command)}")
        log = try_run(loaded, command, root, try_for)
        found = find_trainer(root, script, config, [*logs, log], log.parent)
        found.unsure += _tail(log) if not found.metrics.counts else []
        _write(root / profile, profile_text(found, name))
    _write(root / sweep, sweep_text(found, name))
    width = output_width() if is_terminal() else None
    for line in (f"written: {'' if found.is_program else f'{profile}, '}{sweep}", *_next_steps(found, name)):
        pieces = [line] if width is None else wrap(line, width, indent=4, shell=line.startswith("  "))
        show("\n".join(pieces))
    return 0


def _tail(log: Path) -> list[str]:
    """Returns what the user may see of a run without metrics: its last line."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return [f"The run's output, in {log}, ends with: {lines[-1][:300] if lines else 'nothing'}"]


def _write(path: Path, text: str) -> None:
    """Writes a file, and its folder."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    except OSError as error:
        raise ConfigError(f"--init: cannot write {path}: {error.strerror}") from error


def _sort(words: Sequence[str], root: Path) -> tuple[Path | None, Path | None, list[Path]]:
    """Tells the script, the configuration file and logs apart by their names; paths are relative to the project."""
    scripts: list[Path] = []
    configs: list[Path] = []
    logs: list[Path] = []
    problems = []
    for word in words:
        path = Path(os.path.expanduser(word))
        full = Path(os.path.abspath(root / path))
        if not full.is_file():
            folder = f"--init {word}: is a folder; name files in it"
            problems.append(folder if full.is_dir() else f"--init {word}: no such file")
            continue
        suffix = path.suffix.lower()
        if suffix in (".py", ".yaml", ".yml"):
            if not full.is_relative_to(root):
                problems.append(f"--init {word}: lies outside {root}; start in the trainer's own folder")
                continue
            (scripts if suffix == ".py" else configs).append(full.relative_to(root))
        else:
            logs.append(full)
    if len(scripts) > 1:
        problems.append(f"--init {' '.join(str(path) for path in scripts)}: a profile is of one script")
    if problems:
        raise ConfigError(problems)
    return next(iter(scripts), None), next(iter(configs), None), logs


def _next_steps(found: Found, name: str) -> list[str]:
    """Returns what is unsure, and the commands to try."""
    trainer = f"torchrun:{name}" if found.distributed else name
    words = [*COMMAND, *([] if found.is_program else ["--trainer", trainer])]
    if found.needs_config:
        words += ["--config_file", str(found.config or "CONFIG.yaml")]
    words += ["--sweep-config", f"sweeps/{name}.yaml"]
    command = shlex.join(words)
    lines = [f"please check: {text}" for text in found.unsure]
    return [*lines, "then try:", *(f"  {command} {last}" for last in ("--check", "--dry-run", "--count 1"))]
