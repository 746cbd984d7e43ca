"""Counts the CPU cores that the launcher may use, and divides them among the workers."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

THREADS = "OMP_NUM_THREADS"  # MKL and OpenBLAS follow it where their own variable is not set


def cgroup_quota(cgroup: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Returns the cores that the cgroup allows on average (``cpu.max``, ``cpu.cfs_quota_us``); None without a limit."""
    limits = []
    with contextlib.suppress(OSError, ValueError):
        for line in cgroup.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for folder in (root / path.lstrip("/"), root):
                if not controllers:
                    limits += _limit(_words(folder / "cpu.max"))
                elif "cpu" in controllers.split(","):
                    folder = root / "cpu" / folder.relative_to(root)
                    limits += _limit(_words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us"))
    return min(limits, default=None)


def _words(path: Path) -> list[str]:
    """Reads a file's words; none when it cannot be read."""
    try:
        return path.read_text().split()
    except OSError:
        return []


def _limit(words: list[str]) -> list[float]:
    """Returns the limit that a quota and a period make, in a list that is empty without one."""
    if len(words) != 2 or words[0] in ("max", "-1"):
        return []
    return [int(words[0]) / int(words[1])]


def usable_cores() -> list[int]:
    """Lists the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def threads_each(cores: int, quota: float | None, workers: int) -> int:
    """Counts the threads for each worker's trial. Pure."""
    allowed = cores if quota is None else min(cores, quota)
    return max(1, int(allowed // workers))


def shares(cores: Sequence[int], quota: float | None, workers: int) -> list[tuple[int, ...]]:
    """Divides the cores among the workers: those to which each one's trials are pinned. Pure.

    Empty (no pinning) for one worker, for fewer cores than workers, and under a quota that allows less than the cores.
    """
    if workers == 1 or len(cores) < workers or (quota is not None and quota < len(cores)):
        return [()] * workers
    cuts = [len(cores) * worker // workers for worker in range(workers + 1)]
    return [tuple(cores[first:last]) for first, last in itertools.pairwise(cuts)]
