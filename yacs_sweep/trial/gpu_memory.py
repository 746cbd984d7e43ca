"""NVIDIA GPUs: who holds memory on them. All is read through one function, so that tests bring GPUs of their own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

SLACK = 64 << 20  # bytes by which a GPU's use may differ for reasons that are nobody's trial
PERIOD = 0.05  # seconds between two looks


@dataclass(frozen=True)
class Gpu:
    """One device. `processes`: bytes by process id; empty where a container hides them."""

    index: int
    uuid: str
    name: str
    used: int
    processes: dict[int, int]
    mig: tuple[str, ...] = ()  # UUIDs of the MIG devices it is divided into


Reader = Callable[[], list[Gpu]]


def read_gpus() -> list[Gpu]:
    """The devices NVML sees; none without a driver or without nvidia-ml-py."""
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
            found.append(
                Gpu(
                    index,
                    _text(pynvml.nvmlDeviceGetUUID(handle)),
                    _text(pynvml.nvmlDeviceGetName(handle)),
                    int(pynvml.nvmlDeviceGetMemoryInfo(handle).used),
                    processes,
                    _mig_devices(pynvml, handle),
                )
            )
    return found


def _mig_devices(pynvml: Any, handle: Any) -> tuple[str, ...]:
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


def of_trial(gpus: Sequence[Gpu], gpu_ids: Sequence[str], visible: str | None) -> list[Gpu]:
    """The devices a trial may use: those it was given, else those CUDA_VISIBLE_DEVICES names, else all."""
    names = list(gpu_ids) or [word.strip() for word in (visible or "").split(",") if word.strip()]
    if not names and visible is None:
        return list(gpus)
    return [gpu for gpu in gpus if any(_is(gpu, name) for name in names)]


def _is(gpu: Gpu, name: str) -> bool:
    return name == str(gpu.index) or any(uuid.startswith(name) for uuid in (gpu.uuid, *gpu.mig))


def process_exists(pid: int) -> bool:
    """Whether a process of that id runs on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def process_name(pid: int) -> str:
    """A short name for messages."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as file:
        return file.read().strip()
    return "?"


class FreeGround:
    """Waits, between two trials, until the first one's memory on its GPUs is free."""

    def __init__(self, gpu_ids: Sequence[str], wait: float, reader: Reader = read_gpus) -> None:
        """
        Args:
            gpu_ids: the trial's GPUs (indices or UUIDs); empty: those that are visible.
            wait: seconds at most.
        """
        self._ids, self._wait, self._reader = gpu_ids, wait, reader
        self._shared = False
        self._before: dict[str, Gpu] = {}
        self._present = True  # until a look finds no GPU at all

    def use(self, gpu_ids: Sequence[str], *, shared: bool) -> None:
        """The next trial's GPUs. On `shared` ones other trials come and go: only its own processes are waited for."""
        self._ids, self._shared = gpu_ids, shared

    def _look(self) -> list[Gpu]:
        if not self._present:
            return []
        gpus = self._reader()
        self._present = bool(gpus)
        return of_trial(gpus, self._ids, os.environ.get("CUDA_VISIBLE_DEVICES"))

    def note_before(self) -> None:
        """Call before a trial starts: what is in use now is not the trial's."""
        self._before = {gpu.uuid: gpu for gpu in self._look()}

    def wait(self, pids: set[int], interrupted: Callable[[], bool] = lambda: False) -> str | None:
        """Waits until no process in `pids` (the trial's) holds memory; who does, in words, if that was in vain.

        Args:
            interrupted: asked while it waits; True ends the wait.
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
        held = []
        for gpu in self._look():
            before = self._before.get(gpu.uuid, gpu)
            # One that does not exist here is of the trial, ended a moment ago, or of another container: then it was
            # there before.
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
