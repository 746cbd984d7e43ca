"""Shares the few connections that a database server has: gives idle ones back, and recognises when none is left."""

from __future__ import annotations

import threading

import sqlalchemy as sa

IDLE = 1.0  # seconds after which an unused connection is given back to the server, which has a limited number


def without_idle_connections(engine: sa.Engine) -> sa.Engine:
    """Makes an engine of a database server close its connections once they are unused for `IDLE` seconds.

    An agent uses its connection for moments and then runs a trial for hours. Kept open, the connections of some agents
    would keep the others out.
    """
    if engine.dialect.name != "postgresql":
        return engine
    timers: list[threading.Timer] = []

    def close() -> None:
        if engine.pool.checkedout() == 0:  # type: ignore[attr-defined]
            engine.dispose()

    @sa.event.listens_for(engine, "checkin")
    def start(*_: object) -> None:
        for timer in timers:
            timer.cancel()
        timers[:] = [threading.Timer(IDLE, close)]
        timers[0].daemon = True
        timers[0].start()

    return engine


def out_of_connections(error: BaseException) -> bool:
    """Returns whether an error says that the server takes no further connection, being at its limit."""
    seen: BaseException | None = error
    while seen is not None:
        text = str(getattr(seen, "orig", None) or seen)
        if "too many clients" in text or "remaining connection slots" in text or "too many connections" in text:
            return True
        seen = seen.__cause__ or seen.__context__
    return False
