"""Writes a shell's completion of a command line, by the package shtab, from its parser."""

from __future__ import annotations

import argparse
import copy
import re
from typing import Any

from ..shipped import install_command
from ..streams import print_error, print_lines
from .names import functions

SHELLS = ("bash", "zsh", "fish")

# What the value of an option is: by what stands for it in `--help`,
_KINDS = {
    "FILE": "files",
    "LOGFILE": "files",
    "PATH": "files",
    "SCRIPT|CONFIG|LOG": "files",
    "DIR": "folders",
    "ID": "sweeps",
    "FILE|PRESET": "presets_files",
    "PROFILE|FILE": "profiles_files",
}
_TRIALS = ("stop_trial", "logs", "diff")  # or by its name, where that is NAME


class PrintCompletion(argparse.Action):
    """Prints the completion of the parser's command line for a shell, and ends the program."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, shell: Any, *_: Any) -> None:
        try:
            print_lines(completion(parser, shell))
        except ImportError:
            print_error(f"error: --print-completion: shtab is not installed: {install_command('completion')}")
            parser.exit(2)
        parser.exit()


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """Returns the script that completes the parser's command line. Raises ImportError without shtab."""
    import shtab

    named = sorted({"trials", *_KINDS.values()} - {"files", "folders"})
    program = re.sub(r"\W", "_", parser.prog)
    shown = copy.copy(parser)
    shown._actions = [copy.copy(action) for action in parser._actions]
    for action in shown._actions:
        # Of the spellings with dashes and with underscores the first is offered, which is the documents'.
        long = [word for word in action.option_strings if word.startswith("--")]
        action.option_strings = [word for word in action.option_strings if word not in long[1:]]
        if long and action.nargs in ("+", "*"):  # behind one value, options are offered again
            action.nargs = None
        kind = "trials" if action.dest in _TRIALS else _KINDS.get(str(action.metavar))
        if kind in ("files", "folders"):
            action.complete = shtab.FILE if kind == "files" else shtab.DIRECTORY  # type: ignore[attr-defined]
        elif kind is not None:
            call = f"_{program}_{kind}"
            action.complete = {"bash": call, "zsh": call, "fish": f"({call})"}  # type: ignore[attr-defined]
    found: str = shtab.complete(shown, shell, preamble=functions(program, shell, named))
    return found
