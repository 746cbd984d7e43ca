"""Puts a launch to sleep on SIGTSTP (Ctrl-Z), until `fg`, `bg` or SIGCONT.

The agents stop their trials (`freezer`), then the supervisor stops itself, so that the shell gets its prompt. What was asleep
is no part of a trial's time, and no limit counts it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from ...base.signals import AWAKE, handled
from ...base.wording import counted
from ...show.lines import duration_text
from ...show.live.terminal import held
from .worker import Worker

FALL_ASLEEP = 2.0  # seconds the agents get to stop their trials, before the supervisor stops all the same
STEP = 0.05  # seconds between two looks at whether they have


class Sleep:
    """Stops and continues the trials of a launch together with its supervisor."""

    def __init__(
        self,
        workers: Sequence[Worker],
        read_messages: Callable[[float], None],
        say: Callable[[str], None],
        signals: Sequence[int],
        on_change: Callable[[bool], object] | None = None,
    ) -> None:
        """Keeps the workers.

        Args:
            signals: those received that end the launch: it does not sleep before they were obeyed.
            read_messages: handles what the agents send within so many seconds.
            say: shows the user a line.
            on_change: called when the launch falls asleep (True), and when it continues.
        """
        self._workers, self._read_messages, self._say = workers, read_messages, say
        self._signals, self._asked, self._on_change = signals, False, on_change
        self.asleep = False  # no trial is granted meanwhile

    @contextlib.contextmanager
    def heeding(self) -> Iterator[None]:
        """Notes SIGTSTP within a block, unless whoever started the launch lets it ignore the signal."""
        main = threading.current_thread() is threading.main_thread()
        if not main or signal.getsignal(signal.SIGTSTP) is not signal.SIG_DFL:
            yield
            return
        with handled({signal.SIGTSTP: self._ask}):
            yield

    def _ask(self) -> None:
        self._asked = True

    def obey(self, *, ending: bool) -> bool:
        """Sleeps if that was asked for; returns whether it was.

        Args:
            ending: whether the trials are being ended: they are let come to their end.
        """
        if not self._asked or self._signals:
            return False
        began = time.monotonic()
        self._set_asleep(True)
        agents = [] if ending else [worker for worker in self._workers if worker.connected]
        for worker in agents:
            worker.asleep = False
            worker.channel.send(sleep=True)
        while any(worker.granted and worker.connected and not worker.asleep for worker in agents):
            if time.monotonic() > began + FALL_ASLEEP:
                break
            self._read_messages(STEP)
        running = sum(worker.trial is not None for worker in agents)
        if running:
            self._say(
                f"Ctrl-Z: {counted(running, 'trial')} stopped until `fg` or `bg`; their memory stays in use, also on GPUs"
            )
        if not self._signals:
            with held():
                self._stop()
        self._asked = False
        self._set_asleep(False)
        for worker in agents:
            if worker.connected:
                worker.channel.send(sleep=False)
        if running:
            self._say(f"continued after {duration_text(time.monotonic() - began)}, which counts for no limit")
        return True

    def _set_asleep(self, asleep: bool) -> None:
        """Stops the clock of the launch, or lets it run again, and shows others so."""
        self.asleep = asleep
        (AWAKE.stop if asleep else AWAKE.go)()
        if self._on_change is not None:
            self._on_change(asleep)

    def _stop(self) -> None:
        """Stops this process as SIGTSTP does that nobody handles: not at all where nobody could continue it."""
        noting = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        try:
            signal.raise_signal(signal.SIGTSTP)
        finally:
            signal.signal(signal.SIGTSTP, noting)
