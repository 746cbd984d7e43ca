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


def memory(pid: int) -> tuple[float, float]:
    """Reads a process's unique and proportional set size in MB."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        fields[name] = int(value.split()[0]) / 1e3
    return fields["Private_Clean"] + fields["Private_Dirty"], fields["Pss"]
