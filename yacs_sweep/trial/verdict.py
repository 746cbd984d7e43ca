"""Why a trial ended: from its exit status, our own request, and what it printed last. Pure, but for `oom_kills` and
`no_room`."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
import signal
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from ..base.processes import signal_name
from .process import Exit, Stop
from .tracebacks import TRACEBACK, Words, last_of_chain, read

# Causes that are the machine's fault, not the configuration's: only these are worth the same parameters again.
INFRASTRUCTURE = frozenset({"signal", "lost", "guard_lost", "gpu_taken", "gpu_fault"})
OUT_OF_MEMORY = frozenset({"oom", "cuda_oom"})  # worth it only if the user says so (--on-oom retry)
ROOM = 1 << 30  # bytes; with less free, a trainer that finds no space on a disk is believed
PROBE = 1 << 20  # bytes written to see whether a quota allows it
# PyTorch's message says how much each process holds on the GPU.
_OTHERS_HOLD = re.compile(r"\bProcess \d+ has ([\d.]+) ([KMGT]iB) memory in use")
_OWN_HOLDS = re.compile(r"this process has ([\d.]+) ([KMGT]iB) memory in use")
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_PRINTED = (
    (
        "cuda_oom",
        re.compile(r"^.*(?:CUDA out of memory|torch\.(?:cuda\.)?OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED).*$", re.M),
    ),
    (
        # What the processes of a trial share, data loaders and NCCL above all; PyTorch's files there are called torch_….
        "shared_memory",
        re.compile(
            r"^.*(?:</?torch_\w+>: No space left|(?:out of|insufficient) shared memory"
            r"|Error while creating shared memory segment).*$",
            re.M,
        ),
    ),
    ("disk_full", re.compile(r"^.*(?:No space left on device|Disk quota exceeded).*$", re.M)),
    (
        # The device or its driver, whatever the configuration. Not among them: errors that a kernel's own mistake gives
        # as well (device-side assert, illegal address, launch failure), and a device number the trainer does not have.
        "gpu_fault",
        re.compile(
            r"^(?!.*Warning: ).*(?:no CUDA-capable device|No CUDA GPUs are available|uncorrectable (?:ECC|NVLink) error|NVRM: Xid"
            r"|CUDA driver initialization failed|CUDA unknown error|CUDA error: unknown error"
            r"|CUDA error: (?:initialization error|system not yet initialized|hardware stack error)|GPU is lost"
            r"|CUDA-capable device(?:s|\(s\)) (?:are|is/are) busy or unavailable|fallen off the bus"
            r"|Driver/library version mismatch|Unable to determine the device handle).*$",
            re.M,
        ),
    ),
    ("import_error", re.compile(r"^(?:ModuleNotFoundError|ImportError): .*$", re.M)),
    ("diverged", re.compile(r"^.*\bdiverged: .*$", re.M)),
)
# No fault of the configuration's: looked for in what was told beside the last exception, too.
_OF_MACHINE = ("cuda_oom", "shared_memory", "disk_full", "gpu_fault")
# A data-loader worker may be the one that the kernel killed; the trainer then fails by itself.
_WORKER_KILLED = re.compile(r"DataLoader worker .* is killed by signal: Killed")
# `error: 0.31` is a metric.
_LAST_ERROR = re.compile(
    r"^(?:[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit)(?:: (?![-+]?\d*\.\d).*|:?)"
    r"|(?:.*: )?(?:error|Error|ERROR): (?![-+]?[\d.]+(?:e[-+]?\d+)?%?(?:[\s,;]|$)).*)$",
    re.M,
)
# In quotes, as Python and the shell's programs write them, or by itself; at a line's start it is the program's.
_PATH = re.compile(r"""['"]([^'"]*/[^'"]*)['"]|: ['"]([^'"]+)['"]|(?<=[\s(=])(/[^\s'":;,)>]+)""")
_LABEL = {
    "cuda_oom": "CUDA out of memory",
    "shared_memory": "shared memory full",
    "disk_full": "disk full",
    "some_disk": "no space left, and no path says where",  # disk_full as well: its point is tried again
    "no_space": "no space left, though there is where results go",
    "gpu_fault": "GPU fault",
    "import_error": "import error",
    "diverged": "diverged",
}


