"""What is seen at a first trial: the GPUs its processes hold, and the files it leaves."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.single_trials import Hooks, launch_of
from yacs_sweep.records.folder import TrialPaths, TrialRecord
from yacs_sweep.trainers.gpu_key import GpuKey
from yacs_sweep.trainers.overrides import Overrides
from yacs_sweep.trainers.profile import TrainerProfile
from yacs_sweep.trainers.schemas.schema import Schema
from yacs_sweep.trial import first_trial
from yacs_sweep.trial.contract import Assignment
from yacs_sweep.trial.first_trial import (
    SETTLED,
    GpuLook,
    held_elsewhere,
    left_nothing,
    length_text,
    nothing_left_text,
    other_gpu_text,
    uses_driver,
)
from yacs_sweep.trial.gpu_memory import Gpu
from yacs_sweep.trial.runner import TrialRunner

OURS, OTHERS = os.getpid(), os.getppid()
PCI = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def machine(held: Mapping[int, Sequence[int]] = {}, names: str = "HHHHHHHH", mig: int | None = None) -> list[Gpu]:
    """Makes up GPUs; `held` are process ids by GPU, `names` a letter for each one's product."""
    return [
        Gpu(index, f"GPU-{index}a", name, 0, dict.fromkeys(held.get(index, ()), 1 << 30), ("MIG-1",) * (index == mig))
        for index, name in enumerate(names)
    ]


@pytest.mark.parametrize(
    ("gpus", "gpu_ids", "environment", "others", "given"),
    [
        (machine({7: [OURS]}), ("4",), PCI, [7], [4]),
        (machine({4: [OURS]}), ("4",), PCI, [], [4]),
        (machine({4: [OTHERS], 5: [OURS]}), ("4", "5"), PCI, [], [4, 5]),
        (machine({0: [OURS], 4: [OURS]}), ("4",), PCI, [0], [4]),
        (machine({0: [OURS]}), ("GPU-3a",), PCI, [0], [3]),
        (machine({0: [OURS]}), (), {"CUDA_VISIBLE_DEVICES": "3", **PCI}, [0], [3]),
        (machine({0: [OURS]}), (), {}, [], list(range(8))),  # all are its own
        (machine({0: [OURS]}), (), {"CUDA_VISIBLE_DEVICES": ""}, [], []),
        (machine({0: [OURS]}), (), {"CUDA_VISIBLE_DEVICES": "3"}, [0], [3]),  # alike: in the same order
        (machine({0: [OURS]}, "AABB"), (), {"CUDA_VISIBLE_DEVICES": "3"}, [], []),  # CUDA sorts them by speed
        (machine({0: [OURS]}, "AABB"), ("3",), PCI, [0], [3]),
        (machine({0: [OURS]}, mig=0), ("4",), PCI, [], []),
        (machine({0: [OURS]}, mig=4), ("4",), PCI, [], []),
    ],
)
def test_gpus_that_are_held_and_not_given(
    gpus: list[Gpu], gpu_ids: tuple[str, ...], environment: dict[str, str], others: list[int], given: list[int]
) -> None:
    found = held_elsewhere(gpus, {OURS}, gpu_ids, environment)
    assert [[gpu.index for gpu in part] for part in found] == [others, given]


def seen(look: GpuLook, times: int = 1) -> Any:
    """Polls until something is found, or so many looks have been made."""
    for _ in range(times):
        for _ in range(2):
            if (found := look.look({OURS})) is not None:
                return found
            while look._thread is not None and look._thread.is_alive():
                time.sleep(0.001)
    return None


