"""The served page lets in who has the token, from this server's own pages, and nobody else; what is hostile stays text."""

from __future__ import annotations

import gzip
import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launches import FakeLaunch, sweep_folder
from tests.report_sweeps import HOSTILE
from tests.sweeping import environment
from tests.yacs_sweep.serve.serving import REPORT, Server, serving
from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.orders import Order
from yacs_sweep.records.folder import SweepPaths, TrialRecord

ID = "k3v9x2ab"


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> SweepPaths:
    """A sweep with something hostile in every field that a trainer or another user can write to."""
    paths = sweep_folder(tmp_path_factory.mktemp("served") / "log/sweep", name=HOSTILE)
    record = TrialRecord("x", "evil-otter-3", 3, {"lr": HOSTILE, "optimizer": HOSTILE}, "failed", reason=HOSTILE)
    record.cause, record.host, record.last_lines, record.command = HOSTILE, HOSTILE, [HOSTILE], [HOSTILE]
    record.git_commit, record.gpu_ids, record.started = HOSTILE, [HOSTILE], HOSTILE
    paths.trial(record.name).dir.mkdir()
    record.save(paths.trial(record.name))
    paths.trial("calm-heron-2").metrics.write_text(json.dumps({"step": 0, HOSTILE: 1.0, "loss": 0.5}) + "\n")
    return paths


@pytest.fixture(scope="module")
def server(paths: SweepPaths) -> Iterator[Server]:
    with serving(paths.base.parent.parent, "--sweep_id", ID) as running:
        yield running


def orders(paths: SweepPaths) -> list[Order]:
    return [entry for entry in OrderFile(paths).read() if isinstance(entry, Order)]


def test_the_token_moves_from_the_address_to_a_cookie(server: Server) -> None:
    found = server.ask(f"/?token={server.token}", headers={})
    assert (found.status, found.headers["location"]) == (303, "/")
    cookie = found.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert server.token not in server.ask(f"/sweep/{ID}").text
    assert len(server.token) >= 43  # 32 random bytes


@pytest.mark.parametrize(
    "path",
    [
        "/",
        f"/sweep/{ID}",
        f"/sweep/{ID}/events",
        f"/sweep/{ID}/data",
        f"/sweep/{ID}/ready",
        f"/sweep/{ID}/trial/calm-heron-2",
        "/events",
        "/files/live.js",
        "/nothing",
    ],
)
def test_nobody_comes_in_without_the_token(server: Server, path: str) -> None:
    name, token = f"yacs-sweep-{server.port}", server.token
    wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
    for cookie in ("", f"{name}=", f"{name}={wrong}", f"{name}={token}x", f"other={token}", f"{name}=é{token}"):
        answer = server.ask(path, headers={"Cookie": cookie} if cookie else {})
        assert answer.status == 403, cookie
        assert "set-cookie" not in answer.headers
    assert server.ask("/", headers={}).status == 403


@pytest.mark.parametrize("query", ["token=", "token=wrong", "token={token}&token={token}", "x=1", "token={token}x"])
def test_a_wrong_token_in_the_address_brings_no_cookie(server: Server, query: str) -> None:
    answer = server.ask("/?" + query.format(token=server.token), headers={})
    assert answer.status == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost", "127.0.0.1:1", "[::1]:{port}", "", "0:{port}"],
)
def test_another_name_for_this_machine_is_refused(server: Server, host: str) -> None:
    name = host.format(port=server.port)
    assert server.ask("/", headers={**server.cookie, "Host": name}).status == 421
    assert server.ask(f"/?token={server.token}", headers={"Host": name}).status == 421


def test_both_names_of_this_machine_are_known(server: Server) -> None:
    for name in ("127.0.0.1", "localhost"):
        assert server.ask(f"/sweep/{ID}", headers={**server.cookie, "Host": f"{name}:{server.port}"}).status == 200