class FullDisk(Enum):
    """Which disk a line of output that reports a full one is about."""

    RESULTS = "the disk that results are written to"
    OTHER = "another disk"
    UNKNOWN = "no path in the line says which, and there is room where results go"


@dataclass(frozen=True)
class Verdict:
    """`state` of trial.json, `cause` as one term, `reason` in words."""

    state: str
    cause: str
    reason: str

    @property
    def of_machine(self) -> bool:
        """Whether the machine ended the trial, not the trainer."""
        return self.cause in INFRASTRUCTURE

    def retries(self, asked: int, on_oom: str) -> int:
        """How often the same parameters are tried again after this end. `asked`: --retries; `on_oom`: skip or retry."""
        if self.cause == "guard_lost":  # our own part failed: once more without being asked
            return max(1, asked)
        if self.cause in OUT_OF_MEMORY:
            return max(1, asked) if on_oom == "retry" else 0
        return asked if self.cause in INFRASTRUCTURE else 0


def oom_kills(cgroup: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """How often the kernel has killed for memory in this process's cgroup; None if that cannot be read.

    Args:
        cgroup: names it, as in cgroups(7): ``0::/path`` for version 2, ``4:memory:/path`` for version 1.
        root: where the hierarchies are mounted. Counted in ``memory.events`` (v2), ``memory.oom_control`` (v1).
    """
    places = []
    with contextlib.suppress(OSError, ValueError):
        for line in cgroup.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                places += [root / path.lstrip("/") / "memory.events", root / "memory.events"]
            elif "memory" in controllers.split(","):
                # A container sees its own cgroup as the root.
                v1 = root / "memory"
                places += [v1 / path.lstrip("/") / "memory.oom_control", v1 / "memory.oom_control"]
    for place in places:
        with contextlib.suppress(OSError, StopIteration, ValueError):
            lines = place.read_text().splitlines()
            return int(next(line.split()[1] for line in lines if line.startswith("oom_kill ")))
    return None


def no_room(folder: Path) -> bool:
    """Whether the disk is full that `folder` is on, or too nearly so for what trials write."""
    try:
        disk = os.statvfs(folder)
        if disk.f_bavail * disk.f_frsize < ROOM or (disk.f_files and not disk.f_favail):
            return True
        with tempfile.TemporaryFile(dir=folder) as file:  # a quota shows in no number
            file.write(bytes(PROBE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return False


def which_disk(line: str, folder: Path, cwd: Path) -> FullDisk:
    """Returns which disk is full by a line of output that says that one is.

    Args:
        folder: where results are written.
        cwd: of the trainer, for a path in the line.
    """
    paths = [cwd / next(filter(None, found)) for found in _PATH.findall(line)]
    if any(_disk(path) == _disk(folder) for path in paths) or no_room(folder):
        return FullDisk.RESULTS
    return FullDisk.OTHER if paths else FullDisk.UNKNOWN


def _disk(path: Path) -> int | None:
    """The file system of a path, also of a file that is not there."""
    for place in (path, *path.parents):
        with contextlib.suppress(OSError, ValueError):
            return place.stat().st_dev
    return None


def classify(
    end: Exit | None,
    output: str,
    *,
    metric: str | None,
    metric_seen: bool,
    last_values: Mapping[str, Any],
    oom_before: int | None = None,
    oom_after: int | None = None,
    full: Callable[[str], FullDisk] = lambda line: FullDisk.RESULTS,
) -> Verdict:
    """Why a trial ended.

    Args:
        output: the last lines it printed.
        metric: the sweep's metric; a trial that ends well without ever logging it has failed. None: not needed.
        last_values: the last value of every metric it logged.
        oom_before, oom_after: `oom_kills()` around the trial.
        full: returns which disk is full by a line of output that says that one is.
    """
    if end is None:
        return Verdict("failed", "start", "the trainer was not started")
    if end.stop is not None:
        return requested(end.stop, end.status)
    if end.status == 0:
        if metric is not None and not metric_seen:
            seen = ", ".join(sorted(last_values)) or "none at all"
            reason = f"never logged the sweep's metric {metric}; metrics it logged: {seen}"
            return Verdict("failed", "no_metric", reason)
        return Verdict("finished", "finished", "finished")
    words = read(end.status, output)
    if verdict := _told(words, full):
        return verdict
    status, output = words.status, words.output
    killed = status in (-signal.SIGKILL, 128 + signal.SIGKILL) or _WORKER_KILLED.search(output) is not None
    if killed and (oom_after or 0) > (oom_before or 0):
        return Verdict("failed", "oom", "killed by the kernel: out of memory (counted by its cgroup)")
    if status is not None and (status < 0 or status in (137, 143)):
        return Verdict("failed", "signal", f"ended by {_signal_name(status)}, not sent by the launcher")
    broken = sorted(
        name for name, value in last_values.items() if isinstance(value, float) and not math.isfinite(value)
    )
    if broken:
        reason = f"diverged: {broken[0]} is {last_values[broken[0]]}, exit code {status}"
        return Verdict("failed", "diverged", reason)
    found = [*_LAST_ERROR.finditer(output), *TRACEBACK.finditer(output)]
    last = max(found, key=re.Match.end, default=None)
    detail = f": {last[last.lastindex or 0].strip()}" if last else ""
    return Verdict("failed", "exit", f"exit code {status}{detail}"[:400])


def _told(words: Words, full: Callable[[str], FullDisk]) -> Verdict | None:
    """What the trainer's own words say of its end: its last exception, else those it was raised from, else what was told
    beside it, where that is no fault of the configuration's."""
    last, of_machine = last_of_chain(words.errors), [cause for cause in _PRINTED if cause[0] in _OF_MACHINE]
    texts = [(last, _PRINTED), (words.errors, _PRINTED), *((text, of_machine) for text in words.earlier)]
    for text, known in texts:
        for cause, pattern in known:
            if not (lines := pattern.findall(text)):
                continue
            line = lines[-1].strip()
            if cause == "cuda_oom" and (others := _memory_of_others(text)):
                return Verdict("failed", "gpu_taken", f"CUDA out of memory: other processes hold {others} on the GPU")
            label = _disk_label(line, words, full) if cause == "disk_full" else cause
            if not label or (label in ("import_error", "no_space") and (text is not last or words.status != 1)):
                continue  # the program went on without it: what was not caught is the last, and ends Python with 1
            cause = "disk_full" if label == "some_disk" else label
            return Verdict("failed", cause, f"{_LABEL[label]}: {line}"[:400])
    return None


def _disk_label(line: str, words: Words, full: Callable[[str], FullDisk]) -> str:
    """What is full by that line, as a key of `_LABEL`; nothing where that is not known and need not have ended the trial.

    Room may be there again: who reserves it for a file, and gives it back when it is too little, leaves no trace.
    """
    disk = full(line)
    if disk is FullDisk.RESULTS:
        return "disk_full"
    if "/dev/shm" in line:
        return "shared_memory"
    if disk is FullDisk.OTHER:
        return "no_space"
    return "some_disk" if line in words.final and 0 < (words.status or 0) < 128 else ""


def _memory_of_others(output: str) -> str:
    """How much other processes hold, if that is more than the trial itself does; else nothing."""
    others = sum(float(size) * _UNITS[unit] for size, unit in _OTHERS_HOLD.findall(output)[-8:])
    own = [float(size) * _UNITS[unit] for size, unit in _OWN_HOLDS.findall(output)[-1:]]
    return f"{others / (1 << 30):.1f} GiB" if others > (own[0] if own else 0.0) else ""


def requested(stop: Stop, status: int | None) -> Verdict:
    """The end of a trial that we ended ourselves; its exit status tells no more than how it took that."""
    cause, detail = stop.cause, stop.detail
    if cause == "stopped":
        return Verdict("stopped", "stopped", f"stopped early: {detail}" if detail else "stopped early")
    if cause == "interrupted":
        return Verdict("killed", "interrupted", detail or "interrupted")
    if cause == "lost":
        return Verdict("lost", "lost", detail or "the launcher went away")
    how = "" if status is None or status >= 0 else f", ended by {_signal_name(status)}"
    return Verdict("failed", cause, f"{detail}{how}")


def _signal_name(status: int) -> str:
    """Returns the name of the signal in an exit status: -9, or 137 from a shell."""
    return signal_name(-status if status < 0 else status - 128)