def looking(reader: Callable[[], list[Gpu]], monkeypatch: pytest.MonkeyPatch) -> tuple[GpuLook, list[float]]:
    """Makes a look with a clock of its own, on a machine whose process ids NVML knows."""
    clock = [100.0]
    monkeypatch.setattr(first_trial.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(first_trial, "in_own_namespace", lambda: True)
    return GpuLook(reader, first_pause=0.0), clock


def test_one_look_is_enough_to_see_another_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    count = []
    look, _ = looking(lambda: count.append(1) or machine({7: [OURS]}), monkeypatch)  # type: ignore[func-returns-value]
    look.begin(("4",), PCI)
    others, given = seen(look)
    assert ([gpu.index for gpu in others], [gpu.index for gpu in given]) == ([7], [4])
    assert seen(look, 5) is None and len(count) == 1  # said once
    look.begin(("4",), PCI)
    assert seen(look, 5) is None and len(count) == 1
    look.begin(("5",), PCI)  # another place
    assert seen(look) is not None
    look.begin(("5",), PCI, ["train.py"])  # another trainer
    assert seen(look) is not None


def test_a_trainer_on_the_right_gpu_is_looked_at_until_it_has_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [machine({4: [OURS]})]
    look, clock = looking(lambda: now[0], monkeypatch)
    look.begin(("4",), PCI)
    assert seen(look, 2) is None
    now[0] = machine({0: [OURS], 4: [OURS]})  # a model that is loaded to cuda:0 first
    assert seen(look) is not None
    now[0] = machine({4: [OURS]})
    look.begin(("5",), PCI)
    now[0] = machine({5: [OURS]})
    assert seen(look) is None
    clock[0] += SETTLED
    assert seen(look) is None
    now[0] = machine({0: [OURS]})
    assert seen(look, 3) is None  # it was believed


def test_pauses_between_looks_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    count: list[float] = []
    monkeypatch.setattr(first_trial, "in_own_namespace", lambda: True)
    clock = [0.0]
    monkeypatch.setattr(first_trial.time, "monotonic", lambda: clock[0])
    look = GpuLook(lambda: count.append(clock[0]) or machine())  # type: ignore[func-returns-value]
    look.begin(("4",), PCI)
    for _ in range(600):  # a trainer that computes on the CPU, for ten minutes
        clock[0] += 1
        seen(look)
    assert count[:6] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    assert 12 <= len(count) <= 16


def test_a_machine_without_gpus_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    count = []
    look, _ = looking(lambda: count.append(1) or [], monkeypatch)  # type: ignore[func-returns-value]
    for number in range(5):
        look.begin((str(number),), PCI)
        assert seen(look, 5) is None
    assert len(count) == 1


def test_a_trial_that_may_use_every_gpu_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    count = []
    look, _ = looking(lambda: count.append(1) or machine(), monkeypatch)  # type: ignore[func-returns-value]
    look.begin((), {})
    assert seen(look, 5) is None and count == []
    look.begin((), {"CUDA_VISIBLE_DEVICES": "3"})
    assert seen(look, 1) is None and count == [1]


def test_a_driver_that_fails_or_hangs_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> list[Gpu]:
        raise RuntimeError("driver")

    look, _ = looking(fails, monkeypatch)
    look.begin(("4",), PCI)
    assert seen(look, 3) is None
    monkeypatch.undo()
    look = GpuLook(lambda: time.sleep(5) or [], first_pause=0.0)  # type: ignore[func-returns-value]
    look.begin(("4",), PCI)
    started = time.monotonic()
    for _ in range(100):
        assert look.look({OURS}) is None
    assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    ("listed", "driver", "told"), [([OURS], True, True), ([OURS], False, False), ([2**22 + 17], True, False)]
)
def test_in_a_container_ids_count_that_can_mean_nothing_else(
    monkeypatch: pytest.MonkeyPatch, listed: list[int], driver: bool, told: bool
) -> None:
    # The last one is no process here: NVML lists the machine's ids, one of which may be that of the trial by chance.
    gpus = machine({7: [OURS], 2: listed})
    look, _ = looking(lambda: gpus, monkeypatch)
    monkeypatch.setattr(first_trial, "in_own_namespace", lambda: False)
    monkeypatch.setattr(first_trial, "uses_driver", lambda pid: driver)
    look.begin(("4",), PCI)
    assert (seen(look, 2) is not None) is told


def test_this_process_has_no_driver_open() -> None:
    assert uses_driver(os.getpid()) is False
    assert uses_driver(2**22 + 17) is False


