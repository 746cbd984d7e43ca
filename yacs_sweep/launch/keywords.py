"""Reads the command line's options from keyword arguments: the same names, the same checks."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from ..base.command_line import Parser
from ..base.errors import ConfigError
from ..base.options import default_of
from ..base.wording import did_you_mean
from ..spec.sweep_files import as_yaml
from .keyword_types import PathLike
from .options.read import contradictions, take_environment
from .options.table import Options, make_parser


class _Strict(Parser):
    """Parses options; raises a mistake as ConfigError where the command line exits."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(self.reworded(message)[1])


def from_keywords(given: Mapping[str, Any]) -> Options:
    """Makes the options that a command line would give; None is an option that is not given.

    One line is shown for each trial's start and end, unless `quiet=False` asks for more, or `verbose=True` for the trainer's
    own lines as well.

    Raises:
        ConfigError: with every option that does not exist, or has a value it cannot have.
    """
    parser, problems, values = make_parser(_Strict), [], {}
    for name, value in {**given, "quiet": given.get("quiet", not given.get("verbose"))}.items():
        try:
            if value is not None:
                values[name] = _read(parser, name, value)
        except ConfigError as error:
            problems += [f"{name}: {problem}" for problem in error.problems]
    options = Options(**values)
    problems += contradictions(options)
    if problems:
        raise ConfigError(problems)
    return take_environment(options)


def read_value(name: str, value: Any) -> Any:
    """Returns the value of an option as the command line's parser makes it of words. Raises ConfigError."""
    return _read(make_parser(_Strict), name, value)


def _read(parser: Parser, name: str, value: Any) -> Any:
    """Returns the value as the command line's parser makes it of words."""
    known = {key: entry for key, entry in Options.table().items() if entry.keyword}
    if name not in known:
        from .options.foreign import answer  # only a mistake needs it

        raise ConfigError(f"is not an option{_as_keywords(answer(name)) or did_you_mean(name, known)}")
    entry = known[name]
    if entry.from_python is not None and (found := entry.from_python(value)) is not None:
        return found
    if value is False and entry.bare is not None:
        return None
    if default_of(Options, name) is False:
        if not isinstance(value, bool):
            raise ConfigError(f"{value!r} is not True or False")
        return value
    if entry.repeatable and isinstance(value, Mapping):
        texts = [f"{key}={item}" for key, item in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        texts = [",".join(map(str, value))]
    else:
        texts = [os.fspath(value) if isinstance(value, os.PathLike) else str(value)]
    return getattr(parser.parse_args([f"{Options.flag(name)}={text}" for text in texts]), name)


def _as_keywords(text: str) -> str:
    """Writes the options in a text as keyword arguments, where `Sweep` takes them: `--method bayes` is `method='bayes'`."""
    names = {Options.flag(name): name for name, entry in Options.table().items() if entry.keyword}

    def written(found: re.Match[str]) -> str:
        value = "" if found[2] is None or found[2].isupper() else repr(found[2])
        return f"{names[found[1]]}={value}" if found[1] in names else found[0]

    return re.sub(r"(--[a-z][\w-]*)(?: ([\w=]+))?", written, text)


def described_by(search: PathLike | Mapping[str, Any] | None) -> list[Any] | None:
    """Returns the value of `--sweep-config`: a file, a preset's name, or the description itself.

    Raises:
        ConfigError: it is none of these.
    """
    if search is None:
        return None
    if isinstance(search, Mapping):
        try:
            json.dumps(as_yaml(search))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"sweep: {error}; a description holds numbers, texts, lists and dicts") from None
        return [search]
    if isinstance(search, str | os.PathLike):
        return [os.fspath(search)]
    raise ConfigError(f"sweep: {search!r} is not a description, a file or a preset; write Sweep({{'method': …}})")
