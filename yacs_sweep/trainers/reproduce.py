"""Writes the command that trains again what a trial has trained: the words the trial got, another output folder.

A trial's own command says what the trial got, whatever the sweep's options and profile have become since. Only the output
folder in it is replaced, so that a trainer that resumes by itself does not meet the trial's checkpoints.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.errors import ConfigError
from ..logs.names import FIELD
from ..records.folder import TrialRecord, move_paths
from .overrides import Overrides
from .profile import PYTHON, TrainerProfile
from .styles import override_arguments
from .ways.files import PARAMS_FILE, config_name, with_moved_includes


@dataclass(frozen=True)
class Repeat:
    """Holds what a shell has to do to train again what a trial has trained."""

    words: list[str]  # the trainer's argv
    cwd: Path | None  # where the trainer starts; None: unknown
    env: Mapping[str, str] = field(default_factory=dict)  # variables beside the shell's own
    folder: Path | None = None  # the output folder, to be made; None: the command names none
    files: Sequence[Path] = ()  # to be copied into the folder
    moved_files: Sequence[Path] = ()  # to be copied, with the trial's folder in them replaced by the new one
    trial_dir: Path | None = None  # the trial's folder

    def line(self, here: Path | None = None) -> str:
        """Writes it as a line for a shell.

        Args:
            here: the folder where the line is going to be typed; None: any.
        """
        steps = []
        if self.cwd is not None and (here is None or here.resolve() != self.cwd.resolve()):
            steps.append(["cd", str(self.cwd)])
        if self.folder is not None:
            steps.append(["mkdir", "-p", str(self.folder)])
            if self.files:
                steps.append(["cp", *map(str, self.files), str(self.folder)])
            for file in self.moved_files:
                texts = [_for_sed(str(self.trial_dir)), _for_sed(str(self.folder))]
                steps.append(
                    ["sed", "-e", f"s#{texts[0]}#{texts[1]}#g", "-e", f"w {self.folder / file.name}", "-n", str(file)]
                )
        variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in self.env.items())
        return " && ".join([*map(shlex.join, steps), f"{variables} {shlex.join(self.words)}".strip()])


@dataclass(frozen=True)
class GivenWords:
    """The words of a trial's command, classified by the trainer's profile."""

    head: list[str]  # what stands before the overrides
    config_file: str | None
    overrides: list[str]  # without the output folder, and without the GPUs it was given


def repeat_trial(
    record: TrialRecord, profile: TrainerProfile | None, sweep_dir: Path, *, best: Path | None = None
) -> Repeat | None:
    """Describes how to train again what a trial has trained, in a new folder beside the trial's.

    Args:
        profile: the trial's trainer; None: unknown.
        best: the trial's configuration with the overrides merged in, if there is one; the line names it in their place.

    Returns None for a trial whose command is not known.
    """
    if not record.command:
        return None
    trial_dir = sweep_dir.absolute() / record.name
    words = move_paths(record.command, record.dir or str(trial_dir), str(trial_dir))
    folder = free_folder(sweep_dir.absolute(), record.name)
    if profile is None:
        moved = _in_folder(words, trial_dir, folder)
        return Repeat(moved, None, {}, folder if moved != words else None)
    old, new = profile.output_dir(trial_dir), profile.output_dir(folder)
    words = _with_interpreter(_without_gpus(words, profile, old, record), profile)
    if best is not None:
        given = given_words(words, profile, old)
        assert given is not None and given.config_file is not None
        words = [*_head_with(given, profile, str(best)), *profile.behind_option(_output_words(profile, old))]
    output = _output_words(profile, old)
    if output and words[-len(output) :] == output:
        words = [*words[: -len(output)], *_output_words(profile, new)]
        named = True
    else:
        named = False
    files = [path for name in profile.parameter_files if (path := old / name).is_file()]
    written = (
        [] if best is not None else [path for name in given_files(record, profile) if (path := old / name).is_file()]
    )
    moved = _in_folder(words, trial_dir, folder, except_for=files)
    variables_of_trial = _moved_variables(record, profile, trial_dir, folder)
    env = {"WANDB_MODE": "disabled", **profile.fixed_env, **variables_of_trial}
    if files and (variables := profile.parameter_variables(old)):
        # A disabled client refuses the program's own value of a key that the file has; an offline one ignores it, as in a
        # trial, and sends nothing either.
        env |= {"WANDB_MODE": "offline", **variables}
    named = named or variables_of_trial != record.given.get("env", {}) or (best is not None and not profile.takes_words)
    used = named or moved != words
    copied = files if profile.reads_folder else ()
    return Repeat(moved, profile.cwd, env, new if used else None, copied, written, trial_dir)


def free_folder(sweep_dir: Path, name: str) -> Path:
    """Finds a folder for training a trial again that does not exist yet: ``train-{name}``, ``train-{name}-2``, …"""
    for number in itertools.count(1):
        path = sweep_dir / (f"train-{name}" if number == 1 else f"train-{name}-{number}")
        if not os.path.lexists(path):
            return path
    raise AssertionError


def given_words(words: Sequence[str], profile: TrainerProfile, output_dir: Path) -> GivenWords | None:
    """Tells the words of a trial's command apart; None when another profile has written them.

    Args:
        output_dir: the trial's.
    """
    templates = [*profile.wrap, *profile.command]
    if profile.own_words or len(words) < len(templates):
        return None
    values: dict[str, str] = {}
    for place, (template, word) in enumerate(zip(templates, words, strict=False)):
        if place in (0, len(profile.wrap)) and template == "python":
            continue  # an interpreter
        found = re.fullmatch(_pattern(template), word, re.DOTALL)
        if found is None:
            return None
        values.update(found.groupdict())
    head, tail = list(words[: len(templates)]), list(words[len(templates) :])
    if profile.overrides_option and tail[:1] == [profile.overrides_option]:
        tail = tail[1:]
    output = _output_words(profile, output_dir)
    if output and tail[-len(output) :] == output:
        tail = tail[: -len(output)]
    return GivenWords(head, values.get("config_file"), tail)


def common_words(record: TrialRecord, overrides: Overrides) -> list[str] | None:
    """Returns the words that a trial got beside its own parameters; None when they cannot be told apart."""
    profile = overrides.profile
    output_dir = profile.output_dir(Path(record.dir))
    given = given_words(_without_gpus(record.command, profile, output_dir, record), profile, output_dir)
    own = overrides.arguments(record.params)
    if not profile.takes_words:
        kept = record.given.get("overrides")
        given = None if kept is None else GivenWords([], None, list(kept))
    if given is None or (own and given.overrides[-len(own) :] != own):
        return None
    return given.overrides[: len(given.overrides) - len(own)]


def best_config(
    record: TrialRecord, overrides: Overrides, sweep_dir: Path, place: Path | None = None
) -> dict[str, Any]:
    """Merges a trial's overrides into its configuration; returns the content of best.yml.

    Args:
        place: the folder that the file will be in; None: the sweep's.

    Raises:
        ConfigError: no such file gives the trainer what the trial got.
    """
    profile = overrides.profile
    trial_dir = sweep_dir.absolute() / record.name
    words = move_paths(record.command, record.dir or str(trial_dir), str(trial_dir))
    output_dir = profile.output_dir(trial_dir)
    given = given_words(_without_gpus(words, profile, output_dir, record), profile, output_dir)
    values: Mapping[str, Any] = record.params
    if not profile.takes_words:
        values = overrides.parse_trailing(record.given.get("overrides", []))[1]
    elif profile.takes_pairs and given is not None:
        values = overrides.parse_trailing(given.overrides)[1]
    if not profile.needs_config_file:
        return overrides.config_with(None, values)
    folder = _portable(profile.output_dir(free_folder(sweep_dir, record.name)), profile.cwd, sweep_dir)
    if profile.overrides == "file" and "config_file" in record.given:
        base = Path(record.given["config_file"])
        return with_moved_includes(
            overrides.config_with(base, values, folder), base.parent, place or sweep_dir, sweep_dir
        )
    if profile.overrides != "yacs":
        raise ConfigError(f"a trainer with {profile.overrides} overrides may read them otherwise in a file")
    if given is None or given.config_file is None:
        raise ConfigError(f"{record.name} was started by another command than the profile's")
    file = profile.cwd / given.config_file
    return with_moved_includes(overrides.config_with(file, values, folder), file.parent, place or sweep_dir, sweep_dir)


def _portable(folder: Path, cwd: Path, sweep_dir: Path) -> str:
    """Writes a folder relative to where the trainer starts, if both move together."""
    together = folder.is_relative_to(cwd) or cwd.is_relative_to(sweep_dir)
    return os.path.relpath(folder, cwd) if together else str(folder)


def _output_words(profile: TrainerProfile, folder: Path) -> list[str]:
    """Writes the override that names the output folder, if the trainer takes one."""
    return profile.output_words(str(folder))


def given_files(record: TrialRecord, profile: TrainerProfile) -> list[str]:
    """Names the files in the output folder that the trial's trainer got its parameters from."""
    if "config_file" in record.given:
        return [config_name(record.given["config_file"])]
    return [PARAMS_FILE] if profile.overrides == "json" and "params_file" in profile.placeholders_used else []


