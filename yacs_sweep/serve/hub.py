"""Sends what changes to all browsers that show a page: one reader for all of them, each at its own pace.

The stream is made of server-sent events. Each has a number, and the last ones are kept, so that a browser that was cut off
continues where it was (Last-Event-ID). One that was away for longer is told to load the page again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from ..base.values import to_json

KEPT = 2 << 20  # bytes of events that a browser may have missed
WAITING = 64  # events that may wait for a slow browser before it is cut off
SILENCE = 15.0  # seconds after which a comment shows that the connection lives
LINGER = 30.0  # seconds that the reader works on after the last browser has gone


class Source(Protocol):
    """Reads what the page shows."""

    def poll(self) -> Mapping[str, Any] | None:
        """Returns what has changed since the last call; None: nothing."""

    def whole(self) -> Mapping[str, Any]:
        """Returns what a browser needs that connects now."""

    @property
    def over(self) -> bool:
        """Whether nothing will change any more."""


class Hub:
    """Polls a source while anybody listens."""

    def __init__(self, source: Source, period: float, *, now: Callable[[], float] = time.monotonic) -> None:
        """Makes the hub.

        Args:
            period: seconds between two polls.
        """
        self.source = source
        self._period, self._now = period, now
        self._stamp = ""  # of the numbers, since `mark` last began to read
        self._number = 0
        self._kept: deque[tuple[int, bytes]] = deque()
        self._size = 0
        self._listeners: set[asyncio.Queue[bytes | None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._used = 0.0
        self._lock = asyncio.Lock()

    async def mark(self) -> str:
        """Returns the number of the last event, after starting to read: what is read after this call is at least as new."""
        self._used = self._now()
        async with self._lock:
            if self._task is None or self._task.done():
                # A number of another server's, or of a time when nobody listened, is none of ours.
                self._stamp, self._number, self._size = secrets.token_hex(4), 0, 0
                self._kept.clear()
                await asyncio.to_thread(self.source.poll)  # what there is, and is no news
                self._task = asyncio.create_task(self._read())
        return f"{self._stamp}-{self._number}"

    async def listen(self, after: str | None) -> AsyncIterator[bytes]:
        """Yields the stream of events, from after the given number on; ends when the source is over, or the browser too slow."""
        mark = await self.mark()
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING)
        self._listeners.add(queue)
        waiting: asyncio.Future[bytes | None] | None = None
        try:
            yield b"retry: 1000\n\n"
            missed = self._missed(after or mark)
            if missed is None:
                yield b"event: reload\ndata: {}\n\n"
                return
            yield _event("whole", await asyncio.to_thread(self.source.whole))
            for event in missed:
                yield event
            waiting = asyncio.ensure_future(queue.get())
            while not (self.source.over and queue.empty() and not waiting.done()):
                if not (await asyncio.wait({waiting}, timeout=SILENCE))[0]:
                    yield b": \n\n"
                    continue
                if (event_or_end := waiting.result()) is None:
                    return
                yield event_or_end
                waiting = asyncio.ensure_future(queue.get())
            yield _event("over", {})
        finally:
            if waiting is not None:
                waiting.cancel()
            self._listeners.discard(queue)
            self._used = self._now()

    def close(self) -> None:
        """Ends every stream, and the reader."""
        for queue in self._listeners:
            _cut_off(queue)
        if self._task is not None:
            self._task.cancel()

    def _missed(self, after: str) -> list[bytes] | None:
        """Returns the events after a number; None where they are not known any more."""
        stamp, _, number = after.partition("-")
        if stamp != self._stamp or not number.isdecimal() or int(number) > self._number:
            return None
        last = int(number)
        if last < self._number and (not self._kept or self._kept[0][0] > last + 1):
            return None
        return [event for place, event in self._kept if place > last]

    async def _read(self) -> None:
        """Polls until nobody has listened for a while, or nothing changes any more."""
        while self._listeners or self._now() - self._used < LINGER:
            started = self._now()
            changes = await asyncio.to_thread(self.source.poll)
            if changes:
                self._publish(changes)
            if self.source.over and self._listeners:
                for queue in self._listeners:
                    _put(queue, _event("over", {}))
                    _put(queue, None)
                return
            await asyncio.sleep(max(0.05, self._period - (self._now() - started)))

    def _publish(self, changes: Mapping[str, Any]) -> None:
        """Numbers an event, keeps it, and hands it to every listener."""
        self._number += 1
        event = _event("change", changes, f"{self._stamp}-{self._number}")
        self._kept.append((self._number, event))
        self._size += len(event)
        while self._size > KEPT and len(self._kept) > 1:
            self._size -= len(self._kept.popleft()[1])
        for queue in self._listeners:
            _put(queue, event)


def _put(queue: asyncio.Queue[bytes | None], event: bytes | None) -> None:
    """Hands an event to a listener; one for whom too many wait is cut off."""
    try:
        queue.put_nowait(event)
    except asyncio.QueueFull:
        _cut_off(queue)


def _cut_off(queue: asyncio.Queue[bytes | None]) -> None:
    """Ends a listener's stream, without what still waits for it: its browser connects again and asks for that."""
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(None)


def _event(name: str, content: Mapping[str, Any], number: str | None = None) -> bytes:
    """Formats a server-sent event; JSON has no line end of its own."""
    head = f"id: {number}\n" if number else ""
    return f"{head}event: {name}\ndata: {to_json(content)}\n\n".encode("utf-8", "replace")
