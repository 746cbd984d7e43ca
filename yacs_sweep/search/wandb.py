"""Takes points from W&B's sweep server.

Registers, sends heartbeats and reads commands as `wandb.agent(…, function=…)` does (the protocol: docs/wandb-protocol.md),
with three differences: a stop command sets a flag instead of raising an exception inside the trial's thread, heartbeats ask
for a run only when a trial may start, and no failure of a trial or of the network ends the agent.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

from ..base.errors import ConfigError, SweepError
from ..base.files import read_json, write_atomically
from ..base.locks import exclusive
from ..base.values import to_json
from ..base.wording import printable
from ..records.alive import agent_lives
from ..records.folder import SweepPaths, TrialPaths, TrialRecord, mark_lost
from ..records.known_sweeps import new_sweep_id
from ..records.progress import retried_trials
from ..spec.sweep import SweepSpec
from ..trial.contract import Assignment
from ..trial.process import Stop
from ..wandb.client import OUTAGE, Refused, Transport, Unavailable
from ..wandb.recorder import RUN_STATE, UNSENT, Recorder, Run, RunIdentity, how_to_upload
from ..wandb.state_watch import StateWatch
from .controller import Agent
from .wandb_heartbeat import Command, Heartbeat
from .wandb_runs import GivenRun, TakenRuns, is_run_id

NAME_WAIT = 5.0  # seconds a trial waits for its run's name on the server, before its id is the name
FINISH_NOTE = 10.0  # seconds until the user is told that we wait for W&B to take all rows
FINISH_WAIT = OUTAGE + 300.0  # seconds for a run to be finished on the server; the recorder's own bounds are shorter
REQUEUED = ("preempting", "preempted", "pending")  # states of runs that the server itself hands out again


class RunsAgain(Enum):
    """Says who runs the point of an unfinished trial again."""

    AGENT = "an agent that claims the trial"
    SERVER = "the server, which hands the run out again by itself"
    UNKNOWN = "W&B does not answer now"


class WandbController:
    """`Controller` of a sweep on the W&B server."""

    def __init__(
        self,
        paths: SweepPaths,
        spec: SweepSpec,
        *,
        lock_name: str,
        retries: int,
        retry: Collection[str] = (),
        recorder: Recorder,
        project: str | None,
        entity: str | None,
        given: Command | None = None,
    ) -> None:
        """Prepares the agent's part of the sweep; nothing is sent yet.

        Args:
            lock_name: name of this agent's lock file.
            retries: how often a trial that was lost with its agent is run again; at least once.
            retry: ids of failed trials whose points are to be run again, once.
            project: the sweep's, on W&B.
            entity: the sweep's, on W&B.
            given: the one run to be done, which `wandb agent` has got from the server.
        """
        self.paths, self.spec, self.lock_name, self.recorder = paths, spec, lock_name, recorder
        self.project, self.entity, self.given = project, entity, given
        self.lost_limit, self.retry = max(1, retries), frozenset(retry)
        self.defined = {parameter.name for parameter in spec.parameters}
        self.transport = Transport()
        self.taken = TakenRuns(paths, lock_name)
        self.watch: StateWatch | None = None  # of the sweep's state on the server, while the agent works
        self.unsent: list[Run] = []

    def work(self, agent: Agent) -> None:
        """Runs trials until the supervisor grants none, or the server's sweep has ended.

        Raises:
            SweepError: the server refuses the agent, or has not taken all rows.
        """
        heartbeat = self._heartbeat(agent)
        try:
            abandoned = list(self._abandoned()) if self.given is None else []
            self._send_unsent(agent, abandoned)
            while agent.may_start():
                if not self._run_next(agent, heartbeat, abandoned):
                    agent.give_back()
                    break
                heartbeat.trial_ended()
        finally:
            heartbeat.close()
            if self.watch is not None:
                self.watch.close()
        self._explain(agent, heartbeat)

    def _run_next(self, agent: Agent, heartbeat: Heartbeat | GivenRun, abandoned: list[TrialRecord]) -> bool:
        """Runs the next trial; returns False when there is none."""
        record = self._claim_abandoned(abandoned)
        if record is not None:
            agent.note(f"{record.name} was {record.state}; it is run again, as the same W&B run")
            heartbeat.take_over(record.id)
            self._run_again(agent, heartbeat, record)
        elif (claimed := self._claim_failed()) is not None:
            self._retry(agent, heartbeat, *claimed)
        elif (job := self._next_job(agent, heartbeat)) is not None:
            self._run_job(agent, heartbeat, job)
        else:
            return False
        return True

    def _next_job(self, agent: Agent, heartbeat: Heartbeat | GivenRun) -> Command | None:
        """Returns the next run: one that an agent has left behind, else the server's; None when there will be none."""
        if self.given is not None:
            return heartbeat.next_job()
        job = self.taken.claim()
        if job is None:
            job = heartbeat.next_job()
            if job is not None or agent.leaving() or heartbeat.failed:
                return job
            job = self.taken.claim()  # of an agent that died meanwhile
        if job is not None:
            agent.note(f"run {job.run_id} was given to an agent that ended before it began; it begins now")
            heartbeat.take_over(job.run_id)
        return job

    def _knows(self, run_id: str) -> bool:
        """Tells whether a run of the server's has been begun in this folder."""
        return any(record.id == run_id for record in self.paths.records())

    def _heartbeat(self, agent: Agent) -> Heartbeat | GivenRun:
        """Returns what hands out the runs."""
        if self.given is not None:
            again = self._knows(self.given.run_id)
            return GivenRun(replace(self.given, type="resume" if again else "run"))
        self.watch = StateWatch(self.paths, self.project, self.entity)
        names = self.paths.sweep_id, self.project, self.entity
        again = bool(self.retry) or self.taken.any_left()
        return Heartbeat(*names, agent, may_have_ended=again, why_ended=self.watch.why_ended, taken=self.taken.add)

    def _explain(self, agent: Agent, heartbeat: Heartbeat | GivenRun) -> None:
        """Tells the user why there is no further trial, and what to do about rows that W&B lacks."""
        lines = [heartbeat.ended] if heartbeat.ended and heartbeat.failed else []
        if self.unsent:
            names = ", ".join(run.name or run.identity.id for run in self.unsent)
            folders = [folder for run in self.unsent for folder in run.folders]
            lines.append(f"W&B does not have everything of {names} ({self.unsent[0].error or 'no time was left'})")
            lines.append("every row is in the trial's metrics.jsonl; resuming the sweep sends the missing rows")
            if folders:
                lines.append(f"or upload it with: {how_to_upload(folders)}")
        if lines:
            raise SweepError("\n    ".join(lines))
        if heartbeat.ended and not agent.leaving():
            agent.note(heartbeat.ended)

    # -- one trial --------------------------------------------------------------------------------------------------

    def _run_job(self, agent: Agent, heartbeat: Heartbeat | GivenRun, job: Command) -> None:
        """Runs the trial of a run or resume command."""
        values = self._values(job)
        resumed = job.type == "resume"
        known = next((record for record in self.paths.records() if resumed and record.id == job.run_id), None)
        params = self._params(values)
        run = self._begin(agent, job.run_id, params)
        # A run that was started on another machine has rows already: ours follow them.
        opened = self._await_open(agent, run, OUTAGE if resumed and known is None else NAME_WAIT)
        assignment = Assignment(
            id=job.run_id,
            name=known.name if known else (run.name if opened and run.name else job.run_id),
            number=known.number if known else self._number(),
            params=params,
            first_step=run.first_step or 0,
        )
        self._run(agent, heartbeat, run, assignment, self._refusal(values, params))
        self.taken.drop(job.run_id)

    def _values(self, job: Command) -> dict[str, Any]:
        """Returns the values that the server gives to a run. Raises SweepError for an id that no folder could have."""
        if not is_run_id(job.run_id):
            raise SweepError(f"the W&B server gave a run id that cannot be used: {job.run_id[:80]!r}")
        return arguments(job.args or {})

    def _params(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the parameters of a point that the server gives."""
        return self.spec.active({name: value for name, value in values.items() if name in self.defined})

    def _number(self) -> int:
        """Returns the next trial's number, counted in the sweep's folder: the server gives none."""
        with exclusive(self.paths.agents / "number.lock"):
            last = self.paths.agents / "number"
            found = sum(1 for _ in self.paths.scan())
            number = max(found, int(last.read_text()) + 1 if last.exists() else 0)
            write_atomically(last, f"{number}\n", durable=False)
        return number

    def _await_open(self, agent: Agent, run: Run, seconds: float) -> bool:
        """Waits until the run is open on the server; returns whether it is."""
        deadline = time.monotonic() + seconds
        while not (opened := run.wait_until_open(0.1)) and time.monotonic() < deadline and not agent.stopping():
            agent.alive()
        return opened

    def _run_again(self, agent: Agent, heartbeat: Heartbeat | GivenRun, record: TrialRecord) -> None:
        """Resumes a trial that was lost or interrupted, in its folder and as its run."""
        self.taken.drop(record.id)  # it has begun, and its agent died
        run = self._begin(agent, record.id, record.params)
        assignment = Assignment(record.id, record.name, record.number, record.params, retry_of=record.retry_of)
        self._run(agent, heartbeat, run, assignment, None)

    def _retry(self, agent: Agent, heartbeat: Heartbeat | GivenRun, failed: TrialRecord, run_id: str) -> None:
        """Runs the point of a failed trial as a new trial, and as a new run of the sweep on the server."""
        run = self._begin(agent, run_id, failed.params)
        opened = self._await_open(agent, run, NAME_WAIT)
        heartbeat.take_over(run_id)
        name = run.name if opened and run.name else run_id
        assignment = Assignment(run_id, name, self._number(), failed.params, retry_of=failed.id)
        self._run(agent, heartbeat, run, assignment, None)

    def _begin(self, agent: Agent, run_id: str, params: Mapping[str, Any]) -> Run:
        """Opens the W&B run of a trial."""
        identity = RunIdentity(
            run_id,
            "online",
            config=params,
            sweep_id=self.paths.sweep_id,
            project=self.project,
            entity=self.entity,
        )
        # A signal of `wandb agent` is the server's stop, after which the run is not to be handed out again.
        return self.recorder.begin(identity, agent.preempted if self.given is None else lambda: False)

    def _refusal(self, values: Mapping[str, Any], params: Mapping[str, Any]) -> str | None:
        """Returns why a point of the server's is not run; None where it is."""
        if unknown := sorted(set(values) - self.defined):
            return f"the server gave parameters the sweep does not define: {printable(', '.join(unknown))[:200]}"
        if not self.spec.allows(params):
            return f"the point violates a condition of the sweep: {' and '.join(self.spec.where)}"
        return None

    def _run(
        self,
        agent: Agent,
        heartbeat: Heartbeat | GivenRun,
        run: Run,
        assignment: Assignment,
        refused: str | None,
        *,
        of_point: Run | None = None,
    ) -> TrialRecord:
        """Runs a trial and waits for its W&B run to be finished; returns its record.

        Args:
            of_point: of a sweep with repeats: the run of the trial's point; stopping it stops the trial.
        """
        hooks = _Hooks([run] if of_point is None else [run, of_point], heartbeat)
        try:
            record = agent.run(assignment, hooks, refused=refused)
        except ConfigError as error:  # a value that no trainer could take
            empty = replace(assignment, params={}, retry_of=None)
            why = f"the server gave a value that cannot be used: {printable(str(error))}"
            record = agent.run(empty, hooks, refused=why)
        except SweepError as error:  # results cannot be written: end the run, which would seem to be running
            run.end(TrialRecord(assignment.id, assignment.name, 0, {}, state="failed", reason=str(error)))
            self._wait(agent, run)
            raise
        run.end(record)
        self._wait(agent, run)
        return record

    def _wait(self, agent: Agent, run: Run) -> None:
        """Waits until the run is finished on the server, or no time is left."""
        started, leaving, noted = time.monotonic(), None, False
        while not run.wait(0.1):
            now = time.monotonic()
            agent.alive()
            if agent.stopping():
                leaving = leaving or now
                if now > leaving + agent.patience():
                    break
            elif now > started + FINISH_WAIT:
                break
            elif not noted and now > started + FINISH_NOTE:
                noted = True
                agent.note(f"waiting for W&B to take the rows of {run.name or run.identity.id}, {OUTAGE:.0f} s at most")
        if not run.delivered:
            self.unsent.append(run)

    # -- trials of earlier agents ----------------------------------------------------------------------------------

    def _claim_abandoned(self, abandoned: list[TrialRecord]) -> TrialRecord | None:
        """Claims a trial that was lost or interrupted and that the server does not hand out again; None without one."""
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
        """Returns whether a trial's point is to be tried again: not settled, and not lost too often."""
        return not record.settled and not (record.state == "lost" and record.attempts > self.lost_limit)

    def _send_unsent(self, agent: Agent, abandoned: list[TrialRecord]) -> None:
        """Sends the rows that W&B lacks of trials that are not run again."""
        for record in abandoned:
            paths = self.paths.trial(record.name)
            if self._worth_running(record) or not (paths.dir / UNSENT).exists() or agent.stopping():
                continue
            if self._runs_again(record.id) is not RunsAgain.AGENT or not self._claim(record):
                continue
            run = self._reopen(agent, record)
            run.follow(paths)
            run.end(record)
            self._wait(agent, run)
            if run.delivered:
                agent.note(f"{record.name}: W&B has everything now")

    def _reopen(self, agent: Agent, record: TrialRecord) -> Run:
        """Opens the W&B run of a trial that has ended."""
        return self._begin(agent, record.id, record.params)

    def _abandoned(self) -> Iterator[TrialRecord]:
        """Yields the trials of dead agents; a running one is marked as lost."""
        for record in self.paths.records():
            if record.agent == self.lock_name or agent_lives(self.paths.agents, record.agent):
                continue
            if record.state == "running":
                mark_lost(record, self.paths)
            yield record

    def _claim(self, record: TrialRecord) -> bool:
        """Makes a trial this agent's; returns False if another agent was faster."""
        with exclusive(self.paths.agents / "claim.lock"):
            now = TrialRecord.load(self.paths.trial(record.name).record)
            if now.agent != record.agent or now.state != record.state:
                return False
            now.agent = self.lock_name
            now.save(self.paths.trial(record.name))
        return True

    def _claim_failed(self) -> tuple[TrialRecord, str] | None:
        """Claims a failed trial whose point the user wants again; returns it and the id of its new run, None without one.

        An agent that dies before the new trial has a folder leaves its claim, and the run's id, to the next agent.
        """
        if not self.retry:
            return None
        path = self.paths.agents / "retried.json"
        with exclusive(self.paths.agents / "claim.lock"):
            claims, records = read_json(path), list(self.paths.records())
            retried = retried_trials(records)
            for record in records:
                if record.id not in self.retry or record.id in retried:
                    continue
                run_id, owner = claims.get(record.id) or (new_sweep_id(), self.lock_name)
                if owner == self.lock_name or not agent_lives(self.paths.agents, owner):
                    write_atomically(path, to_json({**claims, record.id: [run_id, self.lock_name]}) + "\n")
                    return record, run_id
        return None

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
        """Closes the recorder."""
        self.recorder.close(0.5)


def arguments(args: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parameter values of a run command, as in `{"lr": {"value": 0.1}}`."""
    return {str(name): item.get("value") for name, item in args.items() if isinstance(item, Mapping)}


class _Hooks:
    """`Hooks` of one trial: rows go to its W&B run, stop commands come from the server."""

    def __init__(self, runs: Sequence[Run], heartbeat: Heartbeat | GivenRun) -> None:
        """`runs`: the trial's own first; any of them stops the trial."""
        self._runs, self._heartbeat = runs, heartbeat

    def started(self, record: TrialRecord, paths: TrialPaths) -> None:
        """Lets the run follow the trial's metrics.jsonl."""
        self._runs[0].follow(paths)

    def log(self, row: Mapping[str, Any], step: int) -> None:
        """Does nothing: the run follows metrics.jsonl."""

    def should_stop(self) -> str | Stop | None:
        """Returns why the server wants the trial stopped, or how it is to be ended else."""
        stopped = (run.stop_reason for run in self._runs if run.stop_reason)
        return self._heartbeat.stop_reason() or next(stopped, None)

    def ended(self, record: TrialRecord) -> None:
        """Does nothing: the run is ended when the server has its rows."""
