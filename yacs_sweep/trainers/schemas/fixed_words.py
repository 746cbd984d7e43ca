"""Checks the words given to every trial against the options of a trainer's parser, or the keys of its Hydra configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..styles import parse_literal
from .hydra import HydraSchema
from .options import Option, OptionSchema
from .schema import Schema

_NUMBER = re.compile(r"-\.?\d.*")
_NOT_PLAIN = re.compile(r"""[$\[{('",]""")  # interpolations, lists, quoted texts: Hydra alone knows what they are
_HYDRA_WORDS = {"true": True, "false": False, "null": None}


def check_words(schema: Schema | None, words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Returns what the words set, by the main name of each key, and what is wrong with them.

    What cannot be told apart is left to the trainer.

    Args:
        schema: the trainer's; words of trainers without one, or with one of another kind, are not looked at.
    """
    if isinstance(schema, OptionSchema):
        return _check_options(schema, words)
    if isinstance(schema, HydraSchema):
        return _check_keys(schema, words)
    return {}, []


def _check_options(schema: OptionSchema, words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Checks `--key=value` and `--key value`, up to the first word that is neither an option nor a value of one."""
    spelt = {flag: option for option in schema.options.values() for flag in option.flags}
    negative = {option.negative: option for option in schema.options.values() if option.negative}
    values: dict[str, Any] = {}
    problems = []
    left = list(words)
    while left:
        word = left.pop(0)
        spelling, equals, text = word.partition("=")
        if not _is_option(word) or word == "--":
            break
        if spelling in negative:
            values[schema.main_name(negative[spelling].flag.lstrip("-"))] = False
            continue
        option = spelt.get(spelling) or _abbreviated(spelling, spelt)
        if option is None:
            if not spelling.startswith("--"):
                break  # a letter: the schema may know the long form alone
            problem = schema.key_problem(spelling.lstrip("-")) if spelling != "--help" else None
            problems += [f"{spelling}: {problem}"] if problem else []
            while not equals and left and not _is_option(left[0]):
                left.pop(0)
            continue
        try:
            value = _value(option, [text] if equals else _behind(option, left))
        except ValueError as error:
            problems.append(f"{spelling}: {error}")
            continue
        if option.how == "store":  # the others add up with those of a trial
            values[schema.main_name(option.flag.lstrip("-"))] = value
    return values, problems


def _is_option(word: str) -> bool:
    return word.startswith("-") and len(word) > 1 and not _NUMBER.fullmatch(word)


def _abbreviated(spelling: str, spelt: dict[str, Option]) -> Option | None:
    """Returns the option that a beginning of its name means, as argparse reads it; None where there is none, or several."""
    found = [option for flag, option in spelt.items() if len(spelling) > 2 and flag.startswith(spelling)]
    return found[0] if found and all(option.flags == found[0].flags for option in found) else None


def _behind(option: Option, left: list[str]) -> list[str]:
    """Takes the words that are an option's values from those behind it."""
    if option.how in ("flag", "toggle", "count"):
        return []
    most = option.nargs if isinstance(option.nargs, int) else None if option.nargs in ("*", "+") else 1
    found: list[str] = []
    while left and not _is_option(left[0]) and (most is None or len(found) < most):
        found.append(left.pop(0))
    return found


def _value(option: Option, texts: Sequence[str]) -> Any:
    """Converts an option's words. Raises ValueError saying what is wrong."""
    if option.how in ("flag", "toggle", "count"):
        if texts:
            raise ValueError(f"takes no value, and is given {texts[0]!r}")
        return option.how != "count" or 1
    if not texts and option.nargs is None:
        raise ValueError("needs a value")
    if option.kind in ("bool", "truth", "any") or not texts:
        return texts[0] if len(texts) == 1 else list(texts)
    return option.convert(list(texts) if option.takes_several else texts[0])


def _check_keys(schema: HydraSchema, words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Checks Hydra's `key=value`; options, `~key` and values that are more than a plain one are left to Hydra."""
    values: dict[str, Any] = {}
    problems = []
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not re.match(r"\+{0,2}[A-Za-z_]", key):
            continue
        problem = schema.key_problem(key)
        if problem is None and not _NOT_PLAIN.search(text):
            try:
                read = _HYDRA_WORDS[text.lower()] if text.lower() in _HYDRA_WORDS else parse_literal(text)
                values[key] = schema.convert(key, read)
            except ValueError as error:
                problem = str(error)
        if problem is not None:
            problems.append(f"{key}: {problem}")
    return values, problems
