"""The server's parts without a client: the search, the faults, the state's transitions, the process."""

from __future__ import annotations

import base64
import json
import random
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.wandb_server import Fault, RemoteControl, WandbServer, engine, start_server
from tests.wandb_server.faults import FaultPlan
from tests.wandb_server.model import State
from tests.wandb_server.server import KEY

ROOT = Path(__file__).resolve().parents[2]
GRID = {"method": "grid", "parameters": {"b": {"values": [1, 2, 3]}, "a": {"values": [0.5, 2.0]}}}


def post(url: str, path: str, body: Any, key: str = KEY) -> Any:
    headers = {"Authorization": "Basic " + base64.b64encode(f"api:{key}".encode()).decode()}
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers, method="POST")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return json.loads(answer.read())


def test_grid_walks_sorted_names_last_fastest_and_has_no_whole_floats() -> None:
    points = engine.grid({**GRID["parameters"], "c": {"parameters": {"d": {"value": 7}}}})  # type: ignore[dict-item]
    assert [(p["a"], p["b"]) for p in points] == [(0.5, 1), (0.5, 2), (0.5, 3), (2, 1), (2, 2), (2, 3)]
    assert all(isinstance(p["b"], int) and p["c"] == {"d": 7} for p in points)
    assert isinstance(points[-1]["a"], int)


def test_grid_refuses_a_continuous_parameter() -> None:
    with pytest.raises(ValueError, match="parameter lr"):
        engine.grid({"lr": {"min": 0.1, "max": 0.2}})


def test_random_draws_stay_in_range_and_repeat_with_the_seed() -> None:
    parameters = {"lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2}, "n": {"min": 2, "max": 4}}
    draws = [engine.sample(parameters, rng) for rng in [random.Random(3)] for _ in range(50)]
    assert all(1e-5 <= d["lr"] <= 1e-2 and d["n"] in (2, 3, 4) for d in draws)
    assert {d["n"] for d in draws} == {2, 3, 4}
    again = random.Random(3)
    assert draws == [engine.sample(parameters, again) for _ in range(50)]


@pytest.mark.parametrize(
    ("line", "strict", "stops"),
    [
        ([0.9], True, False),
        ([0.9, 0.9], True, True),
        ([0.2, 0.9], True, True),
        ([0.2, 0.9], False, False),
        ([0.9, 0.2], True, False),
    ],
)
def test_hyperband_compares_at_the_bands(line: list[float], strict: bool, stops: bool) -> None:
    early = {"type": "hyperband", "min_iter": 2, "eta": 2, "strict": strict}
    others = [[0.5, 0.3], [0.6, 0.4], [0.1]]
    assert engine.hyperband_stops(early, "minimize", line, others) is stops


def test_hyperband_bands_of_max_iter() -> None:
    assert engine.bands({"max_iter": 27, "s": 2, "eta": 3}) == [3, 9]


def test_fault_counts_skips_and_matches() -> None:
    plan = FaultPlan()
    plan.add(Fault.parse("operation=Heart*,status=502,skip=1,count=2"))
    met = [plan.match(name, "r") for name in ("Heartbeat", "Viewer", "Heartbeat", "Heartbeat", "Heartbeat")]
    assert [fault.status if fault else None for fault in met] == [None, None, 502, 502, None]


def test_random_faults_repeat_with_the_seed() -> None:
    def pattern(seed: int) -> list[bool]:
        plan = FaultPlan()
        plan.add(Fault(probability=0.3, seed=seed))
        return [plan.match("x", "") is not None for _ in range(40)]

    assert pattern(1) == pattern(1) != pattern(2)
    assert 0 < sum(pattern(1)) < 40


@pytest.mark.parametrize("text", ["kind=sabotage", "operaton=Heartbeat"])
def test_a_misspelt_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="fault"):
        Fault.parse(text)


def start(server: WandbServer) -> tuple[str, str]:
    """A grid sweep and an agent on it, made over HTTP."""
    made = post(
        server.url,
        "/graphql",
        {"query": "mutation UpsertSweep { }", "variables": {"config": json.dumps(GRID), "projectName": "p"}},
    )
    sweep = made["data"]["upsertSweep"]["sweep"]["name"]
    made = post(
        server.url,
        "/graphql",
        {"query": "mutation CreateAgent { }", "variables": {"host": "h", "projectName": "p", "sweep": sweep}},
    )
    return sweep, made["data"]["createAgent"]["agent"]["id"]


def beat(server: WandbServer, agent: str, *live: str) -> list[dict[str, Any]]:
    answer = post(
        server.url,
        "/graphql",
        {
            "query": "mutation Heartbeat { }",
            "variables": {"id": agent, "runState": json.dumps(dict.fromkeys(live, True))},
        },
    )
    return json.loads(answer["data"]["agentHeartbeat"]["commands"])  # type: ignore[no-any-return]


