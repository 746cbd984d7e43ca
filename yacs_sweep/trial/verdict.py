"""Classifies a trial's end by its exit status, the launcher's own request and the last output.

Pure, but for `oom_kills` and the functions that look at disks.
"""

from __future__ import annotations

import contextlib
import errno
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
from ..base.values import finite_number
from ..records.folder import ORDERED_ENDS, RESUMES
from .process import Exit, Stop
from .tracebacks import SURVIVED, TRACEBACK, TrainerError, count_lines, find_error, last_of_chain, without_children

# Causes that are the machine's fault, not the configuration's: only after these may the same parameters end otherwise.
INFRASTRUCTURE = frozenset({"signal", "lost", "guard_lost", "gpu_taken", "gpu_fault"})
OUT_OF_MEMORY = frozenset({"oom", "cuda_oom"})  # tried again only if the user asks for it (--on-oom retry)
LONGEST = 400  # characters of a reason
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
        # Shared memory of a trial's processes, mostly data loaders and NCCL; PyTorch's files in it are called torch_….
        "shared_memory",
        re.compile(
            r"^.*(?:</?torch_\w+>: No space left|(?:out of|insufficient) shared memory"
            r"|Error while creating shared memory segment).*$",
            re.M,
        ),
    ),
    ("disk_full", re.compile(r"^.*(?:No space left on device|Disk quota exceeded).*$", re.M)),
    (
        # Faults of the device or its driver. Left out: errors that a faulty kernel causes as well (device-side assert,
        # illegal address, launch failure), and a device number that does not exist.
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
    ("diverged", re.compile(r"^.*\b(diverged: .*)$", re.M)),
)
# Faults of the machine, which are also searched for in exceptions beside the last one.
_OF_MACHINE = ("cuda_oom", "shared_memory", "disk_full", "gpu_fault")
# The kernel may kill a data-loader worker; the trainer then fails by itself.
_WORKER_KILLED = re.compile(r"DataLoader worker .* is killed by signal: Killed")
_TERMINATED = re.compile(r"killed by signal: Terminated|SIGTERM|\bsignal 15\b", re.I)
_RAISED = re.compile(r": ([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Warning))(?::|$)")
# `error: 0.31` is a metric. `what():` is how C++ shows an exception that nobody catches, `Could not override` how Hydra
# refuses a key.
_LAST_ERROR = re.compile(
    r"^(?:[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit)(?:: (?![-+]?\d*\.\d).*|:?)"
    r"|(?:.*: )?(?:error|Error|ERROR): (?![-+]?[\d.]+(?:e[-+]?\d+)?%?(?:[\s,;]|$)).*|  what\(\):  .*"
    r"|Could not override '.*)$",
    re.M,
)
# Numbers with their names, alone on a line: metrics, and no reason.
_NAME, _NUMBER = r"[A-Za-z][\w/@.-]*", r"[-+]?(?:\d[\w.+-]*|nan|inf)\b%?"
_ROW = re.compile(
    rf"METRIC\b|\w*\[[^\]]*\]|['\"]?{_NAME}(?:,? {_NAME}){{0,2}}['\"]?\s*[:=]\s*{_NUMBER}|{_NAME} {_NUMBER}", re.I
)
# Lines of W&B's client, which prints a summary after an exception, and of torchrun about the processes it has started.
_OTHERS = re.compile(r"^(?:wandb: |[EWI]\d{4} [\d:.]+ \d+ torch/distributed/).*\n?", re.M)
# Signals by which a program ends itself, so that the program's last words say why.
_OWN_SIGNALS = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP)
# A path in quotes, as Python and shell programs write them, or bare; not at a line's start, where a program names itself.
_PATH = re.compile(r"""['"]([^'"]*/[^'"]*)['"]|: ['"]([^'"]+)['"]|(?<=[\s(=])(/[^\s'":;,)>]+)""")
_LABEL = {
    "cuda_oom": "CUDA out of memory",
    "shared_memory": "shared memory full",
    "disk_full": "disk full",
    "some_disk": "no space left on a disk that is not named",  # disk_full as well: its point is tried again
    "no_space": "no space left on another disk than the results'",
    "gpu_fault": "GPU fault",
    "import_error": "import error",
    "diverged": "diverged",
}


class FullDisk(Enum):
    """Says which disk is full, by a line of output that reports a full disk."""

    RESULTS = "the disk that results are written to"
    OTHER = "another disk"
    UNKNOWN = "no path in the line says which, and there is room where results go"


