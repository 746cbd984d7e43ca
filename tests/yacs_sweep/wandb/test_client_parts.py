"""Parts of W&B's client that are not public are used where they are; elsewhere the public call does the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.sweeping import ROOT
from tests.wandb_server import WandbServer, start_server
from tests.wandb_server.launching import grid, new_sweep, runs, sweep
from yacs_sweep.wandb.client_parts import http_status, make_settings, row_sender, send_request

QUERY = "query Viewer { viewer { entity } }"


@pytest.fixture
def server() -> Iterator[WandbServer]:
    with start_server() as server:
        yield server


def future(server: WandbServer, **more: Any) -> Any:
    """The API of a client that has none of the parts we know."""
    return SimpleNamespace(**{"api_key": server.key, **more})


def test_a_request_of_a_client_without_known_parts_is_posted(server: WandbServer) -> None:
    answer = send_request(future(server), server.url, QUERY, {}, 5.0)
    assert answer["viewer"]["entity"] == "tester"
    (request,) = server.record.requests()
    assert (request.operation, request.status) == ("Viewer", 200)


def _wrong_key(server: WandbServer) -> Any:
    return future(server, api_key="f" * 40)


@pytest.mark.parametrize(("api", "query", "status"), [(_wrong_key, QUERY, 401), (future, "query Nothing { x }", 400)])
def test_an_answer_that_is_an_error_has_its_status(
    server: WandbServer, api: Callable[[WandbServer], Any], query: str, status: int
) -> None:
    with pytest.raises(Exception, match=str(status)) as raised:
        send_request(api(server), server.url, query, {}, 5.0)
    assert http_status(raised.value) == status


def test_no_answer_has_no_status(server: WandbServer) -> None:
    server.close()
    with pytest.raises(Exception, match="refused") as raised:
        send_request(future(server), server.url, QUERY, {}, 5.0)
    assert http_status(raised.value) == 0
    server.reopen()


def test_the_status_is_found_in_the_exceptions_of_all_clients() -> None:
    new, old = SimpleNamespace(http_status=404), SimpleNamespace(status_code=409)
    for response, status in ((new, 404), (old, 409)):
        inner = ValueError()
        inner.response = response  # type: ignore[attr-defined]
        outer = ValueError()
        outer.exc = inner  # type: ignore[attr-defined]
        assert http_status(inner) == http_status(outer) == status


def test_a_setting_that_keeps_something_here_is_never_left_out() -> None:
    assert make_settings({"save_code": False}, no_such_setting=1).save_code is False
    with pytest.raises(Exception, match="no_such_setting"):
        make_settings({"no_such_setting": True})


def test_rows_are_logged_one_by_one_where_the_client_has_no_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[Any] = []
    run = SimpleNamespace(log=lambda row, **how: logged.append((row, how)))
    row_sender(run)([(3, {"a": 1}), (5, {"b": 2})])
    monkeypatch.setitem(sys.modules, "wandb.sdk.interface.history_value", None)
    row_sender(run)([(6, {"a": 2})])
    assert logged == [
        ({"a": 1}, {"step": 3, "commit": True}),
        ({"b": 2}, {"step": 5, "commit": True}),
        ({"a": 2}, {"step": 6, "commit": True}),
    ]


def test_a_client_that_has_lost_its_private_parts_runs_a_whole_sweep(server: WandbServer, tmp_path: Path) -> None:
    # In each process that imports the client: no service API to ask, no encoding of rows, no service process to find.
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import sys\n"
        f"sys.path.insert(1, {str(ROOT)!r})\n"
        "from yacs_sweep.wandb import client_parts\n"
        "def send_request(api, url, operation, variables, timeout):\n"
        "    return client_parts._post(url, api.api_key, operation, variables, timeout)\n"
        "client_parts.send_request = send_request\n"
        "client_parts.row_sender = lambda run: lambda rows: client_parts._log_one_by_one(run, rows)\n"
        "client_parts.service_process = lambda: None\n"
    )
    words = new_sweep(tmp_path, grid(0.0001, 0.001))
    ran = sweep(server, tmp_path, *words, env={"PYTHONPATH": str(tmp_path / "site")}, timeout=180)
    assert ran.code == 0, ran.out + ran.err
    assert [(run.state, len(run.rows)) for run in runs(server)] == [("finished", 8)] * 2
    agents = {request.headers.get("User-Agent", "") for request in server.record.requests("Heartbeat")}
    assert agents and all(agent.startswith("python-requests") for agent in agents)


@pytest.mark.parametrize("kind", ["folder", "module"])
def test_a_wandb_of_the_trainers_is_not_the_client(server: WandbServer, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "wandb" / "__init__.py" if kind == "folder" else tmp_path / "wandb.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text("raise SystemExit('not the client')\n")
    ran = sweep(server, tmp_path, *new_sweep(tmp_path, grid(0.0001), "--controller", "wandb"), timeout=180)
    assert ran.code == 0, ran.out + ran.err
    assert [run.state for run in runs(server)] == ["finished"]
    at_home = new_sweep(tmp_path, grid(0.0001), "--controller", "local")
    assert "W&B does not have" not in sweep(server, tmp_path, *at_home, timeout=180).out


def test_too_old_a_python_is_one_line() -> None:
    code = f"import sys; sys.version_info = (3, 9, 18); sys.path.insert(0, {str(ROOT)!r}); import yacs_sweep"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (
        done.stderr.strip()
        == "error: the launcher needs Python 3.10 or newer, and this is 3.9; a trainer's may be older"
    )
    assert json.dumps(done.stdout) == '""'
