"""Nothing that comes from outside reaches a terminal or a text file raw: it leaves through one function."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweeping import ROOT, SWEEP, environment
from yacs_sweep.base.wording import printable, unprintable

# Where text leaves: `streams.write_text`, which cleans it; the painter, whose spans it cleans; the painter's own commands;
# and a line of the package's own for a Python that is too old to import anything of it.
WAYS_OUT = {"__init__.py", "base/streams.py", "show/live/painter.py", "show/live/terminal.py", "show/status.py"}
HOSTILE = "a\x1b[2Jb\x1b]0;title\x07c\x9b1m\u202ed\u2066e\u200df\x00"


def writes(tree: ast.AST) -> list[str]:
    """What prints, or writes to a standard stream."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "print":  # also one that is handed on
            found.append("print")
        if isinstance(node, ast.Call):
            text = ast.unparse(node.func)
            if text.endswith(("stdout.write", "stderr.write", "_console.print")) or "_out.write" in text:
                found.append(text)
    return found


def test_there_is_one_way_out() -> None:
    for path in sorted((ROOT / "yacs_sweep").rglob("*.py")):
        name = path.relative_to(ROOT / "yacs_sweep").as_posix()
        if "inside/" not in name and name not in WAYS_OUT:  # `inside` runs in the trainer's interpreter
            assert not writes(ast.parse(path.read_text(encoding="utf-8"))), name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (HOSTILE, "abc?d?ef?"),
        ("two\nlines\tand\u00a0blanks\u3000\r", "two\nlines and blanks  "),
        ("한국어 😀 👩\u200d🔬 ❤\ufe0f", "한국어 😀 👩🔬 ❤"),
        ("\udcff", "?"),
    ],
)
def test_what_is_printable(text: str, shown: str) -> None:
    assert printable(text) == shown == printable(shown)
    assert not unprintable(printable(text))


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_warnings_come_before_the_first_trial(tmp_path: Path, unbuffered: str) -> None:
    """Whatever the buffering is, and harmless."""
    (tmp_path / "t.py").write_text("print('accuracy: 0.5')\n")
    (tmp_path / "p.yaml").write_text("command: [python, t.py]\noverrides: argparse\ncwd: .\n")
    # `minimize` of something called accuracy is worth a warning.
    (tmp_path / "s.yaml").write_text(
        'method: grid\nname: "x\\e[2J"\nmetric: {name: accuracy}\nparameters: {mode: {values: ["a\\e[31m"]}}\n'
    )
    words = ["--controller", "local", "--wandb-mode", "disabled", "--trainer", "p.yaml", "--no-preload"]
    done = subprocess.run(
        [sys.executable, str(SWEEP), *words, "--sweep-config", "s.yaml"],
        cwd=tmp_path,
        env=environment(tmp_path, PYTHONUNBUFFERED=unbuffered),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and "\x1b" not in done.stdout, done.stdout
    warning = next(place for place, line in enumerate(lines) if line.startswith("warning: "))
    assert warning < next(place for place, line in enumerate(lines) if "▶" in line)
