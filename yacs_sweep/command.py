"""The trainer a sweep file names itself: `program` and `command`, with W&B's macros.

As `wandb agent` reads them: a macro is a whole word of the command; without `command` the words are
``${env} ${interpreter} ${program} ${args}``. The parameters come as ``--name=value``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ConfigError
from .parsing import LogFormat
from .process import without_wandb
from .spec_model import SweepSpec
from .trainer import TrainerProfile, load_profile
from .words import decode

SWEEP_FILE = "(sweep file)"  # in place of a profile's path, for a trainer that the sweep itself names
DEFAULT = ("${env}", "${interpreter}", "${program}", "${args}")

_MACRO = re.compile(r"\$\{(\w+)\}")
_ENV = re.compile(r"\$\{envvar:(\w+)\}")


def _pairs(words: Sequence[str]) -> list[tuple[str, str | None]]:
    """Names and values of ``--name=value`` words; the value is None for any other word."""
    found: list[tuple[str, str | None]] = []
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        found.append((name, value) if word.startswith("--") and equals else (word, None))
    return found


def arguments(macro: str, words: Sequence[str]) -> list[str]:
    """What an args macro stands for, given the parameters as ``--name=value`` words; other words stay as they are."""
    pairs = _pairs(words)
    if macro == "args_json":
        return [json.dumps({name: _value(value) for name, value in pairs if value is not None})]
    result: list[str] = []
    for word, (name, value) in zip(words, pairs, strict=True):
        if value is None or macro == "args":
            result.append(word)
        elif macro == "args_no_equals":
            result += [f"--{name}", value]
        elif macro == "args_no_boolean_flags" and value in ("True", "False"):
            result += [f"--{name}"] if value == "True" else []
        elif macro == "args_no_boolean_flags":
            result.append(word)
        else:
            prefix = {"args_no_hyphens": "", "args_append_hydra": "+", "args_override_hydra": "++"}[macro]
            result.append(f"{prefix}{name}={value}")
    return result


def _value(text: str) -> Any:
    """The value behind an argument's text; lists and dicts are JSON there."""
    try:
        return json.loads(text) if text[:1] in "[{" else decode(text)
    except ValueError:
        return text


@dataclass(frozen=True)
class CommandProfile(TrainerProfile):
    """`TrainerProfile` of a sweep file's own command."""

    program: str = ""

    def command_line(
        self,
        *,
        python: str | None = None,
        config_file: str | os.PathLike[str] | None = None,
        output_dir: str | os.PathLike[str] | None = None,
        trial_id: str = "",
        gpu_ids: str = "",
        overrides: Sequence[str] = (),
    ) -> list[str]:
        """The child's argv: the command with its macros expanded."""
        plain = {"env": ["/usr/bin/env"], "interpreter": [self.interpreter(python)], "program": [self.program]}
        known = without_wandb(os.environ)  # a key is never a word of a command
        words: list[str] = []
        for word in self.command:
            macro = _MACRO.fullmatch(word)
            if macro is None:
                words.append(_ENV.sub(lambda match: known.get(match[1], match[1]), word))
            elif macro[1] in plain:
                words += plain[macro[1]]
            else:
                words += arguments(macro[1], overrides)
        return words


def names_trainer(spec: SweepSpec) -> bool:
    """Whether the sweep file says what to start."""
    return bool(spec.program or spec.command)


def sweep_profile(spec: SweepSpec, cwd: Path) -> CommandProfile:
    """The trainer of a sweep file.

    Raises:
        ConfigError: no such program, or a macro that has no meaning here.
    """
    command = spec.command or DEFAULT
    problems = []
    if "${program}" in command and not spec.program:
        problems.append("program: is missing, and the command says ${program}")
    elif "${program}" in command and not (cwd / spec.program).exists() and not shutil.which(spec.program or ""):  # type: ignore[operator]
        problems.append(f"program: {spec.program}: no such file in {cwd}; or give --trainer PROFILE")
    if "${args_json_file}" in command:
        problems.append("command: ${args_json_file} is not supported; use ${args_json}")
    if problems:
        raise ConfigError(problems)
    return CommandProfile(
        name=spec.program or "the sweep file's command",
        path=Path(SWEEP_FILE),
        command=tuple(command),
        cwd=cwd,
        overrides="argparse",
        metrics=LogFormat((), generic=True),
        env={"WANDB_MODE": "disabled"},
        program=spec.program or "",
    )


def remarks(spec: SweepSpec) -> tuple[str, ...]:
    """What the user of such a trainer has to know before it starts."""
    what = f"program {spec.program}" if spec.program else "command"
    lines = [
        f"the trainer is the sweep file's {what} (--trainer NAME uses a profile); "
        'its metrics are read from lines such as METRIC {"epoch": 1, "val/loss": 0.5} or val_loss: 0.5'
    ]
    if spec.command and not any(word.startswith("${args") for word in spec.command):
        lines.append("warning: the command has no ${args}: the parameters do not reach the trainer")
    return tuple(lines)


def trainer_of(trainer: str | None, spec: SweepSpec | None, root: Path) -> TrainerProfile:
    """The profile of that name or file; without a name the sweep file's own command, else the default profile.

    Raises:
        ConfigError: every mistake in it.
    """
    if trainer == SWEEP_FILE or (trainer is None and spec is not None and names_trainer(spec)):
        assert spec is not None
        return sweep_profile(spec, root)
    return load_profile(trainer or "reid", project_root=root)
