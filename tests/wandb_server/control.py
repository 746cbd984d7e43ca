"""What tests do to a running server and ask of it, from the same process or, as JSON, from another one."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from tests.wandb_server.faults import Fault, FaultPlan
from tests.wandb_server.model import Run, State, Sweep
from tests.wandb_server.record import Record


class Control:
    """The tester's hands. Sweeps are named by their id alone, runs by theirs."""

    def __init__(self, state: State, plan: FaultPlan, record: Record) -> None:
        self._state = state
        self._plan = plan
        self.record = record

    def add_fault(self, **rule: Any) -> None:
        """Inject a fault; arguments are the fields of `Fault`."""
        self._plan.add(Fault(**rule))

    def clear_faults(self) -> None:
        self._plan.clear()

    def set_sweep_state(self, sweep: str, state: str) -> None:
        """RUNNING, PAUSED, CANCELED (running trials are stopped) or FINISHED (they end, no new ones start)."""
        with self._state.lock:
            self._sweep(sweep).state = state

    def delete_sweep(self, sweep: str) -> None:
        with self._state.lock:
            self._state.delete_sweep(self._sweep(sweep))

    def stop_run(self, run: str) -> None:
        """What the stop button of the web page does."""
        with self._state.lock:
            self.run(run).stop_requested = True

    def revoke_keys(self) -> None:
        """Every key is wrong from now on."""
        self.add_fault(kind="status", status=401)

    def requests(self, operation: str | None = None, run: str | None = None) -> list[dict[str, Any]]:
        """Everything received, in order, as `record.Request` in JSON."""
        return self.record.as_json(operation, run)

    def snapshot(self) -> dict[str, Any]:
        """Sweeps, runs and agents as they are now."""
        with self._state.lock:
            return {
                "sweeps": {
                    s.name: {
                        "state": s.state,
                        "entity": s.entity,
                        "project": s.project,
                        "definition": s.definition,
                        "runs": [run.name for run in s.runs],
                    }
                    for s in self._state.sweeps.values()
                },
                "runs": {
                    r.name: {
                        "state": r.state,
                        "sweep": r.sweep,
                        "agent": r.agent,
                        "point": r.point,
                        "config": json.loads(r.config),
                        "rows": r.history(),
                        "summary": json.loads(r.summary),
                        "exit_code": r.exit_code,
                        "output": r.output,
                        "starts": r.starts,
                        "deliveries": r.deliveries,
                        "files": sorted(r.uploads),
                    }
                    for r in self._state.runs.values()
                },
                "agents": {
                    a.id: {"sweep": a.sweep.name, "host": a.host, "heartbeats": a.heartbeats}
                    for a in self._state.agents.values()
                },
            }

    def run(self, name: str) -> Run:
        """The run with this id; KeyError when there is none. In-process use only."""
        for run in self._state.runs.values():
            if run.name == name:
                return run
        raise KeyError(name)

    def runs(self, sweep: str) -> list[Run]:
        """Runs of a sweep in the order they were handed out. In-process use only."""
        with self._state.lock:
            return list(self._sweep(sweep).runs)

    def _sweep(self, name: str) -> Sweep:
        for sweep in self._state.sweeps.values():
            if sweep.name == name:
                return sweep
        raise KeyError(name)


REMOTE = (
    "add_fault",
    "clear_faults",
    "set_sweep_state",
    "delete_sweep",
    "stop_run",
    "revoke_keys",
    "requests",
    "snapshot",
)


class RemoteControl:
    """`Control` over HTTP: `RemoteControl(url)("stop_run", run="abc")` calls that method, if it is in REMOTE."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, method: str, **arguments: Any) -> Any:
        request = urllib.request.Request(f"{self._url}/_test/{method}", json.dumps(arguments).encode(), method="POST")
        # No proxy: the server is on this machine.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return json.loads(answer.read())
