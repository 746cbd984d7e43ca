"""Runs a preload server, an agent's end of it, and children started by fork and by exec."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yacs_sweep.trial.preloader import Guards, Preloader
from yacs_sweep.trial.process import Exit, Limits, child_environment, run_child


def interpreters() -> list[str]:
    """Lists this interpreter, and one of every other version from 3.7 on that pyenv has here."""
    found = {sys.version_info[:2]: sys.executable}
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for python in sorted(root.glob("versions/3.*/bin/python")):
        version = tuple(map(int, python.parts[-3].split(".")[:2]))
        if version >= (3, 7):
            found.setdefault(version, str(python))
    return [found[version] for version in sorted(found)]


def until(true: Callable[[], bool], seconds: float = 180) -> bool:
    """Waits for a condition; returns whether it became true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@dataclass
class Case:
    """Holds one server with its agent. `folder` is the trials' working directory."""

    python: str
    folder: Path
    preloader: Preloader
    guards: Guards
    plain: Guards
    said: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)

    def run(
        self, *words: str, fork: bool = True, env: dict[str, str] | None = None, **settings: Any
    ) -> tuple[Exit, str]:
        """Runs ``python *words`` by fork (where possible) or by exec; returns its end and output."""
        output: list[bytes] = []
        guards = self.guards if fork else self.plain
        end = run_child(
            guards.get(),
            [self.python, *words],
            {**self.env, **(env or {})},
            settings.pop("cwd", self.folder),
            limits=settings.pop("limits", Limits(timeout=60.0, grace=1.0)),
            on_output=output.append,
            on_start=lambda pid: guards.started(),
            **settings,
        )
        return end, b"".join(output).decode()

    def script(self, name: str, text: str) -> str:
        """Writes a script; returns its name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return name


@contextlib.contextmanager
def serving(folder: Path, *modules: str, python: str = sys.executable, **env: str) -> Iterator[Case]:
    """Runs a server whose trials run in `folder`."""
    environment = child_environment(env, os.environ)
    said: list[str] = []
    log = folder / "preload.log"
    preloader = Preloader(python, modules, cwd=folder, env=environment, log=log, say=said.append)
    guards = Guards(preloader.requests, note=said.append, modules=preloader.modules)
    plain = Guards()
    try:
        yield Case(python, folder, preloader, guards, plain, said, environment)
    finally:
        preloader.close()
        guards.close()
        plain.close()
        assert preloader.process is None or preloader.process.poll() is not None


def has_module(python: str, name: str) -> bool:
    """Returns whether an interpreter can import a module."""
    done = subprocess.run([python, "-c", f"import {name}"], capture_output=True, check=False, timeout=180)
    return done.returncode == 0