def finish(server: WandbServer, run: str, exit_code: int = 0, **more: Any) -> None:
    post(
        server.url,
        "/graphql",
        {"query": "mutation UpsertBucket { }", "variables": {"name": run, "project": "p", "host": "h"}},
    )
    message = {"complete": True, "exitcode": exit_code, **more}
    post(server.url, f"/files/tester/p/{run}/file_stream", message)


def test_every_point_is_handed_out_once_and_the_sweep_finishes() -> None:
    with start_server() as server:
        sweep, agent = start(server)
        for _ in range(6):
            (command,) = beat(server, agent)
            assert beat(server, agent, command["run_id"]) == []  # busy: nothing new
            finish(server, command["run_id"])
        assert beat(server, agent) == [{"type": "exit"}]
        points = [(run.point["a"], run.point["b"]) for run in server.control.runs(sweep)]
        assert points == [(0.5, 1), (0.5, 2), (0.5, 3), (2, 1), (2, 2), (2, 3)]
        assert server.control.snapshot()["sweeps"][sweep]["state"] == "FINISHED"


def test_a_handout_whose_answer_was_lost_is_handed_out_again() -> None:
    with start_server() as server:
        _, agent = start(server)
        server.control.add_fault(kind="drop_after", operation="Heartbeat", count=1)
        with pytest.raises((OSError, urllib.error.URLError)):
            beat(server, agent)
        (command,) = beat(server, agent)
        assert server.control.run(command["run_id"]).point == {"a": 0.5, "b": 1}


def test_a_preempted_run_goes_to_the_next_agent() -> None:
    with start_server() as server:
        sweep, agent = start(server)
        (first,) = beat(server, agent)
        finish(server, first["run_id"], exit_code=143, preempting=True)
        assert server.control.run(first["run_id"]).state == "preempted"
        (second,) = beat(server, agent)
        assert (second["type"], second["run_id"]) == ("resume", first["run_id"])
        finish(server, first["run_id"])
        assert [run.state for run in server.control.runs(sweep)] == ["finished"]


def test_sweep_states_reach_the_agent() -> None:
    with start_server() as server:
        sweep, agent = start(server)
        (command,) = beat(server, agent)
        run = command["run_id"]
        server.control.set_sweep_state(sweep, "PAUSED")
        assert beat(server, agent, run) == beat(server, agent) == []
        server.control.set_sweep_state(sweep, "CANCELED")
        assert beat(server, agent, run) == [{"type": "stop", "run_id": run}]
        assert beat(server, agent) == [{"type": "exit"}]
        server.control.delete_sweep(sweep)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            beat(server, agent)


def test_a_silent_run_crashes() -> None:
    state = State(crash_after=60.0)
    run = state.create_run("r", None, None)
    run.state = "running"
    state.mark_crashed()
    assert run.state == "running"
    run.heartbeat -= 61
    state.mark_crashed()
    assert run.state == "crashed"


def test_rows_sent_twice_count_once_and_lost_rows_show() -> None:
    with start_server() as server:
        _, agent = start(server)
        (command,) = beat(server, agent)
        path = f"/files/tester/p/{command['run_id']}/file_stream"
        for offset, rows in ((0, ['{"a": 0}', '{"a": 1}']), (1, ['{"a": 1}']), (3, ['{"a": 3}'])):
            post(server.url, path, {"files": {"wandb-history.jsonl": {"offset": offset, "content": rows}}})
        history = server.control.run(command["run_id"]).history()
        assert history == [{"a": 0}, {"a": 1}, {"_missing": True}, {"a": 3}]


def test_a_wrong_key_is_refused_and_no_key_is_recorded() -> None:
    with start_server() as server:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            post(server.url, "/graphql", {"query": "query Viewer { }"}, key="f" * 40)
        assert [r.status for r in server.record.requests("Viewer")] == [401]
        assert server.record.contains("f" * 40) == server.record.contains(KEY) == []
        server.control.revoke_keys()
        with pytest.raises(urllib.error.HTTPError, match="401"):
            post(server.url, "/graphql", {"query": "query Viewer { }"})


def test_an_outage_refuses_connections_and_loses_nothing() -> None:
    with start_server() as server:
        _, agent = start(server)
        with server.outage(), pytest.raises(urllib.error.URLError, match="refused"):
            beat(server, agent)
        assert [command["type"] for command in beat(server, agent)] == ["run"]


def test_the_process_takes_orders_and_ends_on_sigterm() -> None:
    rule = "operation=Viewer,status=429,retry_after=2,count=1"
    command = [sys.executable, "-m", "tests.wandb_server", "--fault", rule]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(url, "/graphql", {"query": "query Viewer { }"})
        assert (refused.value.code, refused.value.headers["Retry-After"]) == (429, "2")
        assert [r["status"] for r in RemoteControl(url)("requests", operation="Viewer")] == [429]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            RemoteControl(url)("run", name="x")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=180) == 0