@dataclass(frozen=True)
class Verdict:
    """A trial's end as trial.json has it: `state`, `cause` as one term, `reason` in words."""

    state: str
    cause: str
    reason: str

    def paused(self) -> Verdict:
        """Returns the verdict on a trial that another attempt resumes: one that was cut short has paused."""
        if self.state not in ("killed", "lost"):
            return self
        return Verdict("paused", self.cause, f"{self.reason}; {RESUMES}")

    @property
    def by_machine(self) -> bool:
        """Whether the machine ended the trial, not the trainer."""
        return self.cause in INFRASTRUCTURE

    def retries(self, asked: int, on_oom: str) -> int:
        """Returns how often the same point is tried again after this end.

        Args:
            asked: --retries.
            on_oom: skip or retry.
        """
        if self.cause in ("guard_lost", "io_error"):  # a fault of the launcher: one more attempt in any case
            return max(1, asked)
        if self.cause in OUT_OF_MEMORY:
            return max(1, asked) if on_oom == "retry" else 0
        return asked if self.cause in INFRASTRUCTURE else 0


def oom_kills(cgroup: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Counts the processes of this cgroup that the kernel has killed for memory; None if the count cannot be read.

    Args:
        cgroup: file that names the cgroup, see cgroups(7): ``0::/path`` for version 2, ``4:memory:/path`` for version 1.
        root: where the hierarchies are mounted. The count is in ``memory.events`` (v2), ``memory.oom_control`` (v1).
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


def is_disk_full(folder: Path) -> bool:
    """Returns whether the disk of a folder is full, or has less than 1 GiB free."""
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
    if any(_disk(path) == _disk(folder) for path in paths) or is_disk_full(folder):
        return FullDisk.RESULTS
    return FullDisk.OTHER if paths else FullDisk.UNKNOWN


def _disk(path: Path) -> int | None:
    """Returns the file system of a path, also of a file that does not exist."""
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
    value: float | None = None,
    last_values: Mapping[str, Any],
    oom_before: int | None = None,
    oom_after: int | None = None,
    full: Callable[[str], FullDisk] = lambda line: FullDisk.RESULTS,
    unheeded: bool = False,
) -> Verdict:
    """Classifies a trial's end.

    Args:
        end: how its process ended; None: it was not started.
        output: the last lines it printed.
        metric: the sweep's metric; a trial that exits with 0 without ever logging the metric has failed. None: not needed.
        value: the trial's value of the metric; one that is nan or infinite cannot be compared, so the trial has failed.
        last_values: the last value of every metric it logged.
        oom_before, oom_after: `oom_kills()` around the trial.
        full: returns which disk is full by a line of output that says that one is.
        unheeded: whether exit status 0 after a stop means that the trainer came to its end all the same; one that takes
            SIGTERM may end with 0 as well, before its end.
    """
    if end is None:
        return Verdict("failed", "start", "the trainer was not started")
    if end.stop is not None:
        if end.status == 0 and unheeded and (metric is None or (metric_seen and _comparable(value))):
            if end.stop.cause == "paused":  # it came to its end before it could be paused
                return Verdict("finished", "finished", "finished")
            return Verdict("finished", "finished", f"finished in spite of a stop: {end.stop.detail or end.stop.cause}")
        if end.stop.cause == "paused" and (own := _own_failure(end.status, output, full)):
            return own
        return requested_end(end.stop, end.status)
    if end.status == 0:
        if metric is not None and not metric_seen:
            seen = ", ".join(sorted(last_values)) or "none at all"
            reason = f"never logged the sweep's metric {metric}; metrics it logged: {seen}"
            return Verdict("failed", "no_metric", reason)
        if metric is not None and not _comparable(value):
            return Verdict("failed", "diverged", f"diverged: {metric} is {value}")
        return Verdict("finished", "finished", "finished")
    error = find_error(end.status, output)
    if verdict := _reported_fault(error, full):
        return verdict
    status, output = error.status, error.output
    killed = status in (-signal.SIGKILL, 128 + signal.SIGKILL) or _WORKER_KILLED.search(output) is not None
    if killed and (oom_after or 0) > (oom_before or 0):
        return Verdict("failed", "oom", "killed by the kernel: out of memory (counted by its cgroup)")
    if status is not None and (status < 0 or status in (137, 143)):
        said = _last_words(error.output) if -status in _OWN_SIGNALS else ""
        return Verdict("failed", "signal", f"ended by {_signal_name(status)}, not sent by the launcher{said}"[:LONGEST])
    broken = sorted(name for name, last in last_values.items() if isinstance(last, float) and not finite_number(last))
    if broken:
        reason = f"diverged: {broken[0]} is {last_values[broken[0]]}, exit code {status}{_last_words(output)}"
        return Verdict("failed", "diverged", reason[:LONGEST])
    return Verdict("failed", "exit", f"exit code {status}{_last_words(output)}"[:LONGEST])


def _own_failure(status: int | None, output: str, full: Callable[[str], FullDisk]) -> Verdict | None:
    """Returns the own failure of a trainer that was to pause; None for one that ended because it was told to.

    A trainer may end with an exception when it is signalled, or with any exit status: only an exception of another kind,
    or a fault that the output names, is the trainer's own failure.
    """
    if status is None or status <= 0 or status in (128 + signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGKILL):
        return None
    error = find_error(status, output)
    if verdict := _reported_fault(error, full):
        return verdict
    found = _last_words(error.output)
    raised = _RAISED.match(found)
    if raised is None or raised[1].endswith(("Interrupt", "Exit")) or _TERMINATED.search(found):
        return None
    return Verdict("failed", "exit", f"exit code {status}{found}"[:LONGEST])


