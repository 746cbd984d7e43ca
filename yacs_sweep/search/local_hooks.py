"""What the embedded controller does while a trial runs: W&B run, values for early termination, and the trial's end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import optuna
from optuna.trial import Trial

from ..records.folder import TrialPaths, TrialRecord
from ..records.metrics import metric_value
from ..trial.contract import Assignment
from ..wandb.recorder import Recorder, Run, RunIdentity
from .controller import Turn
from .stopping import StoppingRule
from .storage.ledger import Ledger

DEAF = 5.0  # seconds for which a storage that did not answer is not told of a running trial's values


class LocalHooks:
    """`trial.Hooks`: rows go to the W&B run; the metric's values to the storage, where early termination reads them."""

    def __init__(
        self,
        trial: Trial,
        ledger: Ledger,
        *,
        end: Callable[[Trial, TrialRecord], bool],
        metric: str | None,
        rule: StoppingRule | None = None,
        imputes: bool = False,
        recorder: Recorder | None = None,
        runs: RunIdentity | None = None,
    ) -> None:
        """
        Args:
            end: writes the trial's end to the storage; returns False when the trial was no longer this agent's.
            imputes: the search learns from values that running trials have logged.
            recorder: writes the trial as a W&B run; None: no runs.
            runs: what the W&B runs of the sweep have in common.
        """
        self.trial, self.ledger, self.metric, self.rule = trial, ledger, metric, rule
        self.recorder, self.runs, self.end = recorder, runs, end
        # A write to the storage each, so only where somebody reads them.
        self.reports = imputes or bool(rule and rule.compares)
        self.unreported: list[tuple[float, int]] = []
        self.reported = 0
        self.run: Run | None = None
        self.why: str | None = None
        self._deaf = 0.0  # until when the storage is taken not to answer (monotonic seconds)

    def work(self, turn: Turn, assignment: Assignment) -> None:
        """Runs the trial. However that goes, its W&B run ends: one without an end keeps an agent that fails from leaving."""
        record = TrialRecord(assignment.id, assignment.name, assignment.number, {})
        record.lose()
        try:
            record = turn.run(assignment, self)
        finally:
            if self.run is not None:
                self.run.end(record)

    def started(self, record: TrialRecord, paths: TrialPaths) -> None:
        self.ledger.started(record)
        if self.recorder is not None and self.runs is not None:
            self.run = self.recorder.begin(replace(self.runs, id=record.id, name=record.name, config=record.params))
            self.run.follow(paths)

    def log(self, row: Mapping[str, Any], step: int) -> None:
        if self.reports and (value := metric_value(row, self.metric)) is not None:
            self.reported += 1
            self.unreported.append((value, self.reported))
        if time.monotonic() < self._deaf:
            return
        try:
            self._report()
            if self.rule is not None and self.why is None:
                self.why = self.rule.judge(self.trial, row)
        except optuna.exceptions.UpdateFinishedTrialError:
            pass  # the trial was taken from us; `should_stop` learns why
        except Exception as error:
            if not self.ledger.disconnected(error):
                raise
            self._deaf = time.monotonic() + DEAF

    def _report(self) -> None:
        while self.unreported:
            self.trial.report(*self.unreported[0])
            self.unreported.pop(0)

    def should_stop(self) -> str | None:
        return self.ledger.taken() or self.why

    def ended(self, record: TrialRecord) -> None:
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            self.ledger.patiently(self._report)
        why = self.ledger.taken()
        cut_short = why is not None and record.state == "stopped" and why in record.reason
        if cut_short or not self.end(self.trial, record):
            record.lose(f"its agent {why or self.ledger.taken() or 'was taken for dead'}")
