"""Admits each metric from one source, and settles values that can be read in two ways by the metric's other values."""

from __future__ import annotations

import math
from enum import Enum

from ..base.values import Number
from .numbers import Commas, Null, settled

Row = dict[str, Number]
COMMA = "{name} is printed with a decimal comma; earlier values, such as 1,234, were read as thousands: print a point instead"


class Nulls(Enum):
    """Says what a metric's nulls have been so far."""

    NONE = "there were numbers only"
    ONLY = "there was nothing else"
    NAN = "null came after numbers: it is nan"
    MISSING = "numbers came after null: it is a value that is missing"


class Sources:
    """Keeps a metric that arrives from several sources (patterns, METRIC lines, files) from being counted twice.

    The source that had a metric first owns the metric for the rest of the trial, but what lines only look like gives it up to
    patterns; the axis belongs to all. A value that can
    be read in two ways is settled here, by the metric's other values: `1,234` is 1.234 where `0,512` was printed before,
    and null is nan where numbers came before, but no value where a number has followed a null.
    """

    def __init__(self, axis: str) -> None:
        self.axis = axis
        self.misread = ""  # a metric that turned out to be printed with a decimal comma after a value read as thousands
        self._owner: dict[str, str] = {}
        self._commas: dict[str, bool] = {}  # by metric printed with a comma: whether that is a decimal comma
        self._nulls: dict[str, Nulls] = {}

    def admit(self, source: str, metrics: Row) -> Row:
        """Returns the metrics that the source owns, or owns from here on."""
        found: Row = {}
        for name, value in metrics.items():
            if name != self.axis and self._owner.setdefault(name, source) != source:
                if (self._owner[name], source) != ("generic", "patterns"):
                    continue
                self._owner[name] = source
            if isinstance(value, Null):
                if name == self.axis or not self._null_is_nan(name):
                    continue
                value = math.nan
            elif self._nulls.get(name) is not Nulls.NONE:
                self._nulls[name] = Nulls.MISSING if name in self._nulls else Nulls.NONE
            found[name] = self._settled(name, value) if isinstance(value, Commas) else value
        return found

    def only_null(self) -> Row:
        """Returns nan for each metric of which nothing but null has come."""
        return {name: math.nan for name, state in self._nulls.items() if state is Nulls.ONLY}

    def _null_is_nan(self, name: str) -> bool:
        """Takes in a metric's null; tells whether it stands for nan."""
        state = self._nulls.get(name)
        if state is Nulls.NONE:
            self._nulls[name] = Nulls.NAN
        elif state is None:
            self._nulls[name] = Nulls.ONLY
        return self._nulls[name] is Nulls.NAN

    def _settled(self, name: str, value: Commas) -> Number:
        """Returns the number that a value with one comma stands for."""
        if value.certain and self._commas.get(name) is False:
            self.misread = self.misread or name
        decimal = self._commas[name] = value.certain or self._commas.get(name, False)
        return settled(value, decimal=decimal)
