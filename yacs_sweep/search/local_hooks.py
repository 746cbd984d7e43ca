"""Connects a running trial of the local controller with its W&B run and with early termination."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from optuna.trial import Trial

from ..records.folder import TrialPaths, TrialRecord
from ..records.metrics import Iterations, metric_value, readable_metrics
from ..spec.sweep import Metric
from ..trial.contract import Assignment
from ..trial.process import Stop
from ..trial.verdict import paused_text
from ..wandb.recorder import Recorder, Run, RunIdentity
from .controller import Agent
from .stopping import StoppingRule
from .storage.coordinator import Coordinator, LeaseExpired
from .stored import AlreadyEnded, stored_value

OUTAGE_PAUSE = 5.0  # seconds without reports after the storage did not answer


class LocalHooks:
    """`Hooks` of one trial: rows go to its W&B run, values of the metric to the storage, which early termination reads."""

    def __init__(
        self,
        trial: Trial,
        coordinator: Coordinator,
        *,
        end: Callable[[Trial, TrialRecord], bool],
        metric: Metric | None,
        axis: str = "epoch",
        runs_on: Callable[[Trial], int | None] | None = None,
        rule: StoppingRule | None = None,
        recorder: Recorder | None = None,
        runs: RunIdentity | None = None,
        seed_name: str = "seed",
    ) -> None:
        """Connects a trial with the storage and its W&B run.

        Args:
            end: writes the trial's end to the storage; returns False when the trial was no longer this agent's.
            axis: the metric that is the x-axis.
            runs_on: asks until which iteration a trial that has come to its `until` runs; None: no trial pauses.
            recorder: writes the trial as a W&B run; None: no runs.
            runs: what the W&B runs of the sweep have in common.
            seed_name: the parameter that holds the seed of a repeat.
        """
        self.seed_name = seed_name
        self.trial, self.coordinator, self.rule = trial, coordinator, rule
        self.metric = metric.name if metric else None
        self.recorder, self.runs, self.end = recorder, runs, end
        # Each report is a write to the storage, so values are reported only where another trial needs them.
        self.reports = (
            (metric is not None and metric.imputes_logged) or bool(rule and rule.compares) or runs_on is not None
        )
        self.unreported: list[tuple[float, int]] = []
        self.iterations = Iterations(self.metric, axis)
        self._runs_on = runs_on
        self._until: int | None = None  # iteration at which the trial pauses
        self._pause: Stop | None = None
        self._record: TrialRecord | None = None
        self.wandb_run: Run | None = None
        self.why: str | None = None  # why the trial must end
        self.value = math.nan  # the metric's last
        self._pause_until = 0.0  # monotonic seconds

    def run(self, agent: Agent, assignment: Assignment) -> None:
        """Runs the trial, and ends its W&B run in any case: an open run would keep a failing agent from leaving."""
        self._until = assignment.until
        record = TrialRecord(assignment.id, assignment.name, assignment.number, {})
        record.lose()
        try:
            record = agent.run(assignment, self)
        finally:
            if self.wandb_run is not None:
                self.wandb_run.end(record)

    def started(self, record: TrialRecord, paths: TrialPaths) -> None:
        """Records that the trial runs, and opens its W&B run."""
        self.coordinator.trial_started(record)
        self._record = record
        self.iterations = Iterations(self.metric, self.iterations.axis, record.starts)
        logged = self.iterations.values(readable_metrics(paths.metrics)) if self.reports and record.starts else {}
        if logged:
            known = self.trial.storage.get_trial(self.trial._trial_id).intermediate_values
            own = [each for each in sorted(logged.keys() - known.keys()) if each > record.begun_at]
            self.unreported = [(stored_value(logged[each]), each) for each in own]
        if self.recorder is not None and self.runs is not None:
            run = replace(self.runs, id=record.id, name=record.name, config=record.params)
            if record.parent_trial is not None:
                lineage = {"parent_trial": record.parent_trial, "begun_at": record.begun_at}
                run = replace(run, config={**record.params, **lineage})
            if record.point is not None:  # the runs of a point are a group
                config = {**record.params, self.seed_name: record.seed}
                run = replace(run, config=config, group=f"{self.runs.group}-{record.point}")
            self.wandb_run = self.recorder.begin(run)
            self.wandb_run.follow(paths)

    def log(self, row: Mapping[str, Any], step: int) -> None:
        """Reports the metric's value and asks the stopping rule."""
        if self.reports and (value := metric_value(row, self.metric)) is not None:
            self.value = value
            self.unreported.append((stored_value(value), self.iterations.see(row, step) or 1))
        if time.monotonic() < self._pause_until:
            return
        with self._bearing_outages():
            self._report()
            if self.rule is not None and self.why is None:
                self.why = self.rule.judge(self.trial, row)

    @contextlib.contextmanager
    def _bearing_outages(self) -> Iterator[None]:
        """Suppresses, within a block, that another agent has the trial or that the storage does not answer."""
        try:
            yield
        except AlreadyEnded:
            pass  # `should_stop` says why
        except Exception as error:
            if not self.coordinator.disconnected(error):
                raise
            self._pause_until = time.monotonic() + OUTAGE_PAUSE

    def _report(self) -> None:
        """Writes the values that the storage does not have yet."""
        while self.unreported:
            value, step = self.unreported[0]
            # Not `Trial.report`, which refuses several objectives.
            self.trial.storage.set_trial_intermediate_value(self.trial._trial_id, step, value)
            self.unreported.pop(0)

    def should_stop(self) -> str | Stop | None:
        """Returns why the trial must end: the lease has expired, the stopping rule says so, or somebody on W&B's page.

        A trial that is to pause ends with the whole grace period, for its checkpoint.
        """
        stopped = self.wandb_run.stop_reason if self.wandb_run is not None else None
        return self.coordinator.expired() or self.why or stopped or self._pausing()

    def _pausing(self) -> Stop | None:
        """Returns how the trial is to pause, once it has come to its `until` and may not run on."""
        at = self.iterations.count
        if self._pause is None and self._runs_on is not None and self._until is not None and at >= self._until:
            if time.monotonic() < self._pause_until:
                return None
            with contextlib.suppress(LeaseExpired), self._bearing_outages():
                self._report()
                until = self._runs_on(self.trial)
                if until is not None and at >= until:
                    self._pause = Stop("paused", paused_text(self.metric, at, self.value))
                self._until = until
                if self._record is not None:
                    self._record.until = until
        return self._pause

    def ended(self, record: TrialRecord) -> None:
        """Records the trial's end; a trial that was given to another agent is lost here."""
        with contextlib.suppress(AlreadyEnded):
            self.coordinator.retrying(self._report)
        why = self.coordinator.expired()
        cut_short = why is not None and record.state == "stopped" and why in record.reason
        if cut_short or not self.end(self.trial, record):
            record.lose(f"its agent {why or self.coordinator.expired() or 'was taken for dead'}")
