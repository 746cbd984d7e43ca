"""Trials from W&B's sweep server.

The agent is `wandb.agent(…, function=…)` without its traps: it registers, sends heartbeats and reads commands as that
one does (facts of the protocol: docs/wandb.md), but a stop command sets a flag instead of raising a bare exception
inside the trial's thread, heartbeats ask for work only when a trial may start, and no failure of a trial or of the
network ends it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from ..base.errors import ConfigError, SweepError
from ..base.files import write_atomically
from ..base.locks import exclusive
from ..base.wording import printable
from ..records.alive import agent_lives
from ..records.folder import SweepPaths, TrialPaths, TrialRecord, mark_lost
from ..spec.sweep import SweepSpec
from ..trial.contract import Assignment
from ..wandb.client import OUTAGE, Refused, Transport, Unavailable
from ..wandb.recorder import RUN_STATE, UNSENT, Recorder, Run, RunIdentity, how_to_upload
from .controller import Turn
from .wandb_heartbeat import Command, Heart

NAME_WAIT = 5.0  # seconds a trial waits for the name its run has on the server; its id does as well
FINISH_NOTE = 10.0  # seconds without all rows taken after which the user is told that we wait
FINISH_WAIT = OUTAGE + 300.0  # seconds for a run to be finished on the server; the recorder's own bounds are shorter
REQUEUED = ("preempting", "preempted", "pending")  # states of runs that the server itself hands out again
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class RunsAgain(Enum):
    """Who runs the point of an unfinished trial again."""

    AGENT = "an agent that claims the trial"
    SERVER = "the server, which hands the run out again by itself"
    UNKNOWN = "W&B does not answer now"


class WandbController:
    """`base.Controller` for a sweep on the W&B server."""

    def __init__(
        self,
        paths: SweepPaths,
        spec: SweepSpec,
        *,
        agent: str,
        retries: int,
        recorder: Recorder,
        project: str | None,
        entity: str | None,
    ) -> None:
        """
        Args:
            agent: name of this agent's lock file.
            retries: how often a trial is run again that was lost with its agent; at least once.
        """
        self.paths, self.spec, self.agent, self.recorder = paths, spec, agent, recorder
        self.project, self.entity = project, entity
        self.lost_limit = max(1, retries)
        self.defined = {parameter.name for parameter in spec.parameters}
        self.transport = Transport()
        self.unsent: list[Run] = []

    def work(self, turn: Turn) -> None:
        heart = Heart(self.paths.sweep_id, self.project, self.entity, turn)
        try:
            abandoned = list(self._abandoned())
            self._send_unsent(turn, abandoned)
            while turn.may_start():
                left = self._left_behind(abandoned)
                if left is not None:
                    turn.note(f"{left.name} was {left.state}; it is run again, as the same W&B run")
                    heart.adopt(left.id)
                    self._again(turn, heart, left)
                elif (job := heart.next_job()) is not None:
                    self._trial(turn, heart, job)
                else:
                    turn.give_back()
                    break
                heart.trial_over()
        finally:
            heart.close()
        self._explain(turn, heart)

    def _explain(self, turn: Turn, heart: Heart) -> None:
        """Why there is no further trial, and what is to be done about rows W&B does not have."""
        lines = [heart.ended] if heart.ended and heart.trouble else []
        if self.unsent:
            names = ", ".join(run.name or run.identity.id for run in self.unsent)
            folders = [folder for run in self.unsent for folder in run.folders]
            lines.append(f"W&B does not have everything of {names} ({self.unsent[0].error or 'no time was left'})")
            lines.append("every row is in the trial's metrics.jsonl; going on with the sweep sends what is missing")
            if folders:
                lines.append(f"or upload it with: {how_to_upload(folders)}")
        if lines:
            raise SweepError("\n    ".join(lines))
        if heart.ended and not turn.stopping():
            turn.note(heart.ended)

    # -- one trial --------------------------------------------------------------------------------------------------

    def _trial(self, turn: Turn, heart: Heart, job: Command) -> None:
        if not _RUN_ID.fullmatch(job.run_id):
            raise SweepError(f"the W&B server gave a run id that cannot be used: {job.run_id[:80]!r}")
        values = arguments(job.args or {})
        resumed = job.type == "resume"
        known = next((record for record in self.paths.records() if resumed and record.id == job.run_id), None)
        params = self.spec.active({name: value for name, value in values.items() if name in self.defined})
        run = self._begin(turn, job.run_id, params)
        # A run that was started on another machine has rows already: ours go on behind them.
        opened = self._await_open(turn, run, OUTAGE if resumed and known is None else NAME_WAIT)
        assignment = Assignment(
            id=job.run_id,
            name=known.name if known else (run.name if opened and run.name else job.run_id),
            number=known.number if known else self._number(),
            params=params,
            first_step=run.first_step or 0,
        )
        self._run(turn, heart, run, assignment, self._refusal(values, params))

    def _number(self) -> int:
        """The next trial's place in the order; the server has none."""
        with exclusive(self.paths.agents / "number.lock"):
            last = self.paths.agents / "number"
            there = sum(1 for _ in self.paths.dir.glob("*/trial.json"))
            number = max(there, int(last.read_text()) + 1 if last.exists() else 0)
            write_atomically(last, f"{number}\n", durable=False)
        return number

    def _await_open(self, turn: Turn, run: Run, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not (opened := run.wait_until_open(0.1)) and time.monotonic() < deadline and not turn.stopping():
            turn.alive()
        return opened

    def _again(self, turn: Turn, heart: Heart, record: TrialRecord) -> None:
        """A trial that its agent, or an interrupt, kept from its end goes on in its folder and as its run."""
        run = self._begin(turn, record.id, record.params)
        assignment = Assignment(id=record.id, name=record.name, number=record.number, params=record.params)
        self._run(turn, heart, run, assignment, None)

    def _begin(self, turn: Turn, run_id: str, params: Mapping[str, Any]) -> Run:
        identity = RunIdentity(
            run_id,
            "online",
            config=params,
            sweep_id=self.paths.sweep_id,
            project=self.project,
            entity=self.entity,
        )
        return self.recorder.begin(identity, turn.preempted)

    def _refusal(self, values: Mapping[str, Any], params: Mapping[str, Any]) -> str | None:
        """Why the server's point is not run."""
        if unknown := sorted(set(values) - self.defined):
            return f"the server gave parameters the sweep does not define: {printable(', '.join(unknown))[:200]}"
        if not self.spec.allows(params):
            return f"the point breaks a condition of the sweep: {' and '.join(self.spec.where)}"
        return None

    def _run(self, turn: Turn, heart: Heart, run: Run, assignment: Assignment, refused: str | None) -> None:
        try:
            record = turn.run(assignment, _Hooks(run, heart), refused=refused)
        except ConfigError as error:  # a value that no trainer could take
            empty = Assignment(assignment.id, assignment.name, assignment.number, {})
            why = f"the server gave a value that cannot be used: {printable(str(error))}"
            record = turn.run(empty, _Hooks(run, heart), refused=why)
        except SweepError as error:  # results cannot be written: the run is not to seem to go on
            run.end(TrialRecord(assignment.id, assignment.name, 0, {}, state="failed", reason=str(error)))
            self._wait(turn, run)
            raise
        run.end(record)
        self._wait(turn, run)

    def _wait(self, turn: Turn, run: Run) -> None:
        """Until the run is finished on the server, or there is no time left."""
        started, leaving, told = time.monotonic(), None, False
        while not run.wait(0.1):
            now = time.monotonic()
            turn.alive()
            if turn.stopping():
                leaving = leaving or now
                if now > leaving + turn.patience():
                    break
            elif now > started + FINISH_WAIT:
                break
            elif not told and now > started + FINISH_NOTE:
                told = True
                turn.note(f"waiting for W&B to take the rows of {run.name or run.identity.id}, {OUTAGE:.0f} s at most")
        if not run.delivered:
            self.unsent.append(run)

    # -- what earlier agents have left ------------------------------------------------------------------------------

    def _left_behind(self, abandoned: list[TrialRecord]) -> TrialRecord | None:
        """The next trial that was lost with its agent or interrupted, and that the server does not hand out again; it
        is this agent's from here on."""
        for record in list(abandoned):
            if not self._worth_running(record):
                continue
            again = self._runs_again(record.id)
            if again is RunsAgain.UNKNOWN:
                continue
            abandoned.remove(record)
            if again is RunsAgain.AGENT and self._claim(record):
                return record
        return None

    def _worth_running(self, record: TrialRecord) -> bool:
        return not record.settled and not (record.state == "lost" and record.attempts > self.lost_limit)

    def _send_unsent(self, turn: Turn, abandoned: list[TrialRecord]) -> None:
        """Trials that have ended, or that are not run again, and of which W&B does not have everything."""
        for record in abandoned:
            paths = self.paths.trial(record.name)
            if self._worth_running(record) or not (paths.dir / UNSENT).exists() or turn.stopping():
                continue
            if self._runs_again(record.id) is not RunsAgain.AGENT or not self._claim(record):
                continue
            run = self._begin(turn, record.id, record.params)
            run.follow(paths)
            run.end(record)
            self._wait(turn, run)
            if run.delivered:
                turn.note(f"{record.name}: W&B has everything now")

    def _abandoned(self) -> Iterator[TrialRecord]:
        """Trials of agents that are not alive; those that were running are lost."""
        for record in self.paths.records():
            if record.agent == self.agent or agent_lives(self.paths.agents, record.agent):
                continue
            if record.state == "running":
                mark_lost(record, self.paths)
            yield record

    def _claim(self, record: TrialRecord) -> bool:
        """Makes the trial this agent's; False if another agent was faster."""
        with exclusive(self.paths.agents / "claim.lock"):
            now = TrialRecord.load(self.paths.trial(record.name).record)
            if now.agent != record.agent or now.state != record.state:
                return False
            now.agent = self.agent
            now.save(self.paths.trial(record.name))
        return True

    def _runs_again(self, run_id: str) -> RunsAgain:
        """Asks the server for the state of a run, which says who runs it again."""
        names = {"project": self.project, "entity": self.entity, "name": run_id}
        try:
            project = self.transport.execute(RUN_STATE, names)["project"]
        except Refused:
            return RunsAgain.AGENT
        except Unavailable:
            return RunsAgain.UNKNOWN
        state = str(project["run"]["state"]) if project and project["run"] else "missing"
        return RunsAgain.SERVER if state in REQUEUED else RunsAgain.AGENT

    def close(self) -> None:
        self.recorder.close(0.5)


def arguments(args: Mapping[str, Any]) -> dict[str, Any]:
    """Parameter values of a run command: `{"lr": {"value": 0.1}}`."""
    return {str(name): item.get("value") for name, item in args.items() if isinstance(item, Mapping)}


class _Hooks:
    """`trial.Hooks`: rows go to the W&B run, stop commands come from its server."""

    def __init__(self, run: Run, heart: Heart) -> None:
        self._run, self._heart = run, heart

    def started(self, record: TrialRecord, paths: TrialPaths) -> None:
        self._run.follow(paths)

    def log(self, row: Mapping[str, Any], step: int) -> None:
        """The run follows metrics.jsonl."""

    def should_stop(self) -> str | None:
        return self._heart.stop_wanted()

    def ended(self, record: TrialRecord) -> None:
        pass  # the run is ended when its rows have gone
