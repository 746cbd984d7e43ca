"""Workers and GPUs of a running launch grow and shrink by order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sweeping import environment
from tests.trainers import kill_all, living, wait_until
from tests.yacs_sweep.launch.workers.test_steering import GRID, Running, await_running, who
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.launch.workers import resizing
from yacs_sweep.launch.workers.gpu_places import GpuOptions, Layout, lay_out
from yacs_sweep.records.alive import launchers
from yacs_sweep.records.control.orders import new_order

EIGHT = {**GRID, "parameters": {"base_lr": {"values": [n / 1000 for n in range(1, 9)]}}}


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    kill_all(tmp_path)


def gpus_of(launch: Running) -> dict[str, list[str]]:
    """The GPUs of the running trials, by name."""
    return {name: launch.trials()[name].gpu_ids for name in launch.running()}


def test_workers_are_added_at_once_and_leave_after_their_trials(tmp_path: Path) -> None:
    launch = Running(tmp_path, spec=EIGHT)
    await_running(launch, 1)
    assert launch.order("set_workers", workers=3).text == f"3 workers by {who(launch)}; 2 workers more"
    assert [each.workers for each in launchers(launch.paths)] == [3]
    await_running(launch, 3)
    answer = launch.order("set_workers", workers=1)
    assert answer.text == f"1 worker by {who(launch)}; 2 trials too many: until the end of each"
    launch.go("trial-0001")
    launch.go("trial-0002")
    wait_until(lambda: launch.running() == ["trial-0000"], 120)
    launch.go("trial-0000")
    wait_until(lambda: launch.running() == ["trial-0003"], 120)
    assert not launch.order("set_workers", workers=0).obeyed
    assert launch.order("set_workers", workers=2).obeyed
    launch.go("all")
    code, out = launch.end()
    assert code == 0, out
    assert "8 finished; results in" in out
    assert "died" not in out
    assert not living(tmp_path)


def test_trials_that_are_too_many_are_ended_at_once_and_tried_again(tmp_path: Path) -> None:
    launch = Running(tmp_path, "--workers", "3")
    await_running(launch, 3)
    answer = launch.order("set_workers", workers=1, now=True)
    assert answer.text == f"1 worker by {who(launch)}; 2 trials ended, tried again"
    wait_until(lambda: len(launch.running()) == 1, 120)
    for name in {"trial-0000", "trial-0001", "trial-0002"} - set(launch.running()):
        record = launch.trials()[name]
        assert (record.state, record.cause) == ("killed", "interrupted")
        assert record.reason == f"ended by {who(launch)}, who wants fewer workers"
    launch.go("all")
    code, out = launch.end()
    assert code == 0, out
    assert "4 finished, 2 killed (2 tried again); results in" in out
    points = {record.params["base_lr"] for record in launch.trials().values() if record.state == "finished"}
    assert points == {0.001, 0.002, 0.003, 0.004}


@pytest.mark.parametrize("now", [False, True])
def test_gpus_are_freed_while_the_sweep_runs_on(tmp_path: Path, now: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    assert environment(tmp_path)["CUDA_VISIBLE_DEVICES"] == "0,1,2,3"
    launch = Running(tmp_path, "--gpus", "0,1,2,3", spec=EIGHT)
    await_running(launch, 4)
    answer = launch.order("set_gpus", gpus=["0", "1"], now=now)
    how = "ended, tried again" if now else "too many: until the end of each"
    assert answer.text == f"2 workers, GPUs 0 | 1 by {who(launch)}; 2 trials {how}"
    if not now:
        assert len(launch.running()) == 4
        for name, gpus in gpus_of(launch).items():
            if gpus in (["2"], ["3"]):
                launch.go(name)
    wait_until(lambda: sorted(gpus_of(launch).values()) == [["0"], ["1"]], 120)
    answer = launch.order("set_gpus", gpus=["1", "7"])
    assert not answer.obeyed and "GPU 7 is not among CUDA_VISIBLE_DEVICES" in answer.text
    assert launch.order("set_gpus", gpus=["2", "3"]).obeyed
    wait_until(lambda: sorted(gpus_of(launch).values()) == [["0"], ["1"], ["2"], ["3"]], 120)
    for name, gpus in gpus_of(launch).items():
        if gpus in (["0"], ["1"]):
            launch.go(name)
    wait_until(lambda: sorted(gpus_of(launch).values()) == [["2"], ["3"]], 120)
    launch.go("all")
    code, out = launch.end()
    assert code == 0, out
    assert sum(record.state == "finished" for record in launch.trials().values()) == 8
    assert "died" not in out
    assert not living(tmp_path)


def test_an_order_about_another_machine_is_left_to_its_launch(tmp_path: Path) -> None:
    launch = Running(tmp_path)
    await_running(launch, 1)
    elsewhere = new_order("set_workers", workers=4, host="elsewhere")
    launch.orders.append(elsewhere)
    assert launch.order("set_workers", workers=2).obeyed  # which is read after it
    await_running(launch, 2)
    assert '"answer": {"order": "' + elsewhere.id not in launch.paths.control.read_text()


def test_places_stay_while_they_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    monkeypatch.setattr("yacs_sweep.trial.gpu_memory.read_gpus", list)
    wanted = GpuOptions(gpus="0,1,2,3", trials_per_gpu=2)
    layout = replace(lay_out(wanted, [], "0,1,2,3"), wanted=wanted)
    fewer = resizing.with_workers(layout, 3)
    assert (fewer.workers, fewer.places, fewer.per_place) == (3, layout.places, 2)
    assert resizing.with_workers(fewer, 8).workers == 8
    with pytest.raises(ConfigError, match="4 GPUs take 8 at a time"):
        resizing.with_workers(layout, 9)
    two = resizing.with_gpus(layout, ["0", "1"])
    assert (two.workers, two.places, two.per_place) == (4, (("0",), ("1",)), 2)
    assert resizing.with_gpus(fewer, ["0", "1"]).workers == 3
    assert resizing.with_gpus(resizing.with_gpus(fewer, ["0"]), ["0", "1", "2"]).workers == 3
    with pytest.raises(ConfigError, match="not among"):
        resizing.with_gpus(layout, ["9"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(ConfigError) as caught:
        resizing.with_gpus(Layout(), ["7"])
    assert str(caught.value).startswith("--set-gpus 7: ") and "leave it out" not in str(caught.value)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert resizing.with_workers(Layout(), 3) == Layout(3, ((),), 3)
