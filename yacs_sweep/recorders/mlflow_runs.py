"""Records trials as MLflow runs: one parent run a sweep, below it a run for each trial.

The server says which rows it has: of each metric its last step. So a request that was lost, or answered too late, may be
repeated.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from ..base.values import to_json, utc_seconds
from ..records.environment import DIRTY
from ..records.folder import TrialRecord
from ..records.metrics import Objective
from .interface import RecordedSweep, Rows
from .targets import Target

EXPERIMENT_VARIABLE = "MLFLOW_EXPERIMENT_NAME"  # MLflow's own; else the project, else the sweep's name
# How long one request may take: rows wait on disk, and the follower asks again. MLflow's own are 120 s and 7.
REQUESTS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
QUIET = {"MLFLOW_ALLOW_FILE_STORE": "true", "GIT_PYTHON_REFRESH": "quiet", "MLFLOW_DISABLE_TELEMETRY": "true"}
MOST_METRICS, MOST_PARAMS, MOST_TAGS = 1000, 100, 100  # of one request
MOST_TEXT = 5000  # characters of a tag or parameter
MOST_NAME = 250
VALUE = "sweep/value"  # the metric with the trial's value
SWEEP_TAG, TRIAL_TAG = "sweep.id", "sweep.trial"  # by which runs are found again
_STATUS = {"finished": "FINISHED", "stopped": "FINISHED", "failed": "FAILED", "lost": "FAILED", "killed": "KILLED"}
_PAUSED = "SCHEDULED"
_FOREIGN = re.compile(r"[^\w\-. :/]")


class MlflowTrial:
    """`TrialRun` of an MLflow run."""

    def __init__(self, client: Any, run: Any, sweep: RecordedSweep, record: TrialRecord) -> None:
        """Reads what the run has, and records the trial's parameters and tags."""
        self.client, self.run_id = client, run.info.run_id
        self._last = last_steps(client, run)
        self._log_params(sweep.parameters_of(record), run.data.params)
        tags = {"command": " ".join(record.command), "host": record.host, "dir": record.dir}
        if record.git_commit:
            tags["mlflow.source.git.commit"] = record.git_commit.removesuffix(DIRTY)
        for name, value in (("retry_of", record.retry_of), ("parent", record.parent_trial), ("point", record.point)):
            if value is not None:
                tags[f"sweep.{name}"] = value
        self._log_tags({**tags, "sweep.state": "running"})
        if run.info.status != "RUNNING":
            client.update_run(self.run_id, status="RUNNING")

    def _log_params(self, params: Mapping[str, Any], known: Mapping[str, str]) -> None:
        """Records parameters; MLflow takes each once."""
        from mlflow.entities import Param

        texts = {as_name(name): _text(value) for name, value in params.items()}
        new = [Param(name, text) for name, text in texts.items() if name not in known]
        for begin in range(0, len(new), MOST_PARAMS):
            self.client.log_batch(self.run_id, params=new[begin : begin + MOST_PARAMS])

    def _log_tags(self, tags: Mapping[str, Any]) -> None:
        """Records tags, which replace those of the same name."""
        from mlflow.entities import RunTag

        texts = [RunTag(as_name(name), _text(value)) for name, value in tags.items()]
        for begin in range(0, len(texts), MOST_TAGS):
            self.client.log_batch(self.run_id, tags=texts[begin : begin + MOST_TAGS])

    def log(self, rows: Rows) -> None:
        """Sends the numbers that the run lacks, many rows in a request."""
        from mlflow.entities import Metric

        now, found = int(time.time() * 1000), []
        last = self._last
        for step, row in rows:
            for name, value in row.items():
                if isinstance(value, bool) or not isinstance(value, int | float):
                    continue
                key = as_name(name)
                if step > last.get(key, -1):
                    with contextlib.suppress(OverflowError):
                        found.append(Metric(key, float(value), now, step))
        for begin in range(0, len(found), MOST_METRICS):
            sent = found[begin : begin + MOST_METRICS]
            self.client.log_batch(self.run_id, metrics=sent)
            last.update({metric.key: metric.step for metric in sent})

    def finish(self, record: TrialRecord, objective: Objective) -> None:
        """Records the trial's value, state and reason, and ends the run."""
        from mlflow.entities import Metric

        ended = int((utc_seconds(record.ended) or time.time()) * 1000)
        if record.value is not None:
            step = max(self._last.values(), default=0)
            self.client.log_batch(self.run_id, metrics=[Metric(VALUE, float(record.value), ended, step)])
        tags: dict[str, Any] = {
            "sweep.state": record.state,
            "sweep.reason": record.reason,
            "sweep.cause": record.cause,
            "sweep.exit_code": record.exit_code,
            "sweep.attempts": record.attempts,
        }
        if record.values:
            tags["sweep.values"] = record.values
        if record.facts:
            tags["sweep.facts"] = record.facts
        self._log_tags(tags)
        status = _STATUS.get(record.state)
        if status is None:
            self.client.update_run(self.run_id, status=_PAUSED)
        else:
            self.client.set_terminated(self.run_id, status, end_time=ended)


