# ruff: noqa: RUF009 - the calls in the dataclass make its fields
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from yacs_sweep.base.command_line import Parser, whole
from yacs_sweep.base.options import Option, add_options, declare, default_of, entries, flag_of


@dataclass(frozen=True)
class Baking:
    """Declares an option of each kind."""

    heat: int = declare(Option(help="degrees", metavar="N", convert=whole), 180)
    lid_on: bool = declare(Option(help="with a lid"), False)
    loaf: str | None = declare(Option(help="which", flags=("loaf", "bread"), choices=("rye", "spelt"), group="what"))
    seeds: list[str] | None = declare(Option(help="of what", repeatable=True, group="what"))
    words: list[str] = declare(Option(help="the rest", nargs="*", positional=True), [])
    oven: str = field(default="old")  # no option


def parsed(line: str) -> Baking:
    parser = Parser()
    add_options(parser, Baking)
    return Baking(**vars(parser.parse_args(line.split())))


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("", {}),
        ("--heat 200", {"heat": 200}),
        ("--lid-on", {"lid_on": True}),
        ("--lid_on a b", {"lid_on": True, "words": ["a", "b"]}),
        ("--bread rye", {"loaf": "rye"}),
        ("--seeds flax --seeds poppy", {"seeds": ["flax", "poppy"]}),
    ],
)
def test_a_field_is_an_option_of_its_type(line: str, given: dict[str, Any]) -> None:
    assert parsed(line) == Baking(**given)


@pytest.mark.parametrize("line", ["--heat x", "--loaf wheat", "--oven new", "--lid"])
def test_what_no_field_allows_is_refused(line: str) -> None:
    parser = Parser(allow_abbrev=False)
    add_options(parser, Baking)
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(line.split())
    assert caught.value.code == 2


def test_the_help_has_each_option_under_its_heading() -> None:
    parser = Parser()
    add_options(parser, Baking)
    text = parser.format_help()
    assert text.index("degrees") < text.index("what:") < text.index("which") < text.index("of what")


def test_fields_are_asked_for_what_they_declare() -> None:
    assert list(entries(Baking)) == ["heat", "lid_on", "loaf", "seeds", "words"]
    assert [default_of(Baking, name) for name in entries(Baking)] == [180, False, None, None, []]
    assert [flag_of(Baking, name) for name in ("heat", "lid_on", "loaf")] == ["--heat", "--lid-on", "--loaf"]
    assert Baking().words is not Baking().words
