"""Looks for the programs that a command executes, as far as that is possible without starting them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

ENV = ("env", "/usr/bin/env")


def why_not_found(words: Sequence[str], cwd: Path, interpreter: str, path: str | None) -> str | None:
    """Explains why a command cannot be executed in the folder `cwd`; None when nothing speaks against it.

    Args:
        words: the command, up to the first word that only a trial knows.
        interpreter: the trainer's; its first argument is the file of a program.
        path: the child's PATH; None: the child starts on machines on which other programs may be.
    """
    behind = behind_env(words)
    if path is not None:
        for word in dict.fromkeys([*words[:1], *behind[:1]]):
            if problem := _why_not_executable(word, cwd, path):
                return f"{problem}; --python PATH names another interpreter" if word == interpreter else problem
    if len(behind) > 1 and behind[0] == interpreter and behind[1].endswith(".py") and not (cwd / behind[1]).is_file():
        return f"no file {behind[1]} in {cwd}"
    return None


def behind_env(words: Sequence[str]) -> Sequence[str]:
    """Returns the command that `env NAME=value …` executes; empty where it cannot be known, any other command as is."""
    if words[:1] and words[0] in ENV:
        words = words[1:]
        while words and "=" in words[0] and not words[0].startswith("PATH="):
            words = words[1:]
        if words and words[0].startswith(("-", "PATH=")):
            return ()
    return words


def _why_not_executable(word: str, cwd: Path, path: str) -> str | None:
    """Explains why `execvp` would execute no program of that name; None when there is one."""
    folders = [""] if os.path.dirname(word) else path.split(os.pathsep)
    files = [place for place in (os.path.join(cwd, folder, word) for folder in folders) if os.path.isfile(place)]
    if any(os.access(file, os.X_OK) for file in files):
        return None
    if files:
        return f"{files[0]} cannot be executed; chmod +x changes that"
    if os.path.dirname(word):
        return f"there is no program {word}" + ("" if os.path.isabs(word) else f" in {cwd}")
    return f"there is no program {word} in PATH"
