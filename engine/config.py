"""Reader of an experiment: defaults, then a YAML file with those it is based on, then KEY VALUE words.

All mistakes are collected. Imports no torch, so that they are reported without delay.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from yacs.config import CfgNode

from configs.defaults import _C, ANY_LENGTH, BOUNDS, CHOICES, FAMILIES, OBSOLETE
from configs.others import in_our_keys
from data.settings import data_problems
from engine.output_dir import list_checkpoints
from modeling.settings import loss_problems
from utils.command_line import SOURCE as COMMAND_LINE
from utils.command_line import late_option
from utils.errors import ConfigError
from utils.text import not_allowed

_BASE = "_BASE_"  # names the files that a file is based on, as in detectron2 and fast-reid
# The recipe with what TransReID's program has and its files do not; whole, since a file names it from where it lies.
_RECIPE = Path(__file__).resolve().parent.parent / "configs" / "vit" / "market1501_vit_base.yml"
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def load_config(
    config_file: str,
    overrides: Sequence[str] = (),
    *,
    for_training: bool = True,
    note: Callable[[str], object] = lambda line: None,
) -> CfgNode:
    """Reads the configuration of a run; it is frozen, and an empty OUTPUT_DIR is filled in.

    Args:
        config_file: YAML in the shape of `configs/defaults.py`; `_BASE_` names one or several files below it, relative
            to the file, whose values it changes.
        overrides: alternating dotted keys and values, as on the command line; they win over the file.
        for_training: whether the file of starting weights must exist, unless the run resumes from a checkpoint.
        note: receives one line that names the keys without effect.
    Raises:
        ConfigError: all mistakes of the file and of the overrides; nothing has been created.
    """
    config = _C.clone()
    given: list[tuple[str, Any]] = []
    problems: list[str] = []
    translated: list[str] = []
    for file, tree in _files(config_file):
        pairs, read, not_offered = in_our_keys(flatten(tree).items())
        given += pairs
        translated += read
        problems += [f"{file}: {line}" for line in not_offered] + _merge(config, file, pairs)
    problems = list(dict.fromkeys(problems))  # a file may be the base of two
    in_file = set(_conflicts(config, for_training, for_training and not _has_checkpoint(config, config_file)))
    words, read, not_offered = in_our_keys(_pairs(overrides, problems))
    translated += read
    problems += [f"{COMMAND_LINE}: {line}" for line in not_offered] + _merge(config, COMMAND_LINE, words)
    for problem in _conflicts(config, for_training, for_training and not _has_checkpoint(config, config_file)):
        problems.append(f"{config_file if problem in in_file else COMMAND_LINE}: {problem}")
    if problems:
        raise ConfigError(problems)
    if ignored := [key for key in dict([*given, *words]) if key in OBSOLETE]:
        hint = "; MODEL.DEVICE chooses the device" if "MODEL.DEVICE_ID" in ignored else ""
        note(f"ignored, since nothing here reads them: {', '.join(ignored)}{hint}")
    if translated:
        note(f"TransReID's keys, read as ours: {'; '.join(translated)}{_unsaid(config)}")
    config.OUTPUT_DIR = _output_dir(config, config_file)
    config.freeze()
    return config


def _unsaid(config: CfgNode) -> str:
    """Says where the settings are that TransReID's program has, and its files do not, where they are missing."""
    unsaid = ""
    if config.SOLVER.SCHEDULE != "cosine_whole":
        unsaid += f". Its schedule and erasing are not in its files: _BASE_: {_RECIPE} adds them"
    if config.DATASETS.COMBINEALL == "no" and any(name.startswith("msmt17") for name in config.DATASETS.NAMES):
        unsaid += ". Its program trains on the images of list_val.txt too: DATASETS.COMBINEALL val adds them"
    return unsaid


def _output_dir(config: CfgNode, config_file: str) -> str:
    """Gives OUTPUT_DIR, or its default: ./log/<name of the config file>, in the folders that the file is in below configs/."""
    *folders, name = Path(os.path.abspath(config_file)).parts
    below = folders[len(folders) - folders[::-1].index("configs") :] if "configs" in folders else []
    return config.OUTPUT_DIR or os.path.join("log", *below, os.path.splitext(name)[0])


def _has_checkpoint(config: CfgNode, config_file: str) -> bool:
    """Tells whether the run has a checkpoint to resume from, so that no starting weights are needed."""
    return bool(list_checkpoints(Path(_output_dir(config, config_file))))


