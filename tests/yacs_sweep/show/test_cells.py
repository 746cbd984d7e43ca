"""Text for terminals: widths, cutting, sparklines, and other people's text made harmless."""

from __future__ import annotations

import math

import pytest

from yacs_sweep.base.wording import cells, cut, wrap
from yacs_sweep.show.cells import clean, clip, cut_apart, cut_front, cut_middle, fit, output_lines, plain, sparkline


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07name", "name"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("a\x1b", "a"),
        ("\x9b2Ja", "a"),
        ("a\x07b\x00\x7f", "a?b??"),
        ("tab\there\r\n", "tab here  "),
        ("right\u202eto left", "right?to left"),
        ("학습률=0.1", "학습률=0.1"),
    ],
)
def test_nothing_in_other_peoples_text_is_a_command(text: str, shown: str) -> None:
    assert clean(text) == shown
    assert clean(text).isprintable()


def test_output_is_shown_line_by_line_and_of_a_progress_bar_the_last_state() -> None:
    data = b"one\r\n 10%|#   |\r 20%|##  |\r\n\x1b[2K\x1b[1mbold\x1b[0m\xff"
    assert output_lines(data) == ["one", " 20%|##  |", "bold\ufffd"]


def test_wide_letters_take_two_columns() -> None:
    assert (cells("abc"), cells("학습"), cells("e\u0301")) == (3, 4, 1)
    assert cells("\u1112\u1161\u11a8") == 2  # 학 in parts, as macOS writes file names
    assert (cells("😀"), cells("a\u20dd"), cells("\u0e01\u0e34")) == (2, 1, 1)  # an enclosing circle; Thai ki
    assert cut("학습률", 5) == "학습…"
    assert fit("학습률", 4) == "학… "
    assert fit("7", 3, right=True) == "  7"
    assert cut_front("log/sweep/sweep/abc", 10) == "…sweep/abc"
    assert plain(clip([("abc", "bold"), ("def", ""), ("   ", "")], 5)) == "abcd…"
    assert plain(clip([("abc  ", ""), ("   ", "")], 20)) == "abc"


@pytest.mark.parametrize("width", range(12))
def test_the_middle_is_cut_to_the_width(width: int) -> None:
    short = cut_middle("0123456789", width)
    assert cells(short) == min(width, 10)
    if 3 <= width < 10:
        front, back = short.split("…")
        assert "0123456789".startswith(front) and "0123456789".endswith(back) and front and back
    assert cells(cut_middle("학습률학습률", width)) <= width


@pytest.mark.parametrize(
    ("texts", "short"),
    [
        (["adam", "sgd"], ["adam", "sgd"]),
        # One value is like no other: its middle gives way.
        (["configs/bag_of_tricks/duke.yml", "a.yml"], ["configs/ba…s/duke.yml", "a.yml"]),
        # Folders that are the same in all long ones.
        ([f"configs/{name}/market1501_r50.yml" for name in ("agw", "sbs")], ["…/agw/…", "…/sbs/…"]),
        (["runs/one/weights/a.pth/last", "runs/two/weights/a.pth"], ["…/one/weig…a.pth/last", "…/two/weights/a.pth"]),
        # One is the other's beginning or end: a part of each stays.
        (["long_folder/long_folder/x", "long_folder/long_folder/x/x"], ["…/x", "…/x/x"]),
        # They differ just before the part of 10 that stays at 21 columns: two columns more show it.
        (
            ["a" * 20 + "1" + "b" * 11, "a" * 20 + "2" + "b" * 11],
            ["a" * 11 + "…1" + "b" * 11, "a" * 11 + "…2" + "b" * 11],
        ),
    ],
)
def test_different_texts_stay_different(texts: list[str], short: list[str]) -> None:
    assert cut_apart(texts, 21) == dict(zip(texts, short, strict=True))


def test_sparklines_scale_gap_and_shrink() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([1.0, 1.0, 1.0], 8) == "▄▄▄"
    assert sparkline([0, math.nan, 1], 8) == "▁ █"
    assert sparkline([-math.inf, 0, 1], 8) == " ▁█"
    assert sparkline([5.0], 8) == sparkline([], 8) == ""
    line = sparkline([float(value) for value in range(1000)], 10)
    assert len(line) == 10
    assert line[0] == "▁" and line[-1] == "█" and list(line) == sorted(line)
    assert sparkline([-1e308, 1e308], 4) == "▄▄"  # their distance is no float


def test_lines_break_between_words() -> None:
    assert wrap("one two three", 9, indent=2) == ["one two", "  three"]
    assert wrap("학습률이 너무 큽니다", 10) == ["학습률이", "너무", "큽니다"]
    assert wrap("a /data/a/very/long/path b", 10) == ["a", "/data/a/very/long/path", "b"]
    assert wrap("a /data/a/very/long/path b", 10, whole=False) == ["a", "/data/a/ve", "ry/long/pa", "th b"]
    assert wrap("    kept  blanks", 80) == ["    kept  blanks"]
    assert wrap("", 10) == [""]