def test_only_this_machine_is_listened_to(server: Server) -> None:
    other = [found[4][0] for found in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    for address in {*other, "127.0.0.2"} - {"127.0.0.1"}:
        with socket.socket() as tried:
            tried.settimeout(2)
            assert tried.connect_ex((address, server.port)) != 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": ""},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"X-Yacs-Sweep": ""},
        {"X-Yacs-Sweep": "yes"},
        {"Cookie": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_an_order_from_another_page_is_refused(server: Server, paths: SweepPaths, headers: dict[str, str]) -> None:
    given = {name: value.format(port=server.port) for name, value in headers.items()}
    assert server.order(ID, {"act": "cancel"}, **given).status == 403
    assert orders(paths) == []


def test_a_page_of_another_port_cannot_load_anything(server: Server) -> None:
    for site in ("same-site", "cross-site"):
        headers = {**server.cookie, "Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
        assert server.ask(f"/sweep/{ID}/events", headers=headers).status == 403
    assert server.ask(f"/sweep/{ID}", headers={**headers, "Sec-Fetch-Mode": "navigate"}).status == 200  # a link to it
    answer = server.ask(f"/sweep/{ID}")
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "access-control-allow-origin" not in answer.headers


def test_get_changes_nothing(server: Server, paths: SweepPaths) -> None:
    before = {path: path.stat().st_mtime_ns for path in paths.dir.rglob("*")}
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"):
        assert server.ask(f"/sweep/{ID}/order", method).status == 405
    assert server.ask(f"/sweep/{ID}/order?act=cancel").status == 405
    assert server.ask(f"/sweep/{ID}").status == 200
    assert {path: path.stat().st_mtime_ns for path in paths.dir.rglob("*")} == before


def test_what_is_hostile_is_text(server: Server) -> None:
    for path in (f"/sweep/{ID}", f"/sweep/{ID}"):
        answer = server.ask(path)
        nonce = re.search(r"script-src 'nonce-([\w-]+)' 'strict-dynamic';", answer.headers["content-security-policy"])
        assert nonce is not None
        assert "unsafe-eval" not in answer.headers["content-security-policy"]
        # Every script that the browser would run is one of ours, with the number of this answer.
        tags = re.findall(r"<script[^>]*>", answer.text)
        ours = [tag for tag in tags if f'nonce="{nonce[1]}"' in tag]
        assert [
            tag for tag in tags if tag not in ours and 'type="application/json"' not in tag and "text/plain" not in tag
        ] == []
        assert len(ours) >= 3
        assert "<img src=x" not in answer.text and "alert(1)</script>" not in answer.text
        assert answer.headers["cache-control"] == "no-store" and answer.headers["referrer-policy"] == "no-referrer"
    again = server.ask(f"/sweep/{ID}").headers["content-security-policy"]
    assert nonce[1] not in again


def test_the_data_are_the_pages(server: Server) -> None:
    answer = server.ask(f"/sweep/{ID}/data")
    content = json.loads(gzip.decompress(answer.body))
    assert content["data"]["trials"]["name"] == ["brisk-otter-1", "calm-heron-2", "evil-otter-3"]
    assert content["header"].startswith("<header>") and "<script" not in content["header"]
    assert server.ask("/sweep/other/data").status == 404


def test_hostile_names_do_not_break_the_stream(server: Server) -> None:
    _, name, content = next(server.events(f"/sweep/{ID}/events"))
    assert name == "whole"
    assert content["state"]["name"] == HOSTILE
    assert content["rows"]["calm-heron-2"] == [{"step": 0, HOSTILE: 1.0, "loss": 0.5}]


@pytest.mark.parametrize(
    "path",
    ["/files/../reader.py", "/files/%2e%2e/reader.py", "/files/..%2freader.py", "/files/", "/sweep/..", "/sweep/%2e%2e",
     f"/sweep/..%2f{ID}", f"/sweep/{ID}/../..", f"/sweep/{ID}%00", f"/sweep/{ID}/trial.json"],
)  # fmt: skip
def test_no_path_leads_out(server: Server, path: str) -> None:
    assert server.ask(path).status == 404


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"act": "stop_trial", "trial": "../calm-heron-2"}, "no such trial"),
        ({"act": "stop_trial", "trial": ".."}, "no such trial"),
        ({"act": "stop_trial", "trial": "brisk-otter-1"}, "does not run any more: it has ended, finished"),
        ({"act": "stop_trial", "trial": "x" * 400}, "no order that is known"),
        ({"act": "stop_trial"}, "no order that is known"),
        ({"act": "pause", "more": 1}, "no order that is known"),
        ({"act": "add_points", "points": [{"lr": 1}]}, "no order that is known"),
        ({"act": "add_points", "text": ""}, "no order that is known"),
        ({"act": "add_points", "text": "- {lr: 0.01}", "more": 1}, "no order that is known"),
        ({"act": "add_points", "text": " \n"}, "points: has no points; write"),
        ({"act": "add_points", "text": "- {lr: [}"}, "points:1:9: not valid YAML"),
        ({"act": "add_points", "text": "- {lr: 0.01}\n- [1, 2]\n"}, "points: point 2: [1, 2] is not a point"),
        ({"act": "add_points", "text": f"- {{{json.dumps(HOSTILE)}: 1}}"}, "is not searched by this sweep"),
        ({"act": "add_points", "text": '{"lr": 7}'}, "points: point 1: lr: 7 is not in 0.001"),
        ({"act": "add_points", "text": "x: &a [*a, *a]"}, "points:"),
        ({"act": "set_gpus", "gpus": "0,,1", "now": False}, "GPUs 0,,1: names no GPU between two commas"),
        ({"act": "set_gpus", "gpus": "1,1", "now": False}, "GPUs 1,1: names GPU 1 twice"),
        ({"act": "set_gpus", "gpus": "x" * 400, "now": False}, "no order that is known"),
        ({"act": "set_gpus", "gpus": "0"}, "no order that is known"),
        ({"act": "set_workers", "workers": 0, "now": False}, "no order that is known"),
        ({"act": "set_workers", "workers": True, "now": False}, "no order that is known"),
        ({"act": "set_workers", "workers": 10**9, "now": False}, "no order that is known"),
        ({"act": "__class__"}, "no order that is known"),
        ({"act": []}, "no order that is known"),
        ([], "no order that is known"),
        (b"\xff", "no order that is known"),
        (b"[" * 60_000, "no order that is known"),
    ],
)
def test_an_order_that_is_none_is_refused(server: Server, paths: SweepPaths, body: object, text: str) -> None:
    answer = server.order(ID, body)
    assert answer.status == 422
    assert text in answer.lines[0] and "\n" not in answer.lines[0]
    assert orders(paths) == []


