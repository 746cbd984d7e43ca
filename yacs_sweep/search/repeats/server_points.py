"""Trains each point that the W&B server gives out with several seeds.

The server's run is the point: it logs the mean of the seeds that have finished. Each seed is a trial, with a run of its own
outside the server's sweep, in a group that is named after the point. What is known of a point is in its folder,
`point-0003/` beside the trials': `point.json` says whose run it is, `metrics.jsonl` has what that run logs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ...base.files import read_json, write_atomically
from ...base.locks import exclusive
from ...base.values import to_json
from ...records.alive import agent_lives
from ...records.folder import SweepPaths, TrialPaths, TrialRecord, mark_lost
from ...records.front import front_of_points
from ...records.known_sweeps import new_sweep_id
from ...records.metrics import MetricsFile
from ...records.points import Estimate, Point, group_points, point_name, point_number
from ...records.progress import retried_trials
from ...records.standings import compare_points
from ...trial.contract import Assignment
from ...wandb.recorder import UNSENT, Recorder, Run, RunIdentity
from ..controller import Agent
from ..wandb import NAME_WAIT, RunsAgain, WandbController
from ..wandb_heartbeat import Command, Heartbeat
from ..wandb_runs import GivenRun
from .places import make_race, place_of

FILE = "point.json"


@dataclass(frozen=True)
class ServerPoint:
    """Holds what is known of a point: the content of point.json.

    Attributes:
        run: id of its run on the server.
        number: of the point, in this folder.
        agent: lock file of the agent that works on it, or has.
        ended: whether all its seeds have been evaluated, or it gets no further one.
    """

    run: str
    number: int
    params: dict[str, Any]
    agent: str
    ended: bool = False

    @property
    def name(self) -> str:
        """The point's name."""
        return point_name(self.number)


@dataclass(frozen=True)
class _Seed:
    """Names the next trial of a point: a new one, or one that is run again as the same trial."""

    id: str
    seed: Any
    again: TrialRecord | None = None  # it was lost or interrupted
    retry_of: str | None = None


