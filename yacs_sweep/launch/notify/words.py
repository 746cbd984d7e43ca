"""Finds where a command of `--notify` would have its `{message}` read as code, and says what to write instead.

The message holds names, which anybody may have chosen. As a word of its own it is harmless; in a shell's script it is
not. What no list of programs can know is made harmless as well: `plain` replaces what shells give a meaning to.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence

MESSAGE = "{message}"
VARIABLE = "SWEEP_MESSAGE"
_SHELL = re.compile(r"(ba|da|z|[mp]?k|a|fi|c|tc|rba)?sh|busybox", re.ASCII)
# Other programs that take code on their command line, and the letters of the options before it.
_LANGUAGES = {
    "python": "c",
    "pypy": "c",
    "perl": "eE",
    "ruby": "e",
    "node": "ep",
    "nodejs": "ep",
    "php": "rBRE",
    "lua": "e",
    "julia": "eE",
    "Rscript": "e",
    "osascript": "e",
    "tclsh": "c",
    "expect": "c",
    "awk": "ev",
    "gawk": "ev",
    "mawk": "ev",
    "sed": "e",
    "pwsh": "c",
    "powershell": "c",
    "vim": "c",
    "emacs": "e",
    "gdb": "x",
}
# Programs that give what follows to a shell, wherever it stands among their words.
_GIVE_TO_SHELL = {"ssh", "rsh", "mosh", "su", "runuser", "sg", "watch", "parallel", "tmux", "screen", "at", "batch"} | {
    *("script", "eval", "make", "gmake", "sbatch", "wsl", "cmd", "gcloud", "vagrant")
}
# Words before a program's name: programs that start another one, their options, variables and times.
_BEFORE = {"sudo", "doas", "env", "nohup", "nice", "ionice", "timeout", "time", "setsid", "stdbuf", "exec", "command"}
_NO_PROGRAM = re.compile(r"-|\w+=|[\d.]+[smhd]?$", re.ASCII)
_LONG = ("--command", "--eval", "--execute", "--print", "--expression", "-Command", "/c", "/C")
_MEANING = re.compile(r"[`$;&|<>\\\"']")  # in a shell's script; quotes also where other programs quote


def plain(text: str) -> str:
    """Replaces the characters with which a text could become commands, or leave a quotation, by `_`."""
    return _MEANING.sub("_", text)


def code_problem(words: Sequence[str]) -> str | None:
    """Says what is wrong with a command whose `{message}` would be read as code; None when it would not be."""
    for place, word in enumerate(words):
        if MESSAGE in word:
            for start in range(place):
                program = _program(words[start])
                if program is not None and _is_code(words, start, place, program[1]):
                    return _problem(words, place, program[0])
    return None


def _program(word: str) -> tuple[str, str | None] | None:
    """Returns name and options of a program that runs code; no options: whatever follows. None for any other word."""
    name = os.path.basename(word).removesuffix(".exe")
    stem = re.sub(r"[\d.]+$", "", name)
    if _SHELL.fullmatch(name):
        return name, "c"
    if stem in _LANGUAGES:
        return name, _LANGUAGES[stem]
    return (name, None) if name in _GIVE_TO_SHELL else None


def _is_code(words: Sequence[str], start: int, place: int, letters: str | None) -> bool:
    """Tells whether the program at `start` reads the word at `place` as code, or as the name of a script."""
    leading = all(word in _BEFORE or _NO_PROGRAM.match(word) for word in words[:start])
    if letters is None:
        return leading
    gives = re.compile(rf"-\w*[{letters}]\w*", re.ASCII)
    between = words[start + 1 : place]
    asked = [word in _LONG or gives.fullmatch(word) is not None for word in between]
    glued = words[place].partition(MESSAGE)[0]
    if glued.rstrip("=") in _LONG or gives.fullmatch(glued):
        return True
    if not leading and not any(asked):
        return False  # the word happens to be a program's name
    if all(word.startswith("-") for word in between):
        return True  # its first word
    while between and between[-1].startswith("-"):
        if asked[len(between) - 1]:
            return True
        between = between[:-1]
    return False


def _problem(words: Sequence[str], place: int, program: str) -> str:
    if any("://" in word for word in words):  # which may be a secret, and is not shown again
        instead = f'write "${VARIABLE}" in its place, in a script in single quotes'
    elif _SHELL.fullmatch(program) and program != "busybox":
        fixed = [*words[:place], _in_script(words[place]), *words[place + 1 :]]
        instead = f"write --notify {shlex.quote(shlex.join(fixed))}"
    else:
        instead = f"read it from {VARIABLE} in the environment, or from the JSON on stdin"
    return f"--notify: {program} would execute {MESSAGE} as code; {instead}"


def _in_script(script: str) -> str:
    """Puts the variable in the place of the message, quoted as it is needed there."""
    found, quote, place = "", "", 0
    forms = {"": f'"${VARIABLE}"', '"': f"${VARIABLE}", "'": f"'\"${VARIABLE}\"'"}
    while place < len(script):
        letter = script[place]
        if script.startswith(MESSAGE, place):
            found, place = found + forms[quote], place + len(MESSAGE)
            continue
        if letter == "\\" and quote != "'":
            found, place = found + script[place : place + 2], place + 2
            continue
        if letter in "'\"" and quote in ("", letter):
            quote = "" if quote else letter
        found, place = found + letter, place + 1
    return found