def test_a_trial_is_shown_as_it_is_now(server: Server, paths: SweepPaths) -> None:
    """Details of trials that began after the page was made; only names that the sweep has are looked at."""
    begun = TrialRecord("late", "late hawk?#5", 5, {"lr": 0.02, "optimizer": "adam"}, command=["python", HOSTILE])
    assert server.ask(f"/sweep/{ID}/trial/late%20hawk%3F%235").status == 404
    paths.trial(begun.name).dir.mkdir()
    begun.save(paths.trial(begun.name))
    try:
        for log in ("one\n", "two\x1b[31m\n"):
            with paths.trial(begun.name).stdout.open("a") as file:
                file.write(log)
            address, deadline = f"/sweep/{ID}/trial/late%20hawk%3F%235", time.monotonic() + 20
            while (answer := server.ask(address)).status == 404 and time.monotonic() < deadline:
                time.sleep(0.1)  # the server looks at the folder twice a second
            assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        content = json.loads(answer.body)
        assert content["log"] == ["one", "two"] and content["cut"] is False
        assert content["command"] == f"python {shlex.quote(HOSTILE)}"
    finally:
        shutil.rmtree(paths.trial(begun.name).dir)
    hostile = json.loads(server.ask(f"/sweep/{ID}/trial/evil-otter-3").body)
    assert hostile["commit"] == HOSTILE
    for name in (
        "..",
        "%2e%2e",
        "..%2f..",
        "control.jsonl",
        "inputs",
        "%00",
        "evil-otter-3%00",
        "x" * 800,
        "evil-otter-3/x",
    ):
        assert server.ask(f"/sweep/{ID}/trial/{name}").status == 404, name
    assert server.ask("/sweep/other/trial/evil-otter-3").status == 404


