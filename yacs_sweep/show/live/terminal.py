"""Writes the launcher's output on a thread of its own, so that nobody waits for a terminal or an unread pipe."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...base.streams import broken, print_lines, write_text
from ...base.wording import counted
from ..cells import Line, output_lines
from .painter import Painter

PERIOD = 1.0  # seconds between two frames, usually
SOON = 0.1  # and at least
MESSAGES = 10_000  # lines that may wait for a slow reader before some are left out
MARK = "[sweep] "
PIECE = 1024  # characters of at most 4 bytes that are written at a time
READ = 1 << 16
MOST = 1 << 20  # bytes of programs' output that are shown in one go
CLOSE = 5.0  # seconds a terminal that takes nothing gets at the end,
HOLD = 1.0  # and before the process is stopped
Frame = Callable[[int, int], list[Line]]  # of so many columns and rows
Told = str | Callable[[], Sequence[str]]  # lines, or what makes them


def is_screen(tty: bool, environ: Mapping[str, str]) -> bool:
    """Tells whether a frame can be drawn and redrawn: on a terminal that moves its cursor, and not in CI."""
    if not tty or environ.get("TERM", "") in ("", "dumb", "unknown"):
        return False
    return environ.get("CI", "").lower() in ("", "0", "false")


class Screen:
    """Writes messages and, below them, a frame. `say` never blocks; lines for a stuck reader are left out and counted."""

    def __init__(
        self, frame: Frame | None = None, look: Callable[[], Sequence[str]] | None = None, *, output: bool = False
    ) -> None:
        """Starts the thread.

        Args:
            frame: draws the frame for so many columns and rows, about once a second, on the screen's thread.
            look: called about once a second, on the screen's thread; returns lines to show.
            output: whether programs' output is shown between the messages; they write it to `descriptor`.
        """
        self._frame, self._look = frame, look
        self._out: Any = sys.stdout
        self._lines: deque[Told] = deque()
        self._dropped = 0
        self._lock = threading.Lock()
        self._ending = False
        self._gone = False  # the terminal is
        self._renewed = False
        self._hold, self._holding, self._go = False, threading.Event(), threading.Event()
        self._looked = 0.0  # when `look` was called last (monotonic seconds)
        self._awake, self._wake = os.pipe()
        for end in (self._awake, self._wake):
            os.set_blocking(end, False)
        self._output, self.descriptor = os.pipe() if output else (-1, -1)
        self._rest = b""
        with contextlib.suppress(AttributeError, OSError, ValueError):  # closed, or full
            self._out.flush()
        self._thread = threading.Thread(target=self._work, name="screen", daemon=True)
        self._thread.start()

    # -- called from any thread -------------------------------------------------------------------------------------

    def say(self, told: Told) -> None:
        """Shows lines; never blocks. A callable is called on the screen's thread and never left out."""
        with self._lock:
            if isinstance(told, str) and len(self._lines) >= MESSAGES:
                self._dropped += 1
                return
            self._lines.append(told)
        self.wake()

    def wake(self) -> None:
        """Wakes the thread to show something; may be called from a signal handler."""
        with contextlib.suppress(OSError):
            os.write(self._wake, b"\0")

    def renew(self) -> None:
        """Draws a new frame after the process was stopped (SIGCONT): the shell has written below the old one."""
        self._renewed = True
        self.wake()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Shows everything, then nothing within the block (Ctrl-Z), and draws a new frame after it."""
        self._go.clear()
        self._holding.clear()
        self._hold = True
        self.wake()
        self._holding.wait(HOLD)
        try:
            yield
        finally:
            self._hold = False
            self.renew()
            self._go.set()

    def hang_up(self) -> None:
        """Shows nothing from here on, as the terminal is gone."""
        self._gone = True
        self.wake()

    def close(self) -> None:
        """Shows the lines that wait, and removes the frame."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self._ending = True
        self.wake()
        self._thread.join(CLOSE if self._frame is not None else None)
        if not self._thread.is_alive():
            for end in (self._awake, self._wake):
                os.close(end)

    # -- on the thread ----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Shows lines and frames until the end (the thread's work)."""
        painter = Painter() if self._frame is not None else None
        silenced = False
        while True:
            ending = self._ending  # before the last look for messages
            messages = self._take_output(ending)
            with self._lock:
                told = list(self._lines)
                self._lines.clear()
                dropped, self._dropped = self._dropped, 0
            for each in told:
                messages += [each] if isinstance(each, str) else self._made(each)
            if self._look is not None and not ending and time.monotonic() - self._looked >= SOON:
                self._looked = time.monotonic()
                messages += self._made(self._look)
            if dropped:
                messages.append(f"[sweep] {counted(dropped, 'line')} not shown: the terminal was too slow")
            try:
                if not self._gone:
                    self._show(painter, messages, ending)
            except (OSError, ValueError):  # closed, or the terminal is gone
                self._gone = True
            except Exception as error:
                if painter is None:  # the user's own stream, which takes no lines either
                    self._gone = True
                else:  # ours; the sweep, and its messages, continue
                    painter = self._frame = None
                    self.say(
                        f"[sweep] warning: the live view cannot be drawn ({error!r}); printing plain lines instead"
                    )
            if self._gone and not silenced:
                silence(self._out)
                silenced, painter = True, None
            if ending:
                break
            if self._hold:
                with self._lock:
                    shown = not self._lines
                if shown:
                    self._holding.set()
                    self._go.wait()
                continue
            self._wait(PERIOD if painter is not None or self._look is not None else None, drawn=painter is not None)
        if self._output >= 0:
            os.close(self._output)

    def _made(self, make: Callable[[], Sequence[str]]) -> Sequence[str]:
        """Calls a maker of lines; an error in it becomes a warning."""
        try:
            return make()
        except Exception as error:  # ours, or a file's; nothing that is only shown may end more than itself
            self._look = None
            return [f"[sweep] warning: trials' progress cannot be shown ({error!r})"]

    def _wait(self, period: float | None, *, drawn: bool) -> None:
        """Waits for something to show, at most `period` seconds; a frame is `drawn` no more often than `SOON`."""
        time.sleep(SOON if drawn or (period is not None and self._output < 0) else 0.0)
        ends = [self._awake, *([self._output] if self._output >= 0 else [])]
        ready, _, _ = select.select(ends, [], [], None if period is None else max(0.0, period - SOON))
        if self._awake in ready:
            with contextlib.suppress(BlockingIOError):
                while os.read(self._awake, 4096):
                    pass

    def _take_output(self, ending: bool) -> list[str]:
        """Reads the whole lines that programs have written; at the end an unfinished one, too."""
        data = b""
        while self._output >= 0 and select.select([self._output], [], [], 0)[0]:
            data += (piece := os.read(self._output, READ))
            if not piece or (len(data) > MOST and not ending):
                break
        whole, newline, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest[-READ:]
        if ending and self._rest:
            whole, newline, self._rest = whole + newline + self._rest, b"\n", b""
        return output_lines(whole) if newline else []

    def _show(self, painter: Painter | None, messages: list[str], ending: bool) -> None:
        """Writes the messages, and the frame if there is a painter."""
        if painter is None or self._frame is None:
            for piece in pieces(messages):
                write_text(piece, self._out)
            return
        size = terminal_size(self._out)
        if self._renewed:
            self._renewed = False
            painter.forget()
        frame = [] if ending or in_background(self._out) else self._frame(*size)
        if text := painter.draw(messages, frame, *size):
            write_all(self._out.fileno(), text.encode(self._out.encoding or "utf-8", "replace"))


