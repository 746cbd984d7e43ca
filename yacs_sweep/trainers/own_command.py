"""Makes a sweep file's own `program` and `command`, with W&B's macros, the trainer.

As `wandb agent` reads them: a macro is a whole word of the command; without `command` the words are
``${env} ${interpreter} ${program} ${args}``. The parameters come as ``--name=value``, a group of nested ones as one
argument, and `wandb.config` of the program holds them as well.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from ..base.errors import ConfigError
from ..base.processes import with_programs_of, without_wandb
from ..logs.patterns import LogFormat
from ..spec.command import MACRO, MACROS, VARIABLE
from ..spec.parameter import Parameter, nest_values
from ..spec.sweep import SweepSpec
from .own_program import PROGRAM, is_module, module_file, module_problem, program_problem
from .profile import TrainerProfile
from .styles import override_arguments, parse_literal
from .ways.files import PARAMS_FILE

SWEEP_FILE = "(sweep file)"  # in place of a profile's path, for a trainer that the sweep itself names
DEFAULT = ("${env}", "${interpreter}", "${program}", "${args}")
STYLE = "wandb"
JSON_FILE = "args_json_file"  # the macro for a file that holds what ${args_json} says
ARGS_FILE = PARAMS_FILE  # that file, in the trial's folder
CONFIG_FILE = "wandb-config.yaml"  # the parameters in the trial's folder, in the form of W&B's agent
_PREFIXES = {
    "args": "--",
    "args_no_boolean_flags": "--",
    "args_no_hyphens": "",
    "args_append_hydra": "+",
    "args_override_hydra": "++",
}
_PAIR = re.compile(r"--[^=\s]+=", re.ASCII)


def expand_args_macro(macro: str, values: Mapping[str, Any]) -> list[str]:
    """Writes the arguments of an args macro; values are written as Python writes them, as `wandb agent` does."""
    if macro == "args_json":
        return [json.dumps(values)]
    words: list[str] = []
    for name, value in values.items():
        if macro == "args_no_equals":
            words += [f"--{name}", str(value)]
        elif macro == "args_no_boolean_flags" and isinstance(value, bool):
            words += [f"--{name}"] if value else []
        else:
            words.append(f"{_PREFIXES[macro]}{name}={value}")
    return words


@dataclass(frozen=True)
class CommandProfile(TrainerProfile):
    """Starts a sweep file's own command. `parameters` are the sweep's, for how they are nested."""

    program: str = ""
    parameters: tuple[Parameter, ...] = ()

    def command_line(
        self,
        *,
        python: str | None = None,
        config_file: str | os.PathLike[str] | None = None,
        output_dir: str | os.PathLike[str] | None = None,
        trial_id: str = "",
        gpu_ids: str = "",
        overrides: Sequence[str] = (),
        params: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> list[str]:
        """Builds the child's argv: the command with its macros expanded.

        `params` are the parameters' values; of `overrides` only those that do not come from `params` count.
        """
        params = params or {}
        own = set(parameter_arguments(params))
        others = [word for word in overrides if word not in own]
        fixed = {"env": ["/usr/bin/env"], "interpreter": [self.interpreter(python)], "program": [self.program]}
        if output_dir is not None:
            fixed[JSON_FILE] = [str(self.child_path(os.path.join(output_dir, ARGS_FILE)))]
        known = without_wandb(os.environ)  # a key is never a word of a command
        words: list[str] = []
        for word in self.command:
            macro = MACRO.fullmatch(word)
            if macro is None or macro[1] not in MACROS:
                words.append(VARIABLE.sub(lambda match: known.get(match[1], match[1]), word))
            elif macro[1] in fixed:
                words += fixed[macro[1]]
            else:
                words += self._arguments(macro[1], others, params)
        return words

    @property
    def scripts(self) -> list[Path]:
        """Lists the files that the command names, and the program's."""
        found = module_file(self.program, self.cwd) if self._runs_module else self.cwd / self.program
        return [*super().scripts, *([found] if found is not None and found.is_file() else [])]

    @property
    def _runs_module(self) -> bool:
        """Whether the program is a module of Python, not a file."""
        return PROGRAM in self.command and is_module(self.command[: self.command.index(PROGRAM)])

    def start_problems(self, python: str | None = None, *, here: bool = True) -> list[str]:
        """Lists reasons why the command cannot be started; a module is looked for by the interpreter it names."""
        problems = super().start_problems(python, here=here)
        if problems or not here or not self._runs_module:
            return problems
        before = replace(self, command=self.command[: self.command.index(PROGRAM)]).command_line(python=python)
        programs = with_programs_of(self.leading_interpreter(python), os.environ)
        environment = {**without_wandb(programs), **self.env}
        problem = module_problem(before, self.program, environment, self.cwd)
        return [problem] if problem else []

    def executed_commands(self, interpreter: str) -> list[list[str]]:
        """Returns the command up to its first args macro, which only a trial knows."""
        words = takewhile(lambda word: not word.startswith("${args"), self.command)
        return [replace(self, command=tuple(words)).command_line(python=interpreter)]

    def _arguments(self, macro: str, others: Sequence[str], params: Mapping[str, Any]) -> list[str]:
        """Expands an args macro to trailing overrides, whose `--name=value` count as parameters, and parameters."""
        read = _parse_value if macro == "args_json" else _parse_flag
        pairs = [word.removeprefix("--").partition("=") for word in others if _PAIR.match(word)]
        loose = [word for word in others if not _PAIR.match(word)]
        given = {name: read(text) for name, _, text in pairs}
        words = expand_args_macro(macro, {**given, **self.wandb_config(params)})
        return words if macro == "args_json" else [*loose, *words]

    def wandb_config(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the parameters, nested as the sweep file has them."""
        return nest_values(self.parameters, params)

    def write_parameters(self, output_dir: Path, params: Mapping[str, Any]) -> dict[str, str]:
        """Writes the trial's parameters as files.

        One is W&B's, from which `wandb.init` takes `wandb.config`; the other is that of the macro args_json_file.
        """
        values = self.wandb_config(params)
        config = {"wandb_version": 1, **{name: {"value": value} for name, value in values.items()}}
        path = output_dir / CONFIG_FILE
        path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
        if f"${{{JSON_FILE}}}" in self.command:
            (output_dir / ARGS_FILE).write_text(json.dumps(values), encoding="utf-8")
        return self.parameter_variables(output_dir)

    @property
    def parameter_files(self) -> tuple[str, ...]:
        """Names the files of `write_parameters`, in the output directory."""
        return (CONFIG_FILE, ARGS_FILE)

    def parameter_variables(self, output_dir: Path) -> dict[str, str]:
        """Returns the environment variables that lead to the files of `write_parameters`."""
        return {"WANDB_SWEEP_PARAM_PATH": str((output_dir / CONFIG_FILE).absolute())}

    @property
    def own_words(self) -> bool:
        """Whether a command line has other words than the command, filled in, and overrides behind it: macros."""
        return True


def parameter_arguments(params: Mapping[str, Any]) -> list[str]:
    """Writes the parameters as `Overrides` does for such a trainer."""
    return [word for name, value in params.items() for word in override_arguments(STYLE, name, value)]


def _parse_value(text: str) -> Any:
    """Parses the value of a trailing override; lists and dicts may be JSON."""
    try:
        return json.loads(text) if text[:1] in "[{" else parse_literal(text)
    except ValueError:
        return text


def _parse_flag(text: str) -> Any:
    """Parses True and False; any other text stays."""
    return {"True": True, "False": False}.get(text, text)


def has_own_command(spec: SweepSpec) -> bool:
    """Tells whether the sweep file has a program or command of its own."""
    return bool(spec.program or spec.command)


def seed_parameter(parameters: Iterable[Parameter]) -> str | None:
    """Names the parameter that is the program's seed: `seed`, else the only `…_seed` or `….seed`; None: not known."""
    names = [item.name for item in parameters]
    exact = [name for name in names if name.lower() == "seed"]
    seeds = exact or [name for name in names if name.lower().endswith(("_seed", "-seed", ".seed"))]
    return seeds[0] if len(seeds) == 1 else None


def program_seed(spec: SweepSpec) -> str | None:
    """Names the parameter that is the seed of a sweep file's program: the one of `repeats`, else `seed_parameter`."""
    if spec.repeats is not None and not spec.repeats.values:
        return spec.repeats.name
    return seed_parameter(spec.parameters)


def own_command_profile(spec: SweepSpec, cwd: Path) -> CommandProfile:
    """Makes the profile of a sweep file's own command.

    Raises:
        ConfigError: no such program, or a macro that has no meaning here.
    """
    command = spec.command or DEFAULT
    program = os.path.expanduser(spec.program or "")
    if PROGRAM in command:
        if not program:
            raise ConfigError("program: is missing, and the command says ${program}")
        if problem := program_problem(program, command, cwd):
            raise ConfigError(problem)
    return CommandProfile(
        name=spec.program or "the sweep file's command",
        path=Path(SWEEP_FILE),
        command=tuple(command),
        cwd=cwd,
        overrides=STYLE,
        metrics=LogFormat((), generic=True, wandb=True),
        env={"WANDB_MODE": "disabled"},
        aliases={"seed": seed} if (seed := program_seed(spec)) else {},
        program=program,
        parameters=spec.parameters,
        reference=SWEEP_FILE,
    )


def unused_command_notes(profile: TrainerProfile, spec: SweepSpec) -> tuple[str, ...]:
    """Warns that a sweep file's own program or command is not started, since --trainer names another trainer."""
    if isinstance(profile, CommandProfile) or not has_own_command(spec):
        return ()
    what = f"program {spec.program}" if spec.program else "command"
    return (f"warning: --trainer {profile.name}: the sweep file's {what} is not used; leave --trainer out to start it",)


def own_command_notes(spec: SweepSpec) -> tuple[str, ...]:
    """Returns the notes that the user of such a trainer gets before the sweep starts."""
    what = f"program {spec.program}" if spec.program else "command"
    lines = [
        f"the trainer is the sweep file's {what} (--trainer NAME uses a profile); "
        'its metrics are what it logs by wandb.log, METRIC {"epoch": 1, "val/loss": 0.5}, or lines such as val_loss: 0.5'
    ]
    if spec.command and not any(word.startswith("${args") for word in spec.command):
        lines.append("the command has no ${args}: the trainer gets its parameters from wandb.config only")
    return tuple(lines)