class MlflowRecorder:
    """`Recorder` on an MLflow server or database."""

    def __init__(self, sweep: RecordedSweep, target: Target) -> None:
        """Finds the sweep's experiment and parent run, or makes them."""
        assert target.uri is not None
        prepare_environment(target.uri)
        from mlflow.tracking import MlflowClient

        self.sweep = sweep
        self.uri = _without_credentials(target.uri)
        self.client = MlflowClient(tracking_uri=self.uri)
        self.experiment = self._experiment()
        self.parent = self._parent()

    def _experiment(self) -> str:
        """Returns the id of the experiment."""
        name = os.environ.get(EXPERIMENT_VARIABLE) or self.sweep.project or self.sweep.name
        found = self.client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self.client.create_experiment(name, artifact_location=_artifacts(self.uri)))
            except Exception:
                found = self.client.get_experiment_by_name(name)  # another launch has made it meanwhile
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _found(self, tags: Mapping[str, str]) -> list[Any]:
        """Finds runs by their tags, the oldest first."""
        words = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        runs = self.client.search_runs([self.experiment], words, max_results=100)
        return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))

    def _parent(self) -> str:
        """Returns the id of the sweep's run; of several launches that make one at a time the oldest counts."""
        tags = {SWEEP_TAG: self.sweep.paths.sweep_id, "sweep.kind": "sweep"}
        found = self._found(tags)
        if not found:
            spec = self.sweep.spec
            about = {"sweep.method": spec.method, "sweep.dir": str(self.sweep.paths.dir)}
            if spec.metric is not None:
                about |= {"sweep.metric": spec.metric.name, "sweep.goal": spec.metric.goal}
            made = self.client.create_run(self.experiment, run_name=self.sweep.name, tags={**about, **tags})
            found = self._found(tags) or [made]
            if found[0].info.run_id != made.info.run_id:
                self.client.delete_run(made.info.run_id)
        elif found[0].info.status != "RUNNING":
            self.client.update_run(found[0].info.run_id, status="RUNNING")
        return str(found[0].info.run_id)

    def _run_of(self, record: TrialRecord) -> Any:
        """Returns the run of a trial, which is made where there is none."""
        tags = {SWEEP_TAG: self.sweep.paths.sweep_id, TRIAL_TAG: record.id}
        if found := self._found(tags):
            return found[0]
        return self.client.create_run(
            self.experiment,
            start_time=int((utc_seconds(record.started) or time.time()) * 1000),
            run_name=record.name,
            tags={**tags, "mlflow.parentRunId": self.parent, "sweep.kind": "trial"},
        )

    def open(self, record: TrialRecord) -> MlflowTrial:
        """Opens the trial's run."""
        return MlflowTrial(self.client, self._run_of(record), self.sweep, record)

    def end(self, best: TrialRecord | None, *, interrupted: bool) -> None:
        """Ends the sweep's run, and names the best trial in it."""
        from mlflow.entities import Metric

        if best is not None:
            self.client.set_tag(self.parent, "sweep.best_trial", best.name)
            if best.value is not None:
                metric = Metric(VALUE, float(best.value), int(time.time() * 1000), best.number)
                self.client.log_batch(self.parent, metrics=[metric])
        self.client.set_terminated(self.parent, "KILLED" if interrupted else "FINISHED")

    def add_files(self, record: TrialRecord, folder: Path) -> None:
        """Uploads the folder as the artifact `best` of the trial's run."""
        self.client.log_artifacts(self._run_of(record).info.run_id, str(folder), artifact_path="best")

    def close(self) -> None:
        """Does nothing: MLflow's client closes its connections by itself."""


def last_steps(client: Any, run: Any) -> dict[str, int]:
    """Returns the last step of each metric that a run has."""
    known = getattr(run.data, "_metric_objs", None)  # what the answer has; the public part leaves steps out
    if known is None:
        known = [each for key in run.data.metrics for each in client.get_metric_history(run.info.run_id, key)]
    steps: dict[str, int] = {}
    for metric in known:
        steps[metric.key] = max(metric.step, steps.get(metric.key, -1))
    return steps


def prepare_environment(uri: str) -> None:
    """Sets MLflow's variables for this process: short requests, no telemetry, user and password of the address."""
    for name, value in {**REQUESTS, **QUIET}.items():
        os.environ.setdefault(name, value)
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https") and parts.username is not None:
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")


def _without_credentials(uri: str) -> str:
    """Removes user and password from a server's address; a database needs them in it."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _artifacts(uri: str) -> str | None:
    """Returns where artifacts go: beside a SQLite file, since MLflow's own default is the current folder; None: its default."""
    scheme, _, rest = uri.partition(":///")
    if scheme.partition("+")[0] != "sqlite":
        return None
    return (Path(rest.partition("?")[0]).parent / "mlartifacts").absolute().as_uri()


def as_name(name: str) -> str:
    """Returns a name as MLflow takes it: other characters are underscores, and no part of a path is empty or dots."""
    clean = _FOREIGN.sub("_", name)[:MOST_NAME] or "_"
    return clean if posixpath.normpath(clean) == clean and clean[0] not in "/." else re.sub(r"[/.]+", "_", clean)


def _text(value: Any) -> str:
    """Returns a value as a text of the length that MLflow takes."""
    text = value if isinstance(value, str) else "" if value is None else to_json(value)
    text = text.encode(errors="replace").decode()
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"
