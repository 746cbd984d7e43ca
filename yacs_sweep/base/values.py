"""Converts values: numbers as texts, texts as numbers, anything as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any


def plain(value: Any) -> Any:
    """A value as the Python type it stands for (numpy's scalars are numbers)."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    return value


Number = int | float
_EXACT_INT = 15  # digits; beyond, a float says the same
_WIDEST = 1 << 63  # what W&B and databases hold of a whole number
NOT_FINITE = ("NaN", "Infinity", "-Infinity")  # as strict JSON has to write them


def to_number(text: str) -> Number | None:
    """The number a log line prints: an int when it is written as one; None when it is no number."""
    try:
        value = float(text)
    except ValueError:
        text = text.strip().removesuffix("%").replace(",", "")
        try:
            value = float(text)
        except ValueError:
            return None
    if len(text) <= _EXACT_INT and value.is_integer() and text.lstrip("+-").isdecimal():
        return int(text)
    return value


def bounded(value: Number) -> Number:
    """The number as what takes it on can hold it: a whole one of more than 64 bits is a float, beyond a float's range inf."""
    if isinstance(value, int) and not -_WIDEST <= value < _WIDEST:
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return value


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Strict JSON: nan and infinities, which JSON cannot hold, become the strings "NaN", "Infinity", "-Infinity"."""
    return json.dumps(_strict(value), indent=indent, ensure_ascii=False, allow_nan=False, default=str)


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value


def number(value: Any) -> Any:
    """Undoes what `to_json` did to a non-finite number; what others wrote is bounded."""
    if isinstance(value, int):
        return bounded(value)
    return float(value) if value in NOT_FINITE else value


def finite(value: Any) -> bool:
    """Whether a value holds no nan and no infinity, at any depth."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(finite(item) for item in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(finite(item) for item in value)
    return True