def overrides_of(tmp_path: Path, schema: Schema | None = None, **profile: Any) -> Overrides:
    launch = launch_of(tmp_path, "")
    return Overrides(replace(launch.profile, **profile), schema)


def test_what_is_said_of_another_gpu_and_what_to_write(tmp_path: Path) -> None:
    four, seven = machine()[4], machine()[7]
    begin = "warning: the trainer uses GPU 7, not GPU 4, which the trial was given: it chooses GPUs itself; "
    tree = Schema("config.py:_C", {"MODEL.DEVICE": "cuda", "MODEL.DEVICE_ID": "7"})

    def text(overrides: Overrides, gpu_ids: tuple[str, ...] = ("4",)) -> str:
        return other_gpu_text([seven], [four], gpu_ids, overrides)

    assert text(overrides_of(tmp_path, tree)) == f"{begin}write gpu_key: MODEL.DEVICE_ID in profile trainer"
    assert text(overrides_of(tmp_path)) == f"{begin}write gpu_key: KEY, the key that chooses them, in profile trainer"
    key = overrides_of(tmp_path, tree, gpu_key=GpuKey("MODEL.DEVICE_ID"))
    assert text(key) == f"{begin}give gpu_key: MODEL.DEVICE_ID another form in profile trainer"
    start = "warning: the trainer uses GPU 7, not GPU 4 of CUDA_VISIBLE_DEVICES: it chooses GPUs itself; "
    assert text(key, ()) == f"{start}with --gpus 4 the launcher sets MODEL.DEVICE_ID"
    assert text(overrides_of(tmp_path, tree), ()).endswith("trainer, and start with --gpus 4")
    assert "uses GPUs 4, 7, not GPU 4" in other_gpu_text([four, seven], [four], ("4",), key)


# A stand-in that, like reid-strong-baseline, computes where its own key says, in a process of its own as data loaders are.
CHOOSES = """
import subprocess, time
device = dict(word.lstrip("-").split("=") for word in sys.argv[2:]).get("DEVICE", "0")
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3.5)"])
(out.parent / "held").write_text(f"{child.pid} {device}")
print("mAP: 1%", flush=True)
child.wait()
(out.parent / "held").unlink()
"""


@pytest.mark.parametrize("keyed", [False, True])
def test_a_trainer_that_chooses_its_gpu_is_told_at_the_first_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keyed: bool
) -> None:  # F1
    launch = launch_of(tmp_path, CHOOSES)
    if keyed:
        profile = replace(launch.profile, gpu_key=GpuKey("DEVICE"))
        launch = replace(launch, profile=profile, overrides=Overrides(profile))
    held = launch.paths.dir / "held"

    def read() -> list[Gpu]:
        pid, device = held.read_text().split() if held.exists() else ("0", "0")
        return machine({int(device): [int(pid)]})

    monkeypatch.setattr(first_trial, "in_own_namespace", lambda: True)
    told: list[str] = []
    runner = TrialRunner(
        launch, on_event=lambda kind, content: told.append(content["text"]) if kind == "note" else None
    )
    runner.gpu_look = GpuLook(read, first_pause=0.0)
    try:
        for number in range(2):
            runner.use_gpus(["4"], shared=False)
            record = runner.run(Assignment(f"s-{number}", f"t{number}", number, {}), Hooks())
            assert record.state == "finished" and record.gpu_ids == ["4"]
    finally:
        runner.close()
    told = [line for line in told if "GPU" in line]
    if keyed:
        assert told == [] and record.command[-1] == "--DEVICE=4"
    else:
        assert told == [
            "t0: warning: the trainer uses GPU 0, not GPU 4, which the trial was given: it chooses GPUs itself; "
            "write gpu_key: KEY, the key that chooses them, in profile trainer"
        ]


