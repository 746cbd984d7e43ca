"""Which word of a sweep file's command is the program, and when it is told that there is no such program."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from yacs_sweep.trainers.own_program import is_module, module_problem, program_problem

PROGRAM = "${program}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a project: `train.py`, the package `src` without __init__, `pkg` with __main__, `data` without code."""
    for name in ("train.py", "src/fit.py", "pkg/__main__.py", "pkg/__init__.py", "data/a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("before", "module"),
    [
        ("${env} ${interpreter} -m", True),
        ("python3 -um", True),
        ("python -O -m", True),
        ("uv run python -m", True),
        ("uv run -m", True),
        ("uv run --module", True),
        ("poetry run python -m", True),
        ("accelerate launch --num_processes 2 -m", True),
        ("accelerate launch -m --num_processes 2", True),
        ("torchrun --nproc_per_node=2 --module", True),
        ("python -m torch.distributed.run --nproc_per_node=2 -m", True),
        ("python -m torch.distributed.run --nproc_per_node=2", False),
        ("python -m torch.distributed.launch", False),
        ("torchrun --nproc_per_node=2", False),
        ("${env} ${interpreter}", False),
        ("uv run", False),
        ("", False),
    ],
)
def test_a_word_behind_the_flag_is_a_module(before: str, module: bool) -> None:
    assert is_module(before.split()) is module


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("${env} ${interpreter} ${program}", "train.py"),
        ("${env} ${interpreter} ${program}", "src"),  # a folder: Python starts its __main__.py
        ("${env} ${program}", "ls"),
        ("accelerate launch ${program}", "src/fit.py"),
        ("uv run ${program}", "console-script"),
        ("conda run -n x ${program}", "console-script"),
        ("uv run -m ${program}", "src.fit"),
        ("uv run -m ${program}", "installed.package"),
        ("torchrun -m ${program}", "data.loaders"),  # `data` has no code: perhaps an installed package
        ("docker run -v /x:/y image python ${program}", "/y/train.py"),
        ("uv --directory sub run ${program}", "other.py"),
        ("env --chdir=sub python ${program}", "other.py"),
        ("bash -c ${program}", "python train.py"),
        ("${interpreter} -m ${program}", "absent"),  # the interpreter is asked
    ],
)
def test_what_may_be_there_is_not_refused(folder: Path, command: str, program: str) -> None:
    assert program_problem(program, command.split(), folder) is None


@pytest.mark.parametrize(
    ("command", "program", "why"),
    [
        ("${env} ${interpreter} ${program}", "absent.py", "absent.py: no such file in "),
        ("${interpreter} -u ${program}", "console-script", "console-script: no such file in "),
        ("${env} A=1 ${program}", "no-such-tool", "no-such-tool: no such file in "),
        ("uv run ${program}", "absent.py", "absent.py: no such file in "),
        ("torchrun --nproc_per_node=2 ${program}", "src/absent.py", "src/absent.py: no such file in "),
        ("${interpreter} ${program}", "src.fit", "for a module write -m before ${program} in command"),
        ("${interpreter} -m ${program}", "src/fit.py", "-m takes a module; write src.fit"),
        ("accelerate launch -m ${program}", "train.py", "-m takes a module; write train"),
        ("uv run python -m ${program}", "src.absent", "src.absent: no such module in "),
    ],
)
def test_what_is_not_there_is_told(folder: Path, command: str, program: str, why: str) -> None:
    problem = program_problem(program, command.split(), folder)
    assert problem is not None and problem.startswith(f"program: {program}: ") and why in problem


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("train", None),
        ("src.fit", None),
        ("pkg", None),
        ("json.tool", None),
        ("src", "src is a package without a __main__.py"),
        ("src.absent", "no module src.absent"),
        ("absent.fit", "no module absent"),
        ("json.tool.more", "json.tool is a module, not a package"),
    ],
)
def test_the_interpreter_says_whether_it_finds_a_module(folder: Path, module: str, why: str | None) -> None:
    words = ["/usr/bin/env", "A=1", sys.executable, "-u", "-m"]
    told = f"program: {module}: {why}, for {sys.executable} in {folder}" if why else None
    assert module_problem(words, module, os.environ, folder) == told


def test_an_interpreter_that_cannot_be_asked_says_nothing(folder: Path) -> None:
    assert module_problem(["uv", "run", "-m"], "absent", os.environ, folder) is None
    assert module_problem(["/no/such/python", "-m"], "absent", os.environ, folder) is None
