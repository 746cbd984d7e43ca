"""What the parser makes of a trainer's lines: guessed metrics, blocks, tables, rows kept back, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.patterns import compile_pattern
from yacs_sweep.base.values import Number
from yacs_sweep.logs import parser as parser_module
from yacs_sweep.logs.parser import LINE_LIMIT, LogParser, line_text
from yacs_sweep.logs.patterns import LogFormat, MetricPattern, Table, compile_search
from yacs_sweep.logs.sources import Row

GENERIC = LogFormat((), generic=True)
LOSS = compile_pattern(r"loss=(?P<v>{number})", {"train/loss": "v"})
ACC = compile_pattern(r"acc=(?P<v>{number})", {"val/acc": "v"})
EPOCH = compile_pattern(r"^epoch (?P<e>\d+)$", {"epoch": "e"})
BLOCK = replace(
    compile_pattern(r"(?P<k>\w+)=(?P<v>{number})", {"val/{k}": "v"}, row="val"),
    after=compile_search(r"^begin (?P<split>\w+)"),
    until=compile_search(r"^end"),
)
TABLE = MetricPattern(
    compile_search(r"^table (?P<cells>\w+,\w+)"), table=Table(",", compile_search(r"^(?P<cells>[\d.]+,[\d.]+)$"))
)


def entries(*patterns: MetricPattern, axis: str = "epoch", generic: bool = False) -> LogFormat:
    return LogFormat(patterns, axis=axis, generic=generic)


def parse(log_format: LogFormat, text: str) -> list[Row]:
    """Parses a whole text, then the same cut into lines and bytes, which must make no difference."""
    whole, lines, pieces = LogParser(log_format), LogParser(log_format), LogParser(log_format)
    rows = whole.feed_chunk(text.encode()) + whole.close()
    by_line = [row for line in text.splitlines() for row in lines.feed(line.encode())] + lines.close()
    data = text.encode()
    by_byte = [row for at in range(len(data)) for row in pieces.feed_chunk(data[at : at + 1])] + pieces.close()
    assert rows == by_line == by_byte
    assert whole.unreadable == lines.unreadable == pieces.unreadable == ""
    return rows


# -- which lines are looked at ------------------------------------------------------------------------------------------


def test_metric_lines_need_no_pattern() -> None:
    assert parse(LogFormat(()), 'noise\nMETRIC {"a": 1}\nnoise METRIC {"b": 2}\nMETRIC\n') == [{"a": 1}, {"b": 2}]


def test_nothing_is_guessed_unless_asked() -> None:
    plain = LogFormat(())
    assert parse(plain, "loss: 0.5\n") == []
    assert (plain.axis, plain.generic, plain.wandb) == ("epoch", False, False)
    assert parse(entries(ACC), "loss: 0.5\nacc=1\n") == [{"val/acc": 1}]


def test_each_line_that_looks_like_a_metric_is_guessed() -> None:
    log = "noise\nloss: 0.5\nnoise\n\nacc: 0.1 f1: 0.2\nval_loss=3\n"
    assert parse(GENERIC, log) == [{"loss": 0.5}, {"acc": 0.1, "f1": 0.2}, {"val_loss": 3}]
    assert parse(GENERIC, "loss: 1\nacc: 2\nepoch 3\nloss: 4\n") == [{"loss": 1, "acc": 2}, {"loss": 4, "epoch": 3}]


def test_where_a_pattern_matches_nothing_is_guessed() -> None:
    log_format = entries(LOSS, ACC, generic=True)
    assert parse(log_format, "loss=1 x: 2\nother: 3\nacc=5\n") == [{"train/loss": 1}, {"other": 3}, {"val/acc": 5}]


def test_of_several_patterns_those_whose_text_is_in_the_line_are_tried() -> None:
    third = compile_pattern(r"lr=(?P<v>{number})", {"lr": "v"})
    log = "acc=1\nlr=2\nloss=3\nlr=4 loss=5\n"
    assert parse(entries(LOSS, ACC, third), log) == [
        {"val/acc": 1},
        {"lr": 2},
        {"train/loss": 3},
        {"train/loss": 5, "lr": 4},
    ]


def test_a_pattern_without_fixed_text_sees_the_first_line_and_each_other() -> None:
    plain = compile_pattern(r"^(?P<v>{number})$", {"x": "v"})
    assert parse(entries(plain, LOSS), "1\nloss=2\n3\nfour\n\n5\n") == [{"x": 1}, {"train/loss": 2}, {"x": 3}, {"x": 5}]


@pytest.mark.parametrize("text", ["loss=7", "loss=7\n"])
@pytest.mark.parametrize("cut", [1, 2, 1000, LINE_LIMIT])
def test_a_line_as_long_as_the_limit_is_read_to_its_last_byte(text: str, cut: int) -> None:
    for more, expected in ((0, [{"train/loss": 7}]), (1, [])):
        data = (" " * (LINE_LIMIT - 6 + more) + text).encode()
        parser = LogParser(entries(LOSS))
        rows = parser.feed_chunk(data[:-cut]) + parser.feed_chunk(data[-cut:])
        assert rows + parser.close() == expected


def test_a_line_is_decoded_as_far_as_patterns_see_it() -> None:
    assert line_text(b"\x1b[1mlo\xffss\x1b[0m") == "lo\ufffdss"
    assert line_text(b"a" * (LINE_LIMIT + 5)) == "a" * LINE_LIMIT


# -- rows ---------------------------------------------------------------------------------------------------------------


def test_single_metrics_gather_with_those_of_the_same_prefix() -> None:
    log_format = entries(compile_pattern(r"(?P<k>[\w/]+)=(?P<v>{number})", {"{k}": "v"}))
    log = "train/loss=1\ntrain/acc=2\nval/loss=3\nval/acc=4\nval/acc=5\nlr=6\nmomentum=7\nlr=8\n"
    assert parse(log_format, log) == [
        {"train/loss": 1, "train/acc": 2},
        {"val/loss": 3, "val/acc": 4},
        {"val/acc": 5},
        {"lr": 6, "momentum": 7},
        {"lr": 8},
    ]


def test_a_metric_line_is_a_row_of_its_own_however_many_metrics_it_has() -> None:
    assert parse(LogFormat(()), 'METRIC {"a": 1}\nMETRIC {"b": 2}\n') == [{"a": 1}, {"b": 2}]


def test_a_line_whose_metrics_came_another_way_before_ends_no_row() -> None:
    log_format = entries(compile_pattern(r"(?P<k>\w+)=(?P<v>{number})", {"val/{k}": "v"}), EPOCH)
    for line in ('METRIC {"val/a": 1}', 'METRIC {"epoch": 2, "val/a": 1}'):
        assert parse(log_format, f"epoch 1\na=1\n{line}\nb=2\n") == [{"val/a": 1, "val/b": 2, "epoch": 1}]
    assert parse(log_format, 'a=1\nMETRIC {"val/a": 1, "x": 3}\n') == [{"val/a": 1}, {"x": 3}]
    more = 'epoch 1\na=1\nMETRIC {"epoch": 2, "val/a": 1, "x": 3}\n'
    assert parse(log_format, more) == [{"val/a": 1, "epoch": 1}, {"x": 3, "epoch": 2}]


def test_a_pattern_sees_a_line_with_plain_numbers_and_else_as_it_was_printed() -> None:
    assert parse(entries(LOSS), "loss=np.float64(0.5)\n") == [{"train/loss": 0.5}]
    shown = compile_pattern(r"loss=np\.float64\((?P<v>{number})\)", {"train/loss": "v"})
    assert parse(entries(shown), "loss=np.float64(0.5)\n") == [{"train/loss": 0.5}]


def test_the_axis_is_carried_on_and_ends_a_row_when_it_moves() -> None:
    log = "acc=1\nepoch 1\nacc=2\nloss=3\nepoch 1\nepoch 2\nloss=4\n"
    assert parse(entries(LOSS, ACC, EPOCH), log) == [
        {"val/acc": 1},
        {"val/acc": 2, "epoch": 1},
        {"train/loss": 3, "epoch": 1},
        {"train/loss": 4, "epoch": 2},
    ]


def test_the_first_entry_that_names_a_metric_and_a_row_wins() -> None:
    first = compile_pattern(r"a=(?P<v>{number})", {"m": "v"}, row="one")
    second = compile_pattern(r"b=(?P<v>{number})", {"m": "v", "n": "v"}, row="two")
    other = compile_pattern(r"c=(?P<v>{number})", {"k": "v"}, row="one")
    assert parse(entries(first, second, other), "a=1 b=2\nc=3\n") == [{"m": 1, "n": 2, "k": 3}]


# -- blocks and tables --------------------------------------------------------------------------------------------------


def test_an_entry_of_a_block_counts_between_its_first_and_last_line() -> None:
    log = "x=1\nbegin val\nx=2\ny=3\nend\nx=4\nloss=9\nend\nbegin val\nx=5\nend\nx=6\n"
    assert parse(entries(BLOCK, LOSS), log) == [{"val/x": 2, "val/y": 3}, {"train/loss": 9}, {"val/x": 5}]


def test_the_row_of_a_block_is_there_when_the_block_ends() -> None:
    parser = LogParser(entries(BLOCK))
    assert parser.feed_chunk(b"begin val\nx=2\n") == []
    assert parser.feed_chunk(b"end\n") == [{"val/x": 2}]
    assert parser.feed_chunk(b"end\n") == []


def test_the_end_of_a_block_that_is_not_open_ends_no_row() -> None:
    log_format = entries(BLOCK, compile_pattern(r"(?P<k>\w+): (?P<v>{number})", {"train/{k}": "v"}))
    assert parse(log_format, "a: 1\nend\nb: 2\n") == [{"train/a": 1, "train/b": 2}]


def test_blocks_of_several_entries_are_told_apart() -> None:
    second = replace(
        compile_pattern(r"(?P<k>\w+)=(?P<v>{number})", {"test/{k}": "v"}, row="test"),
        after=compile_search(r"^start (?P<split>\w+)"),
        until=compile_search(r"^stop"),
    )
    log = "start x\na=1\nend\nb=2\nstop\nbegin y\na=3\nstop\nc=4\nend\n"
    assert parse(entries(BLOCK, second), log) == [{"test/a": 1, "test/b": 2}, {"val/a": 3, "val/c": 4}]


def test_one_line_may_end_a_block_and_begin_the_next() -> None:
    ruled = replace(BLOCK, after=compile_search(r"^---"), until=compile_search(r"^---"))
    assert parse(entries(ruled), "x=1\n---\nx=2\ny=3\n---\nz=4\n") == [{"val/x": 2, "val/y": 3}, {"val/z": 4}]


def test_a_block_without_an_end_lasts() -> None:
    assert parse(entries(replace(BLOCK, until=None)), "a=1\nbegin val\nb=2\nend\nc=3\n") == [{"val/b": 2, "val/c": 3}]


def test_the_groups_of_a_blocks_first_line_name_metrics() -> None:
    named = replace(BLOCK, log=(("{split}/{k}", "v"),))
    assert parse(entries(named), "begin dev\nx=1\nend\nbegin test\nx=2\nend\n") == [{"dev/x": 1}, {"test/x": 2}]


def test_a_table_is_read_below_its_header_until_a_line_is_no_row() -> None:
    log = "1,2\ntable AP,AR\n3,4\n5,6\nloss=7\n8,9\ntable AP,AR\n10,11\n"
    assert parse(entries(TABLE, LOSS), log) == [
        {"AP": 3, "AR": 4},
        {"AP": 5, "AR": 6},
        {"train/loss": 7},
        {"AP": 10, "AR": 11},
    ]


def test_a_header_may_hold_metrics_of_another_entry() -> None:
    log = "table AP,AR loss=1\n3,4\n"
    assert parse(entries(TABLE, LOSS), log) == [{"train/loss": 1}, {"AP": 3, "AR": 4}]


def test_a_table_of_a_block_is_none_outside() -> None:
    inside = replace(TABLE, after=compile_search("^begin"), until=compile_search("^end"))
    assert parse(entries(inside), "table A,B\n1,2\nbegin\ntable A,B\n3,4\nend\n") == [{"A": 3, "B": 4}]


def test_what_follows_a_table_is_read_as_other_lines() -> None:
    assert parse(entries(TABLE, LOSS), "table A,B\n1,2\nnoise\n3,4\nloss=5\n") == [{"A": 1, "B": 2}, {"train/loss": 5}]


def test_a_table_gathers_into_the_row_that_its_entry_names() -> None:
    parser = LogParser(entries(replace(TABLE, row="val")))
    assert parser.feed_chunk(b"table A,B\n1,2\n") == []
    assert parser.feed_chunk(b"3,4\n") == [{"A": 1, "B": 2}]
    assert parser.flush() == [{"A": 3, "B": 4}]


def test_a_table_goes_on_in_the_next_chunk() -> None:
    parser = LogParser(entries(TABLE))
    assert parser.feed_chunk(b"table AP,AR\n1,2\n") == [{"AP": 1, "AR": 2}]
    assert parser.feed_chunk(b"3,4\n5,") == [{"AP": 3, "AR": 4}]
    assert parser.feed(b"7,8") == [{"AP": 7, "AR": 8}]


# -- rows kept back -----------------------------------------------------------------------------------------------------


def test_guessed_rows_are_kept_back_while_there_is_a_better_way_and_count_when_there_is_none() -> None:
    parser = LogParser(entries(ACC, generic=True))
    assert parser.feed_chunk(b"loss: 1\n") + parser.flush() == [{"loss": 1}]
    parser.keep_back()
    assert parser.feed_chunk(b"loss: 2\nacc=3\nlr: 4 n: 5\nloss: 6\n") + parser.flush() == [{"val/acc": 3}]
    assert parser.kept_names() == {"loss", "lr", "n"}
    assert parser.kept_names() == set()
    parser.keep_back()  # again: nothing is forgotten
    assert parser.release() == [{"loss": 2}, {"lr": 4, "n": 5}, {"loss": 6}]
    assert parser.release() == []
    assert parser.feed_chunk(b"loss: 7\n") + parser.flush() == [{"loss": 7}]


def test_of_too_many_rows_the_last_are_kept_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser_module, "KEPT_BACK", 2)
    parser = LogParser(GENERIC)
    parser.keep_back()
    assert parser.feed_chunk(b"a: 1 b: 1\na: 2 b: 2\na: 3 b: 3\n") == []
    assert parser.release() == [{"a": 2, "b": 2}, {"a": 3, "b": 3}]


# -- what is left out, and who is told ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log_format", "lines"),
    [
        (entries(compile_pattern(r"time=(?P<v>\S+)", {"time": "v"})), ["time=12.5ms", "time=3ms"]),
        (GENERIC, ["time: 12.5ms", "time: 3ms"]),
        (LogFormat(()), ['METRIC {"time": "12.5ms"}', 'METRIC {"time": "3ms"}']),
    ],
    ids=["a pattern", "guessed", "METRIC"],
)
def test_the_first_value_that_looks_like_a_number_and_is_none_is_kept(log_format: LogFormat, lines: list[str]) -> None:
    parser = LogParser(log_format)
    parser.feed_chunk("\n".join(["noise", *lines, ""]).encode())
    assert parser.left_out is not None
    assert (parser.left_out.name, parser.left_out.text, parser.left_out.line) == ("time", "12.5ms", lines[0])


def test_a_value_of_a_table_that_is_no_number_is_kept_with_its_line() -> None:
    table = replace(TABLE, table=Table(",", compile_search(r"^(?P<cells>[\d.]+,\w+)$")))
    parser = LogParser(entries(table))
    assert parser.feed_chunk(b"table AP,AR\n1,2\n3,4ms\n5,6ms\n") + parser.close() == [
        {"AP": 1, "AR": 2},
        {"AP": 3},
        {"AP": 5},
    ]
    assert parser.left_out is not None
    assert (parser.left_out.name, parser.left_out.text, parser.left_out.line) == ("AR", "4ms", "3,4ms")


def test_words_are_not_left_out_numbers() -> None:
    parser = LogParser(entries(compile_pattern(r"time=(?P<v>\S+)", {"time": "v"})))
    parser.feed_chunk(b"time=soon\ntime=5ms\n")
    assert parser.left_out is not None and parser.left_out.text == "5ms"


def test_the_first_metric_line_that_is_no_json_is_kept() -> None:
    parser = LogParser(LogFormat(()))
    assert parser.feed_chunk(b"METRIC {oops}\nMETRIC {again}\nMETRIC {}\n") == []
    assert parser.unreadable == "METRIC {oops}"


@pytest.mark.parametrize(
    ("log_format", "text", "matched"),
    [
        (entries(LOSS, generic=True), "noise\nother: 3\n", False),
        (entries(LOSS, generic=True), "loss=3\n", True),
        (entries(LOSS), 'METRIC {"a": 1}\n', True),
        (GENERIC, "other: 3\n", True),  # there is no entry that could match
        (GENERIC, "noise\n", False),
    ],
)
def test_a_parser_knows_whether_the_profile_has_found_a_line(log_format: LogFormat, text: str, matched: bool) -> None:
    parser = LogParser(log_format)
    assert not parser.matched
    parser.feed_chunk(text.encode())
    assert parser.matched is matched


def test_each_match_is_traced_with_its_entry() -> None:
    seen: list[tuple[object, dict[str, Number]]] = []

    def trace(entry: MetricPattern | str, metrics: Mapping[str, Number]) -> None:
        seen.append((entry, dict(metrics)))

    parser = LogParser(entries(LOSS, ACC, TABLE, generic=True), trace=trace)
    parser.feed_chunk(b'loss=1 acc=2\nother: 3\nMETRIC {"m": 4}\ntable A,B\n5,6\nnothing\n')
    assert seen == [
        (LOSS, {"train/loss": 1}),
        (ACC, {"val/acc": 2}),
        ("generic", {"other": 3}),
        ("METRIC", {"m": 4}),
        (TABLE, {"A": 5, "B": 6}),
    ]
