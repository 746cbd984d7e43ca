"""Patterns are checked when they are loaded: syntax, groups, and the time they may take."""

from __future__ import annotations

import re
import time

import pytest

from tests.patterns import compile_pattern
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.logs import regex_cost
from yacs_sweep.logs.patterns import NUMBER


def problems(source: str, log: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compile_pattern(source, log)
    return caught.value.problems


@pytest.mark.parametrize(
    ("source", "literals"),
    [
        (r"mAP: (?P<v>{number})%", [b"mAP: "]),
        (r"Epoch\[(?P<e>\d+)\] Iteration\[\d+/\d+\] Loss", [b"] Iteration["]),
        (r"(?P<split>train|val) loss=(?P<v>{number})", [b" loss="]),
        (r"(?:loss|accuracy)\s", [b"loss", b"accuracy"]),
        (r"(?:loss|a?)\s\d", []),
        (r"(?P<a>Lo(?:ss)): x", [b"Loss: x"]),
        (r"^\bLoss\b$", [b"Loss"]),
        (r"x(?:long text)?y", [b"x"]),
        (r"x(?:long text){2,}y", [b"long text"]),
        (r"(?!never)x", [b"x"]),
        (r"(?i)mAP", []),
        (r"x(?i:mAP)", [b"x"]),
        (r"[Ll]oss", [b"oss"]),
        (r"précis", ["précis".encode()]),
        (r"\d+", []),
    ],
)
def test_literals_are_what_a_match_cannot_do_without(source: str, literals: list[bytes]) -> None:
    assert sorted(compile_pattern(source, {}).literals) == sorted(literals)


@pytest.mark.parametrize(
    "source",
    [
        *(r"(a+)+", r"(?:a|b|ab)+c", r"(\w+\s*)+:", r"(.*,)+x", r"(a?b?)*c", r"(a*)*c", r"(?:a{1,2})+"),
        *(r"(a|a)*c", r"(?:a(?=b)|a)*c", r"(?:(?:a*)?,)*c", r"(?:(?:|),)*c"),  # equal alternatives; empty in two ways
        *(r"(?:a?){30}a{30}", r"(?:(?:a?){30}b)*c"),  # turns that take nothing
        *(r"(a*)(?:\1)*c", r"(a)(?:b*\1)*c"),  # back references
    ],
)
def test_patterns_that_take_exponential_time_are_refused(source: str) -> None:
    (problem,) = problems(source + "!", {})
    assert "exponential time" in problem


def test_what_is_refused_really_is_slow_and_what_is_not_is_fast() -> None:
    def seconds(source: str, size: int) -> float:
        start = time.process_time()
        re.search(source, "a" * size + "?")
        return time.process_time() - start

    assert regex_cost.exponential_part(regex_cost.parse(r"(?:a+)+!"))
    assert seconds(r"(?:a+)+!", 22) > 20 * seconds(r"(?:a+)+!", 16)
    assert not regex_cost.exponential_part(regex_cost.parse(r"(?:a+,)+!"))
    assert seconds(r"(?:a+,)+!", 2000) < 1


@pytest.mark.parametrize(
    "source",
    [
        NUMBER,
        r"(?:\w+,)+",
        r"(?:\w+: \d+ )+x",
        r"(?:{number}, )+",
        r"(?:\w+: {number}  )+lr",
        r"(?:foo|for)+",
        r"(?:\d+\.|\w+,)+",
        r"(?:ab|ba)*c",
        r"(?:\d{1,3},)+x",
        r"(?i)(?:[a-z]+-)+x",
    ],
)
def test_repeats_with_something_between_are_taken(source: str) -> None:
    assert compile_pattern(source, {}).limit >= 1 << 12


def test_repeats_that_trade_text_see_less_of_a_line_or_are_refused() -> None:
    limits = [compile_pattern(s, {}).limit for s in (r"x\d+y", r"\w+: \d+", r"\w+\s*\w+: \d+")]
    assert limits == sorted(limits, reverse=True)
    assert len(set(limits)) == 3
    (problem,) = problems(r"\w+.*\w+: \d", {})
    assert "too slow" in problem


@pytest.mark.parametrize("source", ["a?" * 28 + "a" * 28, "(?:abc)?" * 26 + "(?:abc)" * 26, ".{0,4}" * 12 + "x"])
def test_optional_parts_that_trade_text_are_refused(source: str) -> None:
    (problem,) = problems(source, {})
    assert "too slow: its optional parts" in problem


@pytest.mark.parametrize("source", [".{0,4}" * 8 + "x", r"(?:.{1,3},?){4}x:", r"(?:\w+ )?" * 8 + "x: "])
def test_a_few_that_do_are_taken_and_do_not_stall(source: str) -> None:
    pattern = compile_pattern(source, {})
    start = time.process_time()
    pattern.find("a" * 65536)
    pattern.find("a " * 32768)
    assert time.process_time() - start < 3


def test_a_long_text_and_many_numbers_are_no_choices() -> None:
    assert compile_pattern("A long text, " * 40 + r"\w+: (?P<v>{number})", {"x": "v"}).limit == 1 << 16
    for between in (", ", ","):
        row = between.join(f"v{n}: (?P<v{n}>{{number}})" for n in range(20))
        assert compile_pattern(row, {f"v{n}": f"v{n}" for n in range(20)}).limit == 1 << 16


@pytest.mark.parametrize("source", [r"(?P<v>{number})%", r"(?P<k>\w+): (?P<v>{number})", r"(?P<v>\w+\s*\w+): \d"])
@pytest.mark.parametrize("text", ["1", "a", " ", "1,", "a: ", "%"])
def test_no_accepted_pattern_stalls_on_a_long_line(source: str, text: str) -> None:
    pattern = compile_pattern(source, {"x": "v"})
    start = time.process_time()
    pattern.find(text * 200_000)
    assert time.process_time() - start < 3


def test_syntax_errors_name_the_position_in_the_pattern_as_written() -> None:
    (problem,) = problems("{number} and {number} then (?P<x", {})
    assert f"position {len('{number} and {number} then (?P<')}" in problem
    assert "'{number} and {number} then (?P<x'" in problem
    (problem,) = problems("a(b", {})
    assert "position 1" in problem


def test_all_wrong_groups_are_named_with_the_right_ones() -> None:
    found = problems(r"(?P<loss>{number}) (?P<acc>{number})", {"train/loss": "los", "val/{rank}": "acc"})
    assert len(found) == 2
    assert "'los'" in found[0] and "loss, acc" in found[0]
    assert "{rank}" in found[1]


def test_misspelt_placeholders_are_no_silent_text() -> None:
    (problem,) = problems(r"loss {nubmer}", {})
    assert "{nubmer}" in problem and "{number}" in problem
    assert compile_pattern(r"loss \{nubmer\} (?P<v>\d{1,3})", {"x": "v"}).find("loss {nubmer} 12") == {"x": 12}


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    assert "empty" in problems(r"(?P<v>\d*)", {"x": "v"})[0]


def test_a_group_that_took_no_part_or_holds_no_number_logs_nothing() -> None:
    pattern = compile_pattern(r"a=(?P<a>\S+)(?: b=(?P<b>\S+))?", {"a": "a", "b": "b"})
    assert pattern.find("a=1") == {"a": 1}
    assert pattern.find("a=none b=2.5") == {"b": 2.5}
