"""Decides how long the best of a sweep is trained again: epochs that the search fixed are those of a cheap search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..records.folder import TrialRecord
from ..spec.sweep import SweepSpec
from .overrides import Overrides
from .reproduce import common_words
from .styles import parse_literal

EPOCHS = "max_epochs"  # the alias of a trainer profile that is known here by its meaning


@dataclass(frozen=True)
class Word:
    """Words of a trial's command that belong together, and the key they set, if any."""

    words: tuple[str, ...]
    key: str = ""
    value: Any = None


def words_told_apart(overrides: Overrides, words: Sequence[str]) -> list[Word]:
    """Tells words apart by the key they set, as the trainer's override style writes them.

    Raises:
        ConfigError: they are no overrides of this trainer.
    """
    if overrides.profile.takes_pairs:
        values = overrides.parse_trailing(words)[1]
        return [Word(tuple(overrides.arguments({key: value})), key, value) for key, value in values.items()]
    found = []
    for word in words:
        name, equals, value = word.partition("=")
        found.append(Word((word,), name.lstrip("-+"), parse_literal(value)) if equals else Word((word,)))
    return found


def searched_keys(best: TrialRecord, spec: SweepSpec, overrides: Overrides) -> set[str]:
    """Returns the trainer's keys that the search varied."""
    if spec.scheduler is not None and spec.scheduler.own_space is not None:
        return {overrides.key_for(name) for name in best.params}
    return {overrides.key_for(item.name) for item in spec.parameters if item.distribution != "constant"}


def words_beside(best: TrialRecord, overrides: Overrides, launched: Sequence[str]) -> list[Word]:
    """Returns what a trial got beside its parameters; by default what the launch gave to all."""
    common = common_words(best, overrides)
    return words_told_apart(overrides, launched if common is None else common)


def fixed_epochs_text(name: str, key: str, value: Any) -> str:
    """Says that the best is not trained as long as in the search."""
    return f"{name}: as in the configuration, not {value} as in the search ({key} N sets another)"


def fixed_epochs(best: TrialRecord, spec: SweepSpec, overrides: Overrides, launched: Sequence[str]) -> str:
    """Says what `--train-best` says of epochs that the search fixed; empty where it did not.

    Args:
        launched: the words that the launch gave to every trial.

    Raises:
        ConfigError: the words are no overrides of this trainer.
    """
    epochs = overrides.profile.aliases.get(EPOCHS)
    if epochs is None or epochs in searched_keys(best, spec, overrides):
        return ""
    given = [(word.key, word.key, word.value) for word in words_beside(best, overrides, launched)]
    given += [(name, overrides.key_for(name), value) for name, value in best.params.items()]
    return next((fixed_epochs_text(*each) for each in given if each[1] == epochs), "")
