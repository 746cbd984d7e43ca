"""Judges what a trial measured by the sweep's `metric_constraints`, such as `params_m <= 30`.

The language is that of `where` (`spec.conditions`), over names of metrics in place of parameters. A name with a slash stands
as the trainer logs it: `val/mAP >= 80`; a division by a name has blanks around its slash. Any other name, such as `val-loss`,
stands between backquotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

from ..base.values import finite_number
from .conditions import Expression, ExpressionError

DURATION, GPU_MEMORY = "duration", "gpu_memory_mb"
FACTS = (DURATION, GPU_MEMORY)  # what the launcher measures itself: seconds, and MiB at the peak
NAMES = (
    r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')"""  # a text in quotes
    r"|`(?P<quoted>[^`]*)`"
    r"|(?P<plain>[^\W\d][\w.]*(?:/[^\W\d][\w.]*)+)"
)  # what stands for a metric in an expression, a regular expression
_PLACE = "_name_{}_"  # an identifier that stands for a metric's name


class Constraint:
    """Holds one constraint. `names` are the metrics and facts it mentions, in order of appearance."""

    _NAMES: ClassVar[re.Pattern[str]] = re.compile(NAMES)

    def __init__(self, text: str) -> None:
        """Parses the text. Raises ExpressionError for anything outside the language."""
        self.text = text
        self._places: dict[str, str] = {}  # by the metric's name
        replaced = self._NAMES.sub(self._place, text)
        if "`" in self._NAMES.sub("", text):
            raise ExpressionError(f"a backquote is not closed: '{text}'", self._NAMES.sub(_blank, text).index("`"))
        try:
            self._expression = Expression(replaced)
        except ExpressionError as error:
            told = self._as_written(str(error)).replace("parameter names", "metric names")
            raise ExpressionError(told, self._offset(error.place)) from None
        spelt = {place: name for name, place in self._places.items()}
        self.names = tuple(spelt.get(name, name) for name in self._expression.names)
        if not self.names:
            raise ExpressionError(f"names no metric: '{text}'; write for example params_m <= 30")

    def _place(self, match: re.Match[str]) -> str:
        """Returns the identifier that stands for a name in the expression; a text stays."""
        if match["text"] is not None:
            return match[0]
        name = match["plain"] or match["quoted"].strip()
        if not name:
            raise ExpressionError(f"nothing stands between the backquotes: '{self.text}'")
        return self._places.setdefault(name, _PLACE.format(len(self._places)))

    def _offset(self, place: int | None) -> int | None:
        """Returns where a place in the expression, with its stand-ins, is in the text."""
        shift = 0  # characters by which the stand-ins so far are longer than the names
        for match in self._NAMES.finditer(self.text):
            longer = 0 if match["text"] is not None else len(self._place(match)) - len(match[0])
            if place is None or place < match.start() + shift:
                break
            if place < match.end() + shift + longer:
                return match.start()
            shift += longer
        return None if place is None else place - shift

    def _as_written(self, text: str) -> str:
        """Puts the metrics' names back into a message."""
        for name, place in self._places.items():
            text = text.replace(place, name)
        return text

    def _values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the numbers by the names in the expression."""
        return {
            self._places.get(name, name): values[name]
            for name in self.names
            if isinstance(values.get(name), (int, float, str))
        }

    def holds(self, values: Mapping[str, Any]) -> bool | None:
        """Tells whether what was measured satisfies the constraint; None where that is not known.

        Args:
            values: by metric; a name that is missing, or is no number where one is needed, is not known.
        """
        try:
            return self._expression.truth(self._values(values))
        except ExpressionError:
            return None

    def excess(self, values: Mapping[str, Any]) -> float | None:
        """Computes by how much the constraint is missed; 0 or less where it holds, None where that is not known."""
        try:
            found = self._expression.excess(self._values(values))
        except ExpressionError:
            return None
        return 1.0 if found is not None and not finite_number(found) else found


def _blank(match: re.Match[str]) -> str:
    """Returns as many blanks as the match has characters."""
    return " " * len(match[0])


@lru_cache(maxsize=256)
def compile_constraint(text: str) -> Constraint:
    """Parses a constraint, once for each text."""
    return Constraint(text)


def judge(constraints: Sequence[str], values: Mapping[str, Any]) -> tuple[bool | None, list[str]]:
    """Judges what a trial measured by all constraints.

    Returns:
        Whether all hold (None: none is violated, but some could not be judged; True without constraints), and those that
        are violated.
    """
    if not constraints:
        return True, []
    found = {text: compile_constraint(text).holds(values) for text in constraints}
    violated = [text for text, holds in found.items() if holds is False]
    return (False if violated else None if None in found.values() else True), violated


def excesses(constraints: Sequence[str], values: Mapping[str, Any]) -> list[float]:
    """Computes by how much each constraint is missed, for a search; one that could not be judged counts as 1."""
    return [1.0 if (found := compile_constraint(text).excess(values)) is None else found for text in constraints]


def names_in(constraints: Iterable[str]) -> tuple[str, ...]:
    """Lists the metrics and facts that the constraints mention, each once."""
    return tuple(dict.fromkeys(name for text in constraints for name in compile_constraint(text).names))
