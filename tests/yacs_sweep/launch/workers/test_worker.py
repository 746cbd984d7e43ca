"""Several trials at the same time: GPUs, cores, counts, interrupts, agents that hang or die, a GPU that is sick."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import Ran, environment, start, start_hasty, sweep, write_sweep
from tests.trainers import kill_all, living, roles, wait_until, write_trainer
from yacs_sweep.launch.workers.cores import shares, threads_each, usable_cores

OFFLINE = ("--wandb-mode", "disabled", "--controller", "local")
SHOW = """
import time
print("GPUS", os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("CUDA_DEVICE_ORDER"))
print("PRELOADED", "decimal" in sys.modules)
print("CPUS", os.environ.get("OMP_NUM_THREADS"), *sorted(os.sched_getaffinity(0)))
time.sleep(0.3)
print("mAP: 1.5%")
"""
SICK = """
import time
if os.environ["CUDA_VISIBLE_DEVICES"] in {sick}:
    raise RuntimeError("CUDA error: uncorrectable ECC error encountered")
time.sleep(0.2)
print("mAP: 1.5%")
"""
SLEEPY = "import time\nprint('up', flush=True)\ntime.sleep(1000)\n"


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    kill_all(tmp_path)


def spec(method: str = "random", **more: Any) -> dict[str, Any]:
    parameter = {"values": [n / 1000 for n in range(1, 41)]} if method == "grid" else {"min": 0.0, "max": 1.0}
    metric = {"name": "val/mAP", "goal": "maximize"}
    return {"method": method, "metric": metric, "parameters": {"base_lr": parameter}, **more}


def run(folder: Path, code: str, *words: str, method: str = "random", gpus: str = "", **more: Any) -> Ran:
    trainer, file = write_trainer(folder, code), write_sweep(folder, spec(method))
    trainer.write_text(trainer.read_text() + "preload: [decimal]\n")
    env = environment(folder, CUDA_VISIBLE_DEVICES=gpus, **more)
    return sweep(folder, "--sweep-config", file, *OFFLINE, *words, trainer=trainer, config=None, env=env)


def trials(ran: Ran) -> list[dict[str, Any]]:
    return list(ran.summary["trials"])


def shown(ran: Ran, word: str) -> set[str]:
    """What the trials printed behind `word`."""
    logs = [path.read_text() for path in ran.dir.glob("*/stdout.log")]
    return {line.removeprefix(f"{word} ") for log in logs for line in log.splitlines() if line.startswith(word)}


@pytest.mark.parametrize(
    ("method", "workers"),
    [("random", 8), ("grid", 4), pytest.param("bayes", 4, marks=pytest.mark.slow)],  # each agent imports torch
)
def test_exactly_so_many_trials_all_of_other_points(tmp_path: Path, method: str, workers: int) -> None:
    count = str(5 * workers)
    words = ("--workers", str(workers), "--count", count, "--quiet")
    ran = run(tmp_path, "import time\ntime.sleep(0.3)\nprint('mAP: 1.5%')", *words, method=method)
    assert ran.code == 0, ran.out + ran.err
    assert ran.summary["counts"] == {"finished": 5 * workers}
    assert len({trial["params"]["base_lr"] for trial in trials(ran)}) == 5 * workers
    assert {trial["agent"].split("-")[0] for trial in trials(ran)} == set("01234567"[:workers])
    assert "mAP: 1.5%" not in ran.out


def test_every_trial_has_gpus_of_its_own_and_its_share_of_the_cores(tmp_path: Path) -> None:
    ran = run(tmp_path, SHOW, "--gpus-per-trial", "2", "--count", "6", gpus="0,1,4,GPU-x")
    assert ran.code == 0, ran.out + ran.err
    assert "2 workers, GPUs 0,1 | 4,GPU-x" in ran.out
    assert shown(ran, "GPUS") == {"0,1 PCI_BUS_ID", "4,GPU-x PCI_BUS_ID"}
    assert shown(ran, "PRELOADED") == {"True"}
    cores = usable_cores()
    (first, second) = shares(cores, None, 2)
    expected = {f"{threads_each(len(cores), None, 2)} {' '.join(map(str, share))}" for share in (first, second)}
    assert shown(ran, "CPUS") <= expected
    by_gpus: dict[str, list[tuple[str, str]]] = {}
    for trial in trials(ran):
        by_gpus.setdefault(",".join(trial["gpu_ids"]), []).append((trial["started"], trial["ended"]))
    assert sorted(by_gpus) == ["0,1", "4,GPU-x"]
    for times in by_gpus.values():
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(sorted(times)))
    assert "[trial-0000] mAP: 1.5%\n" in ran.out


def test_threads_and_devices_somebody_has_chosen_are_left_alone(tmp_path: Path) -> None:
    ran = run(tmp_path, SHOW, "--workers", "2", "--count", "2", OMP_NUM_THREADS="7")
    assert ran.code == 0, ran.out + ran.err
    assert {line.split()[0] for line in shown(ran, "CPUS")} == {"7"}
    assert shown(ran, "PRELOADED") == {"True"}
    assert shown(ran, "GPUS") == {" None"}  # CUDA_VISIBLE_DEVICES is empty, as it was


def test_trials_share_a_gpu_when_told_to(tmp_path: Path) -> None:
    ran = run(tmp_path, SHOW, "--trials-per-gpu", "3", "--count", "6", gpus="5")
    assert ran.code == 0, ran.out + ran.err
    assert "3 workers, GPUs 5, 3 trials on each" in ran.out
    assert shown(ran, "GPUS") == {"5 PCI_BUS_ID"}
    times = sorted((trial["started"], trial["ended"]) for trial in trials(ran))
    assert times[2][0] < times[0][1]  # the third began before the first had ended


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--workers", "3"), "--workers 3: 2 GPUs take 2 at a time; give --workers 2, or --trials-per-gpu 2"),
        (("--gpus", "0,2"), "--gpus 0,2: GPU 2 is not among CUDA_VISIBLE_DEVICES=0,1"),
        (("--gpus", "1,1"), "--gpus 1,1: names GPU 1 twice"),
    ],
)
def test_a_contradiction_is_told_in_one_line_before_anything_is_created(
    tmp_path: Path, words: tuple[str, ...], line: str
) -> None:
    ran = run(tmp_path, SHOW, *words, gpus="0,1")
    assert (ran.code, ran.err) == (2, f"error: {line}\n")
    assert not (tmp_path / "log").exists()


# -- a GPU that is sick -------------------------------------------------------------------------------------------------


def test_one_sick_gpu_does_not_eat_the_sweep(tmp_path: Path) -> None:
    ran = run(tmp_path, SICK.format(sick=["1"]), "--gpus", "0,1,2", "--count", "12", gpus="0,1,2,3")
    assert ran.code == 0, ran.out + ran.err
    assert ran.summary["counts"] == {"finished": 12}
    assert not any("1" in trial["gpu_ids"] for trial in trials(ran))
    moved = [trial for trial in trials(ran) if trial["attempts"] > 1]
    assert len(moved) == 2
    assert "again on" in ran.out
    told = "GPU 1: no more trials are started on it: the machine ended several (gpu_fault 2×; the last: GPU fault: "
    assert told + "RuntimeError: CUDA error: uncorrectable ECC error encountered)" in ran.out


# Else one trial may have tried both GPUs before the other worker's agent has started.
BOTH = "import time\nwhile len(list(out.parent.glob('trial-*/trial.json'))) < 2: time.sleep(0.01)\n"


def test_without_a_healthy_gpu_the_sweep_ends_and_goes_on_later(tmp_path: Path) -> None:
    ran = run(tmp_path, BOTH + SICK.format(sick=["0", "1"]), "--gpus", "0,1", "--count", "8", gpus="0,1")
    assert ran.code == 1, ran.out + ran.err
    assert "no usable GPU is left" in ran.out
    assert len(trials(ran)) == 2 and {trial["cause"] for trial in trials(ran)} == {"gpu_fault"}
    write_trainer(tmp_path, "print('mAP: 1.5%')")
    env = environment(tmp_path, CUDA_VISIBLE_DEVICES="0,1")
    words = ["--sweep_id", ran.dir.name, "--workers", "2", *OFFLINE]
    again = sweep(tmp_path, *words, trainer=tmp_path / "trainer.yaml", config=None, env=env)
    assert again.code == 0, again.out + again.err
    assert again.summary["counts"] == {"finished": 8, "failed": 2}
    assert sum(trial["retry_of"] is not None for trial in trials(again)) == 2


# -- interrupts, and agents that hang or die ----------------------------------------------------------------------------


def test_an_interrupt_ends_every_running_trial(tmp_path: Path) -> None:
    trainer, file = write_trainer(tmp_path, SLEEPY), write_sweep(tmp_path, spec())
    launcher = start(tmp_path, "--sweep-config", file, *OFFLINE, "--workers", "4", trainer=trainer, config=None)
    wait_until(lambda: len(roles(tmp_path).get("child", [])) == 4, 30)
    launcher.send_signal(signal.SIGINT)
    rest, _ = launcher.communicate(timeout=180)
    assert launcher.returncode == 130, rest
    assert "SIGINT: ending the 4 running trials (again: at once)" in rest
    assert "4 killed; results in" in rest
    assert not living(tmp_path)


def test_an_agent_that_hangs_does_not_hold_up_the_others(tmp_path: Path) -> None:
    code = "import time\ntime.sleep(0.2)\nprint('mAP: 1.5%')"
    trainer, file = write_trainer(tmp_path, code), write_sweep(tmp_path, spec("grid"))
    words = ("--sweep-config", file, *OFFLINE, "--workers", "3", "--quiet")
    launcher = start_hasty(tmp_path, *words, trainer=trainer, config=None)
    wait_until(lambda: len(roles(tmp_path).get("child", [])) >= 3, 30)
    (victim, *_) = roles(tmp_path)["agent"]
    os.kill(victim, signal.SIGSTOP)
    stopped, ended = time.monotonic(), 0
    while time.monotonic() < stopped + 5.0 and launcher.poll() is None and ended < 25:
        records = [json.loads(path.read_text()) for path in tmp_path.glob("log/sweep/sweep/*/*/trial.json")]
        ended = sum(record["state"] == "finished" for record in records)
        time.sleep(0.1)
    assert ended >= 8  # before the hung one is even noticed
    rest, _ = launcher.communicate(timeout=180)
    assert launcher.returncode == 0, rest
    assert "sent no heartbeat for 6 s; its agent is replaced" in rest
    assert "40 finished, 1 lost" in rest
    assert not living(tmp_path)


@pytest.mark.parametrize(("workers", "count"), [(4, 60), pytest.param(8, 400, marks=pytest.mark.slow)])
def test_agents_killed_at_random_cost_no_trial(tmp_path: Path, workers: int, count: int) -> None:
    code = "import time\ntime.sleep(0.1)\nprint('mAP: 1.5%')"
    trainer, file = write_trainer(tmp_path, code), write_sweep(tmp_path, spec())
    words = (
        "--sweep-config",
        file,
        *OFFLINE,
        "--workers",
        str(workers),
        "--count",
        str(count),
        "--quiet",
        "--retries",
        "9",
    )
    launcher = start(tmp_path, *words, trainer=trainer, config=None)
    source, killed = random.Random(0), 0
    while killed < 4 and launcher.poll() is None:
        time.sleep(0.6)
        if agents := roles(tmp_path).get("agent", []):
            os.kill(source.choice(agents), signal.SIGKILL)
            killed += 1
    rest, _ = launcher.communicate(timeout=200)
    assert killed == 4
    assert launcher.returncode == 0, rest
    (place,) = (tmp_path / "log" / "sweep" / "sweep").iterdir()
    summary = json.loads((place / "summary.json").read_text())
    assert summary["counts"]["finished"] == count
    finished = [trial["params"]["base_lr"] for trial in summary["trials"] if trial["state"] == "finished"]
    assert len(set(finished)) == count
    assert not living(tmp_path)
