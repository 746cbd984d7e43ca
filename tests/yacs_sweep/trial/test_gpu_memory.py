"""Waits for GPU memory of made-up devices."""

from __future__ import annotations

import os
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

from yacs_sweep.trial import gpu_memory
from yacs_sweep.trial.gpu_memory import Gpu, GpuMemoryWait, process_exists, read_gpus, usable_gpus

GIB = 1 << 30
TRIAL = 2**22 + 17  # beyond the kernel's largest process id: a process that does not exist


def gpu(index: int = 0, used: int = 0, processes: dict[int, int] | None = None) -> Gpu:
    return Gpu(index, f"GPU-{index}a{index}b", "H", used, processes or {})


class Looks:
    """Returns one list of devices after another, the last one for ever."""

    def __init__(self, *shown: list[Gpu]) -> None:
        self.shown, self.count = list(shown), 0

    def __call__(self) -> list[Gpu]:
        self.count += 1
        return self.shown.pop(0) if len(self.shown) > 1 else self.shown[0]


def test_without_a_gpu_nothing_waits_and_nobody_looks_twice() -> None:
    looks = Looks([])
    memory = GpuMemoryWait((), 30.0, looks)
    started = time.monotonic()
    for _ in range(100):
        memory.record_baseline()
        assert memory.wait({TRIAL}) is None
    assert looks.count == 1
    assert time.monotonic() - started < 5


def test_waits_until_the_trials_processes_hold_nothing() -> None:
    held = [gpu(used=5 * GIB, processes={TRIAL: 5 * GIB})]
    looks = Looks([gpu()], held, held, [gpu()])
    memory = GpuMemoryWait((), 30.0, looks)
    memory.record_baseline()
    assert memory.wait({TRIAL}) is None
    assert looks.count == 4


def test_the_wait_is_bounded_and_says_who_holds_how_much() -> None:
    looks = Looks([gpu(1)], [gpu(1, 5 * GIB, {os.getpid(): 5 * GIB})])
    memory = GpuMemoryWait(("1",), 0.2, looks)
    memory.record_baseline()
    started = time.monotonic()
    told = memory.wait({os.getpid()})
    assert 0.2 <= time.monotonic() - started < 10
    assert told is not None
    assert "after 0.2 s" in told and "GPU 1" in told and f"process {os.getpid()} (" in told and "5120 MiB" in told


def test_an_interrupt_ends_the_wait() -> None:
    memory = GpuMemoryWait((), 30.0, Looks([gpu(used=GIB, processes={TRIAL: GIB})]))
    started = time.monotonic()
    assert memory.wait({TRIAL}, lambda: True) is None
    assert time.monotonic() - started < 20


def test_a_process_of_somebody_else_is_not_waited_for() -> None:
    other = os.getppid()
    memory = GpuMemoryWait((), 30.0, Looks([gpu(used=GIB, processes={other: GIB})]))
    memory.record_baseline()
    assert process_exists(other)
    assert memory.wait({TRIAL}) is None


def test_one_of_another_container_that_was_there_before_is_not_waited_for() -> None:
    # Its id means nothing here, where no such process exists.
    memory = GpuMemoryWait((), 30.0, Looks([gpu(used=GIB, processes={TRIAL: GIB})]))
    memory.record_baseline()
    assert memory.wait({1234567890}) is None


def test_memory_whose_holder_is_hidden_is_compared_with_before() -> None:
    before, after = [gpu(used=2 * GIB)], [gpu(used=7 * GIB)]
    memory = GpuMemoryWait((), 0.1, Looks(before, after))
    memory.record_baseline()
    told = memory.wait({TRIAL})
    assert told is not None and "5120 MiB more than before" in told
    memory = GpuMemoryWait((), 30.0, Looks(before, before))
    memory.record_baseline()
    assert memory.wait({TRIAL}) is None


@pytest.mark.parametrize(
    ("ids", "visible", "indices"),
    [
        ((), None, [0, 1, 2]),
        (("2",), None, [2]),
        (("GPU-1a",), None, [1]),
        ((), "0,2", [0, 2]),
        ((), "GPU-2a2b", [2]),
        ((), "", []),  # no GPU is visible
        (("1",), "0", [1]),
    ],
)
def test_which_gpus_a_trial_may_use(ids: tuple[str, ...], visible: str | None, indices: list[int]) -> None:
    assert [found.index for found in usable_gpus([gpu(0), gpu(1), gpu(2)], ids, visible)] == indices


def test_a_gpu_the_trial_did_not_have_is_not_waited_for() -> None:
    memory = GpuMemoryWait(("0",), 30.0, Looks([gpu(0), gpu(1, GIB, {TRIAL: GIB})]))
    assert memory.wait({TRIAL}) is None


def test_on_a_shared_gpu_only_the_trials_own_processes_are_waited_for() -> None:
    # Neighbours come and go: their processes were not there before, and may not be visible here at all.
    looks = Looks([gpu()], [gpu(used=9 * GIB, processes={TRIAL + 1: 4 * GIB})])
    memory = GpuMemoryWait((), 30.0, looks)
    memory.use(("0",), shared=True)
    memory.record_baseline()
    assert memory.wait({TRIAL}) is None
    hidden = GpuMemoryWait((), 30.0, Looks([gpu()], [gpu(used=9 * GIB)]))
    hidden.use(("0",), shared=True)
    hidden.record_baseline()
    assert hidden.wait({TRIAL}) is None
    own = GpuMemoryWait((), 0.1, Looks([gpu()], [gpu(used=9 * GIB, processes={TRIAL: 4 * GIB})]))
    own.use(("0",), shared=True)
    own.record_baseline()
    assert own.wait({TRIAL}) is not None


def test_a_mig_device_is_part_of_its_gpu() -> None:
    divided = Gpu(1, "GPU-b", "H", 0, {}, ("MIG-1", "MIG-2"))
    assert usable_gpus([gpu(0), divided], ("MIG-2",), None) == [divided]


class _Nvml:
    """Replaces pynvml, with eight GPUs of which the last is divided into MIG devices."""

    class NVMLError(Exception):
        pass

    NVML_DEVICE_MIG_ENABLE = 1

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return 8

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:
        return [SimpleNamespace(pid=100 + handle, usedGpuMemory=None)]

    def nvmlDeviceGetUUID(self, handle: int) -> bytes | str:
        return f"MIG-{handle}" if handle > 7 else f"GPU-{handle}".encode()

    def nvmlDeviceGetName(self, handle: int) -> str:
        return "H"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(used=handle * GIB, total=80 * GIB)

    def nvmlDeviceGetMigMode(self, handle: int) -> tuple[int, int]:
        if handle == 0:
            raise self.NVMLError("not supported")
        return (1, 1) if handle == 7 else (0, 0)

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: int) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: int, place: int) -> int:
        if place > 1:
            raise self.NVMLError("not found")
        return 70 + place


def test_the_one_reader_of_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_memory.ctypes, "CDLL", lambda name: None)  # as if there were a driver
    monkeypatch.setitem(sys.modules, "pynvml", _Nvml())
    found = read_gpus()
    assert [item.index for item in found] == list(range(8))
    assert found[3] == Gpu(3, "GPU-3", "H", 3 * GIB, {103: 0}, total=80 * GIB)
    assert found[7].mig == ("MIG-70", "MIG-71")