def _last_words(output: str) -> str:
    """Returns what the trainer said last about its end, behind a colon: an error, or its last line; empty without any."""
    output = without_children(_OTHERS.sub("", output))
    bare = [each for each in _LAST_ERROR.finditer(output) if count_lines(output[each.end() + 1 :]) <= SURVIVED]
    if last := max([*bare, *TRACEBACK.finditer(output)], key=re.Match.end, default=None):
        return f": {last[last.lastindex or 0].strip()}"
    lines = [line for line in output.split("\n") if any(map(str.isalpha, line))]
    said = lines[-1].strip()[:LONGEST] if lines else ""
    # Metrics as the last line: the trainer has said nothing.
    return f": {said}" if any(map(str.isalpha, _ROW.sub("", said))) else ""


def _comparable(value: float | None) -> bool:
    """Tells whether a trial's value can be compared with others', or there is none."""
    return value is None or finite_number(value)


def _reported_fault(error: TrainerError, full: Callable[[str], FullDisk]) -> Verdict | None:
    """Returns the fault that the trainer's output names; None where the output names none of the known ones.

    Searches the last exception first, then the exceptions it was raised from, then other exceptions for machine faults.
    """
    last, of_machine = last_of_chain(error.errors), [cause for cause in _PRINTED if cause[0] in _OF_MACHINE]
    texts = [(last, _PRINTED), (error.errors, _PRINTED), *((text, of_machine) for text in error.earlier)]
    for text, known in texts:
        for cause, pattern in known:
            if not (lines := pattern.findall(text)):
                continue
            line = lines[-1].strip()
            if cause == "cuda_oom" and (others := _memory_of_others(text)):
                return Verdict("failed", "gpu_taken", f"CUDA out of memory: other processes hold {others} on the GPU")
            label = _disk_label(line, error, full) if cause == "disk_full" else cause
            if not label or (label in ("import_error", "no_space") and (text is not last or error.status != 1)):
                continue  # the program continued without it: an uncaught exception is the last one, and Python exits with 1
            cause = "disk_full" if label == "some_disk" else label
            said = line if _LABEL[label] in line else f"{_LABEL[label]}: {line}"
            return Verdict("failed", cause, said[:LONGEST])
    return None


def _disk_label(line: str, error: TrainerError, full: Callable[[str], FullDisk]) -> str:
    """Returns the key of `_LABEL` for a line that reports a full disk; empty if that need not have ended the trial.

    The disk may have room again: a program that reserves too much room for a file, and gives it back, leaves no trace.
    """
    disk = full(line)
    if disk is FullDisk.RESULTS:
        return "disk_full"
    if "/dev/shm" in line:
        return "shared_memory"
    if disk is FullDisk.OTHER:
        return "no_space"
    return "some_disk" if line in error.final and 0 < (error.status or 0) < 128 else ""


def _memory_of_others(output: str) -> str:
    """Returns how much memory other processes hold on the GPU, if that is more than the trial's own; else nothing."""
    others = sum(float(size) * _UNITS[unit] for size, unit in _OTHERS_HOLD.findall(output)[-8:])
    own = [float(size) * _UNITS[unit] for size, unit in _OWN_HOLDS.findall(output)[-1:]]
    return f"{others / (1 << 30):.1f} GiB" if others > (own[0] if own else 0.0) else ""


def io_error(error: OSError) -> Verdict:
    """Makes the verdict on a trial whose files or output the launcher could not read or write."""
    name = os.fsencode(str(error.filename)).decode("utf-8", "backslashreplace")
    where = f": {name}" if error.filename is not None else ""
    reason = f"the launcher could not read or write the trial's files: {error.strerror or error}{where}"
    return Verdict("failed", "io_error", reason[:LONGEST])


def paused_text(metric: str | None, iteration: int, value: float) -> str:
    """Says at which iteration a trial has paused, and the metric's value there."""
    return f"paused at iteration {iteration}: {metric} {value:.6g}"


def requested_end(stop: Stop, status: int | None) -> Verdict:
    """Classifies the end of a trial that the launcher ended; the exit status only shows how the trainer reacted."""
    cause, detail = stop.cause, stop.detail
    if cause == "stopped":
        return Verdict("stopped", "stopped", f"stopped early: {detail}" if detail else "stopped early")
    if cause == "paused":
        return Verdict("paused", "paused", detail or "paused")
    if cause in ORDERED_ENDS:
        return Verdict("killed", cause, detail or cause)
    if cause == "lost":
        return Verdict("lost", "lost", detail or "the launcher exited")
    how = "" if status is None or status >= 0 else f", ended by {_signal_name(status)}"
    return Verdict("failed", cause, f"{detail}{how}")


def _signal_name(status: int) -> str:
    """Returns the name of the signal in an exit status: -9, or 137 from a shell."""
    return signal_name(-status if status < 0 else status - 128)