class RepeatingController(WandbController):
    """`WandbController` of a sweep with repeats."""

    def __init__(self, paths: SweepPaths, *words: Any, seeds: Recorder, **named: Any) -> None:
        """As `WandbController`. `seeds`: writes the runs of the trials; the controller's own those of the points."""
        super().__init__(paths, *words, **named)
        self.seeds = seeds
        race = make_race(self.spec)
        assert self.spec.repeats is not None and race is not None
        self.repeats, self.race = self.spec.repeats, race

    def _knows(self, run_id: str) -> bool:
        return any(point.run == run_id for point in self._points())

    def _run_next(self, agent: Agent, heartbeat: Heartbeat | GivenRun, abandoned: list[TrialRecord]) -> bool:
        """Runs a point, from the trial that was granted to its last seed; returns False when there is none."""
        for point in [] if self.given is not None else self._owed():
            if not point.ended and self._runs_again(point.run) is not RunsAgain.AGENT:
                continue
            if (claimed := self._claim_point(point)) is None:
                continue
            agent.note(f"{point.name} has seeds left; it is continued, as the same W&B run")
            heartbeat.take_over(point.run)
            if self._run_point(agent, heartbeat, claimed):
                return True
            heartbeat.trial_ended()
        while (job := self._next_job(agent, heartbeat)) is not None:
            values = self._values(job)
            params = self._params(values)
            point = self._point_of(job, params)
            self.taken.drop(job.run_id)
            if self._run_point(agent, heartbeat, point, self._refusal(values, params)):
                return True
            heartbeat.trial_ended()
        return False

    # -- points -----------------------------------------------------------------------------------------------------

    def _points(self) -> list[ServerPoint]:
        """Reads the points that were begun in this folder, by number."""
        found = []
        for path in self.paths.dir.glob(f"point-*/{FILE}"):
            with contextlib.suppress(TypeError, ValueError):
                point = ServerPoint(**read_json(path))
                if point_number(path.parent.name) == point.number:
                    found.append(point)
        return sorted(found, key=lambda point: point.number)

    def _folder(self, point: ServerPoint) -> TrialPaths:
        """Returns the point's folder, which has the files that a run follows."""
        return self.paths.trial(point.name)

    def _save(self, point: ServerPoint) -> ServerPoint:
        """Writes point.json; returns the point."""
        self._folder(point).dir.mkdir(parents=True, exist_ok=True)
        write_atomically(self._folder(point).dir / FILE, to_json(asdict(point), indent=2) + "\n")
        return point

    def _point_of(self, job: Command, params: dict[str, Any]) -> ServerPoint:
        """Returns the point that is a run of the server's, which may have been begun here before."""
        with exclusive(self.paths.agents / "claim.lock"):
            points = self._points()
            known = next((point for point in points if point.run == job.run_id), None)
            number = max((point.number for point in points), default=-1) + 1
            return self._save(replace(known or ServerPoint(job.run_id, number, params, ""), agent=self.lock_name))

    def _owed(self) -> Iterator[ServerPoint]:
        """Yields the points of dead agents that are not done, and those with a failed seed that the user wants again."""
        for point in self._points():
            if point.agent == self.lock_name and not point.ended:
                if self._next_seed(point) is not None:  # of an earlier grant
                    yield point
            elif point.ended and not self.retry:
                continue
            elif not agent_lives(self.paths.agents, point.agent) or point.agent == self.lock_name:
                for record in self._trials(point):
                    if record.state == "running":
                        mark_lost(record, self.paths)
                if self._next_seed(point) is not None:
                    yield point

    def _claim_point(self, point: ServerPoint) -> ServerPoint | None:
        """Makes a point this agent's; returns None if another agent was faster."""
        with exclusive(self.paths.agents / "claim.lock"):
            now = next((item for item in self._points() if item.run == point.run), None)
            if now != point:
                return None
            return self._save(replace(point, agent=self.lock_name, ended=False))

    def _trials(self, point: ServerPoint) -> list[TrialRecord]:
        """Reads the trials of a point, by number."""
        return [record for record in self.paths.records() if record.point == point.name]

    # -- seeds ------------------------------------------------------------------------------------------------------

    def _next_seed(self, point: ServerPoint) -> _Seed | None:
        """Returns the point's next trial: one that is run again, a failed one that the user wants again, a new seed."""
        records = self._trials(point)
        retried = retried_trials(records)
        latest = {place_of(self.repeats, point.number, r.seed): r for r in records if r.id not in retried}
        for record in latest.values():
            if self._worth_running(record):
                return _Seed(record.id, record.seed, again=record, retry_of=record.retry_of)
            if record.id in self.retry and record.state not in ("finished", "running"):
                return _Seed(new_sweep_id(), record.seed, retry_of=record.id)
        if point.ended or any(record.state == "stopped" or record.cause == "refused" for record in latest.values()):
            return None
        if latest and self.race.drop and self._is_dropped(point):
            return None
        for place in range(self.repeats.n):
            if place not in latest:
                return _Seed(f"{point.run}-{place + 1}", self.repeats.seed_at(point.number, place))
        return None

    def _is_dropped(self, point: ServerPoint) -> bool:
        """Tells whether a point is out of the race against the others: of several objectives, whether it is not on the front."""
        points = group_points(self.paths.records())
        if self.spec.more_metrics:
            front = front_of_points(points, self.spec.objectives, self.spec.constraints)
            valued = any(other.number == point.number and other.values for other in points)
            return valued and all(other.number != point.number for other in front)
        found = compare_points(points, self.race.goal, self.repeats).standings
        return any(standing.number == point.number and standing.dropped for standing in found)

    def _run_point(
        self, agent: Agent, heartbeat: Heartbeat | GivenRun, point: ServerPoint, refused: str | None = None
    ) -> bool:
        """Trains a point with the seeds it lacks; returns whether a trial was run.

        One trial has been granted already, and each further one is asked for. Where none is granted, the point is
        continued by the next agent that finds it.
        """
        run = self._begin(agent, point.run, point.params)
        opened = self._await_open(agent, run, NAME_WAIT)
        run.follow(self._folder(point))
        title = run.name if opened and run.name else point.run
        last: TrialRecord | None = None
        while (seed := self._next_seed(point)) is not None and (last is None or agent.may_start()):
            last = self._run_seed(agent, heartbeat, run, point, title, seed, refused)
            self._log_mean(point)
            if not last.settled or agent.stopping():
                break
        left = self._next_seed(point) is not None
        if not left:
            point = self._save(replace(point, ended=True))
        cut = last is not None and left and (not last.settled or agent.stopping())
        run.end(self._record_of(point, "killed" if cut else None))
        self._wait(agent, run)
        return last is not None

    def _run_seed(
        self,
        agent: Agent,
        heartbeat: Heartbeat | GivenRun,
        run: Run,
        point: ServerPoint,
        title: str,
        seed: _Seed,
        refused: str | None,
    ) -> TrialRecord:
        """Runs one trial of a point, to the end of its W&B run."""
        place = place_of(self.repeats, point.number, seed.seed) + 1
        if seed.again is not None:
            name, number = seed.again.name, seed.again.number
            agent.note(f"{name} was {seed.again.state}; it is run again, as the same W&B run")
        else:
            name, number = f"{title}-{place}" + ("-again" if seed.retry_of else ""), self._number()
        assignment = Assignment(
            seed.id, name, number, point.params, retry_of=seed.retry_of, point=point.name, seed=seed.seed
        )
        own = self._begin_seed(point.name, point.params, seed.id, name, seed.seed)
        return self._run(agent, heartbeat, own, assignment, refused, of_point=run)

    def _begin_seed(self, point: str, params: dict[str, Any], run_id: str, name: str, seed: Any) -> Run:
        """Opens the W&B run of a trial, outside the server's sweep."""
        identity = RunIdentity(
            run_id,
            "online",
            config={**params, self.repeats.name: seed},
            name=name,
            group=f"{self.paths.sweep_id}-{point}",
            project=self.project,
            entity=self.entity,
        )
        return self.seeds.begin(identity, lambda: False)

    def _log_mean(self, point: ServerPoint) -> None:
        """Logs to the point's run the means of its objectives, with the spread over the seeds and their number."""
        found = self._estimates(point)
        if not found:
            return
        row: dict[str, Any] = {}
        for name, estimate in found.items():
            row[name] = estimate.mean
            if estimate.sd is not None:
                row[f"{name}_sd"] = estimate.sd
        row["seeds"] = max(estimate.n for estimate in found.values())
        file = MetricsFile(self._folder(point).metrics)
        try:
            file.append(row)
        finally:
            file.close()

    def _grouped(self, point: ServerPoint) -> Point | None:
        """Returns the trials of a point, each seed by its last one; None without any."""
        return next(iter(group_points(self._trials(point))), None)

    def _estimates(self, point: ServerPoint) -> dict[str, Estimate]:
        """Returns the objectives of a point over its finished seeds; those without a value are left out."""
        grouped, objectives = self._grouped(point), self.spec.objectives
        if grouped is None:
            return {}
        if len(objectives) == 1:
            found = {objectives[0].name: grouped.estimate}
        else:
            found = {metric.name: grouped.objective(metric.name) for metric in objectives}
        return {name: estimate for name, estimate in found.items() if estimate.n}

    def _record_of(self, point: ServerPoint, state: str | None = None) -> TrialRecord:
        """Describes a point as a trial, for its run. `state`: None: as its trials ended."""
        grouped = self._grouped(point)
        ended = "failed" if grouped is None else "stopped" if _any_stopped(grouped.trials) else grouped.state
        reason = "" if grouped is None else grouped.trials[-1].reason
        value = grouped.estimate.mean if grouped is not None else None
        return TrialRecord(
            point.run, point.name, point.number, point.params, state or ended, reason=reason, value=value
        )

    # -- what W&B lacks ---------------------------------------------------------------------------------------------

    def _reopen(self, agent: Agent, record: TrialRecord) -> Run:
        return self._begin_seed(record.point or "", record.params, record.id, record.name, record.seed)

    def _send_unsent(self, agent: Agent, abandoned: list[TrialRecord]) -> None:
        """Sends the rows that W&B lacks, of trials and of points that are done."""
        super()._send_unsent(agent, abandoned)
        for point in self._points():
            folder = self._folder(point)
            if not point.ended or not (folder.dir / UNSENT).exists() or agent.stopping():
                continue
            if agent_lives(self.paths.agents, point.agent) or self._runs_again(point.run) is not RunsAgain.AGENT:
                continue
            run = self._begin(agent, point.run, point.params)
            run.follow(folder)
            run.end(self._record_of(point))
            self._wait(agent, run)
            if run.delivered:
                agent.note(f"{point.name}: W&B has everything now")

    def close(self) -> None:
        """Closes both recorders."""
        self.seeds.close(0.5)
        super().close()


def _any_stopped(trials: Sequence[TrialRecord]) -> bool:
    """Tells whether a trial was stopped early."""
    return any(record.state == "stopped" for record in trials)