def _moved_variables(record: TrialRecord, profile: TrainerProfile, old: Path, new: Path) -> dict[str, str]:
    """Returns the trial's own variables, with another folder in place of the trial's."""
    gpus = profile.gpu_key.key if profile.gpu_key is not None else None  # those of that machine, at that time
    given = {name: text for name, text in record.given.get("env", {}).items() if name != gpus}
    return dict(zip(given, _in_folder([str(text) for text in given.values()], old, new), strict=True))


def _for_sed(text: str) -> str:
    """Writes a text so that sed takes it as it stands, as a pattern or in its place, between `#`."""
    return re.sub(r"([\\.*\[\]^$#&])", r"\\\1", text)


def _without_gpus(words: Sequence[str], profile: TrainerProfile, folder: Path, record: TrialRecord) -> list[str]:
    """Leaves out the words that told the trainer its GPUs: those of that machine, at that time.

    Args:
        folder: the trial's output folder.
    """
    if profile.gpu_key is None or not record.gpu_ids:
        return list(words)
    output = _output_words(profile, folder)
    end = len(words) - (len(output) if output and list(words[-len(output) :]) == output else 0)
    # The value is not compared: its form may have been another one then.
    pattern = override_arguments(profile.overrides, profile.gpu_key.key, "x")
    start = end - len(pattern)
    apart = len(pattern) > 1  # key and value are words of their own
    first = pattern[0] if apart else pattern[0].partition("=")[0] + "="
    same = start >= 0 and (words[start] == first if apart else words[start].startswith(first))
    if not same:
        return list(words)
    before, after = list(words[:start]), list(words[end:])
    alone = not after and before[-1:] == [profile.overrides_option]  # nothing stands behind the option any more
    return before[:-1] if alone else [*before, *after]


