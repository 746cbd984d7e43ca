"""Records trials as TensorBoard event files: `tensorboard/NAME` in the sweep's folder, with the table of HParams.

The files themselves say which rows they have: an event is one row, written whole or not at all.
"""

from __future__ import annotations

import io
import math
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.text import metadata as text_metadata
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

from ..base.files import ensure_folder
from ..base.growing_files import append
from ..base.values import to_json, utc_seconds
from ..records.folder import TrialRecord
from ..records.metrics import Objective
from ..spec.parameter import Parameter
from .interface import RecordedSweep, Rows

VALUE = "sweep/value"  # the scalar with the trial's value, as the table of HParams shows it
REASON = "sweep/reason"  # the text that says how it ended
_STATUS = {
    "finished": api_pb2.STATUS_SUCCESS,
    "stopped": api_pb2.STATUS_SUCCESS,
    "failed": api_pb2.STATUS_FAILURE,
    "lost": api_pb2.STATUS_FAILURE,
    "paused": api_pb2.STATUS_RUNNING,
}
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class EventFile:
    """Appends events to a new file in a folder; an event is written whole, or not at all."""

    def __init__(self, folder: Path) -> None:
        """Makes the file when the first event is written."""
        self.folder = folder
        self._descriptor: int | None = None

    def write(self, *events: event_pb2.Event) -> None:
        """Writes events. Raises OSError."""
        buffer = io.BytesIO()
        writer = RecordWriter(buffer)
        if self._descriptor is None:
            ensure_folder(self.folder)
            now = time.time()
            # TensorBoard reads the files of a folder in order of their names.
            name = f"events.out.tfevents.{now:017.6f}.{socket.gethostname()}.{os.getpid()}"
            self._descriptor = os.open(self.folder / name, _FLAGS, 0o666)
            writer.write(event_pb2.Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        for event in events:
            writer.write(event.SerializeToString())
        append(self._descriptor, buffer.getvalue())

    def close(self) -> None:
        """Closes the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def event_files(folder: Path) -> list[Path]:
    """Lists the event files of a folder, as TensorBoard reads them."""
    return sorted(folder.glob("events.out.tfevents.*"))


def last_step(folder: Path) -> int:
    """Returns the step of the last row that the folder's event files have; -1 without any."""
    last = -1
    for path in event_files(folder):
        for data in RawEventFileLoader(str(path)).Load():
            event = event_pb2.Event.FromString(data)
            if any(value.HasField("simple_value") and value.tag != VALUE for value in event.summary.value):
                last = max(last, event.step)
    return last


class TensorBoardTrial:
    """`TrialRun` in a folder of event files."""

    def __init__(self, folder: Path, sweep: RecordedSweep, record: TrialRecord) -> None:
        """Reads which rows the folder has, and writes the trial's parameters."""
        self.last = last_step(folder)
        self.file = EventFile(folder)
        info = plugin_data_pb2.SessionStartInfo(
            model_uri=str(sweep.paths.trial(record.name).dir),
            group_name=record.point or record.name,  # the seeds of a point are one row of the table
            start_time_secs=utc_seconds(record.started) or time.time(),
        )
        for name, value in sweep.parameters_of(record).items():
            if isinstance(value, bool):
                info.hparams[name].bool_value = value
            elif (number := as_number(value)) is not None:
                info.hparams[name].number_value = number
            else:
                info.hparams[name].string_value = value if isinstance(value, str) else to_json(value)
        data = plugin_data_pb2.HParamsPluginData(session_start_info=info)
        self.file.write(_plugin_event(metadata.SESSION_START_INFO_TAG, data))

    def log(self, rows: Rows) -> None:
        """Writes the rows that the files lack, the numbers in them in single precision."""
        events, last = [], self.last
        for step, row in rows:
            if step <= last:
                continue
            last = step
            numbers = {name: number for name, value in row.items() if (number := as_number(value)) is not None}
            if numbers:
                events.append(_scalars(numbers, step))
        if events:
            self.file.write(*events)
        self.last = last

    def finish(self, record: TrialRecord, objective: Objective) -> None:
        """Writes the trial's value, state and reason."""
        step = max(0, self.last)
        events = [_text(REASON, f"{record.state}: {record.reason}" if record.reason else record.state, step)]
        if (value := as_number(record.value)) is not None:
            events.append(_scalars({VALUE: value}, step))
        end = plugin_data_pb2.SessionEndInfo(
            status=_STATUS.get(record.state, api_pb2.STATUS_UNKNOWN),
            end_time_secs=utc_seconds(record.ended) or time.time(),
        )
        data = plugin_data_pb2.HParamsPluginData(session_end_info=end)
        self.file.write(*events, _plugin_event(metadata.SESSION_END_INFO_TAG, data))
        self.file.close()


class TensorBoardRecorder:
    """`Recorder` that writes event files; `tensorboard --logdir` takes their folder."""

    def __init__(self, sweep: RecordedSweep) -> None:
        """Writes what the sweep searches, unless that has been written."""
        self.sweep = sweep
        self.folder = sweep.paths.dir / "tensorboard"
        self._trials: list[TensorBoardTrial] = []
        if not event_files(self.folder):
            self._describe()

    def _describe(self) -> None:
        """Writes the parameters and metrics of the table of HParams."""
        spec = self.sweep.spec
        experiment = api_pb2.Experiment(name=self.sweep.name, time_created_secs=time.time())
        experiment.hparam_infos.extend(_describe_parameter(parameter) for parameter in spec.parameters)
        names = [metric.name for metric in spec.objectives]
        for name in [*names, *([VALUE] if names else [])]:
            experiment.metric_infos.add(name=api_pb2.MetricName(tag=name))
        file = EventFile(self.folder)
        file.write(_plugin_event(metadata.EXPERIMENT_TAG, plugin_data_pb2.HParamsPluginData(experiment=experiment)))
        file.close()

    def open(self, record: TrialRecord) -> TensorBoardTrial:
        """Opens the trial's folder."""
        trial = TensorBoardTrial(self.folder / record.name, self.sweep, record)
        self._trials.append(trial)
        return trial

    def end(self, best: TrialRecord | None, *, interrupted: bool) -> None:
        """Does nothing: TensorBoard has no word for a whole sweep's end."""

    def add_files(self, record: TrialRecord, folder: Path) -> None:
        """Does nothing: event files hold no models."""

    def close(self) -> None:
        """Closes all files."""
        for trial in self._trials:
            trial.file.close()


def as_number(value: Any) -> float | None:
    """Returns a number as TensorBoard takes it; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _scalars(numbers: Mapping[str, float], step: int) -> event_pb2.Event:
    """Makes the event of a row."""
    values = [summary_pb2.Summary.Value(tag=name, simple_value=number) for name, number in numbers.items()]
    return event_pb2.Event(wall_time=time.time(), step=step, summary=summary_pb2.Summary(value=values))


def _text(tag: str, text: str, step: int) -> event_pb2.Event:
    """Makes the event of a text."""
    about = text_metadata.create_summary_metadata(display_name=tag, description="")
    tensor = tensor_util.make_tensor_proto(text.encode(errors="replace"))
    value = summary_pb2.Summary.Value(tag=tag, tensor=tensor, metadata=about)
    return event_pb2.Event(wall_time=time.time(), step=step, summary=summary_pb2.Summary(value=[value]))


def _plugin_event(tag: str, data: plugin_data_pb2.HParamsPluginData) -> event_pb2.Event:
    """Makes an event for the plugin HParams."""
    about = metadata.create_summary_metadata(data)
    value = summary_pb2.Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)
    return event_pb2.Event(wall_time=time.time(), summary=summary_pb2.Summary(value=[value]))


def _describe_parameter(parameter: Parameter) -> api_pb2.HParamInfo:
    """Describes a parameter and its values, as far as the table of HParams can filter by them."""
    info = api_pb2.HParamInfo(name=parameter.name)
    choices = parameter.choices() if (parameter.choice_count() or 0) <= 100 else None
    if choices is not None and not all(as_number(choice) is not None for choice in choices):
        if all(isinstance(choice, bool) for choice in choices):
            info.type = api_pb2.DATA_TYPE_BOOL
        elif all(isinstance(choice, str) for choice in choices):
            info.type = api_pb2.DATA_TYPE_STRING
        else:  # of several types: no domain
            return info
    else:
        info.type = api_pb2.DATA_TYPE_FLOAT64
    if choices is not None:
        info.domain_discrete.extend(list(choices))
    return info