def _merge(config: CfgNode, where: str, pairs: Sequence[tuple[str, Any]]) -> list[str]:
    """Sets (key, raw value) pairs in `config`; returns one line for each that does not fit."""
    defaults = flatten(_C)
    problems: list[str] = []
    for key, raw in pairs:
        if key in OBSOLETE:
            continue
        if key not in defaults:
            problems.append(f"{where}: {_unknown(key, defaults)}")
            continue
        *path, leaf = key.split(".")
        node = config
        for part in path:
            node = node[part]
        try:
            node[leaf] = coerce(key, raw, defaults[key])
        except ValueError as error:
            problems.append(f"{where}: {key}: {error}")
    return problems


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flattens a nested mapping to dotted key → value."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def coerce(key: str, raw: Any, default: Any) -> Any:
    """Converts a raw value to the type of `key`.

    Raises:
        ValueError: the value does not fit; the text says what is allowed.
    """
    if isinstance(default, tuple):
        return _coerce_sequence(key, raw, default)
    value = _coerce_scalar(key, raw, default)
    _check_choice(key, value)
    if key == "MODEL.DEVICE" and not _DEVICE.fullmatch(value):
        raise ValueError(f"{value!r} is not allowed; choose auto, cpu, mps, cuda or cuda:N")
    _check_bounds(key, value)
    return value


def _coerce_sequence(key: str, raw: Any, default: tuple[Any, ...]) -> tuple[Any, ...]:
    """Converts a raw value to a tuple of the default's element type; ValueError where it does not fit."""
    value = CfgNode._decode_cfg_value(raw)
    one_number = key in ANY_LENGTH and isinstance(default[0], float) and type(value) in (int, float)
    if one_number or (isinstance(default[0], str) and isinstance(value, str)):  # a search gives single numbers
        value = (value,)
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{raw!r} is not a list; write for example {_list_literal(default)}")
    if key not in ANY_LENGTH and len(value) != len(default):
        raise ValueError(f"{raw!r} has {len(value)} elements, needs {len(default)}, as in {_list_literal(default)}")
    elements = tuple(_coerce_scalar(key, element, default[0]) for element in value)
    for element in elements:
        if element != "":  # none
            _check_choice(key, element)
        _check_bounds(key, element)
    return elements


def _coerce_scalar(key: str, raw: Any, default: Any) -> Any:
    """Converts a raw value to the default's type; ValueError where it does not fit."""
    if isinstance(default, str):
        if isinstance(raw, bool):  # YAML 1.1 reads a bare on, off, yes or no as a boolean
            words = ("on", "yes") if raw else ("off", "no")
            return next((word for word in words if word in CHOICES.get(key, ())), str(raw))
        unquoted = CfgNode._decode_cfg_value(raw)
        if isinstance(unquoted, str):
            return unquoted
        if raw is None or isinstance(raw, (list, tuple)):
            raise ValueError(f"{raw!r} is not a text")
        return str(raw)
    value = CfgNode._decode_cfg_value(raw)
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if type(value) is not type(default):
        kind = {bool: "True or False", int: "a whole number", float: "a number"}[type(default)]
        raise ValueError(f"{raw!r} does not fit; needs {kind}, as in {default!r}")
    return value


def _check_choice(key: str, value: Any) -> None:
    """Raises ValueError where a value is none of the key's CHOICES, nor a builder of its FAMILIES."""
    if key in FAMILIES:
        if problem := FAMILIES[key].problem(value):
            raise ValueError(problem)
    elif key in CHOICES and value not in CHOICES[key]:
        raise ValueError(not_allowed(value, CHOICES[key]))


def _check_bounds(key: str, value: Any) -> None:
    """Raises ValueError where a value is outside the key's BOUNDS."""
    if key not in BOUNDS:
        return
    low, high = BOUNDS[key]
    if not (low <= value <= high) or value == float("inf"):
        allowed = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
        raise ValueError(f"{value!r} is out of range; needs a number {allowed}")


def _conflicts(config: CfgNode, for_training: bool, needs_weights: bool) -> Iterator[str]:
    """Yields one line for each combination of settings that is not allowed."""
    yield from data_problems(config)
    steps = list(config.SOLVER.STEPS)
    if steps != sorted(set(steps)):
        yield f"SOLVER.STEPS: {steps} is not increasing"
    yield from loss_problems(config, for_training)
    for key in ("FREEZE_EPOCHS", "FREEZE_ITERS"):
        if config.SOLVER[key] and config.DATALOADER.SAMPLER == "triplet":
            yield (
                f"SOLVER.{key}: {config.SOLVER[key]} leaves nothing to train with DATALOADER.SAMPLER triplet; choose 0,"
                " or DATALOADER.SAMPLER softmax_triplet"
            )
    if (config.SOLVER.IMS_PER_BATCH, config.DATALOADER.SAMPLER, config.MODEL.NECK) == (1, "softmax", "bnneck"):
        yield "SOLVER.IMS_PER_BATCH: 1 is one image, which MODEL.NECK bnneck cannot normalise; give 2 or more"
    if not needs_weights:
        return
    choice, path = config.MODEL.PRETRAIN_CHOICE, config.MODEL.PRETRAIN_PATH
    if choice == "self" and not path:
        yield "MODEL.PRETRAIN_PATH: is empty, but MODEL.PRETRAIN_CHOICE self needs a file"
    if choice != "none" and path and not os.path.isfile(path):
        yield f"MODEL.PRETRAIN_PATH: no such file: {path}"


