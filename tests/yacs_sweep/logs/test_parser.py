"""Bytes in, rows out: grouping, carried axis, and output as hostile as trainers print it."""

from __future__ import annotations

import math
import random
import time
import tracemalloc
from pathlib import Path

import pytest

from tests.patterns import compile_pattern
from yacs_sweep.logs.parser import LINE_LIMIT, LogParser
from yacs_sweep.logs.patterns import LogFormat, MetricPattern, compile_search
from yacs_sweep.logs.sources import Row
from yacs_sweep.trainers.load import load_profile

ROOT = Path(__file__).resolve().parents[3]
PREFIX = "2026-01-01 12:00:00,123 reid_baseline.train INFO: "


@pytest.fixture(scope="module")
def reid() -> LogFormat:
    return load_profile("reid", project_root=ROOT).metrics


def train_line(epoch: int, loss: float, acc: float, lr: float, prefix: str = PREFIX) -> str:
    """The original trainer's format string."""
    return f"{prefix}Epoch[{epoch}] Iteration[20/183] Loss: {loss:.3f}, Acc: {acc:.3f}, Base Lr: {lr:.2e}"


def validation_lines(epoch: int, value: float, prefix: str = PREFIX) -> list[str]:
    ranks = [f"{prefix}CMC curve, Rank-{rank:<3}:{min(1, value + rank / 100):.1%}" for rank in (1, 5, 10)]
    return [f"{prefix}Validation Results - Epoch: {epoch}", f"{prefix}mAP: {value:.1%}", *ranks]


def parse(log_format: LogFormat, text: str | bytes) -> list[Row]:
    parser = LogParser(log_format)
    data = text.encode() if isinstance(text, str) else text
    return parser.feed_chunk(data) + parser.close()


def same(left: list[Row], right: list[Row]) -> bool:
    """Equality in which nan equals nan, and 1 is not 1.0."""
    return repr(left) == repr(right)


def test_the_contract_of_the_reid_log(reid: LogFormat) -> None:
    log = "\n".join([train_line(1, 10.012, 0, 1.09e-05), *validation_lines(1, 0.044), train_line(2, 9, 0.5, 1)])
    assert parse(reid, log) == [
        {"train/loss": 10.012, "train/acc": 0.0, "train/lr": 1.09e-05, "epoch": 1},
        {"val/mAP": 4.4, "epoch": 1, "val/cmc_rank_1": 5.4, "val/cmc_rank_5": 9.4, "val/cmc_rank_10": 14.4},
        {"train/loss": 9.0, "train/acc": 0.5, "train/lr": 1.0, "epoch": 2},
    ]


def test_minp_after_the_cmc_lines_is_of_their_row(reid: LogFormat) -> None:
    log = "\n".join([*validation_lines(1, 0.044), f"{PREFIX}mINP: 1.2%", *validation_lines(2, 0.05)])
    first, second = parse(reid, log)
    assert first == {
        "val/mAP": 4.4,
        "val/cmc_rank_1": 5.4,
        "val/cmc_rank_5": 9.4,
        "val/cmc_rank_10": 14.4,
        "val/mINP": 1.2,
        "epoch": 1,
    }
    assert second["epoch"] == 2 and "val/mINP" not in second


def test_lines_of_the_design_document_without_prefix(reid: LogFormat) -> None:
    log = (
        "Epoch[1] Iteration[20/183] Loss: 10.012, Acc: 0.000, Base Lr: 1.09e-05\nmAP: 4.4%\nCMC curve, Rank-1  :11.9%\n"
    )
    assert parse(reid, log) == [
        {"train/loss": 10.012, "train/acc": 0.0, "train/lr": 1.09e-05, "epoch": 1},
        {"val/mAP": 4.4, "epoch": 1, "val/cmc_rank_1": 11.9},
    ]


def test_not_finite_and_negative_values_are_rows_too(reid: LogFormat) -> None:
    values = (math.nan, math.inf, -math.inf, -0.5)
    rows = parse(reid, "\n".join(train_line(3, value, value, value) for value in values))
    assert [repr(row["train/loss"]) for row in rows] == ["nan", "inf", "-inf", "-0.5"]
    assert all(repr(row["train/lr"]) == repr(row["train/loss"]) and row["epoch"] == 3 for row in rows)


