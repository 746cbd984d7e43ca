"""GPUs divided among workers, and kept from trials once they are sick. Eight made-up devices behind the one reader."""

from __future__ import annotations

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.launch.options.table import Options
from yacs_sweep.launch.plan import checks
from yacs_sweep.launch.workers.gpu_places import SICK_AFTER, GpuOptions, Layout, Places, lay_out
from yacs_sweep.trial.gpu_memory import Gpu

EIGHT = [Gpu(index, f"GPU-{index}f3a-11", "H", 0, {}) for index in range(8)]
MIG = [Gpu(0, "GPU-aa", "A100", 0, {}, ("MIG-x1", "MIG-x2", "MIG-x3")), Gpu(1, "GPU-bb", "A100", 0, {})]


@pytest.mark.parametrize(
    ("wanted", "visible", "layout"),
    [
        (GpuOptions(), None, Layout()),
        (GpuOptions(workers=1), "0,1", Layout()),  # as without it: the trial sees what we see
        (GpuOptions(workers=3), None, Layout(3, tuple((str(i),) for i in range(8)))),  # the rest is in reserve
        (GpuOptions(gpus="1,0"), None, Layout(2, (("1",), ("0",)))),
        (GpuOptions(workers=1, gpus="5"), None, Layout(1, (("5",),))),
        (GpuOptions(gpus_per_trial=2), None, Layout(4, (("0", "1"), ("2", "3"), ("4", "5"), ("6", "7")))),
        (GpuOptions(gpus="0,1,2", gpus_per_trial=2), None, Layout(1, (("0", "1"),), 1, ("2",))),
        (GpuOptions(gpus="0,1", trials_per_gpu=3), None, Layout(6, (("0",), ("1",)), 3)),
        (GpuOptions(workers=4, gpus="0,1", trials_per_gpu=3), None, Layout(4, (("0",), ("1",)), 3)),
        (GpuOptions(workers=2), "3,GPU-5f3a", Layout(2, (("3",), ("GPU-5f3a",)))),
        (GpuOptions(gpus="GPU-4f3a-11"), "4,5", Layout(1, (("GPU-4f3a-11",),))),
        (GpuOptions(workers=2), "2,3,-1,4", Layout(2, (("2",), ("3",)))),
        (GpuOptions(workers=5), "", Layout(5, ((),), 5)),  # no GPU is visible: the CPU
        (GpuOptions(workers=5), "-1", Layout(5, ((),), 5)),
        (GpuOptions(workers=5), "NoDevFiles", Layout(5, ((),), 5)),
    ],
)
def test_eight_gpus(wanted: GpuOptions, visible: str | None, layout: Layout) -> None:
    assert lay_out(wanted, EIGHT, visible) == layout


def test_mig_devices_are_places_of_their_own() -> None:
    assert lay_out(GpuOptions(workers=2), MIG, None).places == (("MIG-x1",), ("MIG-x2",), ("MIG-x3",), ("1",))
    assert lay_out(GpuOptions(gpus="0"), MIG, None).places == (("MIG-x1",), ("MIG-x2",), ("MIG-x3",))
    assert lay_out(GpuOptions(gpus="MIG-x3"), MIG, "MIG-x2,MIG-x3").places == (("MIG-x3",),)


def test_without_nvml_cuda_visible_devices_is_believed() -> None:
    assert lay_out(GpuOptions(workers=2), [], "0,GPU-q").places == (("0",), ("GPU-q",))
    assert lay_out(GpuOptions(gpus="1"), [], "0,1").places == (("1",),)
    for nothing in (None, "", "-1", "NoDevFiles"):
        assert lay_out(GpuOptions(workers=4), [], nothing) == Layout(4, ((),), 4)


