"""Copies the orders of a sweep that is kept in a database to its folder on each machine, where they are shown from."""

from __future__ import annotations

import contextlib

from ...base.values import to_json
from .order_file import OrderFile
from .orders import Entry, OrderLog, entry_row


class MirroredOrders:
    """Reads another `OrderLog`, and copies its entries to the sweep's folder, for `--status` and the report."""

    def __init__(self, log: OrderLog, copy: OrderFile) -> None:
        """Makes the log.

        Args:
            log: what is obeyed, and gets the answers.
            copy: gets each entry of `log`; it may be written by several launches of this machine.
        """
        self._log, self._copy = log, copy
        self._copied: set[str] = set()

    def append(self, entry: Entry) -> None:
        """Adds an entry to the log, from which it is read and copied."""
        self._log.append(entry)

    def read(self) -> list[Entry]:
        """Reads the new entries of the log, and copies them; a copy that cannot be written is no error."""
        entries = self._log.read()
        if entries:
            with contextlib.suppress(OSError):
                self._copied |= {_text(entry) for entry in self._copy.read()}
                for entry in entries:
                    if _text(entry) not in self._copied:
                        self._copy.append(entry)
        return entries


def _text(entry: Entry) -> str:
    return to_json(entry_row(entry))