def test_ten_rows_printed_are_ten_rows(reid: LogFormat) -> None:
    lines = []
    for epoch in range(1, 6):
        lines += [train_line(epoch, epoch, 0, 0.1), *validation_lines(epoch, epoch / 10)]
    rows = parse(reid, "\n".join(lines))
    assert len(rows) == 10
    assert [row["epoch"] for row in rows] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert [row.get("val/mAP") for row in rows] == [None, 10, None, 20, None, 30, None, 40, None, 50]
    assert not any("train/loss" in row and "val/mAP" in row for row in rows)


def test_rows_come_as_soon_as_they_are_complete(reid: LogFormat) -> None:
    parser = LogParser(reid)
    assert len(parser.feed(train_line(1, 1, 1, 1).encode())) == 1
    results = [parser.feed(line.encode()) for line in validation_lines(1, 0.1)]
    assert results == [[], [], [], [], []]
    assert [row["val/cmc_rank_10"] for row in parser.flush()] == [20.0]
    assert parser.flush() == []


@pytest.mark.parametrize(
    ("interrupting", "count"),
    [("Validation Results - Epoch: 2", 2), ("mAP: 5.0%", 2), ('METRIC {"x": 1}', 3), ("nothing", 1)],
)
def test_what_ends_a_gathering_row(reid: LogFormat, interrupting: str, count: int) -> None:
    rows = parse(reid, f"Validation Results - Epoch: 2\nmAP: 4.0%\n{interrupting}\nCMC curve, Rank-1  :11.9%\n")
    assert len(rows) == count
    assert ("val/cmc_rank_1" in rows[0]) == (count == 1)


def test_lines_that_print_the_axis_gather_while_it_stays() -> None:
    log_format = LogFormat(
        (compile_pattern(r"epoch (?P<e>\d+) (?P<k>\w+)=(?P<v>\d+)", {"val/{k}": "v", "epoch": "e"}),)
    )
    rows = parse(log_format, "epoch 1 a=1\nepoch 1 b=2\nepoch 2 c=3\n")
    assert rows == [{"val/a": 1, "val/b": 2, "epoch": 1}, {"val/c": 3, "epoch": 2}]


def test_an_explicit_row_gathers_across_names() -> None:
    log_format = LogFormat(
        (
            compile_pattern(r"loss (?P<v>{number})", {"loss": "v"}, row="step"),
            compile_pattern(r"accuracy (?P<v>{number}) of (?P<n>{number})", {"acc": "v", "n": "n"}, row="step"),
        )
    )
    assert parse(log_format, "loss 1\naccuracy 2 of 3\nloss 4\n") == [{"loss": 1, "acc": 2, "n": 3}, {"loss": 4}]


def test_entries_that_match_one_line_make_one_row() -> None:
    log_format = LogFormat(
        (
            compile_pattern(r"loss=(?P<v>{number})", {"train/loss": "v"}),
            compile_pattern(r"mAP=(?P<v>{number})", {"val/mAP": "v"}),
            compile_pattern(r"step (?P<s>\d+)", {"step": "s"}),
        ),
        axis="step",
    )
    assert parse(log_format, "step 7 loss=1.5 mAP=2\n") == [{"train/loss": 1.5, "val/mAP": 2, "step": 7}]


def test_names_made_from_groups_take_every_match_of_a_line() -> None:
    log_format = LogFormat((compile_pattern(r"(?P<k>[a-z]+): (?P<v>{number})", {"train/{k}": "v"}),))
    assert parse(log_format, "loss: 1.5  acc: 2  loss: 9\n") == [{"train/loss": 1.5, "train/acc": 2}]


def test_a_pattern_without_any_fixed_text_is_tried_on_every_line() -> None:
    log_format = LogFormat((compile_pattern(r"^(?P<v>{number})$", {"x": "v"}),))
    assert log_format.entries[0].literals == ()
    assert parse(log_format, "one\n2\n3\nfour\n") == [{"x": 2}, {"x": 3}]


def test_structured_lines(reid: LogFormat) -> None:
    log = (
        'METRIC {"epoch": 3, "val/mAP": 41.2, "name": "x", "best": true, "bad": NaN}\n'
        + 'noise METRIC {"val/mAP": 5}\n'
        + 'METRIC {"broken": \nMETRIC {"text": "CMC curve, Rank-1 :4.0%"}\n'
    )
    rows = parse(reid, log)
    assert same(rows[:1], [{"val/mAP": 41.2, "bad": math.nan, "epoch": 3}])
    assert rows[1:] == [{"val/mAP": 5, "epoch": 3}, {"val/cmc_rank_1": 4.0, "epoch": 3}]