def test_what_is_too_large_is_refused(server: Server, paths: SweepPaths) -> None:
    assert server.ask("/" + "x" * 2000).status == 414
    assert server.order(ID, b"x", **{"Content-Length": "99999999"}).status == 413
    assert server.order(ID, b"5\r\nhello\r\n0\r\n\r\n", **{"Transfer-Encoding": "chunked"}).status == 411
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as endless:  # a header that has no end
        endless.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000)
        assert endless.recv(100).startswith(b"HTTP/1.1 400 ")
    assert orders(paths) == []
    assert server.ask(f"/sweep/{ID}").status == 200


def test_slow_clients_hold_nobody_up(server: Server) -> None:
    held = []
    for _ in range(20):
        slow = socket.create_connection(("127.0.0.1", server.port))
        slow.sendall(b"GET / HTTP/1.1\r\nHost: ")
        held.append(slow)
    cookie = server.cookie["Cookie"]
    for _ in range(5):  # and some that ask for the page, and take none of it
        slow = socket.create_connection(("127.0.0.1", server.port))
        slow.sendall(f"GET /sweep/{ID} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {cookie}\r\n\r\n".encode())
        held.append(slow)
    begun = time.monotonic()
    assert server.ask(f"/sweep/{ID}").status == 200
    assert time.monotonic() - begun < 5
    for slow in held:
        slow.close()


def test_an_order_is_given_and_answered(server: Server, paths: SweepPaths) -> None:
    """The last test of this sweep: it leaves orders behind."""
    with FakeLaunch(paths):
        events = server.events(f"/sweep/{ID}/events")
        assert next(events)[1] == "whole"
        answer = server.order(ID, {"act": "set_workers", "workers": 3, "now": False})
        assert answer.status == 200 and answer.lines[0].startswith("set_workers taken")
        for _, _, content in events:
            if any(order["answers"] for order in content.get("orders", ())):
                break
        assert content["orders"][-1]["text"].startswith("3 workers")
        assert content["orders"][-1]["answers"][0]["text"] == "set_workers taken"
    (given,) = orders(paths)
    assert (given.act, given.by, given.given["workers"]) == ("set_workers", "page", 3)


def test_a_server_that_only_shows(tmp_path: Path) -> None:
    paths = sweep_folder(tmp_path / "log/sweep")
    with serving(tmp_path, "--sweep_id", ID, "--read-only") as server, FakeLaunch(paths):
        answer = server.order(ID, {"act": "cancel"})
        assert (answer.status, answer.lines) == (403, ["this server was started with --read-only"])
        assert "control.js" not in server.ask(f"/sweep/{ID}").text
    assert orders(paths) == []


def refused(home: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, str(REPORT), *words],
        cwd=home,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


def test_mistakes_get_one_line(tmp_path: Path, server: Server) -> None:
    assert refused(tmp_path, "--serve", "--sweep_id", "nosuchid").startswith(
        "error: --sweep_id nosuchid: no such sweep"
    )
    assert refused(tmp_path, "--serve", "--format", "md") == (
        "error: --serve, --format: contradict each other; leave one out"
    )
    assert refused(tmp_path, "--sweep_id", ID, "--read-only") == "error: --read-only: only with --serve"
    assert refused(tmp_path).startswith("error: the following arguments are required: --sweep_id")
    sweep_folder(tmp_path / "log/sweep")
    taken = refused(tmp_path, "--serve", "--sweep_id", ID, "--port", str(server.port))
    assert taken == f"error: --port {server.port}: Address already in use; without --port a free one is taken"
    assert "65535" in refused(tmp_path, "--serve", "--sweep_id", ID, "--port", "70000")


def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from yacs_sweep.serve import command

    monkeypatch.setattr(command, "PACKAGES", ("starlette", "no_such_package"))
    assert command.main(["--serve", "--sweep_id", ID]) == 2
    assert capsys.readouterr().err == (
        "error: --serve: no_such_package is not installed: pip install 'starlette>=0.40' 'uvicorn>=0.30'\n"
    )
