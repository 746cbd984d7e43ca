"""Watches the trainer's code: files that trials read where they are, since they cannot be copied apart.

``inputs/code.json`` keeps the size, time and hash of each file as the sweep began. A file counts as changed when its
content differs, not when only its time does (a checkout or a copy of the project changes those).
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...base.files import read_json, write_atomically
from ...base.values import to_json
from ..folder import SweepPaths
from ..inputs import Inputs

CODE_FILE = "code.json"
SUFFIXES = (".py", ".yaml", ".yml", ".json", ".toml", ".cfg", ".ini", ".sh", ".txt")
MAX_NAMED = 3
MAX_FILES = 20_000
MAX_BYTES = 1 << 20  # of one file; a larger one is data
GIT_WAIT = 10.0  # seconds


class Watch:
    """The code of a sweep's trainer, compared with what it was when the sweep began."""

    def __init__(self, project: Path, known: dict[str, tuple[int, int, str]]) -> None:
        self.project, self._known = project, known

    def __bool__(self) -> bool:
        return bool(self._known)

    @classmethod
    def load(cls, paths: SweepPaths, project: Path) -> Watch:
        """Reads what `save_code` wrote; watches nothing where that is missing."""
        rows = read_json(paths.inputs / CODE_FILE).get("files")
        known = rows.items() if isinstance(rows, dict) else ()
        return cls(project, {name: (row[0], row[1], row[2]) for name, row in known if len(row) == 3})

    def changed(self) -> list[str]:
        """Lists the files that have been edited or deleted, relative to the project."""
        found = []
        for name, (size, modified, sha256) in self._known.items():
            path = os.path.join(self.project, name)
            try:
                status = os.stat(path)
            except OSError:
                found.append(name)
                continue
            if (status.st_size, status.st_mtime_ns) == (size, modified):
                continue
            if status.st_size != size or _sha256(path) != sha256:
                found.append(name)
            else:
                self._known[name] = (size, status.st_mtime_ns, sha256)
        return found


class InputWatch:
    """Sees, for one agent or launch, how a sweep's inputs change while it runs."""

    def __init__(self, paths: SweepPaths, project: Path, replaced: Iterable[str] = ()) -> None:
        """Reads what the sweep began with. `replaced`: kinds of input for which this launch has others."""
        self._paths, self._project, self._replaced = paths, project, frozenset(replaced)
        self._inputs, self._code = Inputs.load(paths, project), Watch.load(paths, project)
        self._copied = {entry.path for entry in self._inputs.entries if entry.copy is not None}
        self._said: set[str] = set()

    def changed(self) -> list[str]:
        """Lists what later trials read changed: code, and inputs without a copy; relative to the project."""
        if not self._code:  # it is written while the first trials start
            self._code = Watch.load(self._paths, self._project)
        inputs = [entry.path for entry in self._inputs.differing() if entry.copy is None]
        return [name for name in dict.fromkeys([*inputs, *self._code.changed()]) if name not in self._copied]

    def look(self) -> tuple[list[str], list[str]]:
        """Returns what has changed, and lines about what is seen for the first time."""
        changed = self.changed()
        own = (entry for entry in self._inputs.differing() if entry.kind not in self._replaced)
        differing = [entry for entry in own if entry.copy is not None]
        lines = [entry.difference(self._project) for entry in differing if entry.path not in self._said]
        if new := [name for name in changed if name not in self._said]:
            lines.append(changed_line(new))
        self._said.update(changed, (entry.path for entry in differing))
        return changed, lines


def changed_line(names: Sequence[str]) -> str:
    """Says that code has changed since the sweep began."""
    shown = ", ".join(names[:MAX_NAMED]) + (f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else "")
    return (
        f"warning: {shown} changed since the sweep began; later trials run the new version, and their trial.json lists it "
        "(--snapshot freezes the code of a sweep)"
    )


def save_code(paths: SweepPaths, project: Path, more: Iterable[Path] = ()) -> None:
    """Writes inputs/code.json: the code that git knows in the project, and `more` files. Raises OSError."""
    files: dict[str, tuple[int, int, str]] = {}
    outside = [os.path.relpath(path, project) for path in more]
    for name in dict.fromkeys([*code_files(project), *outside]):
        path = os.path.join(project, name)
        try:
            status = os.stat(path)
            if status.st_size <= MAX_BYTES:
                files[name] = (status.st_size, status.st_mtime_ns, _sha256(path))
        except OSError:
            continue  # deleted, but not in git
    write_atomically(paths.inputs / CODE_FILE, to_json({"files": files}) + "\n", durable=False)


def code_files(project: Path) -> list[str]:
    """Lists the code below a folder, relative to it: what git knows, else the Python files in it and one folder below."""
    names = git_files(project)
    if names is None:
        found = [*project.glob("*.py"), *project.glob("*/*.py")]
        names = [path.relative_to(project).as_posix() for path in found]
    return [name for name in names if name.endswith(SUFFIXES)][:MAX_FILES]


def git_files(folder: Path) -> list[str] | None:
    """Lists the files that git knows below a folder, those of submodules included; None outside a repository."""
    command = ["git", "-C", str(folder), "ls-files", "-z", "--recurse-submodules"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=GIT_WAIT)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
