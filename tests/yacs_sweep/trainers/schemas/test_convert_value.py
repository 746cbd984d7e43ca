"""A value takes the type of the default that it replaces, as YACS would have it, or is refused with the reason."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from yacs.config import CfgNode

from yacs_sweep.trainers.schemas.convert_value import OpaqueDefault, convert_value

BIG = 10**400  # larger than every float


@pytest.mark.parametrize(
    ("value", "default", "expected"),
    [
        (32.0, 64, 32),
        (1, 0.5, 1.0),
        (np.int64(3), 0.5, 3.0),
        (np.float64(3.0), 1, 3),
        ("3e-4", 0.5, 3e-4),
        ("3", 0.5, 3.0),
        ("12", 1, 12),
        ("True", False, True),
        (False, True, False),
        ("x", "y", "x"),
        (5, "y", "5"),
        ("0.5", "y", "0.5"),
        ("None", "y", None),
        ("'None'", "y", "None"),
        ("'10'", "y", "10"),
        ("None", 3, None),
        ("[1, 2]", None, [1, 2]),
        ("1e999", 0.5, float("inf")),
        ("[1]", "y", "[1]"),
        (True, "on", "on"),
        (False, "on", "off"),
        (True, "off", "on"),
        (False, "off", "off"),
        (True, "yes", "yes"),
        (False, "yes", "no"),
        (True, "no", "yes"),
        (False, "no", "no"),
        (None, 1, None),
        (3, None, 3),
        ("3", None, 3),
        ("x", OpaqueDefault("Path"), "x"),
        ("x", OpaqueDefault("Path", frozenset({"str"})), "x"),
        (None, OpaqueDefault("Path"), None),
        ([1, 2], (3, 4), (1, 2)),
        ((1, 2), [3], [1, 2]),
        ("(1, 2)", (3, 4), (1, 2)),
        ("[40, 70]", (3, 4), (40, 70)),
        ([1, 2], [0.5, 0.5], [1.0, 2.0]),
        ([1.0, 2.0], [3], [1, 2]),
        ([1.5], [3], [1.5]),  # YACS looks at no element: the trainer decides
        ([True], [3], [True]),
        (["x"], [3], ["x"]),
        ([1, "x"], [0.5, "y"], [1, "x"]),  # of several types
        ([1], [], [1]),
        ([[1, 2]], [(0.5, 0.5)], [(1.0, 2.0)]),
        ([[1], [2]], [[0.5]], [[1.0], [2.0]]),
        ([[1], 2], [[0.5]], [[1.0], 2]),
        ([[1], [2]], [[0.5], (0.5,)], [[1], [2]]),
        ("a", ("b",), ("a",)),  # one name where names are due
        ("a", ["b", "c"], ["a"]),
        ("[a b]", ["x"], ["[a b]"]),
        ("[a!]", ["x"], ["[a!]"]),
        ("[", ["x"], ["["]),
        ("{a}", ["x"], ["{a}"]),
        ("[]", ["x"], []),
        (np.array([1, 2])[0], [3][0], 1),
        ([np.int64(1)], [0.5], [1.0]),
    ],
)
def test_what_a_value_becomes(value: Any, default: Any, expected: Any) -> None:
    found = convert_value(value, default)
    assert repr(found) == repr(expected)


@pytest.mark.parametrize(
    ("value", "default", "message"),
    [
        (32.5, 64, "32.5 is not a whole number (the default is 64)"),
        ("x", 64, "'x' is not a whole number (the default is 64)"),
        (True, 64, "true is not a whole number (the default is 64)"),
        (float("inf"), 64, "inf is not a whole number (the default is 64)"),
        ("x", 0.5, "'x' is not a number (the default is 0.5)"),
        (True, 0.5, "true is not a number (the default is 0.5)"),
        (1, True, "1 is not true or false (the default is true)"),
        ("no", True, "'no' is not true or false (the default is true)"),
        (0.5, "a", "0.5 is not a text (the default is 'a'); write '0.5' in quotes"),
        (True, "a", "true is not a text (the default is 'a'); write 'True' in quotes"),
        ([1], "a", "[1] is not a text (the default is 'a'); write '[1]' in quotes"),
        (3, [1], "3 is not a list, such as the default [1]"),
        ("x", [1], "'x' is not a list, such as the default [1]"),
        ("x", [], "'x' is not a list, such as the default []"),
        ("x", ["a", 1], "'x' is not a list, such as the default ['a', 1]"),
        ({"a": 1}, 3, "is a mapping; name the keys in it one by one"),
        ({"a": 1}, None, "is a mapping; name the keys in it one by one"),
    ],
)
def test_what_is_refused(value: Any, default: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        convert_value(value, default)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("value", "default", "message"),
    [
        ("0.1, 0.2", 0.5, "'0.1, 0.2' is not a number (the default is 0.5); write [0.1, 0.2]"),
        ("40 70", 5, "'40 70' is not a whole number (the default is 5); write [40, 70]"),
        ("1:30", 5, "'1:30' is not a whole number (the default is 5); write 90"),
        ("010", 5, "'010' is not a whole number (the default is 5); write 10"),
        ("-007", 0.5, "'-007' is not a number (the default is 0.5); write -7"),
        ("x", 5, "'x' is not a whole number (the default is 5)"),
        ("2.5", 5, "2.5 is not a whole number (the default is 5)"),
        ([1], 5, "[1] is not a whole number (the default is 5)"),
        ("true", True, "'true' is not true or false (the default is true); write True"),
        ("FALSE", True, "'FALSE' is not true or false (the default is true); write False"),
        ("yes", True, "'yes' is not true or false (the default is true)"),
        (
            "[a, b-1]",  # where the shell has taken the quotes away
            ["x", "y"],
            "'[a, b-1]' is not a list, such as the default ['x', 'y']; the shell takes quotes away: write \"['a', 'b-1']\"",
        ),
        ("(a,)", [1], "'(a,)' is not a list, such as the default [1]; the shell takes quotes away: write \"['a']\""),
        ("a", [1], "'a' is not a list, such as the default [1]"),
        (3, OpaqueDefault("Path", frozenset({"str"})), "3 does not fit the trainer's schema (the default is a Path)"),
        (
            None,
            OpaqueDefault("Path", frozenset({"str"})),
            "null does not fit the trainer's schema (the default is a Path)",
        ),
    ],
)
def test_a_refusal_names_the_value_that_may_be_meant(value: Any, default: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        convert_value(value, default)
    assert str(caught.value) == message


def test_a_whole_number_beyond_every_float_is_no_number_for_a_float_default() -> None:
    assert convert_value(BIG, 1) == BIG
    with pytest.raises(ValueError, match=r"is not a number \(the default is 0.5\)"):
        convert_value(BIG, 0.5)


@pytest.mark.parametrize(
    ("value", "default"),
    [
        (32.0, 64),
        (1, 0.5),
        ("3e-4", 0.5),
        (True, "on"),
        ([1, 2], (3, 4)),
        ("a", ("b",)),
        (None, 3),
        (3, None),
    ],
)
def test_yacs_takes_what_comes_out(value: Any, default: Any) -> None:
    tree = CfgNode({"KEY": default})
    tree.merge_from_list(["KEY", convert_value(value, default)])


def test_a_text_is_advised_as_it_is_written() -> None:
    with pytest.raises(ValueError, match=r"100000.0 is not a text \(the default is 'a'\); write '1e5' in quotes$"):
        convert_value(1e5, "a", "'1e5' in quotes")


@pytest.mark.parametrize(("text", "number"), [("1 000", "1000"), ("1,000", "1000"), ("0,5", "0.5"), ("0,000", "0.000")])
def test_digits_in_groups_are_advised_as_one_number(text: str, number: str) -> None:
    with pytest.raises(ValueError, match=rf"; write {re.escape(number)}$"):
        convert_value(text, 32)
