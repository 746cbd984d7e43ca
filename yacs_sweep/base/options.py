"""Declares command-line options as the fields of a dataclass: the parser, the documents and the checks are made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, Protocol

from .command_line import Parser

_ENTRY = "option"  # the key of a field's metadata


@dataclass(frozen=True, kw_only=True)
class Option:
    """Describes one option of a command line. Its default is the field's; the default False makes it a switch.

    Args:
        help: its line in `--help` and in docs/cli.md.
        metavar: stands for its value there.
        flags: its spellings without dashes, the usual one first; default: the field's name, with dashes.
        group: the heading above it.
        choices: the words it takes, whatever their case.
        convert: makes its value of a word; raises argparse.ArgumentTypeError.
        nargs: as argparse has it.
        repeatable: each use adds a value to a list.
        bare: its value where it is given without one; its own then follows an `=`, not a blank.
        required: whether it must be given.
        positional: takes the words that no option takes.
    """

    help: str
    metavar: str | None = None
    flags: tuple[str, ...] = ()
    group: str | None = None
    choices: tuple[str, ...] | None = None
    convert: Callable[[str], Any] | None = None
    nargs: int | str | None = None
    repeatable: bool = False
    bare: str | None = None
    required: bool = False
    positional: bool = False

    def settings(self, default: Any) -> dict[str, Any]:
        """Returns the keyword arguments of argparse's `add_argument`."""
        if default is False:
            return {"action": "store_true", "help": self.help}
        found = {
            "metavar": self.metavar,
            "choices": self.choices and list(self.choices),
            "type": self.convert,
            "nargs": self.nargs or ("?" if self.bare else None),
            "const": self.bare,
            "action": "append" if self.repeatable else None,
            "required": self.required or None,
        }
        given = {key: value for key, value in found.items() if value is not None}
        return {**given, "help": self.help} if self.positional else {**given, "help": self.help, "default": default}


class Table(Protocol):
    """Stands for a dataclass whose fields were made by `declare`."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def declare(entry: Option, default: Any = None) -> Any:
    """Returns the dataclass field of an option. A list as default is copied for each object."""
    if isinstance(default, list):
        return field(default_factory=default.copy, metadata={_ENTRY: entry})
    return field(default=default, metadata={_ENTRY: entry})


def entries(table: type[Table]) -> dict[str, Any]:
    """Returns the options that the fields declare, by the field's name."""
    return {item.name: item.metadata[_ENTRY] for item in fields(table) if _ENTRY in item.metadata}


def default_of(table: type[Table], name: str) -> Any:
    """Returns the value of an option that is not given."""
    found = table.__dataclass_fields__[name]
    return found.default if found.default_factory is MISSING else found.default_factory()


def flag_of(table: type[Table], name: str) -> str:
    """Returns an option as one types it: `--sweep-config`."""
    entry: Option = entries(table)[name]
    return f"--{(entry.flags or (name.replace('_', '-'),))[0]}"


def add_options(parser: Parser, table: type[Table]) -> None:
    """Adds the options to the parser, under their headings. The dataclass is `table(**vars(parser.parse_args()))`."""
    groups: dict[str, Any] = {}
    for name, entry in entries(table).items():
        target: Any = parser
        if entry.group is not None:
            target = groups.get(entry.group) or groups.setdefault(entry.group, parser.add_argument_group(entry.group))
        settings = entry.settings(default_of(table, name))
        if entry.positional:
            parser.add_argument(name, **settings)
        else:
            Parser.add(target, *(entry.flags or (name.replace("_", "-"),)), dest=name, **settings)
