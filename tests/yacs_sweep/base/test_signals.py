"""Handlers hold for a block, in the main thread alone."""

from __future__ import annotations

import os
import signal
import threading

from yacs_sweep.base.signals import handled, noted


def test_handlers_are_put_back_after_the_block() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    seen: list[str] = []
    with handled({signal.SIGUSR1: lambda: seen.append("one"), signal.SIGUSR2: lambda: seen.append("two")}):
        os.kill(os.getpid(), signal.SIGUSR2)
        os.kill(os.getpid(), signal.SIGUSR1)
    assert sorted(seen) == ["one", "two"]
    assert signal.getsignal(signal.SIGUSR1) == before


def test_the_signals_that_end_a_launch_are_noted() -> None:
    received: list[int] = []
    with noted(received):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert sorted(received) == [signal.SIGINT, signal.SIGTERM]


def test_another_thread_changes_nothing() -> None:
    received: list[int] = []

    def work() -> None:
        with noted(received), handled({signal.SIGUSR1: lambda: None}):
            handlers.append(signal.getsignal(signal.SIGTERM))

    handlers: list[object] = []
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [before] and received == []
