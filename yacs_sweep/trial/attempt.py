"""Runs a trial's command once, and turns its output and files into rows, files and a verdict."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..base.errors import ConfigError
from ..base.files import ensure_folder
from ..base.processes import catches
from ..base.signals import AWAKE, Moment
from ..base.values import utc_now
from ..logs.near_misses import explain, sample_lines
from ..logs.wandb_calls import Calls, LoggedRow
from ..records.folder import TrialPaths, TrialRecord
from ..records.measured import Measured
from ..records.metrics import FOREIGN_ROWS, Iterations, MetricsFile, Objective, foreign_rows, metric_value, read_metrics
from ..trainers.ways.start import OVERRIDES, Start, write_given
from .contract import Hooks, Launch
from .echo import Echo
from .first_trial import GpuLook, left_nothing, other_gpu_text
from .gpu_memory import process_name
from .inside.guard import descendants
from .output import MetricReader, Output
from .own_files import DELETED, OwnFiles
from .preloader import Guards
from .process import Exit, Guard, GuardLost, StartError, Stop, child_environment, run_child
from .verdict import FullDisk, Verdict, classify, io_error, oom_kills, paused_text, which_disk
from .wandb_calls import environment, keep_run, make_folder, remove_folder, takes_calls

DISABLED = "the trainer opens its W&B run with mode='disabled', and W&B itself would record nothing of it"
LEFT_OUT = "of what it logs, these are not numbers and are ignored: {names}"
STARTS_OVER = (
    "warning: it was resumed, but began at {axis} {place} again; iterations trained again: {again}. "
    "Does the trainer load its last checkpoint?"
)
STOP_GRACE = 2.0  # seconds a trial that is stopped early gets between SIGTERM and SIGKILL


def survived(processes: Sequence[str]) -> str:
    """Says which processes SIGKILL did not end, for a trial's reason and the user."""
    noun = "process" if len(processes) == 1 else "processes"
    return f"{noun} {', '.join(processes)} survived SIGKILL (uninterruptible I/O)"


