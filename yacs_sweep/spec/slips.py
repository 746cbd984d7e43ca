"""Recognises texts that a slip in YAML has made of a mapping or a list, and writes what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..base.wording import show

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_WHOLE = re.compile(r"[-+]?(?:0|[1-9]\d*)")
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


def without_brackets(body: dict[str, Any], texts: Mapping[str, str]) -> str | None:
    """Returns the mapping that is meant by one in which commas have split a value; None for any other mapping.

    YAML reads `{values: 0.1, 0.2}` with a key `0.2` that has no value, and `{min: 0,1, max: 1}` with a key `1`.

    Args:
        texts: the values of the mapping as they are written, where that is known.
    """
    pairs = value_parts(body, texts, (*_LISTS, "value"))
    if any(isinstance(value, list | dict) for value in body.values()) or all(
        len(parts) == 1 for parts in pairs.values()
    ):
        return None
    return "{" + ", ".join(_joined(key, parts) for key, parts in pairs.items()) + "}"


def value_parts(body: Mapping[str, Any], texts: Mapping[str, str], words: Sequence[str] = ()) -> dict[str, list[str]]:
    """Maps each key of a mapping to the parts of its value: several where commas have made keys of the others.

    Args:
        texts: the values of the mapping as they are written, where that is known.
        words: keys whose parts may be words; those of the others are numbers.
    """
    found: dict[str, list[str]] = {}
    last = ""
    for key, value in body.items():
        if found and value is None and not texts.get(key) and (_NUMBER.fullmatch(key) or last in words):
            found[last].append(key)
        else:
            last = key
            found[key] = [value if isinstance(value, str) else texts.get(key) or _flow(value)]
    return found


def _joined(key: str, parts: list[str]) -> str:
    """Formats a key with the parts of its value: a list, or the digits before and after a decimal comma."""
    if len(parts) == 1:
        return f"{key}: {parts[0]}"
    if key == "value" and parts[0].startswith("("):
        return f"value: '{', '.join(parts)}'"
    if key in (*_LISTS, "value") and re.fullmatch(r"[-+]?0,0\d+", ",".join(parts)):
        number = ".".join(parts)
        return f"{key}: {number}" if key == "value" else f"{key}: [{number}]"
    if key in (*_LISTS, "value"):
        return f"{'values' if key == 'value' else key}: {meant_list(', '.join(parts), words=True)}"
    return f"{key}: {joined_digits(*parts)}" if len(parts) == 2 else f"{key}: [{', '.join(parts)}]"


def decimal_commas(texts: Sequence[str], touching: Sequence[bool]) -> tuple[str, str, bool] | None:
    """Finds the first number of a list that a decimal comma has split in two, as `[0,1, 0,5]` is read as 0, 1, 0, 5.

    Args:
        texts: the items as they are written.
        touching: for each item but the first, whether its comma stands alone between it and the item before.

    Returns:
        The two items, such as `0,1`, the number to write, such as `0.1`, and whether nothing else can be meant: an item
        such as `01` after a comma without a blank, or a number twice. None where a list of integers is as likely.
    """
    groups: list[list[str]] = []
    for text, joined in zip(texts, (False, *touching), strict=True):
        groups[-1].append(text) if joined else groups.append([text])
    if len(groups) == 1 and len(texts) % 2 == 0:  # without any blank: in pairs
        groups = [list(texts[place : place + 2]) for place in range(0, len(texts), 2)]
    pairs = [group for group in groups if len(group) > 1]
    if not pairs or not all(len(pair) == 2 and _WHOLE.fullmatch(pair[0]) and pair[1].isdigit() for pair in pairs):
        return None
    blanks = not all(touching)
    twice = len(set(texts)) < len(texts)
    zero = [
        pair for pair in pairs if len(pair[1]) > 1 and pair[1][0] == "0" and (blanks or pair[0].lstrip("+-") == "0")
    ]
    if not zero and not (twice and len(pairs) == len(groups)) and not blanks:
        return None
    first = (zero or pairs)[0]
    return ",".join(first), joined_digits(*first), bool(zero) or (blanks and twice)


def joined_digits(before: str, after: str) -> str:
    """Writes the number of which a comma has split the digits: 0,5 is 0.5, and 1,000 is 1000."""
    return before + after if after == "000" and before.lstrip("+-") != "0" else f"{before}.{after}"


def thousands(text: str) -> str | None:
    """Returns `1000` for the text `1 000`, whose digits stand in groups of three; None for any other text."""
    groups = text.split()
    first = groups[0].lstrip("+-") if groups else ""
    if len(groups) < 2 or not re.fullmatch(r"[1-9]\d{0,2}", first):
        return None
    rest = groups[1:]
    grouped = all(re.fullmatch(r"\d{3}", group) for group in rest) and any(group[0] == "0" for group in rest)
    return "".join(groups) if grouped else None


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
