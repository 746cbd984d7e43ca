"""Recorders for the conformance suite, each with what reads its records back: the packages that people look with."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from tests.wandb_server import WandbServer
from tests.wandb_server.launching import environment, runs
from yacs_sweep.base.values import from_json, to_json
from yacs_sweep.recorders.interface import RecordedSweep
from yacs_sweep.recorders.targets import Target
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.records.metrics import Objective
from yacs_sweep.spec.read_sweep import sweep_from_dict

ROOT = Path(__file__).resolve().parents[3]
SPEC: dict[str, Any] = {
    "name": "searched",
    "method": "random",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {
        "lr": {"min": 0.001, "max": 0.1},
        "flip": {"values": [True, False]},
        "optimizer": {"values": ["adam", "sgd"]},
        "depth": {"values": [18, 50]},
    },
}
PARAMS = {"lr": 0.03, "flip": True, "optimizer": "adam", "depth": 50}
Act = tuple[str, Any]  # "log" rows, "finish" a record; "open" the trial again, which drops what was open


@dataclass
class Recorded:
    """What a recorder has of a trial: values by metric and step, parameters as texts, state and reason."""

    metrics: dict[str, list[tuple[int, float]]]
    params: dict[str, str]
    state: str
    reason: str
    end: str  # in the recorder's own words
    more: dict[str, Any] = field(default_factory=dict)


class Case(Protocol):
    """One recorder."""

    ends: Mapping[str, str]  # by the trial's state

    def perform(self, record: TrialRecord, acts: Sequence[Act]) -> None:
        """Opens the trial and does all that, in order."""

    def read(self, name: str) -> Recorded: ...


def sweep_in(folder: Path, **more: Any) -> RecordedSweep:
    paths = SweepPaths(folder, "abcd1234")
    paths.dir.mkdir(parents=True, exist_ok=True)
    return RecordedSweep(paths, sweep_from_dict({**SPEC, **more}, "sweep.yaml"))


def perform(make: Callable[[], Any], record: TrialRecord, acts: Sequence[Act]) -> None:
    """Does the acts in this process; `make` makes the recorder."""
    objective = Objective("val/mAP", "maximize", "last")
    recorder = make()
    trial = recorder.open(record)
    for act, what in acts:
        if act == "log":
            for _, row in what:
                objective.see(row)
            trial.log(what)
        elif act == "finish":
            trial.finish(what, objective)
        else:
            recorder.close()
            recorder = make()
            trial = recorder.open(record)
    recorder.close()


class TensorBoardCase:
    """TensorBoard's event files, read by its accumulator and its plugin."""

    ends: ClassVar = {"finished": "STATUS_SUCCESS", "failed": "STATUS_FAILURE", "paused": "STATUS_RUNNING"}

    def __init__(self, folder: Path) -> None:
        self.sweep = sweep_in(folder)

    def perform(self, record: TrialRecord, acts: Sequence[Act]) -> None:
        from yacs_sweep.recorders.tensorboard_files import TensorBoardRecorder

        perform(lambda: TensorBoardRecorder(self.sweep), record, acts)

    def read(self, name: str) -> Recorded:
        return read_tensorboard(self.sweep.paths.dir / "tensorboard", name)


