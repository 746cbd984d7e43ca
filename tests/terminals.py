"""A pseudo-terminal for a program on one end, an emulator that reads what is on its screen on the other."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyte

from tests.sweeping import environment


class Terminal:
    """A terminal of `columns` by `rows` on which a program runs."""

    def __init__(self, words: list[str], cwd: Path, columns: int = 100, rows: int = 30, **env: str) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.modes = termios.tcgetattr(self.slave)
        self.screen = pyte.HistoryScreen(columns, rows, history=5000)
        self._stream, self._lock, self.written = pyte.ByteStream(self.screen), threading.Lock(), b""
        settings = {key: value for key, value in environment(cwd).items() if key not in ("CI", "NO_COLOR")}
        self.process = subprocess.Popen(
            words,
            cwd=cwd,
            env={**settings, "TERM": "xterm-256color", **env},
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := os.read(self.master, 1 << 16):
                with self._lock:
                    self.written += data
                    self._stream.feed(data)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def lines(self) -> list[str]:
        with self._lock:
            return [line.rstrip() for line in self.screen.display]

    def wait(self, seen: Callable[[list[str]], bool], seconds: float = 180) -> list[str]:
        """The lines on the screen once they are as wanted."""
        deadline = time.monotonic() + seconds
        while not seen(lines := self.lines()):
            assert time.monotonic() < deadline, "\n".join(lines)
            time.sleep(0.05)
        return lines

    def end(self, seconds: float = 180) -> int:
        """The exit status; what was written has been read then."""
        code = self.process.wait(seconds)
        time.sleep(0.3)
        return code

    def hang_up(self) -> None:
        os.close(self.slave)
        os.close(self.master)
