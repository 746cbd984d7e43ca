"""What every recorder does, read back with W&B's loopback server and TensorBoard's and MLflow's own packages."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.wandb_server import WandbServer, start_server
from tests.yacs_sweep.recorders.cases import PARAMS, Act, Case, MlflowCase, TensorBoardCase, WandbCase
from yacs_sweep.recorders.targets import Target
from yacs_sweep.records.folder import TrialRecord

ROWS: list[tuple[int, dict[str, Any]]] = [
    (0, {"epoch": 1, "train/loss": 10.5}),
    (1, {"epoch": 1, "train/loss": 8.25, "note": "a text"}),
    (2, {"epoch": 1, "val/mAP": 41.5}),
    (5, {"epoch": 2, "val/mAP": 40, "train/loss": 2.0}),
]
STARTED, ENDED = "2026-01-01T00:00:00.000Z", "2026-01-01T00:10:00.000Z"
RUNNING = TrialRecord("id1", "trial-0000", 0, PARAMS, started=STARTED, command=["train"], host="here")


@pytest.fixture(scope="module")
def server() -> Iterator[WandbServer]:
    with start_server() as server:
        yield server


# W&B's client takes seconds for each; what it is used by is tested in every run.
@pytest.fixture(params=[pytest.param("wandb", marks=pytest.mark.slow), "tensorboard", "mlflow"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    if request.param == "wandb":
        server: WandbServer = request.getfixturevalue("server")
        server.state.runs.clear()
        return WandbCase(tmp_path, server)
    if request.param == "tensorboard":
        return TensorBoardCase(tmp_path)
    return MlflowCase(tmp_path, request.getfixturevalue("database"))


def ended(state: str, reason: str, value: float | None = 40.0) -> TrialRecord:
    return replace(RUNNING, state=state, reason=reason, ended=ENDED, value=value, exit_code=0 if value else 1)


def test_rows_parameters_and_end_are_recorded_once_however_often_they_are_told(case: Case) -> None:
    done = ended("finished", "exit code 0")
    # A recorder that is opened again, after a failure or by a later launch, is given every row from the first on.
    first: list[Act] = [("log", ROWS[:2]), ("open", None), ("log", ROWS[:2]), ("log", ROWS[2:3]), ("open", None)]
    case.perform(RUNNING, [*first, ("log", ROWS), ("finish", done), ("open", None), ("log", ROWS), ("finish", done)])
    found = case.read("trial-0000")
    assert found.metrics["epoch"] == [(0, 1), (1, 1), (2, 1), (5, 2)]
    assert found.metrics["train/loss"] == [(0, 10.5), (1, 8.25), (5, 2)]
    assert found.metrics["val/mAP"] == [(2, 41.5), (5, 40)]
    assert found.params == {"lr": "0.03", "flip": "true", "optimizer": '"adam"', "depth": "50.0"}
    assert (found.state, found.reason) == ("finished", "exit code 0")
    assert found.end == case.ends["finished"]


def test_a_paused_trial_is_continued_in_its_run(case: Case) -> None:
    case.perform(RUNNING, [("log", ROWS[:2]), ("finish", ended("paused", "waits at epoch 1", None))])
    found = case.read("trial-0000")
    assert (found.state, found.end) == ("paused", case.ends["paused"])
    case.perform(RUNNING, [("log", ROWS), ("finish", ended("failed", "exit code 1", None))])
    found = case.read("trial-0000")
    assert found.metrics["epoch"] == [(0, 1), (1, 1), (2, 1), (5, 2)]
    assert (found.state, found.reason, found.end) == ("failed", "exit code 1", case.ends["failed"])


def test_numbers_that_are_not_finite_and_odd_names_lose_no_other_value(case: Case) -> None:
    rows = [
        (0, {"train/loss": math.nan, "epoch": 1}),
        (1, {"train/loss": math.inf, "epoch": 2, "acc@1 {top}": 0.5, "huge": 2**70, "flag": True, "none": None}),
        (2, {"train/loss": 1.5, "epoch": 3}),
    ]
    case.perform(RUNNING, [("log", rows), ("finish", ended("finished", ""))])
    found = case.read("trial-0000")
    loss = dict(found.metrics["train/loss"])
    assert math.isnan(loss[0])
    assert loss[1] > 1e300
    assert loss[2] == 1.5
    assert found.metrics["epoch"] == [(0, 1), (1, 2), (2, 3)]
    assert [value for name, value in found.metrics.items() if name.startswith("acc")] == [[(1, 0.5)]]
    assert found.metrics["huge"][0][1] == pytest.approx(2.0**70)


def test_a_trial_without_rows_has_its_end(case: Case) -> None:
    case.perform(RUNNING, [("finish", ended("failed", "the point was refused", None))])
    found = case.read("trial-0000")
    assert (found.state, found.reason, found.end) == ("failed", "the point was refused", case.ends["failed"])


def test_mlflow_takes_the_best_trials_files_and_tells_steps_by_its_public_part_too(
    tmp_path: Path, database: Path
) -> None:
    from yacs_sweep.recorders.mlflow_runs import MlflowRecorder, last_steps

    case = MlflowCase(tmp_path, database)
    case.perform(RUNNING, [("log", ROWS), ("finish", ended("finished", "exit code 0"))])
    best = tmp_path / "best"
    best.mkdir()
    (best / "model.pth").write_bytes(b"weights")
    recorder = MlflowRecorder(case.sweep, Target("mlflow", case.uri))
    recorder.add_files(RUNNING, best)
    run = case.read("trial-0000").more["run"]
    stored = tmp_path / "mlartifacts" / run.info.run_id / "artifacts" / "best" / "model.pth"
    assert stored.read_bytes() == b"weights"
    expected = {"epoch": 5, "train/loss": 5, "val/mAP": 5, "sweep/value": 5}
    assert last_steps(recorder.client, run) == expected
    del run.data._metric_objs
    assert last_steps(recorder.client, run) == expected
