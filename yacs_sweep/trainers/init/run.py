"""Runs `--init`: finds a trainer in the folder it is started in, and writes its profile and a first sweep."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from ...base.command_line import COMMAND
from ...base.errors import ConfigError
from ...base.files import write_atomically
from ...base.streams import print_lines
from .find import Found, find_trainer, profile_name
from .write import profile_text, sweep_text


def init(
    words: Sequence[str],
    *,
    dry_run: bool = False,
    force: bool = False,
    root: Path | None = None,
    show: Callable[[str], None] = print_lines,
) -> int:
    """Writes configs/trainers/NAME.yaml and sweeps/NAME.yaml; returns 0.

    Args:
        words: a script, configuration files and logs of the trainer.
        dry_run: show the files and write nothing.
        force: replace files that exist.
        root: the project; default: the current folder.

    Raises:
        ConfigError: no script was found, a word names no file, or a file exists already.
    """
    root = root or Path.cwd()
    script, config, logs = _sort(words, root)
    found = find_trainer(root, script, config, logs)
    name = profile_name(root)
    files = {
        Path("configs", "trainers", f"{name}.yaml"): profile_text(found, name),
        Path("sweeps", f"{name}.yaml"): sweep_text(found, name),
    }
    if dry_run:
        for path, text in files.items():
            show(f"# {path}\n{text}")
        return 0
    exist = [str(path) for path in files if (root / path).exists()]
    if exist and not force:
        raise ConfigError(f"--init: would replace {' and '.join(exist)}; --force does, --dry-run shows the new content")
    for path, text in files.items():
        _write(root / path, text)
        show(f"written: {path}")
    for line in _next_steps(found, name):
        show(line)
    return 0


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
    words = [*COMMAND, "--trainer", trainer]
    if found.needs_config:
        words += ["--config_file", str(found.config or "CONFIG.yaml")]
    words += ["--sweep-config", f"sweeps/{name}.yaml"]
    command = shlex.join(words)
    lines = [f"please check: {text}" for text in found.unsure]
    return [*lines, "then try:", *(f"  {command} {last}" for last in ("--check", "--dry-run", "--count 1"))]
