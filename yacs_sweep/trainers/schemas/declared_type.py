"""Converts a value to the type that a trainer declares for it: a Hydra dataclass's field, an option of a parser."""

from __future__ import annotations

import contextlib
from typing import Any

from ...base.values import to_builtin
from ...base.wording import show
from ..styles import parse_literal

REFUSED = {  # what is said of a value that is none of the type
    "int": "is not a whole number",
    "float": "is not a number",
    "bool": "is not true or false",
    "str": "is not a text",
}
_TRUE, _FALSE = ("true", "yes", "on", "y", "1"), ("false", "no", "off", "n", "0")


def to_declared(value: Any, kind: str, hint: str = "") -> Any:
    """Converts a value to a type: `int`, `float`, `bool` or `str`; a number in a text counts as that number.

    Args:
        hint: what the message says behind it: the default.

    Raises:
        ValueError: the value is none of that type.
    """
    value = to_builtin(value)
    converted: bool | int | float | str | None = None
    if kind == "bool":
        converted = _to_bool(value)
    elif kind == "str":
        converted = None if isinstance(value, list | tuple | dict) else value
    elif isinstance(value, int | float | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            converted = float(value) if kind == "float" else _to_int(value)
    if converted is None:
        raise ValueError(f"{show(value)} {REFUSED[kind]}{hint}")
    return converted


def like_default(value: Any, default: Any, hint: str = "") -> Any:
    """Converts a value to the kind of the default where no type is declared; numbers of either kind may replace each other.

    None, and what replaces a text or None, stays as it is.

    Raises:
        ValueError: no boolean replaces a boolean, no number a number, or no list a list.
    """
    value = to_builtin(value)
    if value is None:
        return None
    if isinstance(default, bool):
        return to_declared(value, "bool", hint)
    if isinstance(default, list | tuple):
        read = parse_literal(value) if isinstance(value, str) else value
        if not isinstance(read, list | tuple):
            raise ValueError(f"{show(value)} is not a list{hint}")
        return list(read)
    if not isinstance(default, int | float) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    number = to_declared(value, "float", hint)
    return int(number) if number.is_integer() and isinstance(default, int) else number


def _to_int(value: int | float | str) -> int | None:
    """Converts to a whole number; None for 1.5."""
    if isinstance(value, float) and not value.is_integer():
        return None
    return int(value)


def _to_bool(value: Any) -> bool | None:
    """Converts to a boolean, as the words of a command line say it; None for any other value."""
    word = str(value).lower()
    return True if word in _TRUE else False if word in _FALSE else None
