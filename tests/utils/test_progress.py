from __future__ import annotations

import io
import logging

import pytest

from utils.progress import ProgressBar, progress_line, with_progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_tells_speed_and_what_is_left() -> None:
    assert progress_line("Epoch 2/9", 50, 200, seconds=20.0, items=40) == (
        "Epoch 2/9 [######..................] 50/200  2.00/s  0:01:15 left"
    )
    assert progress_line("x", 0, 200, seconds=0.0, items=0) == "x [........................] 0/200"


def test_log_lines_stand_on_lines_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    bar = ProgressBar(screen)
    log = logging.getLogger("test_progress")
    handler = logging.StreamHandler(screen)
    log.addHandler(handler)
    log.addFilter(bar)
    bar.start(0)
    bar.show("x", 1, 2)
    bar.show("x", 2, 2)  # too soon for another picture
    log.warning("mAP: 4.4%")
    log.removeFilter(bar)
    log.removeHandler(handler)
    shown, _, rest = screen.getvalue().partition("\x1b[K")
    assert shown.startswith("\rx [############............] 1/2")
    assert rest == "\r\x1b[KmAP: 4.4%\n"


def test_a_loop_is_watched_until_it_ends_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, log = Terminal(), logging.getLogger("test_progress")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", screen)
    with pytest.raises(ValueError), with_progress_bar(["a", "b"], "veri", log) as batches:
        assert next(batches) == "a"
        assert next(batches) == "b"
        raise ValueError
    shown, cleared, rest = screen.getvalue().split("\x1b[K")
    assert shown.startswith("\rveri [############............] 1/2  ") and (cleared, rest) == ("\r", "")
    assert log.filters == []


def test_nothing_is_shown_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, dumb = io.StringIO(), Terminal()
    monkeypatch.setenv("TERM", "dumb")
    for stream in (pipe, dumb):
        bar = ProgressBar(stream)
        bar.start(0)
        bar.show("x", 1, 2)
        bar.clear()
        assert stream.getvalue() == ""
