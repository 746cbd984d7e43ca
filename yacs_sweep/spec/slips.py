"""Recognises texts that a slip in YAML has made of a mapping or a list, and writes what was probably meant."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any

from ..base.wording import show

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_LISTS = ("values", "probabilities", "parent_values")  # keys that take a list


def meant_mapping(body: Any, keys: Iterable[str]) -> str | None:
    """Returns the mapping that is meant by a body without blanks after its colons; None for any other body.

    The text `min:0.1 max:0.9` is such a body, and so is `{min:0.1, max:0.9}`, which YAML reads as two keys without
    values. The result is the line to write: `{min: 0.1, max: 0.9}`.
    """
    if isinstance(body, str):
        pairs = _pairs(body, keys)
    elif isinstance(body, dict):
        pairs, slipped = [], False
        for key, value in body.items():
            found = _pairs(key, keys) if value is None else []
            slipped = slipped or bool(found)
            pairs += found or [(key, _flow(value))]
        pairs = pairs if slipped else []
    else:
        pairs = []
    return "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}" if pairs else None


def _pairs(text: str, keys: Iterable[str]) -> list[tuple[str, str]]:
    """Splits `min:0.1 max:0.9`, or the same with `=`, into keys and values; empty when the text does not begin so."""
    known = "|".join(map(re.escape, sorted(keys, key=len, reverse=True)))
    parts = re.split(rf"(?:^|[\s,;]+)({known})\s*[:=]\s*", text.strip().strip("{}"), flags=re.IGNORECASE)
    if len(parts) < 3 or parts[0].strip():
        return []
    return [(key, _listed(key, value)) for key, value in zip(parts[1::2], parts[2::2], strict=True)]


def _listed(key: str, value: str) -> str:
    value = value.strip(" ,;")
    return (meant_list(value, words=True) or f"[{value}]") if key in _LISTS and value[:1] != "[" else value


def meant_key(text: str) -> str | None:
    """Returns `lr: {min` for the text `lr:{min`, whose blank after the colon is missing; None for any other text."""
    found = re.match(r"([A-Za-z_][\w./+-]*):(?=[^\s:/])", text)
    return f"{found[1]}: {text[found.end() :]}" if found else None


def _flow(value: Any) -> str:
    """Formats a value as YAML has it within braces."""
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, str) and re.fullmatch(r"[\w./-]+", value):
        return value
    return "null" if value is None else "true" if value is True else "false" if value is False else show(value)


def meant_list(body: Any, *, words: bool = False) -> str | None:
    """Returns the list that is meant by a text such as `0.1, 0.2`, `(1, 2)` or `1 2`, or by a set `{1, 2}`; else None.

    Args:
        words: whether its items may be words as well, with commas between them.
    """
    if isinstance(body, dict):
        body = ", ".join(body) if body and all(value is None for value in body.values()) else None
    if not isinstance(body, str):
        return None
    text = body.strip()
    if points := with_points(text):
        return f"[{', '.join(points)}]"
    if text and _BRACKETS.get(text[0]) == text[-1]:
        text = text[1:-1]
    items = [item for item in re.split(r"[\s,;]+", text.strip()) if item]
    if len(items) > 1 and all(_NUMBER.fullmatch(item) for item in items):
        return f"[{', '.join(items)}]"
    items = [item.strip() for item in re.split(r"[,;]", text) if item.strip()]
    return f"[{', '.join(items)}]" if words and len(items) > 1 else None


def without_brackets(body: dict[str, Any]) -> str | None:
    """Returns the mapping that is meant by one in which commas have split a value; None for any other mapping.

    YAML reads `{values: 0.1, 0.2}` with a key `0.2` that has no value, and `{min: 0,1, max: 1}` with a key `1`.
    """
    pairs: list[tuple[str, list[str]]] = []
    for key, value in body.items():
        if pairs and value is None and (_NUMBER.fullmatch(key) or pairs[-1][0] in (*_LISTS, "value")):
            pairs[-1][1].append(key)
        elif isinstance(value, list | dict):
            return None
        else:
            pairs.append((key, [value if isinstance(value, str) else _flow(value)]))
    if all(len(parts) == 1 for _, parts in pairs):
        return None
    return "{" + ", ".join(_joined(key, parts) for key, parts in pairs) + "}"


def _joined(key: str, parts: list[str]) -> str:
    """Formats a key with the parts of its value: a list, or the digits before and after a decimal comma."""
    if len(parts) == 1:
        return f"{key}: {parts[0]}"
    if key == "value" and parts[0].startswith("("):
        return f"value: '{', '.join(parts)}'"
    if key in (*_LISTS, "value") and len(parts) == 2 and (number := decimal_comma(parts)):
        return f"{key}: {number}" if key == "value" else f"{key}: [{number}]"
    if key in (*_LISTS, "value"):
        return f"{'values' if key == 'value' else key}: {meant_list(', '.join(parts), words=True)}"
    return f"{key}: {'.'.join(parts)}"


def decimal_comma(texts: list[str]) -> str | None:
    """Returns `0.0001` for the items `0` and `0001` of a list, which a decimal comma has split; None for other items."""
    for before, after in itertools.pairwise(texts):
        if before.lstrip("+-").isdigit() and after.isdigit() and after.startswith("0") and len(after) > 1:
            return f"{before}.{after}"
    return None


def with_points(text: str) -> list[str] | None:
    """Returns numbers that look as if they were written with decimal commas with points instead; None for any others.

    0,0001 does, and 1,5 2,5; 1,2 is two numbers.
    """
    if not re.fullmatch(r"\s*\d+,\d+(?:[\s;,]+\d+,\d+)*\s*", text):
        return None
    pairs = re.findall(r"(\d+),(\d+)", text)
    apart = re.search(r"\d[\s;]+\d", text) is not None
    if not apart and not all(before == "0" or (len(after) > 1 and after[0] == "0") for before, after in pairs):
        return None
    return [".".join(pair) for pair in pairs]
