"""Sweeps with --record, as a user runs them, read back with the recorders' own packages."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import Ran, processes_with, start, sweep, write_sweep
from tests.wandb_server import launching, start_server
from tests.wandb_server.launching import grid, new_sweep, runs
from tests.yacs_sweep.recorders.cases import PARAMS, Recorded, mlflow_runs, read_mlflow, read_tensorboard, sweep_in
from yacs_sweep.recorders.tensorboard_files import TensorBoardRecorder
from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.records.metrics import Objective

POINTS: dict[str, Any] = {
    "name": "searched",
    "method": "grid",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"TOY.MODE": {"values": ["train", "exit3"]}, "base_lr": {"values": [0.0001, 0.001]}},
}
LOCAL = ("--controller", "local", "--quiet")


def rows_of(ran: Ran, name: str) -> dict[str, list[tuple[int, float]]]:
    """The trial's values by metric and step, as its metrics.jsonl has them."""
    found: dict[str, list[tuple[int, float]]] = {}
    path = ran.dir / name / "metrics.jsonl"
    for line in path.read_text().splitlines() if path.exists() else ():
        row = json.loads(line)
        step = row.pop("step")
        for key, value in row.items():
            found.setdefault(key, []).append((step, value))
    return found


def assert_recorded(ran: Ran, name: str, found: Recorded) -> None:
    """All of a trial is there, once; event files have numbers in single precision."""
    trial = ran.trial(name)
    expected = rows_of(ran, name)
    assert found.metrics.keys() == expected.keys()
    for key, values in expected.items():
        assert [step for step, _ in found.metrics[key]] == [step for step, _ in values]
        assert [value for _, value in found.metrics[key]] == pytest.approx([value for _, value in values], rel=1e-6)
    assert found.params == {key: json.dumps(value) for key, value in trial["params"].items()}
    assert (found.state, found.reason) == (trial["state"], trial["reason"])


def test_a_sweep_is_recorded_by_all_at_once(tmp_path: Path, database: Path) -> None:
    shutil.copyfile(database, tmp_path / "runs.db")
    file = write_sweep(tmp_path, POINTS)
    record = "wandb,tensorboard,mlflow=sqlite:///runs.db"
    ran = sweep(tmp_path, *LOCAL, "--sweep-config", file, "--workers", "2", "--record", record)
    assert ran.code == 1, ran.out + ran.err
    assert "warning" not in ran.out
    names = [trial["name"] for trial in ran.summary["trials"]]
    assert ran.summary["counts"] == {"finished": 2, "failed": 2}
    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    for name in names:
        assert_recorded(ran, name, read_tensorboard(ran.dir / "tensorboard", name))
        found = read_mlflow(uri, name)
        assert_recorded(ran, name, found)
        assert found.end == {"finished": "FINISHED", "failed": "FAILED"}[found.state]
    assert len(list((ran.dir / "wandb").glob("offline-run-*"))) == 4
    runs = {run.info.run_name: run for run in mlflow_runs(uri)}
    assert runs.keys() == {*names, "searched"}
    parent, best = runs["searched"], ran.summary["best"]
    assert {runs[name].data.tags["mlflow.parentRunId"] for name in names} == {parent.info.run_id}
    assert {runs[name].data.tags["sweep.id"] for name in names} == {ran.dir.name}
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["sweep.best_trial"] == best["name"]
    assert parent.data.metrics["sweep/value"] == best["value"]
    assert json.loads((ran.dir / "launch.json").read_text())["record"] == [
        "wandb",
        "tensorboard",
        f"mlflow=sqlite:///{tmp_path / 'runs.db'}",
    ]
    experiment = described(ran.dir / "tensorboard")
    assert [info.name for info in experiment.hparam_infos] == ["TOY.MODE", "base_lr"]
    assert [value.string_value for value in experiment.hparam_infos[0].domain_discrete.values] == ["train", "exit3"]
    assert [info.name.tag for info in experiment.metric_infos] == ["val/mAP", "sweep/value"]


