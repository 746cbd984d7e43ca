"""Describes a trainer to the launcher: the profile (`configs/trainers/*.yaml`, see docs/profile.md)."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from ..base.errors import ConfigError
from ..base.files import write_atomically
from ..base.processes import with_programs_of
from ..logs.metric_files import FileSource
from ..logs.names import FIELD
from ..logs.patterns import LogFormat
from ..records.folder import LAUNCHER_FILES
from ..spec.sweep import Metric
from .find_program import why_not_found
from .gpu_key import GpuKey
from .schemas.source import SchemaSource
from .styles import PAIR_STYLES, VALUE_STYLES, override_arguments, variable_text
from .ways.files import PARAMS_FILE, config_name, nested, pair_values
from .ways.placeholders import CONFIG_FILE, SEED, fill, gpus_or_visible, seed_of, used_in
from .ways.resume import ResumeRule

PYTHON = "python"  # as the command's first word: the trainer's interpreter,
INTERPRETER = "${interpreter}"  # which the command of a sweep file calls so
OUTPUT = "output"  # the trainer's own folder in the trial's, where it writes files of the launcher's names


@dataclass(frozen=True)
class TrainerProfile:
    """Describes how to start a trainer, give it parameters, and read its output.

    `cwd` is the child's working directory, absolute; relative words of the command and `schema` are relative to it.
    `python` is the interpreter the profile asks for; None leaves it to the caller. `schema` says where the
    trainer's keys are read from. `wrap` are words before the command that start it several times over (torchrun), `processes`
    how often (None: once for each GPU of the trial). `reference` is what `load_profile` loads it again from.
    """

    name: str
    path: Path
    command: tuple[str, ...]
    cwd: Path
    overrides: str
    metrics: LogFormat
    output_dir_key: str | None = None
    gpu_key: GpuKey | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    schema: SchemaSource | None = None
    lenient: bool = False  # whether the trainer converts values of its file that its tree refuses (1 for 1.0)
    env: Mapping[str, str] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    python: str | None = None
    wrap: tuple[str, ...] = ()
    processes: int | None = None
    files: tuple[FileSource, ...] = ()
    reference: str = ""
    data: Mapping[str, Any] = field(default_factory=dict, compare=False)  # of the file, with those it extends
    read_from: tuple[Path, ...] = ()  # the files of which it was read
    overrides_option: str | None = None  # the word before the overrides, where there are any
    env_prefix: str | None = None  # what stands before a parameter's name in its environment variable
    new_keys: bool = False  # whether the trainer takes keys that its configuration file does not have
    checkpoints: tuple[str, ...] = ()  # patterns of the files a trial may lose once it has ended
    default_metric: Metric | None = None  # optimised by sweeps that name no metric
    resume: ResumeRule = field(default=ResumeRule())  # how it is told to resume in a trial's folder

    @property
    def needs_config_file(self) -> bool:
        """Whether the command cannot be built without a configuration file."""
        return any("{config_file}" in word for word in self.command)

    @property
    def scripts(self) -> list[Path]:
        """Lists the files that the command and the schema name, as far as they exist."""
        words = [*self.command, *(self.schema.files if self.schema is not None else ())]
        return [path for word in words if word and (path := self.cwd / word).is_file()]

    @property
    def reserved(self) -> frozenset[str]:
        """Keys the launcher itself sets, so that no parameter may: the output directory, options of the command."""
        keys = {self.output_dir_key} if self.output_dir_key else set()
        for word in self.command:
            option = re.match(r"--?([A-Za-z][\w.-]*)", word)
            if self.overrides in ("argparse", "lightning") and option:
                keys.add(option[1])
        return frozenset(keys)

    @property
    def takes_pairs(self) -> bool:
        """Whether the words that a user gives to every trial are KEY VALUE."""
        return self.overrides in PAIR_STYLES

    @property
    def takes_words(self) -> bool:
        """Whether parameters are words of the command; else a file, variables or JSON hold them."""
        return self.overrides not in VALUE_STYLES

    @property
    def placeholders_used(self) -> set[str]:
        """Names the placeholders in the command and the variables."""
        return used_in([*self.wrap, *self.command, *self.env.values()])

    @property
    def fixed_env(self) -> dict[str, str]:
        """Returns the variables that are the same for every trial."""
        return {name: text for name, text in self.env.items() if not FIELD.search(text)}

    @property
    def seed_key(self) -> str | None:
        """Returns the trainer's key for a trial's seed, or the word seed where only the placeholder says it; else None."""
        return self.aliases.get(SEED) or (SEED if self.fills(SEED) else None)

    @property
    def command_has_output_dir(self) -> bool:
        """Whether the command names a trial's folder by its placeholder."""
        return any("{output_dir}" in word for word in (*self.wrap, *self.command))

    def fills(self, name: str) -> bool:
        """Whether a parameter of that name is given by its placeholder alone.

        Those are the configuration file, and the seed, each where no alias names a key.
        """
        return name in (CONFIG_FILE, SEED) and name not in self.aliases and name in self.placeholders_used

    def interpreter(self, python: str | None = None) -> str:
        """Returns the trainer's interpreter: `python` (the command line's), else the profile's, else the launcher's."""
        return python or self.python or sys.executable

    def leading_interpreter(self, python: str | None = None) -> str | None:
        """Returns the interpreter whose programs the trainer finds first (`with_programs_of`); None: PATH stays.

        That of a command that starts another program counts only where somebody has named it.
        """
        starts = any(word in (PYTHON, INTERPRETER) for word in (*self.wrap[:1], *self.command))
        return self.interpreter(python) if python or self.python or starts else None

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
        """Builds the child's argv: the command with its placeholders filled in, `overrides`, and the output directory.

        `params` are the values behind `overrides`, for a profile that passes them otherwise than as words.
        `gpu_ids` is a comma-separated list; `seed` is that of a trial without a seed of its own. Relative paths are the
        launcher's; they are made absolute when the child runs elsewhere. Raises ConfigError when the command needs
        something that is not given.
        """
        values = self.placeholders(
            config_file=config_file,
            output_dir=output_dir,
            trial_id=trial_id,
            gpu_ids=gpu_ids,
            overrides=overrides,
            params=params or {},
            seed=seed,
        )
        missing = [name for name in sorted(self.placeholders_used) if values[name] is None]
        if missing:
            raise ConfigError([f"{self.path}: command: needs {{{name}}}, and no {name} was given" for name in missing])
        words = []
        for part in (self.wrap, self.command):
            filled = [fill(word, values) for word in part]
            if part[:1] == (PYTHON,):
                filled[0] = self.interpreter(python)
            words += filled
        given = [*overrides] if self.takes_words else []
        return [*words, *self.behind_option([*given, *self.output_words(values["output_dir"])])]

    def placeholders(
        self,
        *,
        config_file: str | os.PathLike[str] | None = None,
        output_dir: str | os.PathLike[str] | None = None,
        trial_id: str = "",
        gpu_ids: str = "",
        overrides: Sequence[str] = (),
        params: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> dict[str, str | None]:
        """Returns the placeholders' values for a trial, described as for `command_line`; None: not given."""
        folder, config = self.child_path(output_dir), self.child_path(config_file)
        if self.overrides == "file" and config is not None:
            config = None if folder is None else os.path.join(folder, config_name(config))
        everything = self.all_values(overrides, folder) if self.overrides == "json" else {}
        return {
            "config_file": config,
            "output_dir": folder,
            "trial_id": trial_id,
            "gpu_ids": gpus_or_visible(gpu_ids, {**os.environ, **self.fixed_env}),
            "processes": str(self.processes or max(1, len([gpu for gpu in gpu_ids.split(",") if gpu]))),
            "seed": seed_of(self.overrides, self.aliases.get(SEED), overrides, params or {}, seed),
            "params_json": json.dumps(nested(everything)),
            "params_file": None if folder is None else os.path.join(folder, PARAMS_FILE),
        }

    def all_values(self, overrides: Sequence[str], output_dir: str | None) -> dict[str, Any]:
        """Reads the values that a trainer without words is given, by its keys, its output directory among them."""
        own = {self.output_dir_key: output_dir} if self.output_dir_key and output_dir is not None else {}
        return {**pair_values(overrides), **own}

    def variables(self, values: Mapping[str, str | None], overrides: Sequence[str]) -> dict[str, str]:
        """Returns the environment variables of one trial, beside those that all trials have.

        Args:
            values: the placeholders'.
            overrides: the trial's parameters, where variables hold them.
        """
        filled = {name: fill(text, values) for name, text in self.env.items() if FIELD.search(text)}
        if self.overrides == "env":
            given = self.all_values(overrides, values["output_dir"])
            filled |= {name: variable_text(value) for name, value in given.items()}
        return filled

    def output_words(self, output_dir: str | None) -> list[str]:
        """Writes the words that tell the trainer its output directory; none where it takes no words."""
        if self.output_dir_key is None or output_dir is None or not self.takes_words:
            return []
        return override_arguments(self.overrides, self.output_dir_key, output_dir)

    def behind_option(self, overrides: Sequence[str]) -> list[str]:
        """Returns overrides behind the option that they need; without any the option is left out, too."""
        return [*([self.overrides_option] if self.overrides_option and overrides else ()), *overrides]

    def output_dir(self, trial_dir: Path) -> Path:
        """Returns the trainer's output directory: the trial's folder.

        It is a folder in that one where the trainer's metric files would otherwise be the launcher's own.
        """
        return trial_dir / OUTPUT if any(source.collides(LAUNCHER_FILES) for source in self.files) else trial_dir

    def write_parameters(self, output_dir: Path, params: Mapping[str, Any]) -> dict[str, str]:
        """Writes the files that give the trainer its parameters, if any.

        Returns environment variables that lead to the files.
        """
        return {}

    def wandb_config(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what `wandb.config` of the trainer holds: the parameters as the sweep file has them."""
        return dict(params)

    @property
    def parameter_files(self) -> tuple[str, ...]:
        """Names the files of `write_parameters`, in the output directory."""
        return ()

    @property
    def reads_folder(self) -> bool:
        """Whether the trainer looks for its parameters in its output directory, whatever its words say."""
        return False

    def parameter_variables(self, output_dir: Path) -> dict[str, str]:
        """Returns the environment variables that lead to the files of `write_parameters`."""
        return {}

    @property
    def own_words(self) -> bool:
        """Whether a command line has other words than the command, filled in, and overrides behind it."""
        return False

    def starting_in(self, folder: str | None) -> TrainerProfile:
        """Returns the profile with trials that start in the folder (of a snapshot); None: where they do."""
        return self if folder is None else replace(self, cwd=Path(folder))

    def install(self, sweep_dir: Path) -> str:
        """Writes what trials need of the trainer into the sweep's folder; returns what names the trainer from then on.

        The profile is written as one file, with those it extends: a later edit of them reaches no trial.
        """
        if not self.data:
            return self.reference
        folder = sweep_dir / "inputs" / "trainer"
        folder.mkdir(parents=True, exist_ok=True)
        content = dict(self.data)
        content["cwd"] = str(self.cwd)
        if self.python is not None:
            content["python"] = self.python
        if sweep_dir.is_relative_to(self.cwd):  # both move together
            for key in ("cwd", "python"):
                if Path(content.get(key, "")).is_relative_to(self.cwd):
                    content[key] = os.path.relpath(content[key], folder)
        path = folder / f"{self.name.replace(':', '+')}.yaml"
        write_atomically(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
        return str(path)

    def start_problems(self, python: str | None = None, *, here: bool = True) -> list[str]:
        """Lists reasons why the trainer cannot be started, as far as can be seen without starting it.

        Args:
            here: whether this machine starts it.
        """
        interpreter = self.interpreter(python)
        environment = {**with_programs_of(self.leading_interpreter(python), os.environ), **self.fixed_env}
        path = environment.get("PATH", os.defpath)
        for words in self.executed_commands(interpreter):
            if why := why_not_found(words, self.cwd, interpreter, path if here else None):
                return [f"trainer {self.name}: {why}"]
        return []

    def executed_commands(self, interpreter: str) -> list[list[str]]:
        """Returns the commands that are executed, each up to the first word that only a trial knows.

        These are `wrap` and `command`, the latter unless another program than Python executes it, perhaps elsewhere.
        """
        parts = [self.wrap, self.command]
        if self.wrap and not self.wrap[:1] == self.command[:1] == (PYTHON,):
            parts.pop()
        known = [list(takewhile(lambda word: not FIELD.search(word), part)) for part in parts]
        return [[interpreter, *words[1:]] if words[:1] == [PYTHON] else words for words in known]

    def child_path(self, path: str | os.PathLike[str] | None) -> str | None:
        """Returns a path of the launcher's as the child, in its own working directory, has to be given it."""
        if path is None:
            return None
        text = os.fspath(path)
        return text if Path.cwd() == self.cwd else os.path.abspath(text)