def test_structured_lines_have_the_names_that_files_would_give_them(reid: LogFormat) -> None:
    log = 'METRIC {"epoch": 1, "val": {"mAP": 41.2, "cmc": {"r1": 9}}, "x": "NaN", "y": "1.5", "an odd näme": [1]}\r\n'
    assert same(parse(reid, log), [{"val/mAP": 41.2, "val/cmc/r1": 9, "x": math.nan, "y": 1.5, "epoch": 1}])


@pytest.mark.parametrize("line", ["METRIC {{{}}}", "got {{{}}}"])  # a METRIC line, a printed dictionary
def test_numbers_and_names_that_nothing_else_can_hold(line: str) -> None:
    log_format = LogFormat((MetricPattern(compile_search(r"got (?P<d>\{.*\})"), literal="d"),))
    huge = "1" + "0" * 320
    content = (
        f'"loss": {huge}, "down": -{huge}, "wide": {2**64}, "exact": {2**60}, "a\\ud800\\nb": 1, "\\ud83d\\ude00": 2'
    )
    rows = parse(log_format, line.format(content) + "\n")
    wanted = {"loss": math.inf, "down": -math.inf, "wide": 2.0**64, "exact": 2**60, "a??b": 1, "\U0001f600": 2}
    assert same(rows, [wanted])


def test_a_structured_line_that_cannot_be_read_is_remembered(reid: LogFormat) -> None:
    parser = LogParser(reid)
    assert parser.feed_chunk(b"METRIC {}\nMETRIC {'loss': 1}\nMETRIC {\"a\": \n") == []
    assert parser.unreadable == "METRIC {'loss': 1}"


def test_a_structured_line_is_not_counted_twice() -> None:
    log_format = LogFormat((compile_pattern(r'"loss": (?P<v>{number})', {"loss": "v"}),))
    assert parse(log_format, 'METRIC {"loss": 1}\n') == [{"loss": 1}]


def test_colour_progress_bars_and_bytes_that_are_no_text(reid: LogFormat) -> None:
    green = "\x1b[32m[01/01 x]: \x1b[0mEpoch\x1b[1m[1] Iteration[1/2]\x1b[0m Loss: 1.5, Acc: 0.5, Base Lr: 1e-4\x1b[K"
    title = "\x1b]0;title\x07mAP: 1.0%"
    assert len(parse(reid, f"{green}\n{title}\n")) == 2
    bar = b"\r 50%|##   | Epoch[1] Iteration[1/2] Loss: 1.0, Acc: 0.0, Base Lr: 1\r100%|####| mAP: 2.0%\r\n"
    assert [row.get("val/mAP") for row in parse(reid, bar)] == [None, 2.0]
    assert parse(reid, b"\0\0\xff\xfe \xe9 mAP: 3.0%\0\xff\r\n") == [{"val/mAP": 3.0}]


def test_text_beyond_ascii_matches_as_text() -> None:
    log_format = LogFormat((compile_pattern(r"(?P<k>\w+) précision: (?P<v>{number})", {"{k}": "v"}),))
    assert parse(log_format, "été précision: 0.5\n") == [{"été": 0.5}]


@pytest.mark.parametrize("seed", range(20))
def test_where_the_output_is_cut_makes_no_difference(reid: LogFormat, seed: int) -> None:
    cut = random.Random(seed)
    lines = []
    for epoch in range(1, 9):
        lines += [
            "chatter é \x1b[1mbold\x1b[0m",
            train_line(epoch, epoch, math.nan, 0.1),
            *validation_lines(epoch, 0.1),
        ]
    data = cut.choice(["\n", "\r\n", "\r"]).join(lines).encode()
    whole = parse(reid, data)
    parser = LogParser(reid)
    rows: list[Row] = []
    while data:
        size = cut.randint(1, 120)
        rows += parser.feed_chunk(data[:size])
        data = data[size:]
    assert len(whole) == 16
    assert same(rows + parser.close(), whole)


