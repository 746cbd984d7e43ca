"""Faults of files: odd ones in the folders of running trials, inputs that people edit, permissions, descriptors."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import resource
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.sweeping import TOY, write_sweep
from tests.toy_trainer.odd import BESIDE

# Root reads and writes everything; without these capabilities permissions hold for root, too.
_FEWER = "-dac_override,-dac_read_search"
UNPRIVILEGED = (
    ["setpriv", f"--inh-caps={_FEWER}", f"--bounding-set={_FEWER}"]
    if os.getuid() == 0 and shutil.which("setpriv")
    else []
)
OTHER = {"TOY": {"NOISE": 30.0}, "SOLVER": {"SEED": 3}}  # gives another mAP


def quality(base_lr: float) -> float:
    """Returns the mAP of a toy trial by the configuration that the sweep began with."""
    return 80 * math.exp(-abs(math.log10(base_lr / 0.00035)))


class Inputs:
    """What the user gives a sweep: configuration, profile and sweep file, in a folder where they are edited later."""

    def __init__(self, folder: Path, spec: dict[str, Any]) -> None:
        profile = yaml.safe_load((TOY / "toy.yaml").read_text())
        self.config, self.profile = folder / "toy.yml", folder / "toy.yaml"
        self.profile.write_text(yaml.safe_dump({**profile, "cwd": str(TOY)}))
        shutil.copy(TOY / "toy.yml", self.config)
        self.spec = write_sweep(folder, spec)
        self.words = [
            "--sweep-config",
            str(self.spec),
            "--trainer",
            str(self.profile),
            "--config_file",
            str(self.config),
        ]

    def spoil(self, source: random.Random) -> str:
        """Edits, deletes or half-saves one of the files; returns what was done to which."""
        name = source.choice(["config", "profile", "spec"])
        path: Path = getattr(self, name)
        how = source.choice(["edited", "deleted", "half-saved"])
        if how == "deleted":
            path.unlink(missing_ok=True)
        elif how == "half-saved":
            path.write_text("SOLVER: {MAX_EPO")
        elif name == "config":
            path.write_text(yaml.safe_dump(OTHER))
        else:
            path.write_text(
                "command: ['false']\n" if name == "profile" else "method: random\nparameters: {lr: {value: 1}}\n"
            )
        return f"input {how}: {name}"


class Files:
    """The files of one sweep that runs."""

    def __init__(self, sweep: Path, inputs: Inputs) -> None:
        self.sweep, self.inputs = sweep, inputs

    def hurt(self, source: random.Random, supervisor: int, agents: Sequence[int]) -> str | None:
        """Makes one fault; returns its name, None where it does not fit."""
        what = source.choice(["input", "odd", "permissions", "descriptors"])
        if what == "input":
            return self.inputs.spoil(source)
        if what == "descriptors":
            pid = source.choice([supervisor, *agents])
            return _exhaust(pid, source.uniform(0.2, 3.0), "supervisor" if pid == supervisor else "agent")
        running = [
            path.parent for path in self.sweep.glob("trial-*/trial.json") if record_at(path)["state"] == "running"
        ]
        if not running:
            return None
        folder = source.choice(running)
        if what == "permissions":
            return _shut(source.choice([folder, *(folder / name for name in FILES)]), source.uniform(0.05, 0.7))
        kind = source.choice(sorted(BESIDE))
        with contextlib.suppress(OSError):
            BESIDE[kind](str(folder))
            return f"odd file: {kind}"
        return None


FILES = ("trial.json", "metrics.jsonl", "stdout.log")


def record_at(path: Path) -> dict[str, Any]:
    """Reads a trial.json; in place of one that a trainer has replaced, and whose agent was killed, a record without a
    state."""
    with contextlib.suppress(OSError, ValueError):
        if path.is_file():
            content: dict[str, Any] = json.loads(path.read_text())
            return content
    return {"state": ""}


def _shut(path: Path, seconds: float) -> str | None:
    """Takes all permissions from a file or folder for a while."""
    try:
        mode = os.stat(path).st_mode & 0o7777
        os.chmod(path, 0)
    except OSError:
        return None
    time.sleep(seconds)
    with contextlib.suppress(OSError):
        os.chmod(path, mode | (os.stat(path).st_mode & 0o7777))
    return f"permissions: {'folder' if path.name.startswith('trial-') else path.name}"


def _exhaust(pid: int, seconds: float, role: str) -> str | None:
    """Lets a process open no more files for a while."""
    try:
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
    except OSError:
        return None
    time.sleep(seconds)
    with contextlib.suppress(OSError):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    return f"descriptors: {role}"