def test_a_folder_that_holds_the_launcher_s_files_alone(tmp_path: Path) -> None:
    profile, paths = launch_of(tmp_path, "").profile, TrialPaths(tmp_path / "t0")
    record = TrialRecord("s-0", "t0", 0, {}, given={"config_file": "/base/c.yaml"})
    (paths.dir / "output").mkdir(parents=True)
    for path in (paths.record, paths.metrics, paths.stdout, paths.wandb_run, paths.dir / "trial-config.yaml"):
        path.touch()
    assert left_nothing(paths, profile, record)
    assert not left_nothing(paths, profile, replace(record, given={}))  # somebody else's file of that name
    file = paths.dir / "checkpoints" / "trial.json"  # another's of that name
    file.parent.mkdir()
    file.touch()
    assert not left_nothing(paths, profile, record)


def test_a_folder_that_cannot_be_read_is_not_taken_for_empty(tmp_path: Path) -> None:
    """No more files can be opened, as in case B4."""
    profile, paths = launch_of(tmp_path, "").profile, TrialPaths(tmp_path / "t0")
    record = TrialRecord("s-0", "t0", 0, {})
    paths.dir.mkdir()
    assert left_nothing(paths, profile, record)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        nothing = left_nothing(paths, profile, record)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not nothing


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"output_dir_key": "OUTPUT"}, "which OUTPUT names: it may set OUTPUT itself, from an option of its own, and"),
        ({"command": ("python", "t.py", "{output_dir}")}, "which its command names; where it writes elsewhere, trials"),
        ({"command": ("python", "t.py")}, "which it is not told: trials that share a folder resume each other's"),
    ],
)
def test_why_a_trainer_may_have_left_nothing(tmp_path: Path, given: dict[str, Any], why: str) -> None:
    profile: TrainerProfile = replace(launch_of(tmp_path, "").profile, **given)
    text = nothing_left_text(profile)
    assert text is not None and text.startswith(f"warning: the trainer has left no file in the trial's folder, {why}")
    assert "{{" not in text and ("{output_dir}" in text or "its command names" in text)


# A stand-in that, like Swin, sets its output folder from an option of its own.
OVERWRITES = "out = Path('shared'); out.mkdir(exist_ok=True); (out / 'ckpt.pth').touch(); print('mAP: 1%')"


@pytest.mark.parametrize(("code", "count"), [(OVERWRITES, 1), ("(out / 'ckpt.pth').touch(); print('mAP: 1%')", 0)])
def test_a_trainer_that_overwrites_its_output_folder_is_told_once(tmp_path: Path, code: str, count: int) -> None:  # F4
    told: list[str] = []
    runner = TrialRunner(
        launch_of(tmp_path, code),
        on_event=lambda kind, content: told.append(content["text"]) if kind == "note" else None,
    )
    try:
        for number in range(3):
            runner.run(Assignment(f"s-{number}", f"t{number}", number, {}), Hooks())
    finally:
        runner.close()
    assert [line.partition(": ")[0] for line in told if "has left no file" in line] == ["t0"] * count


@pytest.mark.parametrize(("iterations", "full"), [(9, 100), (9, 4), (1, 3)])
def test_a_training_of_another_length_than_max_iter_is_told(iterations: int, full: int) -> None:
    text = length_text(iterations, "val/mAP", full)
    values = f"{iterations} logged value{'s' * (iterations > 1)} of val/mAP"
    assert text is not None and f"by itself after {values}, and max_iter, by which" in text
    assert f"is {full}; write max_iter: {iterations}, if" in text
    assert length_text(full, "val/mAP", full) is None


@pytest.mark.parametrize(("full", "count"), [(3, 1), (2, 0), (None, 0)])
def test_a_trainer_of_another_length_is_told_once(tmp_path: Path, full: int | None, count: int) -> None:
    told: list[str] = []
    launch = launch_of(tmp_path, "(out / 'ckpt.pth').touch(); print('mAP: 1%'); print('mAP: 2%')")
    runner = TrialRunner(
        replace(launch, compared="val/mAP", full=full),
        on_event=lambda kind, content: told.append(content["text"]) if kind == "note" else None,
    )
    try:
        for number in range(3):
            runner.run(Assignment(f"s-{number}", f"t{number}", number, {}, pauses=True), Hooks())
    finally:
        runner.close()
    assert [line.partition(": ")[0] for line in told if "and max_iter, by which" in line] == ["t0"] * count