def _with_interpreter(words: Sequence[str], profile: TrainerProfile) -> list[str]:
    """Names the interpreter of today where the trial's is gone: an environment that was made again elsewhere."""
    found, templates = list(words), [*profile.wrap, *profile.command]
    for place in {0, len(profile.wrap)} if len(templates) <= len(words) else ():
        if templates[place] == PYTHON and os.path.isabs(found[place]) and not os.path.exists(found[place]):
            found[place] = profile.interpreter()
    return found


def _in_folder(words: Sequence[str], old: Path, new: Path, except_for: Sequence[Path] = ()) -> list[str]:
    """Replaces one folder's path in the words by another's; some files in the folder stay where they are."""
    kept = "".join(rf"(?!{re.escape(str(path.relative_to(old)))}(?![\w.-]))" for path in except_for)
    pattern = re.compile(rf"{re.escape(str(old))}(?![\w.-])" + (rf"(?:(?!/)|(?=/{kept}))" if kept else ""))
    return [pattern.sub(lambda _: str(new), word) for word in words]


def _pattern(template: str) -> str:
    """Makes a regular expression for what a word of a profile's command may have become."""
    parts, seen = FIELD.split(template), set[str]()
    text = ""
    for place, part in enumerate(parts):
        if place % 2 == 0:
            text += re.escape(part)
        else:
            text += f"(?P={part})" if part in seen else f"(?P<{part}>.*)"
            seen.add(part)
    return text


def _head_with(given: GivenWords, profile: TrainerProfile, config_file: str) -> list[str]:
    """Writes the command's own words with another configuration file."""
    words = []
    for template, word in zip([*profile.wrap, *profile.command], given.head, strict=True):
        if "{config_file}" in template:
            found = re.fullmatch(_pattern(template), word, re.DOTALL)
            assert found is not None
            values = {**found.groupdict(), "config_file": config_file}
            word = FIELD.sub(lambda match, values=values: values[match[1]], template)  # type: ignore[misc]
        words.append(word)
    return words
