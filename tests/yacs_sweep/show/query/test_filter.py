"""The language of `--where`: what holds, what is unknown, and what a mistake is answered with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.base.values import from_json
from yacs_sweep.show.query.filter import Filter, misspelt
from yacs_sweep.spec.conditions import ExpressionError

# What holds of which values, true, false, or null for unknown: also for other programs that read the language.
CASES = json.loads((Path(__file__).parent / "expressions.json").read_text(encoding="utf-8"))
VALUES: dict[str, Any] = {name: from_json(value) for name, value in CASES["values"].items()}


@pytest.mark.parametrize(("text", "holds"), CASES["expressions"])
def test_an_expression_holds_does_not_or_is_unknown(text: str, holds: bool | None) -> None:
    assert Filter(text).holds(VALUES) is holds


def test_the_names_are_those_that_stand_in_it() -> None:
    assert Filter("missing(a.b) or `c d` > x/y and 'z' == z").names == ("a.b", "c d", "x/y", "z")


@pytest.mark.parametrize("text", CASES["wrong_kinds"])
def test_types_that_do_not_fit_are_an_error(text: str) -> None:
    with pytest.raises(ExpressionError):
        Filter(text).holds(VALUES)


@pytest.mark.parametrize(("text", "told"), CASES["mistakes"])
def test_a_mistake_is_one_line_with_the_place_and_what_to_write(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Filter(text)
    (line,) = caught.value.problems
    assert line.startswith("--where: ") and told in line and "\n" not in line and "write" in line.replace(text, "")


@pytest.mark.parametrize(("name", "text", "told"), CASES["misspelt"])
def test_an_unknown_name_is_answered_with_what_was_meant(name: str, text: str, told: str) -> None:
    assert misspelt(name, text, ["val/mAP", "base_lr", "val-loss", "state"]) == told
