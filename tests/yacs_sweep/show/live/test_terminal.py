"""What is written to a terminal, and that nobody waits for it."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import pyte
import pytest

from yacs_sweep.show.cells import Line
from yacs_sweep.show.live.painter import Painter
from yacs_sweep.show.live.terminal import MESSAGES, Screen, is_screen, pieces, tell
from yacs_sweep.show.live.view import evaluation_line


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pyte.HistoryScreen:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return pyte.HistoryScreen(40, 12, history=1000)


def feed(terminal: pyte.Screen, text: str) -> list[str]:
    pyte.Stream(terminal).feed(text.replace("\n", "\r\n"))
    return [line.rstrip() for line in terminal.display]


def lines(*texts: str) -> list[Line]:
    return [[(text, "green")] for text in texts]


def test_messages_scroll_above_the_frame(terminal: pyte.HistoryScreen) -> None:
    painter = Painter()
    feed(terminal, "$ sweep\n" + painter.draw(["[sweep] started"], lines("a", "b"), 40, 12))
    shown = feed(terminal, painter.draw(["[sweep] ✓ one", "two"], lines("A", "B", "C"), 40, 12))
    assert shown[:8] == ["$ sweep", "[sweep] started", "[sweep] ✓ one", "two", "A", "B", "C", ""]
    shown = feed(terminal, painter.draw([], lines("only"), 40, 12))
    assert shown[3:7] == ["two", "only", "", ""]
    assert painter.draw([], lines("only"), 40, 12) == ""  # nothing to do
    shown = feed(terminal, painter.draw(["done"], [], 40, 12))
    assert shown[3:7] == ["two", "done", "", ""]
    for number in range(30):
        shown = feed(terminal, painter.draw([f"message {number}"], lines("x", "y"), 40, 12))
    assert shown[-4:] == ["message 29", "x", "y", ""]
    history = ["".join(cell.data for cell in line.values()).rstrip() for line in terminal.history.top]
    assert history[-1] == "message 20" and history.count("x") == 0  # frames never get there


def test_a_line_wider_than_a_narrowed_terminal_is_reckoned_with() -> None:
    painter = Painter()
    painter.draw([], lines("x" * 39, "y"), 40, 12)
    assert painter.draw([], lines("x"), 20, 12).count("\x1b[3A") == 1  # two rows and one


def test_no_mode_of_the_terminal_is_changed_and_no_colour_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = Painter().draw(["✗ failed"], lines("a"), 40, 12)
    assert "\x1b[32ma" in text and "\x1b[31m✗" in text
    assert "?25l" not in text and "?1049" not in text  # cursor, other screen
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in Painter().draw(["✗ failed"], lines("a"), 40, 12)


@pytest.mark.parametrize(
    ("tty", "environ", "there"),
    [
        (True, {"TERM": "xterm"}, True),
        (False, {"TERM": "xterm"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {}, False),
        (True, {"TERM": "xterm", "CI": "true"}, False),
        (True, {"TERM": "xterm", "CI": "false"}, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, True),
    ],
)
def test_where_a_screen_is_drawn(tty: bool, environ: dict[str, str], there: bool) -> None:
    assert is_screen(tty, environ) is there


class Stuck:
    """A reader that takes nothing until it is let."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.open, self.text = False, ""

    def write(self, text: str) -> None:
        while not self.open:
            time.sleep(0.01)
        self.text += text

    def flush(self) -> None:
        pass


def test_nobody_waits_for_a_reader_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    out: Any = Stuck()
    monkeypatch.setattr(sys, "stdout", out)
    shown = Screen()
    shown.say("first")
    time.sleep(0.3)
    started = time.monotonic()
    for number in range(MESSAGES + 500):
        shown.say(f"line {number}")
    assert time.monotonic() - started < 5.0
    out.open = True
    shown.close()
    told = out.text.splitlines()
    assert told[:2] == ["first", "line 0"]
    assert told[-1] == "[sweep] 500 lines not shown: the terminal was too slow"


class Gone:
    """A stream of the user's own, without a descriptor, that takes nothing."""

    def __init__(self, error: Exception) -> None:
        self.error, self.tried = error, 0

    def write(self, text: str) -> None:
        self.tried += 1
        raise self.error


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("x")])
def test_a_stream_that_is_gone_is_no_error(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(sys, "stdout", out := Gone(error))
    shown = Screen()
    for _ in range(3):
        shown.say("x")
        time.sleep(0.02)
    shown.close()
    assert out.tried == 1


def test_a_letter_the_encoding_lacks_is_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    with (tmp_path / "out").open("w", encoding="ascii") as out:
        monkeypatch.setattr(sys, "stdout", out)
        shown = Screen()
        shown.say("✓ done")
        shown.close()
    assert (tmp_path / "out").read_text() == "? done\n"


def test_a_screen_that_fails_costs_the_screen_alone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(columns: int, rows: int) -> list[Line]:
        raise ZeroDivisionError("oops")

    monkeypatch.setenv("TERM", "xterm")
    shown = Screen(broken)
    time.sleep(0.3)
    shown.say("still here")
    shown.close()
    out = capfd.readouterr().out
    assert "warning: the live view cannot be drawn (ZeroDivisionError('oops'))" in out and "still here\n" in out


def test_what_makes_lines_is_never_left_out_and_may_fail(capfd: pytest.CaptureFixture[str]) -> None:
    made: list[int] = []

    def broken() -> list[str]:
        raise OSError("no file")

    shown = Screen(look=lambda: made.append(len(made)) or [])
    for _ in range(10):
        shown.say("line")
    shown.say(lambda: ["made", "of it"])
    shown.say(broken)
    time.sleep(0.2)
    shown.close()
    out = capfd.readouterr().out
    assert "line\nmade\nof it\n" in out and "progress cannot be shown (OSError('no file'))" in out
    assert made[:1] == [0]


def test_what_is_told_goes_to_the_screen_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tell("before")
    shown = Screen()
    monkeypatch.setattr("yacs_sweep.show.live.terminal.current", shown)
    tell("on it")
    shown.close()
    assert capsys.readouterr().out == "before\non it\n"


def test_programs_output_comes_as_clean_whole_lines(capfd: pytest.CaptureFixture[str]) -> None:
    shown = Screen(output=True)
    for data in (b"one\n\x1b[2Jtw", b"o\n 10%\r 20%\n", b"rest"):
        os.write(shown.descriptor, data)
        time.sleep(0.25)
    shown.close()
    assert capfd.readouterr().out == "one\ntwo\n 20%\nrest\n"


def test_an_evaluation_is_one_line() -> None:
    row = {
        "id": "a",
        "step": 4,
        "epoch": 2,
        "iteration": 9,
        "val/cmc_rank_1": 50.0,
        "val/mAP": 41.25,
        "x": 1,
        "y": 2,
        "z": 3,
    }
    assert evaluation_line("t", "val/mAP", row) == "· t epoch 2: val/mAP 41.25, val/cmc_rank_1 50, x 1, y 2"
    assert evaluation_line("t", "loss", {"id": "a", "loss": float("nan")}) == "· t: loss nan"


def test_lines_are_written_in_pieces_that_a_pipe_takes_in_one() -> None:
    lines = ["학" * 300, "a" * 200, "b" * 500, "c" * 5000, "d", "e"]
    found = list(pieces(lines))
    assert "".join(found) == "".join(f"{line}\n" for line in lines)
    assert all(piece.endswith("\n") for piece in found)
    assert [len(piece) for piece in found] == [1003, 5001, 4]
    assert all(len(piece.encode()) <= 4096 or piece.count("\n") == 1 for piece in found)
    assert list(pieces([])) == []