@pytest.mark.parametrize(
    ("wanted", "visible", "words"),
    [
        (GpuOptions(workers=9), None, "--workers 9: 8 GPUs take 8 at a time; give --workers 8, or --trials-per-gpu 2"),
        (GpuOptions(workers=3, gpus="0"), None, "--workers 3: 1 GPU take"),
        (
            GpuOptions(workers=8, gpus="0,1", trials_per_gpu=3),
            None,
            "--workers 8: 2 GPUs take 6 at a time; give --workers 6, or --trials-per-gpu 4",
        ),
        (GpuOptions(gpus="0,9"), None, "--gpus 0,9: there is no GPU 9; there are 0, 1, 2, 3, 4, 5, 6, 7"),
        (GpuOptions(gpus="10"), None, "--gpus 10: there is no GPU 10; there are 0, 1"),
        (GpuOptions(workers=2), "0,none", "CUDA_VISIBLE_DEVICES=0,none: there is no GPU none here"),
        (GpuOptions(gpus="0,0"), None, "--gpus 0,0: names GPU 0 twice"),
        (GpuOptions(gpus="0,GPU-0f3a"), None, "names GPU GPU-0f3a twice"),
        (GpuOptions(gpus="0"), "1,2", "GPU 0 is not among CUDA_VISIBLE_DEVICES=1,2"),
        (GpuOptions(gpus="0"), "", "--gpus 0: CUDA_VISIBLE_DEVICES= allows none; leave it out to use the CPU"),
        (GpuOptions(gpus=","), None, "--gpus: names no GPU"),
        (GpuOptions(gpus_per_trial=9), None, "--gpus-per-trial 9: there are only 8"),
        (GpuOptions(workers=2), "0,9", "CUDA_VISIBLE_DEVICES=0,9: there is no GPU 9 here"),
        (GpuOptions(workers=2), "0,0", "CUDA_VISIBLE_DEVICES=0,0: names 0 twice"),
        (GpuOptions(trials_per_gpu=2), "", "--trials-per-gpu: no GPU is found here"),
    ],
)
def test_contradictions_are_one_line(wanted: GpuOptions, visible: str | None, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        lay_out(wanted, EIGHT, visible)
    (problem,) = caught.value.problems
    assert words in problem and "\n" not in problem


def test_more_contradictions() -> None:
    with pytest.raises(ConfigError, match="a process can use one MIG device only"):
        lay_out(GpuOptions(gpus_per_trial=2), MIG, None)
    with pytest.raises(ConfigError, match="--gpus 0: no NVIDIA GPU is found here"):
        lay_out(GpuOptions(gpus="0"), [], None)


def test_the_command_line_reads_the_devices_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    monkeypatch.setattr(checks, "read_gpus", lambda: read.append(1) or EIGHT)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    options = Options()
    assert checks.read_layout(options) == Layout() and not read
    options = Options(trials_per_gpu=2)
    assert checks.read_layout(options).workers == 16 and read


def test_a_device_is_shared_where_several_trials_fit_on_a_place() -> None:
    assert Layout(4, (("0",), ("1",)), 2).shared
    assert not Layout(2, (("0",), ("1",)), 1).shared
    assert not Layout(4, ((),), 4).shared  # on the CPU
    assert not Layout().shared


def test_a_layout_is_one_worker_that_sees_what_the_launcher_sees() -> None:
    assert Layout() == Layout(workers=1, places=((),), per_place=1, left_over=())


# -- trials that the machine ends ---------------------------------------------------------------------------------------


def places(count: int, per_place: int = 1) -> Places:
    return Places(Layout(count * per_place, tuple((str(index),) for index in range(count)), per_place))


def test_places_are_taken_once_and_given_back() -> None:
    pool = places(2)
    assert [pool.take(), pool.take(), pool.take()] == [("0",), ("1",), None]
    pool.release(("1",))
    assert pool.take() == ("1",)
    shared = places(2, per_place=2)
    assert [shared.take() for _ in range(5)] == [("0",), ("1",), ("0",), ("1",), None]
    shared.release(("0",))
    assert [shared.take(), shared.take()] == [("0",), None]


@pytest.mark.parametrize("cause", ["signal", "gpu_taken", "another"])
def test_a_trial_that_the_machine_ended_is_tried_once_elsewhere(cause: str) -> None:
    pool = places(3)
    assert pool.take() == ("0",)
    assert pool.add_fault(("0",), "a", cause)
    assert pool.take("a") == ("1",)
    pool.release(("0",))
    assert not pool.add_fault(("1",), "a", cause)  # there as well: it is the trial
    pool.release(("1",))
    assert pool.take() == ("0",)  # and no place is suspect any more


def test_a_suspect_place_is_the_last_choice() -> None:
    pool = places(3)
    pool.take()
    pool.add_fault(("0",), "a", "signal")
    pool.release(("0",))
    assert [pool.take(), pool.take(), pool.take()] == [("1",), ("2",), ("0",)]


def strike(pool: Places, place: str, count: int, cause: str) -> None:
    for number in range(count):
        pool.add_fault((place,), f"{cause}{number}", cause)


@pytest.mark.parametrize(("cause", "enough"), [("signal", 3), ("gpu_fault", 2)])
def test_a_place_where_several_trials_in_a_row_are_ended_is_sick(cause: str, enough: int) -> None:
    pool = places(2)
    strike(pool, "1", enough - 1, cause)
    assert pool.healthy == [("0",), ("1",)]
    pool.clear_faults(("1",))
    strike(pool, "1", enough - 1, cause)  # the row began anew
    assert pool.healthy == [("0",), ("1",)]
    pool.add_fault(("1",), "z", cause)
    assert pool.healthy == [("0",)]
    assert [pool.take(), pool.take()] == [("0",), None]
    assert cause in pool.fault_text(("1",))


@pytest.mark.parametrize(("cause", "enough"), [("signal", 3), ("gpu_fault", 2), ("another", 3)])
def test_a_sick_place_stays_sick_when_its_other_trials_are_ended_as_well(cause: str, enough: int) -> None:
    pool = places(2, per_place=8)
    for count in range(1, 7):
        pool.add_fault(("1",), f"trial{count}", cause)
        assert (("1",) not in pool.healthy) is (count >= enough)


def test_one_trial_ended_again_and_again_does_not_make_a_place_sick() -> None:
    pool = places(1)
    for _ in range(10):
        assert not pool.add_fault(("0",), "a", "signal")
    assert pool.healthy == [("0",)]


def test_trials_that_fail_everywhere_pardon_the_places() -> None:
    pool = places(2)
    strike(pool, "0", SICK_AFTER, "signal")
    assert pool.healthy == [("1",)]
    assert not pool.add_fault(("1",), "signal0", "signal")
    assert pool.healthy == [("0",), ("1",)]


def test_a_device_error_is_never_the_trials_and_it_moves_until_no_place_is_left() -> None:
    pool = places(3)
    assert pool.add_fault(("0",), "a", "gpu_fault")
    assert pool.add_fault(("1",), "a", "gpu_fault")
    assert pool.take("a") == ("2",)
    assert not pool.add_fault(("2",), "a", "gpu_fault")
    for place in "012":
        pool.add_fault((place,), "b", "gpu_fault")
    assert pool.healthy == []


def test_a_device_that_runs_on_well_beside_the_failures_is_used_again() -> None:
    pool = places(1, per_place=3)
    strike(pool, "0", SICK_AFTER, "signal")
    assert pool.take() is None
    pool.clear_faults(("0",))  # a trial that was still running there
    assert pool.take() == ("0",)


def test_on_the_cpu_no_place_is_blamed() -> None:
    pool = Places(Layout(4, ((),), 4))
    for number in range(9):
        assert not pool.add_fault((), str(number), "signal")
    assert [pool.take() for _ in range(5)] == [(), (), (), (), None]


def test_a_sick_place_says_how_often_each_cause_ended_a_trial() -> None:
    pool = places(1)
    strike(pool, "0", 2, "signal")
    strike(pool, "0", 1, "gpu_fault")
    assert pool.fault_text(("0",)) == "signal 2×, gpu_fault"


def test_a_cleared_trial_leaves_the_faults_of_others_and_of_the_device() -> None:
    pool = places(3)
    fault = "_".join(["gpu", "fault"])  # as it arrives from an agent: equal, not the same object
    pool.add_fault(("0",), "b", "signal")
    pool.add_fault(("0",), "a", fault)
    pool.add_fault(("0",), "a", "signal")  # at another place as well: it is the trial
    assert pool.fault_text(("0",)) == "signal, gpu_fault"
    assert pool.healthy == [("0",), ("1",), ("2",)]
    pool.add_fault(("0",), "c", fault)  # a second trial
    assert pool.healthy == [("1",), ("2",)]


def test_another_trials_fault_clears_nobody() -> None:
    for first, second in (("a", "b"), ("b", "a")):
        pool = places(3)
        assert pool.add_fault(("0",), first, "signal")
        assert pool.add_fault(("1",), second, "signal")
        assert (pool.fault_text(("0",)), pool.fault_text(("1",))) == ("signal", "signal")
        assert pool.usable_by(first) == [("1",), ("2",)]
        assert pool.usable_by("".join([*second])) == [("0",), ("2",)]


def test_a_cleared_trial_is_cleared_at_each_place_and_others_are_not() -> None:
    for cleared, other in (("a", "b"), ("b", "a")):
        pool = places(3)
        pool.add_fault(("0",), other, "signal")
        pool.add_fault(("0",), cleared, "signal")
        pool.add_fault(("1",), cleared, "signal")
        assert pool.usable_by(cleared) == [("0",), ("1",), ("2",)]
        assert pool.usable_by(other) == [("1",), ("2",)]


def test_trials_of_an_earlier_layout_keep_their_devices_until_they_end() -> None:
    places = Places(Layout(4, (("0",), ("1",), ("2",), ("3",))))
    assert [places.take() for _ in range(4)] == [("0",), ("1",), ("2",), ("3",)]
    places.relay(Layout(2, (("0", "2"), ("1", "4"))))
    assert places.take() is None
    assert places.is_left(("0",)) and not places.is_left(("0", "2")) and not places.is_left(None)
    places.release(("1",))
    assert places.take() == ("1", "4")
    places.release(("0",))
    assert places.take() is None  # GPU 2 is in use
    places.relay(Layout(4, (("0",), ("1",), ("2",), ("3",))))  # back again, before the others have ended
    assert places.take() == ("0",)
    assert places.take() is None  # GPU 1 is part of a place in use
    places.release(("1", "4"))
    assert places.take() == ("1",)


def test_a_layout_with_devices_waits_for_a_trial_that_may_use_all() -> None:
    places = Places(Layout())
    assert places.take() == ()
    places.relay(Layout(2, (("0",), ("1",))))
    assert places.take() is None
    places.release(())
    assert places.take() == ("0",)


def test_faults_count_on_in_another_layout_unless_its_devices_are_named_anew() -> None:
    places = Places(Layout(2, (("0",), ("1",))))
    for trial in ("a", "b"):
        places.take(trial)
        places.add_fault(("0",), trial, "gpu_fault")
    assert places.healthy == [("1",)]
    places.relay(Layout(3, (("0",), ("1",), ("2",))))
    assert places.healthy == [("1",), ("2",)]
    places.relay(Layout(2, (("0",), ("1",))), fresh=True)
    assert places.healthy == [("0",), ("1",)]
