"""Reads which processes hold memory on NVIDIA GPUs, and waits until an ended trial's memory is free.

GPUs are read by one function, in whose place tests put GPUs of their own.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

SLACK = 64 << 20  # bytes by which a GPU's use may differ without any trial's doing
PERIOD = 0.05  # seconds between two reads


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU, as NVML reports it.

    Attributes:
        used: bytes in use.
        processes: bytes by process id; empty where a container hides processes.
    """

    index: int
    uuid: str
    name: str
    used: int
    processes: dict[int, int]
    mig: tuple[str, ...] = ()  # UUIDs of the MIG devices it is divided into
    total: int = 0  # bytes; 0 where that is not known


Reader = Callable[[], list[Gpu]]


def read_gpus() -> list[Gpu]:
    """Reads the GPUs by NVML; returns none without a driver or without nvidia-ml-py."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")  # looking for a driver takes less time than importing what asks it
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # no module, no driver, no permission: no GPUs either way
        return []
    found = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        with contextlib.suppress(pynvml.NVMLError):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            processes: dict[int, int] = {}
            for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle):
                processes[process.pid] = int(process.usedGpuMemory or 0)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            found.append(
                Gpu(
                    index,
                    _text(pynvml.nvmlDeviceGetUUID(handle)),
                    _text(pynvml.nvmlDeviceGetName(handle)),
                    int(memory.used),
                    processes,
                    _mig_devices(pynvml, handle),
                    int(memory.total),
                )
            )
    return found


def _mig_devices(pynvml: Any, handle: Any) -> tuple[str, ...]:
    """Returns the UUIDs of the MIG devices a GPU is divided into."""
    found = []
    with contextlib.suppress(pynvml.NVMLError):  # most GPUs cannot be divided
        if pynvml.nvmlDeviceGetMigMode(handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE:
            for place in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
                with contextlib.suppress(pynvml.NVMLError):  # a place that holds none
                    device = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place)
                    found.append(_text(pynvml.nvmlDeviceGetUUID(device)))
    return tuple(found)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def usable_gpus(gpus: Sequence[Gpu], gpu_ids: Sequence[str], visible: str | None) -> list[Gpu]:
    """Selects the GPUs a trial may use: those it was given, else those in CUDA_VISIBLE_DEVICES, else all.

    Args:
        gpu_ids: indices or UUIDs the trial was given.
        visible: value of CUDA_VISIBLE_DEVICES.
    """
    names = list(gpu_ids) or [word.strip() for word in (visible or "").split(",") if word.strip()]
    if not names and visible is None:
        return list(gpus)
    return [gpu for gpu in gpus if any(_has_name(gpu, name) for name in names)]


def _has_name(gpu: Gpu, name: str) -> bool:
    """Returns whether a name is the GPU's index, or the start of its UUID or of a MIG device's."""
    return name == str(gpu.index) or any(uuid.startswith(name) for uuid in (gpu.uuid, *gpu.mig))


def process_exists(pid: int) -> bool:
    """Returns whether a process of that id exists on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def process_name(pid: int) -> str:
    """Returns a process's short name for messages; "?" for one that does not exist."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as file:
        return file.read().strip()
    return "?"


class GpuMemoryWait:
    """Waits, between two trials, until the first one's memory on its GPUs is free."""

    def __init__(self, gpu_ids: Sequence[str], wait: float, reader: Reader = read_gpus) -> None:
        """Sets the GPUs of the next trial.

        Args:
            gpu_ids: indices or UUIDs; empty: the visible ones.
            wait: seconds at most.
        """
        self._ids, self._wait, self._reader = gpu_ids, wait, reader
        self._shared = False
        self._before: dict[str, Gpu] = {}
        self._any = True  # False once a read has found no GPU at all
        self.peak: float | None = None  # MiB that the trial has held, at most; None: never sampled on a GPU

    def use(self, gpu_ids: Sequence[str], *, shared: bool) -> None:
        """Sets the next trial's GPUs. On `shared` ones other trials run: only the trial's own processes are waited for."""
        self._ids, self._shared = gpu_ids, shared

    def _read(self) -> list[Gpu]:
        """Reads the trial's GPUs."""
        if not self._any:
            return []
        gpus = self._reader()
        self._any = bool(gpus)
        return usable_gpus(gpus, self._ids, os.environ.get("CUDA_VISIBLE_DEVICES"))

    def record_baseline(self) -> None:
        """Reads the GPUs before a trial starts: memory that is in use now is not the trial's."""
        self._before = {gpu.uuid: gpu for gpu in self._read()}

    def sample(self, pids: set[int]) -> None:
        """Reads the memory that the trial holds now, on all its GPUs together, for `peak`.

        Where a container hides processes, what is in use beyond the baseline is the trial's, unless others share the GPU.

        Args:
            pids: processes of the trial.
        """
        gpus = self._read()
        known = [gpu for gpu in gpus if gpu.processes or not self._shared]
        held = 0
        for gpu in known:
            before = self._before.get(gpu.uuid, gpu)
            own = sum(size for pid, size in gpu.processes.items() if pid in pids)
            held += own if gpu.processes else max(0, gpu.used - before.used)
        if known:
            self.peak = max(self.peak or 0.0, held / (1 << 20))

    def wait(self, pids: set[int], interrupted: Callable[[], bool] = lambda: False) -> str | None:
        """Waits until the trial holds no GPU memory; returns a line that says what is still held if that takes too long.

        Args:
            pids: processes of the trial.
            interrupted: called while it waits; True ends the wait.
        """
        deadline = time.monotonic() + self._wait
        while held := self._held(pids):
            if interrupted():
                return None
            if time.monotonic() >= deadline:
                return f"GPU memory of the trial is still held after {self._wait:g} s: {'; '.join(held)}"
            time.sleep(PERIOD)
        return None

    def _held(self, pids: set[int]) -> list[str]:
        """Says for each GPU which memory the trial still holds."""
        held = []
        for gpu in self._read():
            before = self._before.get(gpu.uuid, gpu)
            # A process that does not exist here has just ended, or belongs to another container: the latter held its
            # memory before the trial started.
            ours = {
                pid: size
                for pid, size in gpu.processes.items()
                if pid in pids or not (self._shared or pid in before.processes or process_exists(pid))
            }
            if ours:
                who = ", ".join(f"process {pid} ({process_name(pid)}) {size >> 20} MiB" for pid, size in ours.items())
                held.append(f"GPU {gpu.index}: {who}")
            elif not self._shared and not gpu.processes and gpu.used > before.used + SLACK:
                extra = (gpu.used - before.used) >> 20
                held.append(f"GPU {gpu.index}: {extra} MiB more than before the trial, by processes not visible here")
        return held
