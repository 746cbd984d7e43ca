"""Rules by which the names of tensors in other people's files become this trainer's, and the other way round."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor, nn

_WILDCARDS = re.compile(r"[*#]")
_PATTERNS = {"*": r"(.+)", "#": r"(\d+)"}


@dataclass(frozen=True)
class Change:
    """Change of a tensor's values, in both directions, where a new name is not enough.

    Attributes:
        read: makes ours of theirs; called with (value, expected, backbone): the tensor of the file, that of the
            network's state dict, and the network's backbone. A ValueError means that it cannot.
        write: makes theirs of ours; None: as it is.
    """

    read: Callable[[Tensor, Tensor, nn.Module], Tensor]
    write: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Rule:
    """Rule for one name, or for many: what is called `theirs` there is called `ours` here.

    `*` stands for anything, `#` for a number. Both sides have the same of them, in the same order.

    Attributes:
        theirs: name there.
        ours: name in the state dict of a `ReIDModel`; None: left out, since nothing here needs it.
        change: what is done to the tensor.
    """

    theirs: str
    ours: str | None
    change: Change | None = None

    def __post_init__(self) -> None:
        if self.ours is not None and _WILDCARDS.findall(self.theirs) != _WILDCARDS.findall(self.ours):
            raise ValueError(f"{self.theirs} → {self.ours}: other wildcards")

    def to_ours(self, name: str) -> str | None:
        """Translates a name of theirs; None where the rule is for others, or leaves it out."""
        return None if self.ours is None else _translate(name, self.theirs, self.ours)

    def to_theirs(self, name: str) -> str | None:
        """Translates a name of ours; None where the rule is for others."""
        return None if self.ours is None else _translate(name, self.ours, self.theirs)

    def leaves_out(self, name: str) -> bool:
        """Tells whether the rule leaves this name of theirs out."""
        return self.ours is None and _compiled(self.theirs).fullmatch(name) is not None


@dataclass(frozen=True)
class Setting:
    """Setting with which the origin's network is built, and this trainer's may not be.

    Attributes:
        key: of the configuration.
        value: what the origin has.
        of: finds what a `ReIDModel` has.
    """

    key: str
    value: Any
    of: Callable[[nn.Module], Any]


def left_out(*names: str) -> tuple[Rule, ...]:
    """Makes the rules that leave names out."""
    return tuple(Rule(name, None) for name in names)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compiles a rule's pattern."""
    parts = re.split(r"([*#])", pattern)
    return re.compile("".join(_PATTERNS.get(part, re.escape(part)) for part in parts))


def _translate(name: str, pattern: str, other: str) -> str | None:
    """Puts what the wildcards of `pattern` stand for in a name into `other`; None where the name does not fit."""
    match = _compiled(pattern).fullmatch(name)
    if match is None:
        return None
    groups = iter(match.groups())
    return _WILDCARDS.sub(lambda _: next(groups), other)


@dataclass(frozen=True)
class Format:
    """Table of the rules for one kind of file.

    A name of theirs becomes what the first rule says that leads to a tensor of the network; else it is left out, where
    a rule says so; else it is unknown. In the other direction the first rule counts.

    Attributes:
        name: for the command line, as `fast-reid`.
        owner: for messages, as `fast-reid's`.
        mapping: for messages, the rules in short.
        rules: in order.
        saved_as: key of a dictionary under which the origin's programs look for the weights; empty: the file is them.
        settings: what the origin's network is built with, beside what the tensors tell.
        lacks: names of ours that they have nothing for, whatever the rules.
    """

    name: str
    owner: str
    mapping: str
    rules: tuple[Rule, ...]
    saved_as: str = ""
    settings: tuple[Setting, ...] = ()
    lacks: tuple[str, ...] = ()

    def to_ours(self, name: str, expected: Container[str]) -> tuple[str, Rule] | None:
        """Translates a name of theirs to one of `expected`; returns it and the rule, or None."""
        for rule in self.rules:
            ours = rule.to_ours(name)
            if ours is not None and ours in expected:
                return ours, rule
        return None

    def to_theirs(self, name: str) -> tuple[str, Rule] | None:
        """Translates a name of ours; returns it and the rule, or None where they have no such tensor."""
        for rule in self.rules if name not in self.lacks else ():
            theirs = rule.to_theirs(name)
            if theirs is not None:
                return theirs, rule
        return None

    @property
    def is_bare(self) -> bool:
        """Tells whether the table is of a backbone alone."""
        return all(rule.ours is None or rule.ours.startswith("base.") for rule in self.rules)

    def intended(self, name: str) -> str:
        """Translates a name of theirs by the first rule for it, whatever the network; the name itself without a rule."""
        return next((ours for rule in self.rules if (ours := rule.to_ours(name)) is not None), name)

    def leaves_out(self, name: str) -> bool:
        """Tells whether a rule leaves this name of theirs out."""
        return any(rule.leaves_out(name) for rule in self.rules)

    def other_settings(self, model: nn.Module) -> str:
        """Says with which settings the origin's network is built and this one is not, for the end of a line, or nothing."""
        others = [setting for setting in self.settings if setting.of(model) != setting.value]
        listed = " and ".join(f"{setting.key} {setting.value}" for setting in others)
        return f"; {self.owner} network has {listed}, this one does not" if others else ""
