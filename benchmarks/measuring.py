"""Measurement of memory for the benchmarks."""

from __future__ import annotations

import resource
from pathlib import Path


def peak_mb(*, reset: bool = False) -> float:
    """Reads the peak memory of this process in MB, on Linux since the last reset."""
    status = Path("/proc/self/status")
    if status.is_file():
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        return float(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS, in bytes
