"""Finds where a sweep's orders are kept, without SQLAlchemy for a sweep in a folder."""

from __future__ import annotations

from ...records.control.order_file import OrderFile
from ...records.control.orders import OrderLog
from ...records.folder import SweepPaths
from .url import shared


def order_log(paths: SweepPaths, storage: str | None) -> OrderLog:
    """Returns the list of a sweep's orders: a table where machines share the sweep's database, else a file of its folder.

    A launch has `DatabaseTrials.orders` instead of the table, so that it never waits for the database.

    Args:
        storage: the database's URL, with its password; None: the sweep has none.
    """
    if storage is None or not shared(storage):
        return OrderFile(paths)
    from .order_table import OrderTable  # imports SQLAlchemy, which takes a while

    return OrderTable.at(storage, paths.sweep_id)
