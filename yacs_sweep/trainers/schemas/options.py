"""Checks parameters against the options of a trainer's parser: names, types, choices, and how each is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...base.values import to_builtin
from ...base.wording import counted, did_you_mean, show
from ..styles import override_arguments
from .declared_type import REFUSED, to_declared
from .schema import Schema

_STYLE = "argparse"


@dataclass(frozen=True)
class Option:
    """Describes an option of a parser.

    Attributes:
        flag: as it is written, such as `--lr`; `flags` are all its spellings.
        how: `store` a value, `append` several, `flag` without a value, `toggle` with `negative` for False, `count`.
        kind: `int`, `float`, `str`, `bool` (a text that a function reads), `truth` (Python's `bool`: any text but the
            empty one is true); `any`: not known.
        nargs: argparse's: a number, `?`, `*`, `+`; None: one value.
    """

    flag: str
    flags: tuple[str, ...] = ()
    how: str = "store"
    kind: str = "str"
    nargs: int | str | None = None
    choices: tuple[Any, ...] = ()
    default: Any = None
    required: bool = False
    negative: str = ""

    @property
    def takes_several(self) -> bool:
        """Whether its values stand behind it, each as a word of its own."""
        return isinstance(self.nargs, int) or self.nargs in ("*", "+")

    def convert(self, value: Any) -> Any:
        """Converts a value, or each of several. Raises ValueError saying what is wrong."""
        value = to_builtin(value)
        if self.how in ("flag", "toggle"):
            return to_declared(value, "bool", self._hint)
        if self.how == "count":
            return to_declared(value, "int", self._hint)
        if self.takes_several or (self.how == "append" and isinstance(value, list | tuple)):
            values = list(value) if isinstance(value, list | tuple) else [value]
            wanted = self.nargs if isinstance(self.nargs, int) else None
            if (wanted is not None and len(values) != wanted) or (self.nargs == "+" and not values):
                raise ValueError(
                    f"{show(value)} has {counted(len(values), 'value')}, and {self.flag} takes {wanted or 'one or more'}"
                )
            return [self._one(item) for item in values]
        return self._one(value)

    def arguments(self, value: Any) -> list[str]:
        """Writes the words for a converted value. Raises ValueError for a value that they cannot say."""
        if self.how == "flag":
            return [self.flag] if value else []
        if self.how == "toggle":
            return [self.flag if value else self.negative]
        if self.how == "count":
            return [self.flag] * value
        if self.takes_several:
            texts = [self._text(item) for item in value]
            if len(texts) == 1 and self.nargs != 0:
                return [f"{self.flag}={texts[0]}"]
            option = next((text for text in texts if text[:1] == "-" and not text[1:2].isdigit()), None)
            if option is not None:
                raise ValueError(f"{show(option)} begins with -, which the parser takes for an option")
            return [self.flag, *texts]
        return [
            f"{self.flag}={self._text(item)}"
            for item in (value if self.how == "append" and _several(value) else [value])
        ]

    @property
    def _hint(self) -> str:
        return "" if self.default is None else f" (the default is {show(self.default)})"

    def _one(self, value: Any) -> Any:
        """Converts one value, and checks that it is among the choices."""
        kind = "bool" if self.kind == "truth" else self.kind
        if kind in REFUSED and (kind != "str" or self.choices):
            if value is None:
                raise ValueError(f"takes no null{self._hint}")
            value = to_declared(value, kind, self._hint)
        if self.choices and value not in self.choices and str(value) not in map(str, self.choices):
            hint = did_you_mean(str(value), map(str, self.choices))
            raise ValueError(f"{show(value)} is none of {', '.join(map(str, self.choices))}{hint}")
        return value

    def _text(self, value: Any) -> str:
        if self.kind == "truth" and value is False:
            return ""
        (word,) = override_arguments(_STYLE, "x", value)
        return word.partition("=")[2]


def _several(value: Any) -> bool:
    return isinstance(value, list | tuple)


@dataclass(frozen=True)
class OptionSchema(Schema):
    """Holds a parser's options by their names without dashes in front."""

    options: Mapping[str, Option] = field(default_factory=dict)

    def convert(self, key: str, value: Any, as_text: str | None = None) -> Any:
        """Converts a value to what the option takes. Raises ValueError saying what is wrong and what is allowed."""
        return self.options[key].convert(value)

    def key_problem(self, key: str, aliases: Sequence[str] = ()) -> str | None:
        """Explains why a key is no option, with the nearest ones; None for an option."""
        return None if key in self.options else f"no such option of {self.source}{self._suggest(key, aliases)}"

    def main_name(self, key: str) -> str:
        """Returns the first name of an option."""
        return self.options[key].flags[0].lstrip("-") if key in self.options else key

    def arguments(self, key: str, value: Any) -> list[str] | None:
        """Writes the words for a converted value: `--lr=0.1`, `--amp` or nothing, `--steps 20 40`."""
        return self.options[key].arguments(value)

    def unset(self, words: Iterable[str], keys: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yields each required option that is neither among the words nor among `keys`."""
        given = {word.partition("=")[0] for word in words}
        for key in keys:
            given.update(self.options[key].flags if key in self.options else ())
        for option in self.options.values():
            if option.required and option.flag == option.flags[0] and not given.intersection(option.flags):
                yield option.flag, f"{self.source} requires it"


def option_schema(program: str, answer: Mapping[str, Any], restore: Callable[[Any], Any]) -> OptionSchema:
    """Makes the schema of what `inside/print_argparse.py` answers.

    Args:
        program: whose options they are, for messages.
        restore: restores the types of a default that JSON lacks.
    """
    options = {}
    for item in answer["options"]:
        for flag in item["flags"]:
            options[flag.lstrip("-")] = Option(
                flag,
                tuple(item["flags"]),
                item["how"],
                item["type"],
                item["nargs"],
                tuple(restore(choice) for choice in item["choices"]),
                False if item["how"] == "flag" else restore(item["default"]),  # the parser's is that of the attribute
                item["required"],
                item["negative"],
            )
    return OptionSchema(program, {name: option.default for name, option in options.items()}, options=options)
