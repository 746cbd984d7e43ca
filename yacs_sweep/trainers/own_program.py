"""Looks for the `program` of a sweep file: a file, a program in PATH, or a module behind `-m`."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..base.ask_process import NoAnswer, ask_process
from .find_program import ENV, behind_env

PROGRAM = "${program}"
_SCRIPT = Path(__file__).parent / "inside" / "find_module.py"
_WAIT = 30.0  # seconds for an interpreter to look for a module
_FLAG = re.compile(r"-[A-Za-z]*m")  # -m, alone or behind other letters: -um
_PYTHON = re.compile(r"(python|pypy)[\d.]*")
# What starts the program in another folder or on another machine, where its file is.
_ELSEWHERE = frozenset({"docker", "podman", "singularity", "apptainer", "ssh", "kubectl", "bash", "sh"})
_OTHER_FOLDER = ("-C", "--directory", "--chdir", "--cwd", "--pwd", "--workdir")


def is_module(before: Sequence[str]) -> bool:
    """Tells whether the word behind the words `before` is a module: for python, uv, accelerate, torchrun, deepspeed."""
    flags = [place for place, word in enumerate(before) if _FLAG.fullmatch(word) or word == "--module"]
    return any(place + 1 == len(before) or before[place + 1].startswith("-") for place in flags)


def program_problem(program: str, command: Sequence[str], cwd: Path) -> str | None:
    """Explains why the command cannot find its program, as far as the files in `cwd` say so; None otherwise."""
    before = list(command[: command.index(PROGRAM)])
    module = re.sub(r"\.py$", "", program).replace("/", ".")
    if _is_elsewhere(before):
        return None
    if is_module(before):
        if program != module:
            return f"program: {program}: -m takes a module; write {module}"
        ours = any((cwd / program.partition(".")[0]).glob("*.py"))  # else it may be an installed package
        if ours and module_file(program, cwd) is None and _interpreter_end(before) is None:
            return f"program: {program}: no such module in {cwd}"
        return None
    if os.path.exists(cwd / program) or shutil.which(program):
        return None
    if _executed(before) and _interpreter_end(before) is None and not ("/" in program or program.endswith(".py")):
        return None  # uv, poetry and conda know programs that are not in PATH
    problem = f"program: {program}: no such file in {cwd}; or give --trainer PROFILE"
    if "/" not in program and module_file(program, cwd) is not None:
        problem += f"; for a module write -m before {PROGRAM} in command"
    return problem


def module_problem(words: Sequence[str], module: str, environment: Mapping[str, str], cwd: Path) -> str | None:
    """Asks the interpreter of a command whether it finds the module; None when it does, or cannot be asked.

    Args:
        words: the command up to the module, macros filled in.
    """
    end = _interpreter_end(words)
    if end is None or module_file(module, cwd) is not None:
        return None
    flag = words[-1][:-1]  # -um: the letters before m stay
    asked = [*words[:-1], *([flag] if len(flag) > 1 else []), "-c", _SCRIPT.read_text(encoding="utf-8"), module]
    try:
        why = ask_process(asked, environment=environment, cwd=cwd, timeout=_WAIT).get("why")
    except NoAnswer:
        return None  # its start fails for another reason, which is told elsewhere
    return f"program: {module}: {why}, for {words[end - 1]} in {cwd}" if why else None


def module_file(module: str, cwd: Path) -> Path | None:
    """Returns the file below `cwd` that `python -m` would execute; None when there is none."""
    path = cwd.joinpath(*module.split("."))
    files = (path / "__main__.py", path.with_name(f"{path.name}.py"))
    return next((file for file in files if file.is_file()), None)


def _executed(before: Sequence[str]) -> Sequence[str]:
    """Returns the words from the one that is executed on; empty where that is the program itself, or not known."""
    return behind_env([ENV[1] if word == "${env}" else word for word in before])


def _interpreter_end(before: Sequence[str]) -> int | None:
    """Returns the place behind the interpreter in a command that executes one, with options only behind it."""
    rest = _executed(before)
    if not rest or not (rest[0] == "${interpreter}" or _PYTHON.fullmatch(os.path.basename(rest[0]))):
        return None
    return len(before) - len(rest) + 1 if all(word.startswith("-") for word in rest[1:]) else None


def _is_elsewhere(before: Sequence[str]) -> bool:
    """Tells whether the command may start its program where this machine's files say nothing."""
    names = {os.path.basename(word) for word in before}
    return bool(names & _ELSEWHERE) or any(word.partition("=")[0] in _OTHER_FOLDER for word in before)