class Attempt:
    """Runs the trainer's command, once for each attempt; keeps what all attempts of a trial share."""

    def __init__(
        self,
        launch: Launch,
        record: TrialRecord,
        paths: TrialPaths,
        hooks: Hooks,
        *,
        guards: Guards,
        first_step: int = 0,
        resumes: bool = False,
        echo: Echo | None = None,
        stop_requested: Callable[[], Stop | None],
        note: Callable[[str], None],
        warn_once: Callable[[str, str], None],
        gpu_look: GpuLook,
        sample: Callable[[set[int]], None] | None = None,
    ) -> None:
        """Opens metrics.jsonl, and reads what earlier attempts have logged.

        Args:
            guards: gives the guard process of each attempt.
            first_step: step of the trial's first row.
            resumes: whether the trainer is taken to resume from its checkpoint at each further start.
            echo: copies the output to the terminal; None: it is not shown.
            stop_requested: returns a reason from outside the trial to end it.
            note: shows the user one line.
            warn_once: shows the user one line of a subject (the first argument), for the first trial it is said of.
            gpu_look: sees which GPUs the trainer holds.
            sample: reads what the trial's processes hold on its GPUs, once a second; None: nobody wants to know.
        """
        self.launch, self.record, self.hooks, self.guards, self.echo = launch, record, hooks, guards, echo
        self.stop_requested, self.note, self.warn_once, self.sample = stop_requested, note, warn_once, sample
        self.gpu_look, self._resumes = gpu_look, resumes
        self.objective = Objective(launch.metric, launch.goal, launch.optimize)
        self.measured = Measured(launch.demands)
        self.last_values: dict[str, Any] = {}
        self.iterations = Iterations(launch.compared, launch.profile.metrics.axis, record.starts)
        rows = read_metrics(paths.metrics)  # of a trial that is resumed
        self.iterations.values(rows)
        for row in rows:
            self.objective.see(row)
            self.measured.see(row)
            self.last_values.update(row)
        self.last_values.pop("step", None)
        self.metrics = MetricsFile(paths.metrics, first_step)
        self.began: Moment | None = None  # when record.started was set here
        self.pids: set[int] = set()  # processes of the trial, found once a second
        self.unkillable: list[str] = []  # processes that survived SIGKILL, as "4711 (python)"
        self._paths = paths
        self._checked = 0.0  # when files and processes were last checked (monotonic seconds)
        self._takes_sigterm = True  # whether the trainer handles SIGTERM itself, as far as was seen
        self._values_at_stop: int | None = None  # of the sweep's metric, logged when the trial was to end early
        self._earlier: set[int] = set()  # processes of earlier trials that SIGKILL did not end
        self.guard: Guard
        self.reader: MetricReader
        self.calls: Calls | None = None
        self.own_files: OwnFiles

    def close(self) -> None:
        """Closes the trial's metrics.jsonl."""
        self.metrics.close()

    def on_row(self, row: Mapping[str, Any]) -> None:
        """Writes a row and hands it to the controller."""
        step = self.metrics.append(row, row.at if isinstance(row, LoggedRow) else None)
        self.record.rows += 1
        self._count(row, step)
        self.objective.see(row)
        self.measured.see(row)
        self.last_values.update(row)
        self.hooks.log(row, step)

    def _count(self, row: Mapping[str, Any], step: int) -> None:
        """Counts the row's iteration; warns of a trainer that was to resume and has begun at the first one again."""
        before = self.iterations.repeated
        iteration = self.iterations.see(row, step)
        if (again := self.iterations.repeated - before) and iteration == 1 and self._resumes:
            axis = self.iterations.axis
            self.warn_once("starts over", STARTS_OVER.format(axis=axis, place=f"{row[axis]:g}", again=again))

    def poll(self) -> Stop | None:
        """Reads the trainer's files, checks the launcher's, and returns why the trial must end, if it must."""
        for row in self.reader.read_files():
            self.on_row(row)
        if (now := time.monotonic()) - self._checked > 1.0:
            self._checked = now
            self.restore_files()
            self.pids.update(set(descendants(self.guard.pid)) - self._earlier)
            if (elsewhere := self.gpu_look.look(self.pids)) is not None:
                self.warn_once("GPUs", other_gpu_text(*elsewhere, self.record.gpu_ids, self.launch.overrides))
            if self.sample is not None:
                self.sample(self.pids)
            if self._values_at_stop is None and (found := self._catches_sigterm()) is not None:
                self._takes_sigterm = found
        stop = self.stop_requested()
        if stop is None and (why := self.hooks.should_stop()) is not None:
            stop = why if isinstance(why, Stop) else Stop("stopped", why, min(STOP_GRACE, self.launch.limits.grace))
        if stop is not None and self._values_at_stop is None:
            self._takes_sigterm = self._catches_sigterm() or False  # one that has ended takes none
            self._values_at_stop = self.objective.count
        return stop

    def _catches_sigterm(self) -> bool | None:
        """Tells whether the trainer handles SIGTERM itself; None once it has ended."""
        return catches(self.record.pid, signal.SIGTERM) if self.record.pid is not None else None

    def _unheeded(self, stop: Stop | None) -> bool:
        """Tells whether a trainer that ended with status 0 after a stop had come to its end all the same.

        Either SIGTERM cannot have made it exit so, or it has logged the sweep's metric after it was to end early.
        """
        if stop is None or not self._takes_sigterm:
            return True
        # One more may have been printed before the stop: rows that may not be complete are waited with.
        at_stop = self._values_at_stop
        return stop.cause in ("stopped", "paused") and at_stop is not None and self.objective.count > at_stop + 1

    def restore_files(self, *, ended: bool = False) -> None:
        """Restores files of the launcher's that the trainer has deleted."""
        if names := self.own_files.restore(ended=ended):
            self.warn_once("deleted", DELETED.format(names=names))

    def on_start(self, pid: int) -> None:
        """Keeps the process id of the trainer that has started."""
        self.record.pid = pid
        if self.record.attempts == 1:
            # The wait for the trainer's libraries is no part of the trial.
            self.record.started, self.began = utc_now(), AWAKE.mark()
        self.pids.add(pid)
        self.guards.started()

    def name_unkillable(self, pids: Sequence[int]) -> None:
        """Keeps the processes that survived SIGKILL, and shows them to the user."""
        named = [f"{pid} ({process_name(pid)})" for pid in pids]
        self.unkillable += named
        if named:
            self.note(survived(named))

    def _placeholders(self) -> dict[str, str | None]:
        """Returns the values of placeholders for the trial's metric files."""
        launch, record = self.launch, self.record
        return launch.profile.placeholders(
            config_file=launch.config_file,
            output_dir=launch.profile.output_dir(self._paths.dir),
            trial_id=record.id,
            gpu_ids=",".join(record.gpu_ids),
            overrides=record.given.get(OVERRIDES, launch.trailing),
            params=self._parameters,
            seed=launch.seed,
        )

    def _start(self) -> Start:
        """Returns the trainer's start: that of the record, or one with the words to resume, where the folder has files.

        The record keeps the command that trains the trial from its beginning.
        """
        launch, record = self.launch, self.record
        start = Start(record.command, record.given)
        if launch.profile.resume.is_told and not left_nothing(self._paths, launch.profile, record):
            with contextlib.suppress(ConfigError):  # the files it is described from are gone: the trial says so
                start = launch.start(self._paths, record.id, record.params, record.seed, record.gpu_ids, resume=True)
        record.resumed_with = start.told
        return start

    def _write_given(self, given: Mapping[str, Any], folder: Path) -> None:
        """Writes the files that hold the trial's parameters. Raises StartError where they cannot be made any more."""
        try:
            write_given(self.launch.overrides, given, self.record.gpu_ids, folder, self.launch.paths.dir)
        except ConfigError as error:
            raise StartError(str(error)) from error

    def run(self) -> Verdict:
        """Starts the command, waits for its end and classifies it."""
        launch, record = self.launch, self.record
        self._takes_sigterm, self._values_at_stop = True, None
        oom_before = oom_kills()
        profile = launch.profile
        interpreter = profile.leading_interpreter(launch.python)
        wandb = profile.metrics.wandb
        start = self._start()
        own = {**profile.fixed_env, **start.variables}
        env = child_environment(own, os.environ, record.gpu_ids, wandb=wandb, interpreter=interpreter)
        self.calls = self._take_calls() if takes_calls(env) else None
        self.gpu_look.begin(record.gpu_ids, env, record.changed)
        self.reader = MetricReader(
            launch.profile, self._paths, record.id, self.note, self.calls, self.warn_once, self._placeholders()
        )
        output = Output(self._paths, self.reader, self.on_row)
        output.echo = self.echo
        files = (self.metrics.file, output.log)
        self.own_files = OwnFiles(self._paths, files, lambda: record.save(self._paths, durable=False))
        failure: Verdict | None = None
        end: Exit | None = None
        try:
            self.guard = self.guards.get()
            self._earlier = set(descendants(self.guard.pid))
            folder = launch.profile.output_dir(self._paths.dir)
            ensure_folder(folder)  # the attempt before may have deleted it
            parameters = launch.profile.write_parameters(folder, self._parameters)
            self._write_given(start.given, folder)
            end = run_child(
                self.guard,
                start.words,
                {**env, **parameters, **(environment(self.calls.folder) if self.calls else {})},
                launch.profile.cwd,
                limits=launch.limits,
                on_output=output.write,
                on_quiet=output.flush,
                poll=self.poll,
                on_start=self.on_start,
            )
        except StartError as error:
            failure = Verdict("failed", "start", str(error))
        except GuardLost as error:
            self.guards.drop()
            failure = Verdict("failed", "guard_lost", str(error))
            self.name_unkillable(error.unkillable)
        except OSError:
            self.guards.replace()
            raise
        finally:
            try:
                self.restore_files(ended=True)
            finally:
                output.close()
        if self.calls is not None:
            self.objective.follow(self.calls.summary_of(launch.metric))
            self.measured.follow(self.calls.summary_of)
            if left_out := self.calls.left_out:
                self.warn_once("left out", LEFT_OUT.format(names=left_out))
            keep_run(self._paths, self.calls.name, self.calls.config)
            remove_folder(self.calls.folder)
        if end is not None:
            self.name_unkillable(end.unkillable)
        record.exit_code = end.status if end is not None else None
        return self._judge(failure, end, output, oom_before)

    @property
    def _parameters(self) -> dict[str, Any]:
        """The parameters for the trainer: those of the point, and the seed of a repeat."""
        return self.launch.demands.with_seed(self.record.params, self.record.seed)

    def _take_calls(self) -> Calls:
        """Has what the trainer logs through W&B's client written where this attempt reads it."""
        profile, record = self.launch.profile, self.record
        output_dir = profile.output_dir(self._paths.dir)
        folder = make_folder(self.launch.paths, record, profile.wandb_config(self._parameters), output_dir)
        return Calls(folder, self.note, self.launch.metric)

    def _which_disk(self, line: str) -> FullDisk:
        """Returns which disk is full by a line of output that says that one is."""
        if f"/{self.launch.paths.sweep_id}/" in line:
            return FullDisk.RESULTS
        return which_disk(line, self._paths.dir, self.launch.profile.cwd)

    def _judge(self, failure: Verdict | None, end: Exit | None, output: Output, oom_before: int | None) -> Verdict:
        """Classifies the end of the attempt; writes the trial's value to its record."""
        launch, record = self.launch, self.record
        if foreign_rows(self._paths.metrics):
            self.note(FOREIGN_ROWS)
        judged = self.measured.judged(self.objective)
        verdict = failure or classify(
            end,
            output.text,
            metric=judged.metric,
            metric_seen=judged.last is not None,
            value=judged.value,
            last_values=self.last_values,
            oom_before=oom_before,
            oom_after=oom_kills(),
            full=self._which_disk,
            unheeded=self._unheeded(end.stop if end is not None else None),
        )
        if self.reader.error is not None and verdict.cause in ("finished", "no_metric"):
            verdict = io_error(self.reader.error)
        if verdict.cause == "no_metric" and judged.metric is not None:
            lines = sample_lines(self._paths.stdout)
            reason = explain(judged.metric, self.last_values, lines, launch.profile.metrics)
            if left_out := self.reader.left_out(judged.metric):
                reason += f"; {left_out}"
            if self.calls is not None and self.calls.disabled:
                reason += f"; {DISABLED}"
            verdict = replace(verdict, reason=reason)
        if verdict.cause == "import_error":
            from ..trainers.start.missing_modules import reason_advice  # few trials need it

            advice = reason_advice(verdict.reason, launch.profile, launch.python)
            verdict = replace(verdict, reason=verdict.reason + advice)
        record.value = self.objective.value
        if launch.compared is not None:
            record.iterations, record.repeated = self.iterations.count, self.iterations.repeated
        else:
            record.iterations = None
        if verdict.cause == "paused" and (last := metric_value(self.last_values, launch.compared)) is not None:
            # It may have logged more after it was to pause.
            verdict = replace(verdict, reason=paused_text(launch.compared, self.iterations.count, last))
        record.last_lines = [] if verdict.state in ("finished", "paused") else output.last_lines
        return verdict
