"""Writes parameters as a trainer's arguments: YACS `KEY VALUE`, Hydra `key=value`, argparse `--key=value`.

A sweep file's own program takes them as `wandb agent` writes them: the style `wandb`, which no profile can choose.

Arguments go to `execve`, never to a shell. Names and values may come from a sweep server, so a name that would act as
anything but a key, and a value that an argument cannot carry, is refused (ValueError, one clear line).
"""

from __future__ import annotations

import json
import math
import re
from ast import literal_eval
from typing import Any

STYLES = ("yacs", "hydra", "argparse")
_KEY = {
    "yacs": re.compile(r"[A-Za-z_][\w.-]*"),
    "hydra": re.compile(r"(?:\+\+?)?[A-Za-z_][\w.@/-]*"),
    "argparse": re.compile(r"[A-Za-z][\w.-]*"),
    "wandb": re.compile(r"[A-Za-z_+@][\w.\-/+@]*", re.ASCII),
}
# Read back as the same text by any literal reader; anything else is quoted.
_PLAIN = re.compile(r"[A-Za-z_./][\w./:@%+-]*", re.ASCII)
_WORD_LIMIT = (1 << 17) - 1  # bytes; Linux's MAX_ARG_STRLEN, its end mark included
_HYDRA_WORDS = {"true", "false", "null", "nan", "inf"}


def override_arguments(style: str, key: str, value: Any) -> list[str]:
    """Writes the arguments that set `key` to exactly `value` in a trainer of that style."""
    check_key(style, key)
    if style == "yacs":
        words = [key, yacs_text(value)]
    elif style == "hydra":
        words = [f"{key}={_hydra_text(value)}"]
    elif style == "wandb":
        words = [f"--{key}={value}"]
    else:
        words = [f"--{key}={_argparse_text(value)}"]
    for word in words:
        check_argument(word)
    return words


def check_argument(word: str) -> None:
    """Raises ValueError unless a program can be given `word` as an argument."""
    try:
        size = len(word.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        raise ValueError(f"{word!r} is not a text that can be passed to a program") from None
    if "\0" in word or size > _WORD_LIMIT:
        what = "holds a NUL character" if "\0" in word else f"is longer than {_WORD_LIMIT} bytes"
        raise ValueError(f"{word[:40]!r}… {what} and cannot be passed to a program")


def check_key(style: str, key: str) -> None:
    """Raises ValueError unless `key` is a name in the style."""
    if not _KEY[style].fullmatch(key):
        raise ValueError(f"{key!r} is not a parameter name that {style} overrides can carry")


def yacs_text(value: Any) -> str:
    """Writes the text that YACS's `literal_eval` reads back as the same value and type.

    Raises ValueError for nan, which no literal says, and for types YACS does not hold.
    """
    if isinstance(value, str) and _PLAIN.fullmatch(value) and parse_literal(value) == value:
        return value
    return _literal(value)


def parse_literal(text: str) -> Any:
    """Reads a word as YACS does: a Python literal, else the word itself."""
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _literal(value: Any) -> str:
    if value is None or isinstance(value, bool | str):
        return repr(value)
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        if math.isnan(value):
            raise ValueError("nan cannot be passed as a YACS value")
        return float.__repr__(value) if math.isfinite(value) else "1e999" if value > 0 else "-1e999"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' if len(value) == 1 else ''})"
    raise ValueError(f"a {type(value).__name__} cannot be passed as a YACS value")


def _hydra_text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_hydra_text, value))}]"
    if not isinstance(value, str):
        raise ValueError(f"a {type(value).__name__} cannot be passed as a Hydra value")
    if "${" in value:
        # OmegaConf would resolve it, environment variables and files included.
        raise ValueError(f"{value!r} holds a ${{…}} interpolation, which is not passed on")
    if _PLAIN.fullmatch(value) and value.lower() not in _HYDRA_WORDS and not isinstance(parse_literal(value), float):
        return value
    quoted = re.sub(r"(\\*)('|\Z)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), value)
    return f"'{quoted}'"


def _argparse_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple | dict):
        return json.dumps(value)
    if value is None or isinstance(value, bool | int | float):
        return str(value)
    raise ValueError(f"a {type(value).__name__} cannot be passed as an argument")
