"""The server's state: sweeps, agents, runs, and the transitions between their states."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.wandb_server import engine

ENTITY = "tester"
PROJECT = "uncategorized"
LIVE = ("pending", "running", "preempting")
MAX_DELIVERIES = 5  # of one run to agents that never acknowledge it


class ApiError(Exception):
    """A request the server refuses, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Run:
    """A run. Rows are kept as the JSON text the client sent, in order; times are Unix seconds."""

    name: str
    entity: str
    project: str
    number: int
    sweep: str | None = None
    agent: str | None = None
    point: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)  # displayName, groupName, tags, host … of UpsertBucket
    config: str = "{}"
    state: str = "pending"
    rows: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    output: list[str] = field(default_factory=list)
    summary: str = "{}"
    exit_code: int | None = None
    stop_requested: bool = False
    acknowledged: bool = False  # an agent's heartbeat named it, or it was started
    deliveries: int = 0
    starts: int = 0
    uploads: dict[str, bytes] = field(default_factory=dict)
    created: float = field(default_factory=time.time)
    heartbeat: float = field(default_factory=time.time)

    @property
    def storage_id(self) -> str:
        return f"run-{self.number}"

    @property
    def title(self) -> str:
        """The name people see; the server invents one for a run of a sweep."""
        return self.attributes.get("displayName") or (f"brave-sweep-{self.number}" if self.sweep else self.name)

    def history(self) -> list[dict[str, Any]]:
        return [json.loads(row) for row in self.rows]

    def metric(self, name: str) -> list[float]:
        """Values of one metric, in the order they were logged; what is not a number is left out."""
        values = [row.get(name) for row in self.history()]
        return [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]

    def finish(self, exit_code: int) -> None:
        """End the run. Guesses about the real server: 255 (Ctrl-C) and a stopped run that fails count as killed."""
        self.exit_code = exit_code
        if exit_code == 0:
            self.state = "finished"
        elif self.state == "preempting":
            self.state = "preempted"
        else:
            self.state = "killed" if self.stop_requested or exit_code == 255 else "failed"


@dataclass
class Sweep:
    """A sweep and the runs handed out for it, in order."""

    name: str
    entity: str
    project: str
    number: int
    text: str
    definition: dict[str, Any]
    rng: random.Random
    description: str | None = None
    display_name: str | None = None
    state: str = "RUNNING"
    runs: list[Run] = field(default_factory=list)
    points: list[dict[str, Any]] | None = None  # of a grid; None otherwise
    created: float = field(default_factory=time.time)

    @property
    def storage_id(self) -> str:
        return f"sweep-{self.number}"

    @property
    def expected(self) -> int | None:
        """How many runs there will be: the grid's points, `run_cap` at most."""
        bounds = [self.definition.get("run_cap"), None if self.points is None else len(self.points)]
        return min((bound for bound in bounds if bound is not None), default=None)

    def next_point(self) -> dict[str, Any] | None:
        """The next point to try; None when the grid or `run_cap` is used up."""
        cap = self.definition.get("run_cap")
        if cap is not None and len(self.runs) >= cap:
            return None
        if self.points is None:
            return engine.sample(self.definition["parameters"], self.rng)
        return self.points[len(self.runs)] if len(self.runs) < len(self.points) else None

    def stop_early(self) -> None:
        """Ask the runs that the sweep's `early_terminate` gives up to stop."""
        early = self.definition.get("early_terminate")
        metric = self.definition.get("metric") or {}
        if not early or "name" not in metric:
            return
        lines = {run.name: run.metric(metric["name"]) for run in self.runs}
        for run in self.runs:
            others = [line for name, line in lines.items() if name != run.name]
            if run.state in LIVE and engine.hyperband_stops(
                early, metric.get("goal", "minimize"), lines[run.name], others
            ):
                run.stop_requested = True


@dataclass
class Agent:
    """A registered agent and when it was heard of (Unix seconds)."""

    id: str
    sweep: Sweep
    host: str
    heartbeats: list[float] = field(default_factory=list)


