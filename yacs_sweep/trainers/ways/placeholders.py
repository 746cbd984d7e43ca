"""Fills the placeholders of a profile's command, variables and files: `{output_dir}`, `{seed}` and others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...base.wording import did_you_mean
from ...logs.names import FIELD
from ..styles import PAIR_STYLES, parse_literal

CONFIG_FILE = "config_file"  # also the parameter that gives each trial a configuration file of its own
PLACEHOLDERS = (
    CONFIG_FILE,
    "output_dir",
    "trial_id",
    "gpu_ids",
    "processes",
    "seed",
    "params_json",
    "params_file",
)
SEED = "seed"  # the alias, or without one the parameter, that is a trial's seed
DEFAULT_SEED = 0  # of a trial to which neither a parameter nor --seed gives one
FIRST_GPU = "0"  # where neither the launcher nor the environment chooses GPUs


def used_in(texts: Iterable[str]) -> set[str]:
    """Names the placeholders in texts."""
    return {name for text in texts for name in FIELD.findall(text)}


def unknown_placeholder(text: str, allowed: Sequence[str] = PLACEHOLDERS) -> str | None:
    """Explains which placeholder in a text does not exist, and lists those that do; None where all are known."""
    for name in FIELD.findall(text):
        if name not in allowed:
            known = ", ".join(f"{{{known}}}" for known in allowed)
            return f"unknown placeholder {{{name}}}{did_you_mean(name, allowed)}; allowed: {known}"
    return None


def fill(text: str, values: Mapping[str, str | None]) -> str:
    """Replaces the placeholders in a text, once: what a value holds is no placeholder."""
    return FIELD.sub(lambda match: values.get(match[1]) or "", text)


def gpus_or_visible(gpu_ids: str, environment: Mapping[str, str]) -> str:
    """Returns the GPUs a trial was given; without any those that CUDA_VISIBLE_DEVICES names, else the first."""
    return gpu_ids or environment.get("CUDA_VISIBLE_DEVICES", "").strip() or FIRST_GPU


def seed_of(
    style: str, key: str | None, overrides: Sequence[str], params: Mapping[str, Any], default: int | None
) -> str:
    """Returns a trial's seed: its parameter's value, else what the words given to every trial set, else the default.

    Args:
        key: the trainer's key behind the alias `seed`; None: there is no alias.
    """
    for name in (SEED, key):
        if name is not None and name in params:
            return str(params[name])
    found = None
    if key is not None and style in PAIR_STYLES:
        pairs = zip(overrides[::2], overrides[1::2], strict=False)
        found = next((str(parse_literal(text)) for name, text in pairs if name == key), None)
    elif key is not None:
        parts = (word.lstrip("-+").partition("=") for word in overrides)
        found = next((text for name, equals, text in parts if equals and name == key), None)
    return str(DEFAULT_SEED if default is None else default) if found is None else found
