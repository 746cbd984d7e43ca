"""A printed number is read whole or not at all, and what is left out is kept for the user."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import pytest

from tests.patterns import compile_pattern
from yacs_sweep.base.values import Number
from yacs_sweep.logs.names import FRACTION
from yacs_sweep.logs.numbers import like_number, to_number
from yacs_sweep.logs.parser import LINE_LIMIT, LogParser
from yacs_sweep.logs.patterns import LogFormat
from yacs_sweep.logs.sources import Row, Sources

GENERIC = LogFormat((), generic=True)
PATTERN = LogFormat((compile_pattern(r"loss: (?P<v>{number})", {"loss": "v"}),))

READ: list[tuple[str, Number]] = [
    ("0.5", 0.5),
    ("0,512", 0.512),  # D4
    ("2,35", 2.35),
    ("-0,5", -0.5),
    ("1_000.5", 1000.5),
    ("1234,567", 1234.567),
    ("1,5e-3", 0.0015),
    ("85%", 85),
    ("85,3%", 85.3),
    ("1,234", 1234),
    ("1,234.5", 1234.5),
    ("1,234,567", 1234567),
    ("1e-3 (avg)", 0.001),
    ("0.5 (0.4)", 0.5),
    ("np.float64(0.5)", 0.5),
    ("np.int64(3)", 3),
    ("tensor(0.25, device='cuda:0')", 0.25),
    ("tensor(0.25, device='cuda:0', dtype=torch.float64, grad_fn=<NllLossBackward0>)", 0.25),
    ("tensor([0.25], device='cuda:0')", 0.25),
    ("Array(0.5, dtype=float32)", 0.5),
    ("tf.Tensor(0.5, shape=(), dtype=float32)", 0.5),
    ("<tf.Tensor: shape=(), dtype=float32, numpy=0.5>", 0.5),
    ("tensor(nan, device='cuda:0')", math.nan),
    ("-inf", -math.inf),
]
LEFT_OUT = [
    "12.5ms",
    "1.2k",
    "3M",
    "0.5s/it",
    "1.234,5",
    "5e-3s",
    "1 000",
    "1 234.5",
    "-1 234 567",
    "1'000",
    "1\u00a0000",
]
LEFT_OUT += ["5 / 10", "0.5 / 0.6", "5/10"]
NO_NUMBER = ["1.2.3", "tensor([0.5, 0.6])", "tensor([[1., 2.], [3., 4.]])", "float", "None"]


def parse(log_format: LogFormat, text: str) -> tuple[list[Row], LogParser]:
    parser = LogParser(log_format)
    return parser.feed_chunk(text.encode()) + parser.close(), parser


@pytest.mark.parametrize("log_format", [GENERIC, PATTERN], ids=["generic", "pattern"])
@pytest.mark.parametrize(("text", "value"), READ)
def test_a_number_is_read_whole(text: str, value: Number, log_format: LogFormat) -> None:
    for line in (f"loss: {text}\n", f"loss: {text} acc: 7\n", f"step 3 loss: {text}, acc: 7\n"):
        rows, _ = parse(log_format, line)
        assert [repr(row["loss"]) for row in rows] == [repr(value)], line


@pytest.mark.parametrize("log_format", [GENERIC, PATTERN], ids=["generic", "pattern"])
@pytest.mark.parametrize("text", LEFT_OUT)
def test_a_value_that_is_no_plain_number_is_left_out_and_kept_with_its_line(text: str, log_format: LogFormat) -> None:
    rows, parser = parse(log_format, f"one\nloss: {text} on\nloss: {text}\n")
    assert rows == []
    assert parser.left_out is not None
    assert (parser.left_out.name, parser.left_out.text, parser.left_out.line) == ("loss", text, f"loss: {text} on")


@pytest.mark.parametrize("text", LEFT_OUT)
def test_a_value_behind_a_blank_is_left_out_as_behind_a_colon(text: str) -> None:
    rows, parser = parse(GENERIC, f"epoch 1 val loss {text}, lr 0.5\n")
    assert rows == [{"lr": 0.5, "epoch": 1}]
    assert parser.left_out is not None and parser.left_out[:2] == ("val/loss", text)


@pytest.mark.parametrize("log_format", [GENERIC, PATTERN], ids=["generic", "pattern"])
def test_a_word_behind_a_blank_is_no_part_of_a_number(log_format: LogFormat) -> None:
    rows, parser = parse(log_format, "loss: 12.5 ms\nloss: 7 / s\n")
    assert rows == [{"loss": 12.5}, {"loss": 7}] and parser.left_out is None


def test_counters_have_other_numbers_beside_them() -> None:
    rows, parser = parse(GENERIC, "iter: 3 100 loss: 5 2000\nstep: 4 / 100 loss: 0.5 / acc: 3\n")
    assert rows == [{"iter": 3, "loss": 5}, {"step": 4, "loss": 0.5, "acc": 3}]
    log = {"iter": "i", "batch": "b"}
    digits = LogFormat((compile_pattern(r"(?P<b>{number}) it (?P<i>{number})", log),))
    for text in ("7 it 3 100", "7 it 3 / 100", "7 it 3/100"):
        assert parse(digits, text)[0] == [{"batch": 7, "iter": 3}]
    chosen = LogFormat((compile_pattern(r"at (?P<at>\d+)", {"at": "at"}),))  # the pattern says which digits
    assert parse(chosen, "at 5 100 / 200\n")[0] == [{"at": 5}]
    assert parser.left_out is None


@pytest.mark.parametrize("log_format", [GENERIC, PATTERN], ids=["generic", "pattern"])
@pytest.mark.parametrize("text", NO_NUMBER)
def test_no_part_of_something_else_is_read(text: str, log_format: LogFormat) -> None:
    assert parse(log_format, f"loss: {text}\n")[0] == []


@pytest.mark.parametrize(
    "part",
    ["a.", "tensor(", "tensor(1,", "tensor( ", "tensor(1, ()", "array([1, ", "<tf.Tensor: ", "1,", "1,234", "a:1,2 "],
)
def test_long_lines_take_no_longer_for_it(part: str) -> None:
    line = part * (LINE_LIMIT // len(part)) + "("
    before = time.process_time()
    for log_format in (GENERIC, PATTERN):
        parse(log_format, f'loss: {line}\nMETRIC {{"loss": "{line}"}}\nloss: tensor({" " * LINE_LIMIT}1)\n')
    assert time.process_time() - before < 2


@pytest.mark.parametrize("text", ["2026-11-29", "12:30:01", "0.5-0.6", "0.5,0.3", "1,2,3", "3/100"])
def test_dates_ranges_and_lists_are_no_guessed_metric(text: str) -> None:
    assert parse(GENERIC, f"loss: {text}\n")[0] == []


def test_a_place_in_a_source_file_is_no_metric() -> None:  # F11
    assert parse(GENERIC, "[meters.py: 153]: loss: 0.5\n")[0] == [{"loss": 0.5}]


def test_a_pattern_may_name_the_unit_and_take_numbers_apart() -> None:
    timed = LogFormat((compile_pattern(r"time: (?P<v>{number})ms", {"time": "v"}),))
    assert parse(timed, "time: 12.5ms\n")[0] == [{"time": 12.5}]
    ahead = LogFormat((compile_pattern(r"time: (?P<v>{number})(?=ms)", {"time": "v"}),))
    assert parse(ahead, "time: 12.5ms\n")[0] == [{"time": 12.5}]
    cut = LogFormat((compile_pattern(r"time: (?P<v>{number})\b", {"time": "v"}),))
    assert parse(cut, "time: 12.5ms\n")[0] == []
    wrapped = LogFormat((compile_pattern(r"loss: tensor\((?P<v>{number})", {"loss": "v"}),))
    assert parse(wrapped, "loss: tensor(0.5, device='cuda:0')\n")[0] == [{"loss": 0.5}]
    pair = LogFormat((compile_pattern(r"at (?P<a>{number}),(?P<b>{number});", {"a": "a", "b": "b"}),))
    assert parse(pair, "at 0,512;\n")[0] == [{"a": 0, "b": 512}]


@pytest.mark.parametrize(("text", "value"), READ)
def test_texts_in_metric_lines_and_printed_dictionaries_hold_numbers(text: str, value: Number) -> None:
    if " (" in text:
        return  # told, see below
    printed = LogFormat((replace(compile_pattern(r"json_stats: (?P<d>.*)", {}), literal="d"),))
    for log_format, line in ((PATTERN, 'METRIC {"loss": "%s"}\n'), (printed, 'json_stats: {"loss": "%s"}\n')):
        rows, parser = parse(log_format, line % text)
        assert [repr(row["loss"]) for row in rows] == [repr(value)]
        assert parser.left_out is None


@pytest.mark.parametrize("text", [*LEFT_OUT, "1e-3 (avg)", "3/100"])
def test_texts_that_are_no_plain_numbers_are_left_out_of_metric_lines(text: str) -> None:
    rows, parser = parse(PATTERN, f'METRIC {{"loss": "{text}", "model": "resnet50", "at": "12:30:01", "acc": 1}}\n')
    assert rows == [{"acc": 1}]
    assert parser.left_out is not None and parser.left_out[:2] == ("loss", text)


def test_a_count_of_a_total_is_progress_only_of_counters() -> None:  # F10
    rows, parser = parse(PATTERN, 'METRIC {"epoch": "3/100", "train/iter": "2/4", "acc": "7/8"}\n')
    assert rows == [{"train/iter": 2, "epoch": 3}]
    assert parser.left_out is not None and parser.left_out[:2] == ("acc", "7/8")


@pytest.mark.parametrize("text", ["resnet50", "12:30:01", "2026-11-29", "1.2.3", "cuda:0", "", "v2", "1,2,3"])
def test_ordinary_texts_are_not_told_as_numbers(text: str) -> None:
    assert to_number(text) is None and not like_number(text)


def test_commas_are_read_as_the_metric_prints_them() -> None:
    rows, parser = parse(GENERIC, "a: 0,912\na: 1,234\nspeed: 1,234\nspeed: 2,345,678\na: 2,5\n")
    assert [row["a"] for row in rows if "a" in row] == [0.912, 1.234, 2.5]
    assert [row["speed"] for row in rows if "speed" in row] == [1234, 2345678]
    assert parser.sources.misread == ""
    rows, parser = parse(GENERIC, "a: 6,912\na: 0,912\na: 1,001\n")
    assert rows == [{"a": 6912}, {"a": 0.912}, {"a": 1.001}]
    assert parser.sources.misread == "a"
    fraction = LogFormat((replace(compile_pattern("r1: (?P<v>{number})", {"r1": "v"}), units={"r1": FRACTION}),))
    assert parse(fraction, "r1: 0,5\nr1: 1,234\n")[0] == [{"r1": 0.005}, {"r1": 0.01234}]


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["50", "null"], [50, math.nan]),  # D3: JSON writers write nan so
        (["50", "null", "null"], [50, math.nan, math.nan]),
        (["null", "50", "null", "55", "null"], [50, 55]),  # a row in which the metric has no value
        (["50", "null", "55", "null"], [50, math.nan, 55]),
        (["NaN", "50", "null"], [math.nan, 50, math.nan]),
    ],
)
def test_null_is_nan_after_numbers_and_no_value_between_them(texts: list[str], values: list[float]) -> None:
    rows, parser = parse(PATTERN, "".join(f'METRIC {{"m": {text}, "n": 1}}\n' for text in texts))
    assert repr([row["m"] for row in rows if "m" in row]) == repr(values)
    assert len(rows) == len(texts)
    assert parser.sources.only_null() == {}


def test_nothing_but_null_is_nan_at_the_end() -> None:
    _, parser = parse(PATTERN, 'METRIC {"m": null, "epoch": null}\nMETRIC {"m": null, "n": 1}\n')
    assert repr(parser.sources.only_null()) == "{'m': nan}"


def test_sources_settle_each_metric_by_itself() -> None:
    sources = Sources("epoch")
    rows, parser = parse(GENERIC, "a: 0,5\n")
    assert rows == [{"a": 0.5}] and all(type(value) is float for row in rows for value in row.values())
    assert sources.admit("x", {"a": 1}) == {"a": 1} and parser.sources is not sources


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("123456789012345", 123456789012345),
        ("1234567890123456", 1234567890123456.0),  # of 16 digits not every whole number is a float: read as one
        ("3.0", 3.0),
        ("+7", 7),
        ("1e3", 1000.0),
        ("1,234,567.0", 1234567.0),
    ],
)
def test_a_number_written_as_a_whole_one_is_an_int_of_15_digits_at_most(text: str, value: Number) -> None:
    assert repr(to_number(text)) == repr(value)


def test_what_is_longer_than_40_characters_is_not_like_a_number() -> None:
    assert like_number("1" * 38 + "ms") and not like_number("1" * 39 + "ms")
    assert like_number("1.2k") and not like_number("a") and not like_number("1.2 kilometres")
