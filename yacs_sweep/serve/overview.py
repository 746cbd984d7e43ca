"""Lists sweeps for the served index: how each stands, and what has changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..records.alive import launchers
from ..records.control.order_file import OrderFile
from ..records.control.orders import count_wanted, paused_by
from ..records.folder import OVER, SweepPaths
from ..records.launch_file import read_launch
from ..records.progress import Tally
from ..show.lines import best_value
from ..show.snapshot import last_change, summary_head

PERIOD = 3.0  # seconds between two looks


class Overview:
    """`Source` of the index."""

    over = False  # a sweep may be started at any time

    def __init__(self, sweeps: Callable[[], Sequence[SweepPaths]]) -> None:
        """Makes the index.

        Args:
            sweeps: finds the sweeps, the latest first.
        """
        self._sweeps = sweeps
        self._rows: dict[str, dict[str, Any]] = {}
        self._heads: dict[str, tuple[int, Mapping[str, Any]]] = {}  # by id: when summary.json was written, what it says

    def poll(self) -> dict[str, Any] | None:
        """Returns the sweeps that have changed, and the ids of those that are gone; None: nothing has."""
        rows = {paths.sweep_id: self.row(paths) for paths in reversed(self._sweeps())}
        changed = [row for sweep_id, row in reversed(rows.items()) if self._rows.get(sweep_id) != row]
        gone = [sweep_id for sweep_id in self._rows if sweep_id not in rows]
        self._rows = rows
        return {"sweeps": changed, "gone": gone} if changed or gone else None

    def whole(self) -> dict[str, Any]:
        """Returns all sweeps, the latest first."""
        return {"sweeps": list(reversed(self._rows.values())), "gone": []}

    def row(self, paths: SweepPaths) -> dict[str, Any]:
        """Describes a sweep by its last summary.json, without reading its trials."""
        head, launch = self._head(paths), read_launch(paths)
        counts = Tally.without(head.get("counts") or {}, head.get("retried") or {}).counts
        orders, runs = OrderFile(paths).read(), launchers(paths)
        done = int(head.get("settled") or sum(counts.get(state, 0) for state in OVER))
        target = max(count_wanted(launch, orders), done)
        state = "running" if runs else "open" if done < target else "done"
        if state != "done" and paused_by(orders) is not None:
            state = "paused"
        best = head.get("best") or {}
        return {
            "id": paths.sweep_id,
            "name": str(head.get("name") or paths.sweep_id),
            "state": state,
            "done": done,
            "target": target,
            "running": counts.get("running", 0) if runs else 0,
            "failed": counts.get("failed", 0),
            "metric": str((head.get("metric") or {}).get("name") or ""),
            "best": best_value(best) if best else None,
            "changed": round(last_change(paths)),
        }

    def _head(self, paths: SweepPaths) -> Mapping[str, Any]:
        """Reads a summary.json that has been written since the last time."""
        try:
            written = os.stat(paths.summary).st_mtime_ns
        except OSError:
            return {}
        known = self._heads.get(paths.sweep_id)
        if known is None or known[0] != written:
            known = self._heads[paths.sweep_id] = written, summary_head(paths.summary)
        return known[1]


def age(changed: float, now: float | None = None) -> str:
    """Formats how long ago a moment was: `3 min ago`."""
    seconds = max(0.0, (time.time() if now is None else now) - changed)
    if seconds < 60:
        return "now"
    if seconds < 2 * 3600:
        return f"{int(seconds // 60)} min ago"
    return f"{int(seconds // 3600)} h ago" if seconds < 48 * 3600 else f"{int(seconds // 86400)} days ago"
