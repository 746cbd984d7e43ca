"""The x-axis may be printed before its metrics, on their line, or after them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.patterns import compile_pattern
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.logs.parser import WAITING, LogParser
from yacs_sweep.logs.patterns import LogFormat
from yacs_sweep.logs.sources import Row
from yacs_sweep.trainers.load import load_profile

BEFORE = LogFormat(
    (
        compile_pattern(r"epoch (?P<e>\d+)(?: loss (?P<v>{number}))?", {"epoch": "e", "train/loss": "v"}),
        compile_pattern(r"mAP (?P<v>{number})", {"val/mAP": "v"}),
        compile_pattern(r"rank (?P<v>{number})", {"val/rank": "v"}),
        compile_pattern(r"set (?P<s>\w+) (?P<a>{number}) (?P<b>{number})", {"{s}/a": "a", "{s}/b": "b"}),
    )
)
AFTER = replace(BEFORE, axis_after=True)


def parse(log_format: LogFormat, *lines: str) -> list[Row]:
    parser = LogParser(log_format)
    return [row for line in lines for row in parser.feed(line.encode())] + parser.close()


@pytest.mark.parametrize("line", ["epoch 2", "epoch 2 loss 5"])
def test_metrics_wait_for_an_axis_that_comes_after_them(line: str) -> None:
    rows = parse(AFTER, "epoch 1 loss 6", "mAP 1", "rank 2", "set a 3 4", "set b 5 6", line)
    assert rows[:1] == [{"train/loss": 6, "epoch": 1}]
    assert rows[1:4] == [
        {"val/mAP": 1, "val/rank": 2, "epoch": 2},
        {"a/a": 3, "a/b": 4, "epoch": 2},
        {"b/a": 5, "b/b": 6, "epoch": 2},
    ]
    assert rows[4:] == ([{"train/loss": 5, "epoch": 2}] if "loss" in line else [])
    assert parse(BEFORE, "epoch 1 loss 6", "mAP 1", "rank 2", line)[1] == {"val/mAP": 1, "val/rank": 2, "epoch": 1}


def test_an_axis_that_is_printed_again_takes_what_was_printed_between() -> None:
    assert parse(AFTER, "epoch 1 loss 6", "mAP 1", "epoch 1 loss 5", "mAP 2", "epoch 2 loss 4")[1::2] == [
        {"val/mAP": 1, "epoch": 1},
        {"val/mAP": 2, "epoch": 2},
    ]


def test_an_axis_on_the_same_line_counts_at_once_in_both_ways() -> None:
    same_line = compile_pattern(r"^(?P<e>\d+): (?P<k>\w+)=(?P<v>{number})", {"epoch": "e", "val/{k}": "v"})
    for log_format in (BEFORE, AFTER):
        log_format = replace(log_format, entries=(same_line,))
        assert parse(log_format, "1: a=1", "1: b=2", "2: a=3") == [
            {"val/a": 1, "val/b": 2, "epoch": 1},
            {"val/a": 3, "epoch": 2},
        ]


def test_a_pause_does_not_give_waiting_rows_away_but_the_end_does() -> None:
    parser = LogParser(AFTER)
    assert parser.feed(b"epoch 1 loss 6") + parser.feed(b"mAP 1") == [{"train/loss": 6, "epoch": 1}]
    assert parser.flush() == []
    assert parser.feed(b"epoch 2") == [{"val/mAP": 1, "epoch": 2}]
    assert parser.feed(b"mAP 2") + parser.flush() == []
    assert parser.close() == [{"val/mAP": 2, "epoch": 2}]  # a last evaluation after the last line
    assert parse(AFTER, "mAP 1") == [{"val/mAP": 1}]


def test_rows_do_not_wait_without_end_for_an_axis_that_never_comes() -> None:
    parser = LogParser(AFTER)
    rows = [row for number in range(WAITING + 5) for row in parser.feed(f"set a {number} 1".encode())]
    assert rows == [{"a/a": number, "a/b": 1} for number in range(5)]
    assert len(parser.close()) == WAITING


def test_lines_that_were_kept_back_keep_their_axis_when_they_count_after_the_end() -> None:
    parser = LogParser(LogFormat((), axis_after=True, generic=True))
    parser.keep_back()
    assert parser.feed(b"acc: 1") + parser.feed(b"epoch: 3") + parser.feed(b"acc: 2") + parser.close() == []
    assert parser.release() == [{"acc": 1, "epoch": 3}, {"acc": 2, "epoch": 3}]


def test_the_profile_says_where_the_axis_is_printed(tmp_path: Path) -> None:
    def load(text: str) -> LogFormat:
        file = tmp_path / "p.yaml"
        file.write_text(f"command: [t]\n{text}")
        return load_profile(file, project_root=tmp_path).metrics

    assert not load("").axis_after
    assert not load("axis_printed: before\n").axis_after
    assert load("axis-printed: After\naxis: iter\n").axis_after
    with pytest.raises(ConfigError, match=r"axis_printed.*'late' is not allowed; allowed: before, after"):
        load("axis_printed: late\n")