class State:
    """Everything the server knows. Callers hold `lock` around each use."""

    def __init__(self, seed: int = 0, crash_after: float = 300.0) -> None:
        self.lock = threading.RLock()
        self.seed = seed
        self.crash_after = crash_after
        self.url = ""  # of the server, for the addresses it hands out
        self.sweeps: dict[tuple[str, str, str], Sweep] = {}
        self.agents: dict[str, Agent] = {}
        self.runs: dict[tuple[str, str, str], Run] = {}
        self.projects: set[tuple[str, str]] = set()
        self.artifacts: dict[str, dict[str, Any]] = {}
        self._count = 0

    def number(self) -> int:
        self._count += 1
        return self._count

    def sweep(self, name: str, entity: str | None = None, project: str | None = None) -> Sweep | None:
        return self.sweeps.get((entity or ENTITY, project or PROJECT, name))

    def create_sweep(
        self, text: str, definition: Mapping[str, Any], entity: str | None, project: str | None, **attributes: Any
    ) -> Sweep:
        number = self.number()
        rng = random.Random(f"{self.seed}/{number}")
        name = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=8))
        is_grid = definition["method"] == "grid"
        sweep = Sweep(
            name,
            entity or ENTITY,
            project or PROJECT,
            number,
            text,
            dict(definition),
            rng,
            points=engine.grid(definition["parameters"]) if is_grid else None,
            **attributes,
        )
        self.sweeps[sweep.entity, sweep.project, name] = sweep
        self.projects.add((sweep.entity, sweep.project))
        return sweep

    def delete_sweep(self, sweep: Sweep) -> None:
        del self.sweeps[sweep.entity, sweep.project, sweep.name]

    def create_agent(self, sweep: Sweep, host: str) -> Agent:
        agent = Agent(f"agent-{self.number()}", sweep, host)
        self.agents[agent.id] = agent
        return agent

    def run(self, name: str, entity: str | None = None, project: str | None = None) -> Run | None:
        return self.runs.get((entity or ENTITY, project or PROJECT, name))

    def create_run(self, name: str, entity: str | None, project: str | None) -> Run:
        run = Run(name, entity or ENTITY, project or PROJECT, self.number())
        self.runs[run.entity, run.project, name] = run
        self.projects.add((run.entity, run.project))
        return run

    def mark_crashed(self) -> None:
        """Runs that are silent for `crash_after` seconds crash; preempting ones wait to be handed out again."""
        silent = time.time() - self.crash_after
        for run in self.runs.values():
            if run.heartbeat < silent and run.state in LIVE:
                run.state = "preempted" if run.state == "preempting" else "crashed"

    def commands(self, agent: Agent, live: list[str]) -> list[dict[str, Any]]:
        """What the agent, whose `live` runs are queued or running, is told: at most one command."""
        sweep = agent.sweep
        self.mark_crashed()
        sweep.stop_early()
        # Also one that an agent has started by itself: `sweep` in UpsertBucket made it the sweep's.
        mine = [run for run in self.runs.values() if run.sweep == sweep.name and run.name in live]
        for run in mine:
            run.acknowledged, run.heartbeat = True, time.time()
        # A guess: that a sweep was cancelled is not kept with its runs, which may be resumed when it runs again.
        cancelled = sweep.state == "CANCELED"
        stops = [{"type": "stop", "run_id": run.name} for run in mine if run.stop_requested or cancelled]
        if stops or mine:
            return stops[:1]
        if sweep.state == "PAUSED":
            return []
        if sweep.state in ("CANCELED", "FINISHED"):
            return [{"type": "exit"}]
        return self._hand_out(agent)

    def _hand_out(self, agent: Agent) -> list[dict[str, Any]]:
        sweep = agent.sweep
        for run in sweep.runs:
            if run.agent == agent.id and run.state == "pending":
                # The answer was lost on the way: hand the same run out again, so that no grid point is lost.
                if not run.acknowledged and run.deliveries < MAX_DELIVERIES:
                    return [_command("run", run, agent)]
                run.state = "crashed"  # the agent is idle and never started it
        for run in sweep.runs:
            if run.state == "preempted":
                run.state, run.acknowledged = "pending", False
                return [_command("resume", run, agent)]
        point = sweep.next_point()
        if point is None:
            if any(run.state in LIVE for run in sweep.runs):
                return []
            sweep.state = "FINISHED"
            return [{"type": "exit"}]
        rng = random.Random(f"{self.seed}/{sweep.number}/{len(sweep.runs)}")
        name = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=8))
        run = self.create_run(name, sweep.entity, sweep.project)
        run.sweep, run.point = sweep.name, point
        sweep.runs.append(run)
        return [_command("run", run, agent)]


def _command(kind: str, run: Run, agent: Agent) -> dict[str, Any]:
    run.agent = agent.id
    run.deliveries += 1
    args = {name: {"value": value} for name, value in run.point.items()}
    return {"type": kind, "run_id": run.name, "args": args, "program": agent.sweep.definition.get("program")}
