"""Reads a sweep's orders with no more than a look at a file, as long as nobody has given any."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..folder import SweepPaths

if TYPE_CHECKING:
    from .order_file import OrderFile
    from .orders import Entry


class LateOrders:
    """Reads the orders in a sweep's folder (an `OrderLog`); imports `OrderFile` once there are any."""

    def __init__(self, paths: SweepPaths) -> None:
        self._paths = paths
        self._file: OrderFile | None = None

    def _opened(self) -> OrderFile:
        """Returns the list of orders itself."""
        if self._file is None:
            from .order_file import OrderFile

            self._file = OrderFile(self._paths)
        return self._file

    def append(self, entry: Entry) -> None:
        """Adds an order or an answer. Raises OSError where it cannot be written."""
        self._opened().append(entry)

    def read(self) -> list[Entry]:
        """Reads the new entries."""
        if self._file is None and not os.path.exists(self._paths.control):
            return []
        return self._opened().read()
