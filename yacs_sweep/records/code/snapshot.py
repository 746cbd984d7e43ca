"""Freezes a trainer's code for a sweep (`--snapshot`): trials run in a copy of the project.

``inputs/code/`` holds every file that git knows, as it is in the working tree; nothing has to be committed. What git
does not know (data sets, weights, outputs) is linked, so that relative paths to it still work.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ...base.errors import ConfigError
from ...base.wording import counted
from ..folder import SweepPaths
from .watched import GIT_WAIT, SUFFIXES, git_files


@dataclass(frozen=True)
class CodeSnapshot:
    """Describes a snapshot of a trainer's code."""

    root: Path  # of the copy
    project: Path  # the folder in it where trials start
    files: int
    submodules: tuple[str, ...]
    not_frozen: tuple[str, ...]  # code that git does not know: linked, so that an edit of it reaches the trials

    def lines(self) -> list[str]:
        """Says what was frozen and what was not."""
        with_them = f", with the submodules {', '.join(self.submodules)}" if self.submodules else ""
        lines = [f"snapshot: {counted(self.files, 'file')} of the trainer's code{with_them}; trials run in it"]
        if self.not_frozen:
            names = ", ".join(self.not_frozen[:3]) + (" …" if len(self.not_frozen) > 3 else "")
            lines.append(
                f"warning: not tracked by git, so not frozen: {names}; `git add` it and start a new sweep to freeze it"
            )
        return lines


def check_snapshot(project: Path) -> Path:
    """Finds the repository that a snapshot of the project is of.

    Raises:
        ConfigError: the project is not in a git repository.
    """
    top = _git(project, "rev-parse", "--show-toplevel")
    if top is None:
        raise ConfigError(
            f"--snapshot: {project} is not in a git repository, which says what belongs to the code; run `git init` and "
            "`git add` there, or leave --snapshot out"
        )
    return Path(top.strip())


def take_snapshot(paths: SweepPaths, project: Path) -> CodeSnapshot:
    """Copies the project's repository into the sweep's folder.

    Raises:
        ConfigError: the project is not in a git repository.
        OSError: a file cannot be copied.
    """
    top, copy = check_snapshot(project), paths.inputs / "code"
    names = git_files(top) or []
    for name in names:
        source, target = top / name, copy / name
        if not os.path.lexists(source):
            continue  # deleted, but still in git
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
    not_frozen = _link_the_rest(top, copy, paths.dir)
    submodules = _git(top, "submodule", "foreach", "--quiet", "--recursive", "echo $displaypath") or ""
    return CodeSnapshot(
        copy, copy / project.relative_to(top), len(names), tuple(submodules.split("\n")[:-1]), tuple(not_frozen)
    )


def _link_the_rest(top: Path, copy: Path, sweep_dir: Path) -> list[str]:
    """Links what git does not know, folder by folder; returns the code among it."""
    code = []
    for folder, folders, files in os.walk(copy, topdown=True):
        original = top / os.path.relpath(folder, copy)
        if not original.is_dir() or original.is_symlink():
            continue
        for entry in sorted(os.listdir(original)):
            if entry in folders or entry in files or entry in (".git", "__pycache__"):
                continue
            path = original / entry
            os.symlink(path, os.path.join(folder, entry))
            if entry.endswith(SUFFIXES[:1]) and not sweep_dir.is_relative_to(path):
                code.append(os.path.relpath(path, top))
        folders[:] = [name for name in folders if not os.path.islink(os.path.join(folder, name))]
    return code


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=GIT_WAIT,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
