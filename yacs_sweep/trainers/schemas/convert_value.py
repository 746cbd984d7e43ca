"""Converts a value to the type of the default it replaces: YACS takes neither 0 for 0.0 nor 32.0 for 32."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...base.values import to_builtin
from ...base.wording import show
from ...base.yaml_document import sexagesimal
from ...spec.slips import joined_digits, meant_list, thousands
from ..styles import parse_literal

# YAML 1.1 reads these words as booleans, so a text default of the same family takes a boolean back.
_SWITCHES = {"on": ("on", "off"), "off": ("on", "off"), "yes": ("yes", "no"), "no": ("yes", "no")}
_NAME = re.compile(r"[\w./:-]+")
_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True)
class OpaqueDefault:
    """Stands for a default of a type that the launcher cannot hold.

    `takes` names the types that the tree takes in its place; None: that is not known, and anything may be tried.
    """

    type_name: str
    takes: frozenset[str] | None = None


def convert_value(value: Any, default: Any, as_text: str | None = None) -> Any:
    """Converts `value` to the type of `default`. Raises ValueError saying what is wrong and what is allowed.

    None and any value that replaces a None default stay as they are, as YACS has it. A text is read as YACS reads a word.

    Args:
        as_text: what the message says to write where a text is due: `'1e5' in quotes` for the value 1e5 of a file. By
            default that is the value as Python writes it.
    """
    value = written = to_builtin(value)
    if isinstance(value, str):
        value = read_word(value, default)
    if isinstance(value, dict):
        raise ValueError(f"{show(value)} is a mapping; name the keys in it one by one")
    if isinstance(default, OpaqueDefault):
        if default.takes is not None and type(value).__name__ not in default.takes:
            raise ValueError(f"{show(value)} does not fit the trainer's schema (the default is a {default.type_name})")
        return value
    if value is None or default is None:
        return value
    hint = _unquoted_hint(written) if value == written else ""
    if isinstance(default, list | tuple):
        if isinstance(value, str) and not hint and default and all(isinstance(element, str) for element in default):
            value = [value]  # one name where names are due
        if not isinstance(value, list | tuple):
            raise ValueError(f"{show(value)} is not a list, such as the default {show(default)}{hint}")
        return type(default)(_elements(value, default))
    if isinstance(default, bool):
        fits = isinstance(value, bool)
    elif isinstance(default, str):
        if isinstance(value, bool) and default in _SWITCHES:
            return _SWITCHES[default][0 if value else 1]
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        fits = isinstance(value, str)
    else:
        value, fits = _number(value, float if isinstance(default, float) else int)
    if not fits:
        if isinstance(default, str):
            hint = f"; write {as_text}" if as_text is not None else f"; write '{value}' in quotes"
        elif isinstance(default, bool) and str(value).lower() in ("true", "false"):
            hint = f"; write {str(value).capitalize()}"
        else:
            hint = _meant(written)
        shown = show(written if hint else value)
        raise ValueError(f"{shown} is not {_TYPE_NAMES[type(default)]} (the default is {show(default)}){hint}")
    return value


def _meant(value: Any) -> str:
    """Suggests the list or the number that a text stands for."""
    if not isinstance(value, str):
        return ""
    number = sexagesimal(value)
    if (whole := thousands(value)) is not None:
        return f"; write {whole}"
    if re.fullmatch(r"[-+]?\d+,\d+", value):
        return f"; write {joined_digits(*value.split(','))}"
    if re.fullmatch(r"[-+]?0\d+", value):  # Python, and so YACS, reads no number with a zero in front
        return f"; write {int(value)}"
    meant = meant_list(value) or (None if number is None else f"{number:g}")
    return "" if meant is None else f"; write {meant}"


def read_word(text: str, default: Any = None) -> Any:
    """Reads a text as YACS reads it in a file and on the command line: a Python literal, else the text itself.

    Where the default is a text, only None and texts in quotes are read: 10 is the text 10.
    """
    value = parse_literal(text)
    return text if isinstance(default, str) and value is not None and not isinstance(value, str) else value


def _unquoted_hint(text: Any) -> str:
    """Returns what to write for a list whose quotes the shell has taken: `[a, b]`; empty for any other value."""
    if not isinstance(text, str) or text[:1] + text[-1:] not in ("[]", "()"):
        return ""
    names = [name.strip() for name in text[1:-1].split(",") if name.strip()]
    if not names or not all(_NAME.fullmatch(name) for name in names):
        return ""
    return f'; the shell takes quotes away: write "{names!s}"'


def _number(value: Any, kind: type) -> tuple[Any, bool]:
    """Converts to an int or a float; returns the value, and whether it is one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value, False
    if kind is float:
        try:
            return float(value), True
        except OverflowError:
            return value, False
    return (int(value), True) if isinstance(value, int) or value.is_integer() else (value, False)


def _elements(values: Sequence[Any], defaults: Sequence[Any]) -> list[Any]:
    """Converts list elements to the type that all the default's elements share, which YACS itself does not do."""
    values = [to_builtin(value) for value in values]
    kinds = {type(default) for default in defaults}
    if kinds <= {list, tuple} and len(kinds) == 1:
        (kind,) = kinds
        return [kind(_elements(v, defaults[0])) if isinstance(v, list | tuple) else v for v in values]
    if kinds == {int} or kinds == {float}:
        return [_number(value, kinds.copy().pop())[0] for value in values]
    return values
