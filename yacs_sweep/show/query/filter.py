"""Reads and evaluates the expressions of `--where`, which say what trials are listed. Pure.

The language is that of `metric_constraints` and `--prefer` (`spec.constraints`), over the names of metrics, parameters and
fields of a trial, and with `missing(NAME)`. The grammar stands in docs/queries.md; the report's page is to follow it, too:

    expression = disjunction
    disjunction = conjunction {"or" conjunction}
    conjunction = negation {"and" negation}
    negation = "not" negation | comparison
    comparison = sum {("<" | "<=" | ">" | ">=" | "==" | "!=" | ["not"] "in") sum}      a < b < c is a < b and b < c
    sum, product, power = arithmetic by + - * / // % **, with the usual precedence
    atom = number | "text" | 'text' | true | false | null | NAME | `ANY NAME` | [atom, …] | (expression)
         | missing(NAME) | abs(x) | min(x, …) | max(x, …) | len(x)

A name without a value makes what depends on it unknown, and a trial is listed where the expression is known to be true:
`a or b` is true where b is, whatever a; `not (a > 1)` is unknown where a is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ...base.errors import ConfigError
from ...records.folder import STATES
from ...spec.conditions import ExpressionError
from ...spec.constraints import NAMES, Constraint

EXAMPLE = "\"val/mAP > 30 and state == 'finished'\""
_MISSING = re.compile(r"missing\s*\(\s*(?:`(?P<ticked>[^`]*)`|(?P<named>[^\W\d][\w.]*(?:/[\w.]+)*))\s*\)")
_SHOWN = 24  # characters of an expression in a message
# What other languages write, and what this one does; a text in quotes is looked over.
_SLIPS = (
    (re.compile(r"&&|(?<!&)&(?!&)"), "write and"),
    (re.compile(r"\|\|?"), "write or"),
    (re.compile(r"!(?!=)"), "write not"),
    (re.compile(r"<>"), "write != for different"),
    (re.compile(r"(?<![<>=!])=(?!=)"), "write == for equal"),
    (re.compile(r"\bis\b"), "write missing(NAME) for a name without a value, == for equal"),
)


class Filter(Constraint):
    """Holds the expression of `--where`. `names` are those it mentions, in order of appearance."""

    _NAMES: ClassVar[re.Pattern[str]] = re.compile(rf"(?P<missing>{_MISSING.pattern})|{NAMES}")

    def __init__(self, text: str, option: str = "--where") -> None:
        """Parses the text.

        Args:
            option: names it in messages.

        Raises:
            ConfigError: it cannot be read; the message says where, and what to write.
        """
        self.option = option
        self._absent: dict[str, str] = {}  # names in missing(…), by their stand-ins
        if slip := _slip(text):
            raise ConfigError(f"{option}: {_at(text, slip[0])}: {slip[1]}")
        try:
            super().__init__(text)
        except ExpressionError as error:
            why = _at(text, error.place) or str(error).partition("; write")[0]
            raise ConfigError(f"{option}: {why}; write for example {EXAMPLE}") from None
        spelt = {stand_in: name for name, stand_in in self._places.items()}
        found = (self._absent.get(name, spelt.get(name, name)) for name in self._expression.names)
        self.names = tuple(dict.fromkeys(found))

    def _place(self, match: re.Match[str]) -> str:
        """Returns the identifier that stands for a name, or for `missing(NAME)`, in the expression."""
        if match["missing"] is None:
            return super()._place(match)
        name = (match["named"] or match["ticked"]).strip()
        if not name:
            raise ExpressionError(f"nothing stands between the backquotes: '{self.text}'", match.start())
        stand_in = f"_missing_{[*dict.fromkeys([*self._absent.values(), name])].index(name)}_"
        self._absent[stand_in] = name
        return stand_in

    def _values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values by the names in the expression."""
        found = {self._places.get(name, name): values[name] for name in self.names if name in values}
        return {**found, **{stand_in: name not in values for stand_in, name in self._absent.items()}}

    def holds(self, values: Mapping[str, Any]) -> bool | None:
        """Tells whether a trial satisfies the expression; None where that is not known.

        Args:
            values: by name; a name that is left out has no value.

        Raises:
            ExpressionError: types do not fit, such as a text and a number.
        """
        return self._expression.truth(self._values(values))


def _slip(text: str) -> tuple[int, str] | None:
    """Finds what another language would write: its place, and what to write."""
    bare = re.sub(NAMES, lambda found: "_" * len(found[0]), text)
    found = [(match.start(), told) for pattern, told in _SLIPS if (match := pattern.search(bare))]
    return min(found, default=None)


def _at(text: str, place: int | None) -> str:
    """Says where an expression cannot be read; empty where that is not known."""
    if place is None:
        return ""
    rest = text[place:].strip()
    if not rest:
        return f"'{text[-_SHOWN:]}' ends too early"
    shown = rest if len(rest) <= _SHOWN else f"{rest[:_SHOWN]}…"
    return f"cannot be read from character {place + 1} on, '{shown}'"


def misspelt(name: str, text: str, known: Iterable[str]) -> str:
    """Says what an unknown name in an expression was probably meant to be; empty where nothing comes to mind.

    Args:
        text: the expression, or list of names, that it stands in.
        known: the names that there are.
    """
    from ...base.wording import did_you_mean

    names = list(known)
    for whole in names:  # `val-loss` is val less loss, unless it stands between backquotes
        if name in re.split(r"\W+", whole) and whole in text and f"`{whole}`" not in text:
            return f"; write `{whole}`, between backquotes"
    if re.search(rf"(==|!=|\bin\b[^)\]]*)\s*{re.escape(name)}\b", text):
        return f'; a text stands in quotes: "{name}"'
    if name.lower() in STATES:
        return f"; write state == '{name.lower()}'"
    part = re.compile(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", re.IGNORECASE)
    if longer := sorted(filter(part.search, names), key=len):  # `mAP` of `val/mAP`, `lr` of `base_lr`
        return f"; did you mean {longer[0]}?"
    return did_you_mean(name, names)
