"""Converts values: numbers and times from and to texts, anything from and to strict JSON."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from numbers import Integral, Real
from typing import Any, TypeGuard

from .wording import show

Number = int | float
NOT_FINITE = ("NaN", "Infinity", "-Infinity")  # the texts that stand for these numbers in strict JSON
_WIDEST = 1 << 63  # W&B and databases hold whole numbers below this


def to_builtin(value: Any) -> Any:
    """Converts numpy's scalars to the Python numbers they stand for; other values stay."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    return value


def bounded(value: Number) -> Number:
    """Converts a whole number of more than 64 bits to a float, or to an infinity beyond a float's range."""
    if isinstance(value, int) and not -_WIDEST <= value < _WIDEST:
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return value


def finite_number(value: Any) -> TypeGuard[float]:
    """Tells whether a value can be compared and drawn: a number, neither nan nor infinite; no bool, no text, not None.

    The one rule for ranking, targets, search, early stopping, summaries, report and W&B.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


def all_finite(value: Any) -> bool:
    """Tells whether a value holds no nan and no infinity, at any depth."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(all_finite(item) for item in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(all_finite(item) for item in value)
    return True


_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "list": (list, tuple),
    "tuple": (list, tuple),
    "dict": (dict,),
    "None": (type(None),),
}


def of_field_types(table: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Selects the values that a dataclass has fields for, and checks their types; other keys are another version's.

    Texts, numbers, truth values, dicts, lists and tuples of texts, and unions with None are known. A list may stand for a tuple.

    Raises:
        TypeError: a value is not of its field's type.
    """
    found = {}
    for name, parts in _annotations(table).items():
        if name in values:
            if not any(_is_of(values[name], *part) for part in parts):
                raise TypeError(f"{name}: {show(values[name])} is not {table.__dataclass_fields__[name].type}")
            found[name] = values[name]
    return found


@functools.cache
def _annotations(table: Any) -> dict[str, list[tuple[str, bool]]]:
    """Parses a dataclass's annotations: of each part of a union the type, and whether its items are texts."""
    texts = {name: str(field.type).split("|") for name, field in table.__dataclass_fields__.items()}
    parts = {name: [part.strip().partition("[") for part in text] for name, text in texts.items()}
    return {
        name: [(outer, outer != "dict" and inner.startswith("str")) for outer, _, inner in part]
        for name, part in parts.items()
    }


def _is_of(value: Any, kind: str, of_texts: bool) -> bool:
    """Tells whether a value is of a type, and its items are texts where they must be."""
    if not isinstance(value, _TYPES[kind]) or (type(value) is bool and kind != "bool"):
        return False
    items: Any = value
    return not of_texts or all(isinstance(item, str) for item in items)


# -- times: UTC, ISO 8601, milliseconds, as the sweep's files hold them ------------------------------------------------
def utc_text(seconds: float) -> str:
    """Formats seconds since 1970 as `2026-01-01T00:00:00.000Z`."""
    time = datetime.fromtimestamp(seconds, timezone.utc)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_now() -> str:
    """Formats the present time as `utc_text` does."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_after(text: str, seconds: float) -> str:
    """Formats the time so many seconds after another one of `utc_text`; the present time where that one cannot be read.

    A duration that a monotonic clock has measured stays right between the two, also when the clock is set meanwhile.
    """
    start = utc_seconds(text)
    return utc_now() if start is None else utc_text(start + seconds)


def utc_seconds(text: Any) -> float | None:
    """Parses an ISO 8601 time into seconds since 1970; one without a zone is taken as UTC. None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 reads no Z
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()


# -- JSON ---------------------------------------------------------------------------------------------------------------
def to_json(value: Any, *, indent: int | None = None) -> str:
    """Formats strict JSON: nan and infinities become the strings "NaN", "Infinity" and "-Infinity"."""
    return json.dumps(_strict(value), indent=indent, ensure_ascii=False, allow_nan=False, default=str)


def from_json(value: Any) -> Any:
    """Converts a value of parsed JSON back: `to_json`'s strings for non-finite numbers, and whole numbers `bounded`."""
    if isinstance(value, int):
        return bounded(value)
    return float(value) if value in NOT_FINITE else value


def _strict(value: Any) -> Any:
    """Replaces non-finite numbers at any depth by their strings, and keys by text."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value