def described(folder: Path) -> Any:
    """What the plugin HParams reads of the whole sweep."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    about = EventAccumulator(str(folder)).Reload().SummaryMetadata(metadata.EXPERIMENT_TAG)
    return metadata.parse_experiment_plugin_data(about.plugin_data.content)


def test_tensorboard_shows_the_table_of_hparams(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    recorder = TensorBoardRecorder(sweep_in(tmp_path))
    for number, value in enumerate((41.5, 43.0)):
        record = TrialRecord(f"id{number}", f"trial-{number}", number, {**PARAMS, "depth": 18}, value=value)
        trial = recorder.open(record)
        trial.log([(0, {"val/mAP": 1.0}), (1, {"val/mAP": value})])
        record.state = "finished"
        trial.finish(record, Objective("val/mAP", "maximize", "last"))
    folder = tmp_path / "sweep/abcd1234/tensorboard"
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    context = backend_context.Context(TBContext(data_provider=MultiplexerDataProvider(multiplexer, str(folder))))
    request = api_pb2.ListSessionGroupsRequest(slice_size=10, allowed_statuses=[api_pb2.STATUS_SUCCESS])
    for name in ("val/mAP", "sweep/value"):
        request.col_params.add(metric=api_pb2.MetricName(tag=name))
    groups = list_session_groups.Handler(RequestContext(), context, "", request).run().session_groups
    table = {
        group.name: (group.hparams["depth"].number_value, [each.value for each in group.metric_values])
        for group in groups
    }
    assert table == {"trial-0": (18, [41.5, 41.5]), "trial-1": (18, [43, 43])}


def test_without_wandb_there_are_no_runs_and_no_trace_of_a_recorder_without_the_option(tmp_path: Path) -> None:
    file = write_sweep(tmp_path, {**POINTS, "parameters": {"base_lr": {"values": [0.001]}}})
    ran = sweep(tmp_path, *LOCAL, "--sweep-config", file, "--record", "tensorboard")
    assert ran.code == 0, ran.out + ran.err
    assert not list((ran.dir / "wandb").glob("*"))
    assert json.loads((ran.dir / "launch.json").read_text())["wandb_mode"] == "disabled"
    assert_recorded(ran, "trial-0000", read_tensorboard(ran.dir / "tensorboard", "trial-0000"))
    # A resumed sweep is recorded where it was, and by one more recorder from its first row on.
    resumed = sweep(tmp_path, "--sweep_id", ran.dir.name, "--quiet", trainer=None, config=None)
    assert resumed.code == 0, resumed.out + resumed.err
    assert len(list((ran.dir / "tensorboard/trial-0000").glob("events*"))) == 1
    bad = sweep(tmp_path, *LOCAL, "--sweep-config", file, "--record", "tensorbord")
    assert (bad.code, bad.out) == (2, "")
    assert "--record: 'tensorbord' is no recorder; did you mean tensorboard?" in bad.err
    assert len(ran.sweeps) == 1


@pytest.mark.slow
def test_a_server_that_is_down_costs_nothing_and_gets_everything_when_the_sweep_is_resumed(
    tmp_path: Path, database: Path
) -> None:
    shutil.copyfile(database, tmp_path / "runs.db")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = write_sweep(tmp_path, POINTS)
    down = f"mlflow=http://alice:secret@127.0.0.1:{port}"
    ran = sweep(tmp_path, *LOCAL, "--sweep-config", file, "--record", down)
    assert ran.code == 1, ran.out + ran.err
    assert ran.summary["counts"] == {"finished": 2, "failed": 2}
    assert ran.out.count("mlflow does not take rows") == 1
    assert ran.out.count("resuming the sweep records the rest") == 1
    everything = "".join(path.read_text(errors="replace") for path in ran.dir.rglob("*.json"))
    assert "secret" not in ran.out + ran.err + everything
    words = ("--sweep_id", ran.dir.name, "--record", "mlflow=sqlite:///runs.db", "--retry-failed")
    again = sweep(tmp_path, *words, trainer=None, config=None)
    assert again.code == 1, again.out + again.err
    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    for trial in again.summary["trials"]:
        assert_recorded(again, trial["name"], read_mlflow(uri, trial["name"]))
    assert len(again.summary["trials"]) == 6


@pytest.mark.slow
def test_a_sweep_of_the_wandb_server_is_recorded_too_and_after_its_end(tmp_path: Path) -> None:
    with start_server() as server:
        words = new_sweep(tmp_path, grid(), "--quiet", "--workers", "2")
        refused = launching.sweep(server, tmp_path, *words, "--controller", "wandb", "--record", "tensorboard")
        assert (refused.code, refused.sweeps) == (2, [])
        assert "--record: the W&B controller needs its runs; add wandb" in refused.err
        ran = launching.sweep(server, tmp_path, *words, "--record", "wandb,tensorboard")
        assert ran.code == 0, ran.out + ran.err
        trials = ran.summary["trials"]
        assert sorted(run.title for run in runs(server)) == sorted(trial["name"] for trial in trials)
        for trial in trials:
            assert_recorded(ran, trial["name"], read_tensorboard(ran.dir / "tensorboard", trial["name"]))
        shutil.rmtree(ran.dir / "tensorboard")
        server.control.set_sweep_state(ran.dir.name, "FINISHED")
        resume = ("--sweep_id", ran.dir.name, "--quiet")
        again = launching.sweep(server, tmp_path, *resume, trainer=None, config=None)
        assert again.code == 0, again.out + again.err
        assert "what the other recorders lack is recorded" in again.out
        for trial in trials:
            assert_recorded(ran, trial["name"], read_tensorboard(ran.dir / "tensorboard", trial["name"]))


@pytest.mark.slow
def test_killed_launchers_leave_no_process_and_no_row_twice(tmp_path: Path, database: Path) -> None:
    shutil.copyfile(database, tmp_path / "runs.db")
    definition = {**POINTS, "parameters": {"base_lr": {"values": [0.0001, 0.001, 0.01, 0.1]}}}
    file = write_sweep(tmp_path, definition)
    slow = ("TOY.SECONDS", "0.3", "TOY.RESUMES", "itself", "SOLVER.MAX_EPOCHS", "3")
    record = ("--record", "tensorboard,mlflow=sqlite:///runs.db")
    process = start(tmp_path, *LOCAL, "--sweep-config", file, "--workers", "2", *record, *slow)
    try:
        time.sleep(6)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    (folder,) = (path.parent for path in tmp_path.glob("log/sweep/sweep/*/sweep.yaml"))
    deadline = time.monotonic() + 30
    while processes_with("yacs_sweep.recorders.follower") and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not processes_with("yacs_sweep.recorders.follower")
    words = ("--sweep_id", folder.name, "--workers", "2", "--quiet")
    process = start(tmp_path, *words, trainer=None, config=None)
    time.sleep(5)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    ran = sweep(tmp_path, *words, trainer=None, config=None)
    assert ran.code == 0, ran.out + ran.err
    assert ran.summary["counts"]["finished"] == 4
    for trial in ran.summary["trials"]:
        assert_recorded(ran, trial["name"], read_tensorboard(ran.dir / "tensorboard", trial["name"]))
        assert_recorded(ran, trial["name"], read_mlflow(f"sqlite:///{tmp_path / 'runs.db'}", trial["name"]))