def test_chunks_and_single_lines_agree(reid: LogFormat) -> None:
    lines = ["noise", train_line(1, 1, 2, 3), *validation_lines(1, 0.5), "\x1b[1mmAP\x1b[0m: 7.0%"]
    parser = LogParser(reid)
    by_line = [row for line in lines for row in parser.feed(line.encode())] + parser.close()
    assert by_line == parse(reid, "\n".join(lines))
    assert len(by_line) == 3


def test_a_pause_does_not_read_half_a_line(reid: LogFormat) -> None:
    parser = LogParser(reid)
    assert parser.feed_chunk(b"mAP: 1.0%\nCMC curve, Rank-1  :8") == []
    assert parser.flush() == [{"val/mAP": 1.0}]
    assert parser.feed_chunk(b"8.8%\n") + parser.close() == [{"val/cmc_rank_1": 88.8}]


def test_a_last_line_without_an_end_is_read(reid: LogFormat) -> None:
    assert parse(reid, "mAP: 1.0%") == [{"val/mAP": 1.0}]


def test_a_stream_without_line_ends_needs_bounded_memory(reid: LogFormat) -> None:
    parser = LogParser(reid)
    head = b"mAP: 1.0% then "
    piece = b"." * (1 << 20)
    parser.feed_chunk(head)
    tracemalloc.start()
    for _ in range(200):
        parser.feed_chunk(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * LINE_LIMIT
    assert parser.feed_chunk(b"\nmAP: 2.0%\n") + parser.close() == [{"val/mAP": 1.0}, {"val/mAP": 2.0}]


def test_what_lies_beyond_the_limit_of_a_line_is_not_read_however_it_is_cut(reid: LogFormat) -> None:
    line = b"." * LINE_LIMIT + b'METRIC {"x": 1}\n'
    assert parse(reid, line) == []
    parser = LogParser(reid)
    assert [row for at in range(0, len(line), 1000) for row in parser.feed_chunk(line[at : at + 1000])] == []


@pytest.mark.parametrize("content", [b"x", b"mAP: ", b"\x1b[", b"METRIC {", b"CMC curve, Rank-1 :"])
def test_a_line_of_ten_megabytes_does_not_stall(reid: LogFormat, content: bytes) -> None:
    line = content * (10_000_000 // len(content))
    start = time.process_time()
    rows = parse(reid, line + b"\nmAP: 2.0%\n")
    assert time.process_time() - start < 2
    assert rows == [{"val/mAP": 2.0}]


def test_numbers_keep_their_kind() -> None:
    log_format = LogFormat((compile_pattern(r"n=(?P<v>{number})(?:;|$)", {"n": "v"}),))
    texts = [
        "12",
        "-3",
        "1,234",
        "1,234,567.5",
        "1.",
        ".5",
        "1e3",
        "1.00E+00",
        "+7",
        "NaN",
        "-inf",
        "Infinity",
        "1e999",
    ]
    rows = parse(log_format, "".join(f"n={text};\n" for text in texts))
    values = [12, -3, 1234, 1234567.5, 1.0, 0.5, 1000.0, 1.0, 7, math.nan, -math.inf, math.inf, math.inf]
    assert same(rows, [{"n": value} for value in values])


def test_a_number_is_taken_whole() -> None:
    log_format = LogFormat((compile_pattern(r"n=(?P<v>{number})", {"n": "v"}),))
    rows = parse(log_format, "n=888\nn=1234,567\nn=1,2345\nn=nanoseconds\nn=information\n")
    assert rows == [{"n": 888}, {"n": 1234.567}, {"n": 1.2345}]


def test_a_list_is_no_number_with_thousands() -> None:
    first = LogFormat((compile_pattern(r"n=\[?(?P<v>{number})", {"n": "v"}),))
    rows = parse(first, "n=1,234.5\nn=[1,2,3]\nn=[100,200,3]\nn=12,345, next 6\nn=1,234,567\n")
    assert rows == [{"n": 1234.5}, {"n": 1}, {"n": 100}, {"n": 12345}, {"n": 1234567}]
    columns = compile_pattern(
        ",".join(f"(?P<v{n}>{{number}})" for n in range(12)) + ";", {f"c{n}": f"v{n}" for n in range(12)}
    )
    assert columns.find(",".join(map(str, range(100, 112))) + ";") == {f"c{n}": 100 + n for n in range(12)}
    start = time.process_time()
    assert columns.find("111," * 15_000) == {}
    assert time.process_time() - start < 2
