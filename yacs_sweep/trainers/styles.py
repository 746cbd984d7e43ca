"""Writes parameters as a trainer's arguments: YACS `KEY VALUE`, Hydra `key=value`, argparse `--key=value`, and more.

Each style is that of a parser, and writes what this parser reads as the same value. Further ones are mmengine's `key=value`
(`--cfg-options`), Ultralytics' `key=value` and jsonargparse's `--key=value` (LightningCLI). A sweep file's own program takes
them as `wandb agent` writes them: the style `wandb`, which no profile can choose.

Arguments go to `execve`, never to a shell. Names and values may come from a sweep server, so a name that would act as
anything but a key, and a value that an argument cannot carry, is refused (ValueError, one clear line).
"""

from __future__ import annotations

import json
import math
import re
from ast import literal_eval
from collections.abc import Callable
from typing import Any

WORD_STYLES = ("yacs", "hydra", "argparse", "mmengine", "ultralytics", "lightning")
VALUE_STYLES = (
    "file",
    "env",
    "json",
)  # of trainers that take no words: kept and given as KEY VALUE until they are written
STYLES = (*WORD_STYLES, *VALUE_STYLES)
PAIR_STYLES = ("yacs", *VALUE_STYLES)  # of which words given to every trial are KEY VALUE
AS_IT_STANDS = ("argparse", "lightning")  # their parsers are given a text without quotes,
LITERAL = ("mmengine", "ultralytics")  # and these read a number in any text that looks like one
_KEY = {
    "yacs": re.compile(r"[A-Za-z_][\w.-]*"),
    "hydra": re.compile(r"(?:\+\+?)?[A-Za-z_][\w.@/-]*"),
    "argparse": re.compile(r"[A-Za-z][\w.-]*"),
    "mmengine": re.compile(r"[A-Za-z_][\w.-]*"),
    "ultralytics": re.compile(r"(?!cfg\Z)[A-Za-z_]\w*"),  # cfg names a file with other keys
    "lightning": re.compile(r"(?!(?:config|print_config|help)\Z)[A-Za-z][\w.-]*"),
    "file": re.compile(r"[A-Za-z_][\w.-]*"),
    "json": re.compile(r"[A-Za-z_][\w.-]*"),
    # The launcher itself sets these variables.
    "env": re.compile(r"(?!WANDB_|CUDA_VISIBLE_DEVICES\Z|CUDA_DEVICE_ORDER\Z)[A-Za-z_]\w*", re.ASCII),
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
        if isinstance(value, dict):
            raise ValueError("a dict cannot be passed as a YACS value")
        words = [key, yacs_text(value)]
    elif style == "wandb":
        words = [f"--{key}={value}"]
    elif style in VALUE_STYLES:
        words = [key, yacs_text(value)]
    elif style == "ultralytics":
        words = [f"{key}={_ultralytics_text(key, value)}"]
    else:
        prefix, text = _WRITERS[style]
        words = [f"{prefix}{key}={text(value)}"]
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
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return f"{{{', '.join(f'{key!r}: {_literal(item)}' for key, item in value.items())}}}"
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


def variable_text(value: Any) -> str:
    """Writes a value as an environment variable, as an argument of argparse's has it: lists as JSON. Raises ValueError."""
    return _argparse_text(value)


def _argparse_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple | dict):
        return json.dumps(value)
    if value is None or isinstance(value, bool | int | float):
        return str(value)
    raise ValueError(f"a {type(value).__name__} cannot be passed as an argument")


def _mmengine_text(value: Any) -> str:
    """Writes the text that mmengine's `DictAction` reads back as the same value.

    Its parser knows no quotes and drops blanks, so that some texts cannot be said.
    """
    text = _unquoted(value)
    if repr(_read_by_mmengine(text)) != repr(value):
        raise ValueError(f"mmengine's --cfg-options cannot carry {value!r}: {_read_by_mmengine(text)!r} would be read")
    return text


def _unquoted(value: Any) -> str:
    """Writes a value without quotes and blanks."""
    if isinstance(value, list):
        return f"[{','.join(map(_unquoted, value))}]"
    if isinstance(value, tuple):
        return f"({','.join(map(_unquoted, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, str) and re.search(r"[()\[\], ]", value):
        raise ValueError(f"mmengine's --cfg-options cannot carry {value!r}: the text has a blank, a comma or a bracket")
    if value is None or isinstance(value, bool | int | float | str):
        return str(value)
    raise ValueError(f"a {type(value).__name__} cannot be passed by --cfg-options")


def _read_by_mmengine(text: str) -> Any:
    """Reads a value as mmengine does: brackets and commas make lists, and the rest are numbers, booleans, None, texts."""
    text = text.strip("'\"").replace(" ", "")
    if text[:1] + text[-1:] in ("()", "[]") and len(text) > 1:
        items = [_read_by_mmengine(item) for item in _at_commas(text[1:-1])]
        return tuple(items) if text[0] == "(" else items
    if "," in text:
        return [_read_by_mmengine(item) for item in _at_commas(text)]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(text.lower(), None if text == "None" else text)


def _at_commas(text: str) -> list[str]:
    """Splits a text at the commas outside brackets; a comma at the end begins no item."""
    items, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            items.append("")
        else:
            items[-1] += character
    return items if items[-1] else items[:-1]


_RAW = ("name", "project")  # keys of which Ultralytics takes the text as it stands


def _ultralytics_text(key: str, value: Any) -> str:
    """Writes the text that Ultralytics' parser reads back as the same value: a literal, or a text without quotes."""
    text = value if isinstance(value, str) else _literal(value)
    if isinstance(value, str) and key not in _RAW and (_read_by_ultralytics(value.strip()) != value or not value):
        text = repr(value)
    read = text if key in _RAW and isinstance(value, str) else _read_by_ultralytics(text)
    whole = text == text.strip() and not text.endswith(",") and text.count("[") == text.count("]")
    if repr(read) != repr(value) or not whole or not text or (key in _RAW and text.lower() == "none" and value):
        raise ValueError(f"Ultralytics' key=value cannot carry {value!r}")
    return text


def _read_by_ultralytics(text: str) -> Any:
    """Reads a value as Ultralytics does: None and booleans in any case, a Python literal, else the text.

    Its constants of modules (`cv2.COLORMAP_JET`) are none of these, and read as None.
    """
    known = {"none": None, "true": True, "false": False}
    if text.lower() in known:
        return known[text.lower()]
    return None if re.fullmatch(r"[A-Za-z_][\w.]*\.[A-Z0-9_]+", text) else parse_literal(text)


def _lightning_text(value: Any) -> str:
    """Writes a value as jsonargparse takes it: a text as it stands, anything else as YAML of one line."""
    return value if isinstance(value, str) else _flow(value)


def _flow(value: Any) -> str:
    """Writes a value inside YAML's brackets, where a text stands in quotes."""
    if value is None or isinstance(value, bool | str):
        return json.dumps(value)
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(str(key))}: {_flow(item)}' for key, item in value.items())}}}"
    raise ValueError(f"a {type(value).__name__} cannot be passed as an argument")


_WRITERS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "hydra": ("", _hydra_text),
    "argparse": ("--", _argparse_text),
    "mmengine": ("", _mmengine_text),
    "lightning": ("--", _lightning_text),
}
