"""Runs the commands of examples/README.md in a copy of the example's folder, and reads what they leave."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.docs.documents import ROOT, commands
from tests.sweeping import environment

EXAMPLES = ROOT / "examples"
README = EXAMPLES / "README.md"
_COMMAND = re.compile(r"\(cd examples/(?P<name>\w+) && (?P<words>.*)\)")


def readme_commands(name: str) -> list[str]:
    """The commands that README.md runs in an example's folder, in order."""
    found = (_COMMAND.fullmatch(command.text) for command in commands(README))
    return [match["words"] for match in found if match is not None and match["name"] == name]


@dataclass
class Example:
    """A copy of an example's folder; `yacs-sweep` is this checkout's."""

    folder: Path
    env: dict[str, str]

    @classmethod
    def copy(cls, name: str, home: Path, **variables: str) -> Example:
        folder = home / name
        shutil.copytree(
            EXAMPLES / name, folder, ignore=shutil.ignore_patterns("log", "configs", "sweeps", "__pycache__")
        )
        programs = home / "bin"
        programs.mkdir()
        script = programs / "yacs-sweep"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT / "tools" / "sweep.py"}" "$@"\n')
        script.chmod(0o755)
        path = f"{programs}:{Path(sys.executable).parent}:{variables.pop('PATH', '/usr/local/bin:/usr/bin:/bin')}"
        return cls(folder, environment(home, PATH=path, OMP_NUM_THREADS="1", **variables))

    def start(self, words: str) -> subprocess.Popen[str]:
        """Starts a command in the folder, as it is typed."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(["bash", "-c", words], cwd=self.folder, env=self.env, text=True, **streams)

    def run(self, words: str, timeout: float = 240) -> str:
        """Runs a command to its end, which has to be a good one; returns what it prints."""
        process = self.start(words)
        output, _ = process.communicate(timeout=timeout)
        assert process.returncode == 0, f"{words}\n{output}"
        return output

    @property
    def sweep_dir(self) -> Path:
        """The folder of the only sweep."""
        (found,) = (path.parent for path in self.folder.glob("log/sweep/sweep/*/summary.json"))
        return found

    @property
    def summary(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.sweep_dir / "summary.json").read_text())
        return content

    def last_printed(self, trial: str, metric: str) -> float:
        """The number that a trial's script printed last behind a name."""
        output = (self.sweep_dir / trial / "stdout.log").read_text()
        return float(re.findall(rf"{metric}[ :=]+([\d.]+)", output)[-1])


def shown_rows(name: str) -> list[tuple[str, str, str]]:
    """First column, second column and parameters of each trial or point that README.md shows for an example."""
    section = README.read_text(encoding="utf-8").partition(f"(cd examples/{name} ")[2].partition("\n## ")[0]
    rows = re.findall(r"^((?:trial|point)-\d+) +([\d.]+) .*?(\S+=.*)$", section, re.MULTILINE)
    assert rows
    return rows