def read_tensorboard(folder: Path, name: str) -> Recorded:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import api_pb2, metadata

    found = EventAccumulator(str(folder / name), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    content = {
        tag: found.SummaryMetadata(tag).plugin_data.content for tag in found.PluginTagToContent(metadata.PLUGIN_NAME)
    }
    start = metadata.parse_session_start_info_plugin_data(content[metadata.SESSION_START_INFO_TAG])
    last = _last_end(folder / name)
    text = found.Tensors("sweep/reason")[-1].tensor_proto.string_val[0].decode() if last is not None else "running: "
    state, _, reason = text.partition(": ")
    hparams = {key: _of_value(start.hparams[key]) for key in start.hparams}
    metrics = {tag: [(each.step, each.value) for each in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    value = metrics.pop("sweep/value", [])
    end = api_pb2.Status.Name(last.status) if last is not None else ""
    return Recorded(metrics, hparams, state, reason, end, {"value": value, "group": start.group_name})


def _of_value(value: Any) -> str:
    return json.dumps(getattr(value, value.WhichOneof("kind")))


def _last_end(folder: Path) -> Any:
    """The last word about the end: the accumulator keeps the first, TensorBoard's own loader all."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.plugins.hparams import metadata

    last = None
    for path in sorted(folder.glob("events*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.tag == metadata.SESSION_END_INFO_TAG:
                    last = metadata.parse_session_end_info_plugin_data(value.metadata.plugin_data.content)
    return last


class MlflowCase:
    """MLflow's database, read by its client."""

    ends: ClassVar = {"finished": "FINISHED", "failed": "FAILED", "paused": "SCHEDULED"}

    def __init__(self, folder: Path, database: Path) -> None:
        self.uri = f"sqlite:///{folder / 'runs.db'}"
        shutil.copyfile(database, folder / "runs.db")
        self.sweep = sweep_in(folder)

    def perform(self, record: TrialRecord, acts: Sequence[Act]) -> None:
        from yacs_sweep.recorders.mlflow_runs import MlflowRecorder

        perform(lambda: MlflowRecorder(self.sweep, Target("mlflow", self.uri)), record, acts)

    def read(self, name: str) -> Recorded:
        return read_mlflow(self.uri, name)


def mlflow_runs(uri: str) -> list[Any]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiments = [found.experiment_id for found in client.search_experiments()]
    return list(client.search_runs(experiments))


def read_mlflow(uri: str, name: str) -> Recorded:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    (run,) = [run for run in mlflow_runs(uri) if run.info.run_name == name]
    metrics = {
        key: [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics
    }
    value = metrics.pop("sweep/value", [])
    tags = run.data.tags
    more = {"value": value, "tags": tags, "run": run}
    params = {key: _as_json(text) for key, text in run.data.params.items()}
    return Recorded(metrics, params, tags["sweep.state"], tags.get("sweep.reason", ""), run.info.status, more)


def _as_json(text: str) -> str:
    """A parameter's text as JSON: those that are none are texts."""
    try:
        return json.dumps(float(text) if not isinstance(json.loads(text), bool) else json.loads(text))
    except ValueError:
        return json.dumps(text)


# Does the acts on a W&B run, in a process that has the server's environment.
_ON_WANDB = """
import json, sys
from pathlib import Path
from yacs_sweep.base.values import from_json
from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.records.metrics import Objective
from yacs_sweep.wandb import client
from yacs_sweep.wandb.recorder import Run, RunIdentity, run_exit_code
from yacs_sweep.wandb.run_rows import Axes, WandbTrial
client.prepare()
record, acts = json.loads(sys.argv[1])
identity = RunIdentity(record["id"], "online", record["params"], record["name"], project="p", entity="tester")
axes = Axes(metric="val/mAP", goal="maximize")
objective = Objective("val/mAP", "maximize", "last")
run = Run(identity, axes)._open(Path("."), "online")
trial = WandbTrial(run, axes, objective)
open_ = True
for act, what in acts:
    if act == "log":
        rows = [(step, {name: from_json(value) for name, value in row.items()}) for step, row in what]
        for _, row in rows:
            objective.see(row)
        trial.log(rows)
    elif act == "finish":
        ended = TrialRecord.from_row(what)
        trial.finish(ended, objective)
        run.finish(exit_code=run_exit_code(ended, False))
        open_ = False
    else:
        if open_:
            run.finish(exit_code=1)
        open_ = True
        run = Run(identity, axes)._open(Path("."), "online")
        trial = WandbTrial(run, axes, objective)
client.end_service(client.SERVICE_EXIT)
"""


class WandbCase:
    """W&B's runs, read from the loopback server."""

    ends: ClassVar = {"finished": "finished", "failed": "failed", "paused": "failed"}

    def __init__(self, folder: Path, server: WandbServer) -> None:
        self.folder, self.server = folder, server

    def perform(self, record: TrialRecord, acts: Sequence[Act]) -> None:
        plain = [(act, what.row() if isinstance(what, TrialRecord) else what) for act, what in acts]
        env = {**environment(self.server, self.folder), "PYTHONPATH": str(ROOT)}
        words = [sys.executable, "-c", _ON_WANDB, to_json([record.row(), plain])]
        done = subprocess.run(words, cwd=self.folder, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def read(self, name: str) -> Recorded:
        (run,) = [run for run in runs(self.server) if run.title == name]
        config = {key: value["value"] for key, value in json.loads(run.config).items() if key != "_wandb"}
        summary, metrics = json.loads(run.summary), dict[str, list[tuple[int, float]]]()
        for row in run.history():
            for key, value in row.items():
                if not key.startswith("_") and isinstance(number := from_json(value), int | float):
                    metrics.setdefault(key, []).append((row["_step"], float(number)))
        params = {key: json.dumps(float(value) if type(value) is int else value) for key, value in config.items()}
        return Recorded(metrics, params, summary["sweep/state"], summary["sweep/reason"], run.state)
