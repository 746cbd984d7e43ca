"""Runs `tools/sweep.py` as a user does, on the toy trainer, and reads what it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
TOY = ROOT / "tests" / "toy_trainer"
SWEEP = ROOT / "tools" / "sweep.py"


def environment(home: Path, **more: str) -> dict[str, str]:
    """A user's environment without any W&B login, state kept below `home`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB_", "XDG_"))}
    return {**kept, "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), **more}


def command(
    *words: str | Path,
    trainer: Path | None = TOY / "toy.yaml",
    config: Path | None = TOY / "toy.yml",
    verbose: bool = True,
) -> list[str]:
    """argv of a sweep of the toy trainer; without `trainer`, of the sweep file's own. What the trainer prints is shown
    unless it is not to be, so that tests can wait for it."""
    base = [sys.executable, str(SWEEP), *(["--trainer", str(trainer)] if trainer else [])]
    base += ["--verbose"] if verbose and not {"--quiet", "--verbose"} & set(map(str, words)) else []
    return [*base, *(["--config_file", str(config)] if config else []), *map(str, words)]


@dataclass
class Ran:
    """A launcher that has ended."""

    code: int
    out: str
    err: str
    cwd: Path

    @property
    def sweeps(self) -> list[Path]:
        """The folders of all sweeps below the default results folder."""
        return sorted(path.parent for path in self.cwd.glob("log/sweep/sweep/*/sweep.yaml"))

    @property
    def dir(self) -> Path:
        (only,) = self.sweeps
        return only

    @property
    def summary(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.dir / "summary.json").read_text())
        return content

    def rows(self, trial: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.dir / trial / "metrics.jsonl").read_text().splitlines()]

    def trial(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.dir / name / "trial.json").read_text())
        return content


def sweep(
    cwd: Path, *words: str | Path, timeout: float = 120, env: dict[str, str] | None = None, **settings: Any
) -> Ran:
    """Runs the launcher in `cwd` to its end."""
    done = subprocess.run(
        command(*words, **settings),
        cwd=cwd,
        env=environment(cwd) if env is None else env,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr, cwd)


def start(cwd: Path, *words: str | Path, env: dict[str, str] | None = None, **settings: Any) -> subprocess.Popen[str]:
    """Starts the launcher in `cwd`, its stdout in a pipe."""
    return subprocess.Popen(
        command(*words, **settings),
        cwd=cwd,
        env=environment(cwd) if env is None else env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def start_hasty(cwd: Path, *words: str | Path, **settings: Any) -> subprocess.Popen[str]:
    """`start`, of a launcher whose supervisor takes an agent for hung after 6 s."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from yacs_sweep.launch.workers.supervisor import Supervisor\n"
        "Supervisor.__init__.__kwdefaults__['silence'] = 6.0\n"
        "from yacs_sweep.cli import main\nsys.exit(main(sys.argv[1:]))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *command(*words, **settings)[2:]],
        cwd=cwd,
        env=environment(cwd),
        stdout=subprocess.PIPE,
        text=True,
    )


def write_sweep(folder: Path, text: dict[str, Any] | str, name: str = "y.yaml") -> Path:
    """A sweep file."""
    path = folder / name
    path.write_text(text if isinstance(text, str) else yaml.safe_dump(text, sort_keys=False))
    return path


GRID: dict[str, Any] = {
    "method": "grid",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"values": [0.0001, 0.00035, 0.001]}},
}


def processes_with(text: str) -> Sequence[int]:
    """Processes, zombies left out, whose command line contains `text`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            state = (folder / "stat").read_bytes().rpartition(b")")[2].split()[0]
        except OSError:
            continue
        if text.encode() in words and state != b"Z" and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found