def pieces(lines: Sequence[str]) -> Iterator[str]:
    """Joins lines to texts that a pipe takes in one, whoever else writes to it (PIPE_BUF, pipe(7)); long ones stand alone."""
    gathered, size = list[str](), 0
    for line in lines:
        if gathered and size + len(line) >= PIECE:
            yield "".join(gathered)
            gathered, size = [], 0
        gathered.append(f"{line}\n")
        size += len(line) + 1
    if gathered:
        yield "".join(gathered)


def write_all(descriptor: int, data: bytes) -> None:
    """Writes all data to a slow terminal, even when somebody has set it not to block."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [], 1.0)


def terminal_size(out: Any) -> tuple[int, int]:
    """Returns the terminal's columns and rows; 80 by 24 when unknown."""
    try:
        columns, rows = os.get_terminal_size(out.fileno())
    except (OSError, ValueError):
        columns, rows = 0, 0
    return columns or 80, rows or 24


def in_background(out: Any) -> bool:
    """Tells whether another job has the terminal (`bg`): a frame would be drawn into what is typed."""
    try:
        return os.tcgetpgrp(out.fileno()) != os.getpgrp()
    except (OSError, ValueError):
        return False


def silence(out: Any) -> None:
    """Leads a stream whose terminal or reader is gone to /dev/null, standard error too if it is that terminal."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # the user's own may have no descriptor
        ours, others = os.fstat(out.fileno()), os.fstat(sys.stderr.fileno())
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, out.fileno())
        if stat.S_ISCHR(ours.st_mode) and ours.st_rdev == others.st_rdev:  # the same terminal
            os.dup2(null, sys.stderr.fileno())
        os.close(null)


current: Screen | None = None  # while there is one, it has the terminal


def tell(text: str) -> None:
    """Shows lines on the current screen, or prints them when there is none."""
    if current is not None:
        current.say(text)
    else:
        print_lines(text)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Lets the current screen, if there is one, show all it has and then rest for a block."""
    with current.held() if current is not None else contextlib.nullcontext():
        yield


def say(text: str, command: str = "") -> None:
    """Prints a message of the launcher, and behind it a command for pasting."""
    tell(message(text, command))


def message(text: str, command: str = "") -> str:
    """Marks a message of the launcher, so that it differs from the trainer's lines; on a terminal it breaks between words."""
    return broken(f"{MARK}{text}", sys.stdout, len(MARK), command)
