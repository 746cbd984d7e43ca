"""Constraints on what a trial measured: names, verdicts and by how much they are missed."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

from yacs_sweep.spec.conditions import ExpressionError
from yacs_sweep.spec.constraints import Constraint, compile_constraint, excesses, judge, names_in

VALUES = {"val/mAP": 81.5, "ms": 2.0, "val-loss": 0.5, "params_m": 40, "a.b/c": 3, "gpu memory": 7, "kind": "fp16"}


@pytest.mark.parametrize(
    ("text", "names", "holds"),
    [
        ("val/mAP >= 80", ("val/mAP",), True),
        ("params_m<=30", ("params_m",), False),
        ("val/mAP / ms > 40", ("val/mAP", "ms"), True),
        ("val/mAP / ms > 41", ("val/mAP", "ms"), False),
        ("params_m/2 == 20", ("params_m",), True),
        ("params_m / ms == 20", ("params_m", "ms"), True),
        ("`val-loss` < 1 and `gpu memory` < 8", ("val-loss", "gpu memory"), True),
        ("` val-loss ` < 1", ("val-loss",), True),
        ("`val/mAP` > val/mAP - 1", ("val/mAP",), True),
        ("a.b/c in [1, 3]", ("a.b/c",), True),
        ("1 <= ms <= 3", ("ms",), True),
        ("not ms > 3", ("ms",), True),
        ("kind == 'fp16'", ("kind",), True),
        ("kind != 'a/b' and ms < 3", ("kind", "ms"), True),
        ("seconds < 3", ("seconds",), None),
        ("seconds < 3 or ms < 3", ("seconds", "ms"), True),
        ("seconds < 3 and ms < 1", ("seconds", "ms"), False),
        ("seconds < 3 and ms < 3", ("seconds", "ms"), None),
        ("ms / (ms - 2) > 0", ("ms",), False),  # no result
        ("kind < 3", ("kind",), None),  # no number
    ],
)
def test_constraint(text: str, names: tuple[str, ...], holds: bool | None) -> None:
    found = Constraint(text)
    assert found.names == names
    assert found.holds(VALUES) is holds
    excess = found.excess(VALUES)
    assert (excess is None) == (holds is None)
    assert excess is None or (excess <= 0) == holds


@pytest.mark.parametrize(
    ("text", "excess"),
    [
        ("params_m <= 30", 10.0),
        ("30 >= params_m", 10.0),
        ("params_m <= 50", -10.0),
        ("ms >= 5", 3.0),
        ("params_m <= 30 and ms >= 5", 10.0),
        ("params_m <= 30 or ms >= 5", 3.0),
        ("params_m <= 30 or ms >= 1", -1.0),
        ("0 < ms < 1", 1.0),
        ("kind == 'fp32'", 1.0),
        ("kind == 'fp16'", -1.0),
        ("seconds <= 3 or params_m <= 30", None),
        ("seconds <= 3 and params_m <= 30", 10.0),
        ("ms / 0 < 1", 1.0),
    ],
)
def test_by_how_much_it_is_missed(text: str, excess: float | None) -> None:
    assert Constraint(text).excess(VALUES) == excess


def test_a_strict_comparison_of_equal_numbers_is_missed_by_something() -> None:
    excess = Constraint("ms < 2").excess(VALUES)
    assert excess is not None and 0 < excess < 1e-6


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_finite_number_misses_a_bound(value: float) -> None:
    assert Constraint("loss <= 3").holds({"loss": value}) is False
    assert Constraint("loss <= 3").excess({"loss": value}) == 1.0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("params_m <", "cannot be read: 'params_m <'; allowed are comparisons"),
        ("3 < 5", "names no metric: '3 < 5'; write for example params_m <= 30"),
        ("`val-loss < 3", "a backquote is not closed: '`val-loss < 3'"),
        ("`` < 3", "nothing stands between the backquotes"),
        ("open(val/mAP) < 3", "'open(val/mAP)' is not allowed in 'open(val/mAP) < 3'; allowed are"),
        ("__import__('os')", "is not allowed"),
        ("[x for x in ms]", "is not allowed"),
        ("a" * 3000, "longer than 2000 characters"),
    ],
)
def test_refused(text: str, problem: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_constraint(text)
    assert problem in str(caught.value)
    assert "_name_" not in str(caught.value)


def test_verdict_of_all_constraints_agrees_with_each() -> None:
    texts = ("a <= 1", "b <= 1", "a + b <= 1")
    for values in itertools.product((0, 1, 2, None), repeat=2):
        known: dict[str, Any] = {name: value for name, value in zip("ab", values, strict=True) if value is not None}
        parts = [eval(text, {}, known) if all(n in known for n in "ab" if n in text) else None for text in texts]
        feasible, violated = judge(texts, known)
        assert violated == [text for text, part in zip(texts, parts, strict=True) if part is False]
        assert feasible is (False if violated else None if None in parts else True)
        assert [value > 0 for value in excesses(texts, known)] == [part is not True for part in parts]


def test_no_constraints_are_kept() -> None:
    assert judge((), {}) == (True, [])


def test_names_are_listed_once() -> None:
    assert names_in(["val/mAP > 3", "ms < val/mAP", "duration < 60"]) == ("val/mAP", "ms", "duration")
