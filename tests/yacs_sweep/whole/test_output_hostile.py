"""A trainer may print what it likes: it is shown as text, decides nothing but its own trial, and reaches no other file."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.sweeping import ROOT, Ran, sweep, write_sweep
from tests.wandb_server import start_server
from tests.wandb_server.launching import PATH, environment, runs

ESCAPES = "\x1b[2J\x1b]0;title\x07\x1b[31m\x9b1m\u202e"  # clears the screen, names the window, turns text around
TRAINER = r"""
import json, os, sys
kind = sys.argv[-1].split("=")[1]
bad = os.environ["ESCAPES"]
out = sys.stdout.buffer
say = lambda text: (out.write(text.encode("utf-8", "surrogateescape") + b"\n"), out.flush())
if kind == "names":
    names = f"a{bad}b", "<script>alert(1)</script>", "=cmd|' /C calc'!A0", "../../../evil", "__proto__", "x" * 5000, ""
    for name in names:
        say("METRIC " + json.dumps({name: 1.5}))
    say("METRIC " + json.dumps({"step": 1 << 60, "_step": 7, "_timestamp": 1, "_runtime": 1, "sweep/state": 3}))
    say("METRIC " + json.dumps({"step": -3, "other": 1}))
if kind == "values":
    deep = "[" * 100000, '{"a": ' * 5000
    for text in ('{"score": "<b>"}', '{"score": [1, {"a": 2}]}', '{"score": 1e999}', '{"score": null', *deep):
        say("METRIC " + text)
    say("METRIC " + json.dumps({"score": "\x1b[31m9"}))
if kind == "bytes":
    out.write(bytes(range(256)) * 50 + b"\n" + b"\xff\xfe\x00" * 1000 + b"\n" + b"a" * 3_000_000 + b"\r" * 1000 + b"\n")
if kind == "launcher":
    say("[sweep] best: trial-9999, score 100 with nothing")
    say("[sweep] resume with: rm -rf /")
    say(json.dumps({"event": "end", "content": {"state": "finished", "value": 100}}))
    say(json.dumps({"event": "exited", "status": 0}))
if kind == "words":
    say("METRIC " + json.dumps({"score": 3.5}))
    touch = "touch " + os.environ["INJ"]
    raise ValueError(f"$({touch}) `{touch}`; {touch} <img src=x onerror=alert(1)> {bad}")
if kind == "formula":
    sys.exit(f'=HYPERLINK("http://evil")')
say("METRIC " + json.dumps({"score": 2.5, "epoch": 1}))
"""
KINDS = ["names", "values", "bytes", "launcher", "words", "formula"]
FAILED = {"words", "formula"}


def launch(folder: Path, *words: str, env: dict[str, str]) -> Ran:
    """Runs a trial of each kind."""
    (folder / "t.py").write_text(TRAINER)
    parameters = {"KIND": {"values": KINDS}}
    definition = {"method": "grid", "metric": {"name": "score", "goal": "maximize"}, "parameters": parameters}
    spec = write_sweep(folder, {**definition, "program": "t.py", "command": ["${env}", "python", "t.py", "${args}"]})
    env = {**env, "ESCAPES": ESCAPES, "INJ": str(folder / "INJ")}
    words = ("--sweep-config", str(spec), "--controller", "local", "--max-failures", "9", *words)
    return sweep(folder, *words, env=env, trainer=None, config=None, verbose=False)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("hostile")
    with start_server() as server:
        found = launch(folder, "--wandb-mode", "online", *PATH, env=environment(server, folder))
        found.server = server  # type: ignore[attr-defined]
        yield found


def trial(ran: Ran, kind: str) -> dict[str, object]:
    (found,) = [row for row in ran.summary["trials"] if row["params"]["KIND"] == kind]
    return dict(found)


def test_each_trial_ends_by_its_own_value_and_status(ran: Ran) -> None:
    assert ran.code == 1, ran.out + ran.err
    assert "Traceback" not in ran.out + ran.err
    for kind in KINDS:
        row = trial(ran, kind)
        assert (row["state"], row["value"]) == (
            ("failed", 3.5 if kind == "words" else None) if kind in FAILED else ("finished", 2.5)
        ), row
    assert ran.summary["best"]["value"] == 2.5
    assert ran.summary["best"]["name"] != "trial-9999"


def test_it_runs_nothing_and_writes_nowhere_else(ran: Ran) -> None:
    assert not list(ran.cwd.rglob("INJ*")) and not list(ran.cwd.rglob("evil*"))
    assert sorted(path.name for path in ran.cwd.iterdir()) == ["home", "log", "t.py", "y.yaml"]
    assert not (ran.cwd.parent / "evil").exists()
    for row in ran.summary["trials"]:
        assert Path(row["dir"]).parent == ran.dir


def test_the_output_is_kept_byte_for_byte(ran: Ran) -> None:
    log = (Path(str(trial(ran, "bytes")["dir"])) / "stdout.log").read_bytes()
    assert bytes(range(256)) * 50 + b"\n" in log and log.count(b"\xff\xfe\x00") == 1000 and b"a" * 3_000_000 in log


def test_no_command_reaches_the_terminal(ran: Ran) -> None:
    for text in (ran.out, ran.err):
        assert not any(letter in text for letter in "\x1b\x9b\x07\x00\u202e")
        assert "[sweep] resume with: rm" not in text
    assert f"touch {ran.cwd / 'INJ'}" in ran.out  # as text


def test_rows_have_their_own_steps(ran: Ran) -> None:
    rows = ran.rows(str(trial(ran, "names")["name"]))
    assert [row["step"] for row in rows] == list(range(len(rows)))
    for kind in KINDS:
        for line in (Path(str(trial(ran, kind)["dir"])) / "metrics.jsonl").read_text().splitlines():
            json.loads(line, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))


def test_wandb_gets_rows_and_steps_of_ours(ran: Ran) -> None:
    found = runs(ran.server)  # type: ignore[attr-defined]
    assert sorted(run.state for run in found) == ["failed"] * 2 + ["finished"] * 4
    for run in found:
        history = run.history()
        assert [row["_step"] for row in history] == list(range(len(history)))
        assert json.loads(run.summary)["sweep/state"] == run.state


class Scripts(HTMLParser):
    """Collects what a page runs, and where handlers and addresses of others stand."""

    def __init__(self) -> None:
        super().__init__()
        self.handlers: list[str] = []
        self.images: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.images += [tag] if tag == "img" else []
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def test_the_report_shows_it_as_text(ran: Ran) -> None:
    pages = {}
    for form in ("html", "md", "csv", "json"):
        words = ["--sweep_id", ran.dir.name, "--source", "local", "--format", form]
        command = [sys.executable, str(ROOT / "tools" / "report.py"), *words, "--output", f"report.{form}"]
        env = environment(ran.server, ran.cwd)  # type: ignore[attr-defined]
        done = subprocess.run(command, cwd=ran.cwd, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        path = ran.cwd / f"report.{form}"
        pages[form] = path.read_text()
        path.unlink()
        assert form == "html" or not any(letter in pages[form] for letter in "\x1b\x9b\x07\x00\u202e"), form
    parser = Scripts()
    parser.feed(pages["html"])
    assert parser.handlers == [] and parser.images == []
    assert not [link for link in parser.links if "evil" in link]
    assert "<script>alert(1)" not in pages["html"] and "<img src=x" not in pages["html"]
    assert "&lt;img src=x" in pages["html"]
    cells = [cell for row in csv.reader(pages["csv"].splitlines()) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "@", "+"))]
    json.loads(pages["json"])
