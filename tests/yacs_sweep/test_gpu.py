"""Waiting for GPU memory, with devices made up here."""

from __future__ import annotations

import os
import time

import pytest

from yacs_sweep.gpu import FreeGround, Gpu, of_trial, process_exists

GIB = 1 << 30
TRIAL = 2**22 + 17  # beyond the kernel's largest process id: a process that does not exist


def gpu(index: int = 0, used: int = 0, processes: dict[int, int] | None = None) -> Gpu:
    return Gpu(index, f"GPU-{index}a{index}b", "H", used, processes or {})


class Looks:
    """A reader that shows one list of devices after another, the last one for ever."""

    def __init__(self, *shown: list[Gpu]) -> None:
        self.shown, self.count = list(shown), 0

    def __call__(self) -> list[Gpu]:
        self.count += 1
        return self.shown.pop(0) if len(self.shown) > 1 else self.shown[0]


def test_without_a_gpu_nothing_waits_and_nobody_looks_twice() -> None:
    looks = Looks([])
    ground = FreeGround((), 30.0, looks)
    started = time.monotonic()
    for _ in range(100):
        ground.note_before()
        assert ground.wait({TRIAL}) is None
    assert looks.count == 1
    assert time.monotonic() - started < 0.1


def test_waits_until_the_trials_processes_hold_nothing() -> None:
    held = [gpu(used=5 * GIB, processes={TRIAL: 5 * GIB})]
    looks = Looks([gpu()], held, held, [gpu()])
    ground = FreeGround((), 30.0, looks)
    ground.note_before()
    assert ground.wait({TRIAL}) is None
    assert looks.count == 4


def test_the_wait_is_bounded_and_says_who_holds_how_much() -> None:
    looks = Looks([gpu(1)], [gpu(1, 5 * GIB, {os.getpid(): 5 * GIB})])
    ground = FreeGround(("1",), 0.2, looks)
    ground.note_before()
    started = time.monotonic()
    told = ground.wait({os.getpid()})
    assert 0.2 <= time.monotonic() - started < 0.6
    assert told is not None
    assert "after 0.2 s" in told and "GPU 1" in told and f"process {os.getpid()} (" in told and "5120 MiB" in told


def test_an_interrupt_ends_the_wait() -> None:
    ground = FreeGround((), 30.0, Looks([gpu(used=GIB, processes={TRIAL: GIB})]))
    started = time.monotonic()
    assert ground.wait({TRIAL}, lambda: True) is None
    assert time.monotonic() - started < 1


def test_a_process_of_somebody_else_is_not_waited_for() -> None:
    other = os.getppid()
    ground = FreeGround((), 30.0, Looks([gpu(used=GIB, processes={other: GIB})]))
    ground.note_before()
    assert process_exists(other)
    assert ground.wait({TRIAL}) is None


def test_one_of_another_container_that_was_there_before_is_not_waited_for() -> None:
    # Its id means nothing here, where no such process exists.
    ground = FreeGround((), 30.0, Looks([gpu(used=GIB, processes={TRIAL: GIB})]))
    ground.note_before()
    assert ground.wait({1234567890}) is None


def test_memory_whose_holder_is_hidden_is_compared_with_before() -> None:
    before, after = [gpu(used=2 * GIB)], [gpu(used=7 * GIB)]
    ground = FreeGround((), 0.1, Looks(before, after))
    ground.note_before()
    told = ground.wait({TRIAL})
    assert told is not None and "5120 MiB more than before" in told
    ground = FreeGround((), 30.0, Looks(before, before))
    ground.note_before()
    assert ground.wait({TRIAL}) is None


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
    assert [found.index for found in of_trial([gpu(0), gpu(1), gpu(2)], ids, visible)] == indices


def test_a_gpu_the_trial_did_not_have_is_not_waited_for() -> None:
    ground = FreeGround(("0",), 30.0, Looks([gpu(0), gpu(1, GIB, {TRIAL: GIB})]))
    assert ground.wait({TRIAL}) is None