def _files(config_file: str, above: tuple[str, ...] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields a config file and its content, after those that it is based on; of two values the later counts.

    Args:
        config_file: the file.
        above: files that are based on it, the first is the one that was given.
    Raises:
        ConfigError: a file is missing or broken, or is based on itself.
    """
    if any(_same_file(config_file, file) for file in above):
        circle = " -> ".join([*above, config_file])
        raise ConfigError(f"{above[-1]}: {_BASE}: the files are based on each other in a circle: {circle}")
    try:
        tree = _read_yaml(config_file)
    except ConfigError as error:
        raise ConfigError([f"{above[-1]}: {_BASE}: {line}" if above else line for line in error.problems]) from None
    named = tree.pop(_BASE, [])
    bases = named if isinstance(named, list) else [named]
    for base in bases:
        if not isinstance(base, str) or not base:
            raise ConfigError(f"{config_file}: {_BASE}: {base!r} is not the name of a file")
        path = os.path.join(os.path.dirname(config_file), os.path.expanduser(base))
        yield from _files(os.path.normpath(path), (*above, config_file))
    yield config_file, tree


def _same_file(one: str, other: str) -> bool:
    """Tells whether two paths lead to the same file."""
    return os.path.realpath(one) == os.path.realpath(other)


class _YamlLoader(yaml.SafeLoader):
    """YAML loader that records keys repeated in a mapping, of which yaml silently takes the last."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.repeated: list[str] = []

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                self.repeated.append(f"{line}: {key.value} is on line {lines[key.value]} already; join the two")
            lines.setdefault(key.value, line)
        return node


def _read_yaml(config_file: str) -> dict[str, Any]:
    """Reads a config file as nested dictionaries; ConfigError where it cannot be read or repeats keys."""
    try:
        with open(config_file, encoding="utf-8") as stream:
            loader = _YamlLoader(stream)
            try:
                tree = loader.get_single_data()
            finally:
                loader.dispose()
    except FileNotFoundError:
        folder = os.path.dirname(config_file) or "."
        try:
            names = sorted(name for name in os.listdir(folder) if name.endswith((".yml", ".yaml")))
        except OSError:
            raise ConfigError(f"{config_file}: no such folder: {folder}") from None
        there = f"; {folder} holds {', '.join(names)}" if names else ""
        raise ConfigError(f"{config_file}: no such config file{there}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not UTF-8 text ({error.reason})"
        raise ConfigError(f"{config_file}: cannot be read: {reason}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ConfigError(f"{config_file}{place}: not YAML: {getattr(error, 'problem', None) or error}") from None
    if loader.repeated:
        raise ConfigError([f"{config_file}:{problem}" for problem in loader.repeated])
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{config_file}: holds {type(tree).__name__}, not keys with values")
    empty = [key for key in tree if tree[key] is None and isinstance(_C.get(key), CfgNode)]
    return {str(key): value for key, value in tree.items() if key not in empty}


def _pairs(words: Sequence[str], problems: list[str]) -> Iterator[tuple[str, str]]:
    """Yields KEY VALUE words in pairs; adds what is no pair to `problems`."""
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            problems.append(late_option(word))
            return
        if "=" in word:
            problems.append(
                f"{COMMAND_LINE}: {word}: write the key and the value as two words: {word.replace('=', ' ', 1)}"
            )
            continue
        value = next(rest, None)
        if value is None:
            problems.append(f"{COMMAND_LINE}: {word}: has no value")
            return
        yield word, value


def _unknown(key: str, defaults: Mapping[str, Any]) -> str:
    """Writes the error for an unknown key, with the nearest key as a suggestion."""
    by_lower = {name.lower(): name for name in defaults}
    by_leaf = {name.rsplit(".", 1)[-1].lower(): name for name in reversed(list(defaults))}
    near = difflib.get_close_matches(key.lower(), by_lower, n=1) or [
        by_leaf[leaf].lower() for leaf in difflib.get_close_matches(key.rsplit(".", 1)[-1].lower(), by_leaf, n=1)
    ]
    if any(name.startswith(f"{key}.") for name in defaults):
        return f"{key}: is a section, not a key"
    return f"{key}: unknown key" + (f"; did you mean {by_lower[near[0]]}?" if near else "")


def _list_literal(values: Sequence[Any]) -> str:
    return "[" + ",".join(str(value) for value in values) + "]"
