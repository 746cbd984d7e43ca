"""What a trial measured, beside its metric: values of several objectives, constraints, GPU memory, and the seed it is given."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.single_trials import Hooks, launch_of
from yacs_sweep.base.values import to_json
from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.records.measured import Demands
from yacs_sweep.spec.sweep import Metric
from yacs_sweep.trial.contract import Assignment
from yacs_sweep.trial.gpu_memory import Gpu, GpuMemoryWait
from yacs_sweep.trial.runner import TrialRunner

MS = Metric("ms")
TRAINER = """
print('mAP: 80%', flush=True); print('METRIC {"ms": 5.0, "params_m": 40, "val-loss": 1}', flush=True)
print('mAP: 70%', flush=True); print('METRIC {"ms": 7.0, "params_m": 20}', flush=True)
"""


def run(
    folder: Path, demands: Demands, code: str = TRAINER, assignment: Assignment | None = None, **changes: Any
) -> tuple[TrialRecord, list[str]]:
    """Runs one trial; returns its record as trial.json has it, and the lines for the user."""
    notes: list[str] = []
    folder.mkdir(exist_ok=True)

    def on_event(kind: str, content: Mapping[str, Any]) -> None:
        if kind == "note":
            notes.append(content["text"])

    launch = replace(launch_of(folder, code), demands=demands, **changes)
    runner = TrialRunner(launch, on_event=on_event)
    try:
        runner.run(assignment or Assignment("s-0", "t", 0, {}), Hooks())
    finally:
        runner.close()
    return TrialRecord.load(launch.paths.trial("t").record), notes


def test_nothing_is_written_where_nothing_is_asked(tmp_path: Path) -> None:
    record, _ = run(tmp_path, Demands())
    content = json.loads((tmp_path / "sweep" / "s" / "t" / "trial.json").read_text())
    assert record.state == "finished"
    assert not {"values", "facts", "feasible", "violated", "point", "seed"} & set(content)


@pytest.mark.parametrize(("optimize", "expected"), [("last", (70.0, 7.0)), ("best", (80.0, 5.0))])
def test_values_of_several_objectives(tmp_path: Path, optimize: str, expected: tuple[float, float]) -> None:
    record, notes = run(tmp_path, Demands((MS,), optimize=optimize), optimize=optimize)
    assert (record.state, record.value) == ("finished", expected[0])
    assert record.values == {"val/mAP": expected[0], "ms": expected[1]}
    assert record.feasible is None and record.facts is None
    assert not [note for note in notes if "cannot be judged" in note]


def test_constraints_judge_last_values_and_the_objectives_own(tmp_path: Path) -> None:
    texts = ("params_m <= 30", "val/mAP > 75", "`val-loss` < 2 and duration < 60")
    record, _ = run(tmp_path, Demands((), texts, "last"))
    assert record.facts is not None
    seconds = record.facts.pop("duration")
    assert 0 <= seconds < 60
    assert record.facts == {"params_m": 20, "val/mAP": 70.0, "val-loss": 1}
    assert (record.feasible, record.violated) == (False, ["val/mAP > 75"])
    best, _ = run(tmp_path / "best", Demands((), texts, "best"), optimize="best")
    assert (best.feasible, best.violated) == (True, [])


def test_a_constraint_that_cannot_be_judged_is_told_once(tmp_path: Path) -> None:
    record, notes = run(tmp_path, Demands((), ("param_m <= 30", "param_m > 2", "gpu_memory_mb < 9")))
    assert (record.feasible, record.violated, record.facts) == (None, [], {})
    told = [note for note in notes if "cannot be judged" in note]
    assert told == [
        "t: warning: 'param_m <= 30' cannot be judged, so the trial does not count as one that keeps it: the trial has "
        "logged no param_m; did you mean params_m?",
        "t: warning: 'gpu_memory_mb < 9' cannot be judged, so the trial does not count as one that keeps it: no GPU's "
        "memory can be read here (it takes a driver and nvidia-ml-py)",
    ]


def test_gpu_memory_as_an_objective_is_told_of_where_it_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yacs_sweep.trial.runner.GpuMemoryWait", lambda ids, wait: GpuMemoryWait(ids, wait, list))
    record, notes = run(tmp_path, Demands((Metric("gpu_memory_mb"),)), "print('mAP: 1%')")
    assert (record.state, record.values) == ("finished", {"val/mAP": 1.0, "gpu_memory_mb": None})
    assert [note for note in notes if "gpu_memory_mb" in note] == [
        "t: warning: gpu_memory_mb has no value, so the trial is not on the Pareto front: no GPU's memory can be read here "
        "(it takes a driver and nvidia-ml-py)"
    ]


def test_the_duration_may_be_an_objective(tmp_path: Path) -> None:
    code = "import time; time.sleep(0.3); print('mAP: 1%')"
    record, _ = run(tmp_path, Demands((Metric("duration"),), ("duration < 0.2",)), code)
    assert record.state == "finished" and record.values is not None and record.facts is not None
    assert record.values["val/mAP"] == 1.0
    assert 0.3 <= (record.values["duration"] or 0) < 30
    assert record.facts["duration"] == record.values["duration"]
    assert record.feasible is False


def test_what_the_trainer_logs_goes_before_the_launchers_own_measure(tmp_path: Path) -> None:
    code = """print('mAP: 1%'); print('METRIC {"duration": 1234.5}')"""
    record, _ = run(tmp_path, Demands((), ("duration < 0.2",)), code)
    assert record.facts == {"duration": 1234.5}


@pytest.mark.parametrize(
    ("code", "cause", "reason"),
    [
        ("print('mAP: 1%')", "no_metric", "never logged the sweep's metric ms"),
        ("""print('METRIC {"ms": 1}')""", "no_metric", "never logged the sweep's metric val/mAP"),
        ("""print('mAP: 1%'); print('METRIC {"ms": NaN}')""", "diverged", "diverged: ms is nan"),
    ],
)
def test_every_objective_must_be_logged_and_a_number(tmp_path: Path, code: str, cause: str, reason: str) -> None:
    record, _ = run(tmp_path, Demands((MS,)), code)
    assert (record.state, record.cause) == ("failed", cause)
    assert reason in record.reason


def test_a_seed_is_given_to_the_trainer_and_is_none_of_the_points_parameters(tmp_path: Path) -> None:
    code = "import sys; print(sys.argv[1:]); print('mAP: 1%')"
    assignment = Assignment("s-0", "t", 0, {"a": 0.5}, point="point-0003", seed=7)
    record, _ = run(tmp_path, Demands(seed_name="SOLVER.SEED"), code, assignment)
    assert (record.params, record.point, record.seed) == ({"a": 0.5}, "point-0003", 7)
    assert record.command[-2:] == ["--SOLVER.SEED=7", "--a=0.5"]
    assert "'--SOLVER.SEED=7', '--a=0.5']" in (tmp_path / "sweep" / "s" / "t" / "stdout.log").read_text()


def test_a_trial_that_is_resumed_counts_what_it_measured_before(tmp_path: Path) -> None:
    launch = launch_of(tmp_path, "print('mAP: 70%')")
    paths = launch.paths.trial("t")
    paths.dir.mkdir(parents=True)
    paths.metrics.write_text(to_json({"step": 0, "ms": 3.0}) + "\n")
    TrialRecord("s-0", "t", 0, {}, state="killed").save(paths)
    runner = TrialRunner(replace(launch, demands=Demands((MS,), ("ms < 4",))))
    try:
        record = runner.run(Assignment("s-0", "t", 0, {}), Hooks())
    finally:
        runner.close()
    assert (record.state, record.attempts) == ("finished", 2)
    assert record.values == {"val/mAP": 70.0, "ms": 3.0}
    assert record.feasible is True


MIB = 1 << 20


def test_gpu_memory_is_the_peak_of_the_trials_processes_on_all_gpus() -> None:
    shown = [
        [Gpu(0, "a", "", 10 * MIB, {7: 10 * MIB}), Gpu(1, "b", "", 0, {})],
        [Gpu(0, "a", "", 40 * MIB, {7: 10 * MIB, 8: 30 * MIB}), Gpu(1, "b", "", 5 * MIB, {9: 5 * MIB})],
        [Gpu(0, "a", "", 20 * MIB, {7: 10 * MIB, 8: 10 * MIB}), Gpu(1, "b", "", 0, {})],
    ]
    memory = GpuMemoryWait((), 0.0, lambda: shown.pop(0))
    memory.record_baseline()
    assert memory.peak is None
    memory.sample({8, 9})
    assert memory.peak == 35.0
    memory.sample({8, 9})
    assert memory.peak == 35.0


def test_gpu_memory_where_processes_are_hidden_is_what_is_used_beyond_the_baseline() -> None:
    shown = [[Gpu(0, "a", "", 10 * MIB, {})], [Gpu(0, "a", "", 25 * MIB, {})], [Gpu(0, "a", "", 90 * MIB, {})]]
    memory = GpuMemoryWait((), 0.0, lambda: shown.pop(0))
    memory.record_baseline()
    memory.sample({8})
    assert memory.peak == 15.0
    memory.use((), shared=True)  # others use it as well: nobody knows whose memory that is
    memory.sample({8})
    assert memory.peak == 15.0


def test_without_a_gpu_there_is_no_peak() -> None:
    memory = GpuMemoryWait((), 0.0, list)
    memory.record_baseline()
    memory.sample({8})
    assert memory.peak is None


def test_gpu_memory_is_sampled_while_the_trial_runs_only_if_a_constraint_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[float] = []

    def reader() -> list[Gpu]:
        reads.append(time.monotonic())
        return [Gpu(0, "a", "", len(reads) * MIB, {})]

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    code = "import time; print('mAP: 1%', flush=True); time.sleep(1.5)"
    counts = []
    for name, texts in (("with", ("gpu_memory_mb < 1000",)), ("without", ("duration < 60",))):
        reads.clear()
        (tmp_path / name).mkdir()
        launch = replace(launch_of(tmp_path / name, code), demands=Demands((), texts))
        runner = TrialRunner(launch)
        runner.gpu_memory = GpuMemoryWait((), 0.0, reader)
        try:
            record = runner.run(Assignment("s-0", "t", 0, {}), Hooks())
        finally:
            runner.close()
        assert record.feasible is True
        counts.append(len(reads))
        if name == "with":
            assert record.facts is not None and record.facts["gpu_memory_mb"] >= 1.0
    assert counts[0] > counts[1]
    assert os.environ.get("CUDA_VISIBLE_DEVICES") is None
