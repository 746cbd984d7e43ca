"""`--notify`: a command or a URL is told how a launch has ended; a real server on loopback listens."""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import GRID, environment, start, sweep, write_sweep
from tests.yacs_sweep.launch.notify.hook import Handler, Server, url
from yacs_sweep.launch.notify.content import environment as variables
from yacs_sweep.launch.notify.content import summary
from yacs_sweep.launch.notify.moments import notifying
from yacs_sweep.launch.notify.send import send
from yacs_sweep.launch.notify.target import notify_problems

OFFLINE = ("--wandb-mode", "disabled", "--controller", "local")
TOLD: dict[str, Any] = {
    "text": "sweep ended, all trials ended well. lr (abc): 2 finished; best val/mAP 40 (trial-0001)",
    "exit_status": 0,
    "error": None,
    "sweeps": [{"sweep_id": "abc", "name": "lr\0", "dir": "/d", "best": {"name": "trial-0001", "value": 40.0}}],
}


def test_a_url_is_posted_to_when_the_sweep_has_ended(tmp_path: Path, server: Server) -> None:
    spec = write_sweep(tmp_path, {**GRID, "name": "lr"})
    ran = sweep(tmp_path, "--sweep-config", spec, *OFFLINE, "--notify", url(server))
    assert ran.code == 0, ran.err
    ((path, kind, body),) = server.bodies
    assert (path, kind) == ("/hook/secret?x=1", "application/json; charset=utf-8")
    assert body["exit_status"] == 0 and body["error"] is None
    (told,) = body["sweeps"]
    assert told["counts"] == {"finished": 3} and told["best"]["value"] == 80.0
    assert body["text"].startswith(
        f"sweep ended, all trials ended well. lr ({told['sweep_id']}): 3 finished; best val/mAP 80 ("
    )
    assert "warning" not in ran.out


def test_a_command_is_told_of_failure_in_words_environment_and_on_stdin(tmp_path: Path) -> None:
    code = "print(json.dumps([sys.argv[1:], dict(os.environ), json.load(sys.stdin)]), file=open('told', 'w'))"
    (tmp_path / "tell.py").write_text(f"import json, os, sys\n{code}")
    spec = write_sweep(tmp_path, {**GRID, "name": "lr"})
    target = f"{sys.executable} tell.py 'two words' {{message}}"
    ran = sweep(tmp_path, "--sweep-config", spec, *OFFLINE, "--notify", target, "TOY.MODE", "exit3")
    assert ran.code == 1
    words, env, body = json.loads((tmp_path / "told").read_text())
    assert words == ["two words", body["text"]]
    assert (
        body["exit_status"] == 1 and body["sweeps"][0]["counts"] == {"failed": 3} and body["sweeps"][0]["best"] is None
    )
    assert body["text"].startswith("sweep ended, not every trial ended well. lr (") and body["text"].endswith(
        "): 3 failed"
    )
    assert (env["SWEEP_EXIT_STATUS"], env["SWEEP_NAME"], env["SWEEP_BEST_TRIAL"]) == ("1", "lr", "")
    assert env["SWEEP_ID"] == body["sweeps"][0]["sweep_id"] and env["SWEEP_DIR"] == str(ran.dir)


def test_an_interrupted_sweep_is_told_of(tmp_path: Path, server: Server) -> None:
    spec = write_sweep(tmp_path, GRID)
    words = ("--notify", url(server), "--grace", "0", "TOY.MODE", "deaf")
    launcher = start(tmp_path, "--sweep-config", spec, *OFFLINE, *words)
    assert launcher.stdout is not None
    assert any(line == "deaf\n" for line in launcher.stdout)
    launcher.send_signal(signal.SIGTERM)
    rest, _ = launcher.communicate(timeout=180)
    assert launcher.returncode == 130, rest
    ((_, _, body),) = server.bodies
    assert body["exit_status"] == 130 and body["sweeps"][0]["counts"] == {"killed": 1}
    assert "interrupted" in body["text"]


def test_an_error_that_ends_the_launch_is_told_of(server: Server) -> None:
    said: list[str] = []
    with pytest.raises(RuntimeError), notifying(url(server), ["end"], said.append):
        raise RuntimeError("cannot write results")
    with pytest.raises(KeyboardInterrupt), notifying(url(server), ["end"], said.append):
        raise KeyboardInterrupt
    first, second = (body for _, _, body in server.bodies)
    assert (first["exit_status"], first["error"]) == (1, "cannot write results")
    assert (second["exit_status"], second["error"]) == (130, None)
    assert not said


def test_what_goes_wrong_is_a_warning_that_keeps_the_secret(server: Server, tmp_path: Path) -> None:
    server.status = 403
    assert send(url(server), TOLD) == "--notify 127.0.0.1: HTTP 403 Forbidden"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        told = send(f"http://127.0.0.1:{closed.getsockname()[1]}/secret", TOLD)
    assert told is not None and "refused" in told and "secret" not in told
    assert send("false", TOLD) == "--notify false: exit code 1"
    assert send("sh -c 'echo no bus >&2; exit 3'", TOLD) == "--notify sh: exit code 3: no bus"
    assert send(str(tmp_path / "gone"), TOLD) is not None
    assert send("true", TOLD) is None


def test_it_takes_no_longer_than_its_bound(server: Server) -> None:
    server.pause = 3.0
    for target in (url(server), "sh -c 'sleep 1000 & sleep 1000'"):
        began = time.monotonic()
        told = send(target, TOLD, wait=0.5)
        assert (told is not None and "within 0.5 s" in told) or "timed out" in str(told)
        assert time.monotonic() - began < 2.5


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("", "--notify: is empty"),
        ("notify-send 'x", "No closing quotation; quote it as in a shell"),
        ("no-such-command-here x", "command no-such-command-here not found"),
        ("https://", "--notify: not a valid URL; write https://HOST/PATH"),
        ("http://host:99999/x", "--notify: not a valid URL; write https://HOST/PATH"),
        ("ftp://host/x", "only http:// and https:// URLs work"),
        (
            "$NO_SUCH_URL",
            "--notify $NO_SUCH_URL: the environment variable is not set; export NO_SUCH_URL=https://… first",
        ),
        ("${NO_SUCH_URL}", "--notify $NO_SUCH_URL: the environment variable is not set"),
        ('sh -c "echo {message} >> f"', "write --notify 'sh -c '\"'\"'echo \"$SWEEP_MESSAGE\" >> f'\"'\"''"),
    ],
)
def test_a_mistake_is_told_before_anything_is_created(tmp_path: Path, target: str, text: str) -> None:
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), *OFFLINE, "--notify", target)
    assert ran.code == 2 and not ran.sweeps
    assert text in ran.err and len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    "target",
    [
        "hooks.example.org/services/s3cret",
        "https://hooks.example.org:99999/s3cret",
        "https://user:s3cret@/x",
        "htps://hooks.example.org/s3cret",
        "curl 'https://hooks.example.org/s3cret",
        "no-such-command https://hooks.example.org/s3cret",
        "sh -c 'curl https://hooks.example.org/s3cret -d x' {message} -c {message}",
    ],
)
def test_no_message_shows_what_may_be_a_secret(target: str) -> None:
    problems = notify_problems(target)
    assert len(problems) == 1 and "s3cret" not in problems[0]


def test_a_url_comes_from_a_variable_and_is_nowhere_else(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither on the command line, nor in a file or message, also when posting fails."""
    secret = f"{url(server)}&key=s3cret"
    env = environment(tmp_path, TEAM_HOOK=secret)
    spec = write_sweep(tmp_path, {**GRID, "name": "lr"})
    ran = sweep(tmp_path, "--sweep-config", spec, *OFFLINE, "--notify", "$TEAM_HOOK", env=env)
    assert ran.code == 0 and "warning" not in ran.out, ran.out + ran.err
    ((path, _, _),) = server.bodies
    assert path == "/hook/secret?x=1&key=s3cret"
    server.status = 500
    again = sweep(tmp_path, "--sweep_id", ran.dir.name, "--count", "1", *OFFLINE, "--notify", "${TEAM_HOOK}", env=env)
    assert "warning: --notify 127.0.0.1: HTTP 500" in again.out, again.out + again.err
    (tmp_path / "given").mkdir()
    given = sweep(tmp_path / "given", "--sweep-config", spec, *OFFLINE, "--notify", secret, env=env)
    assert "warning: --notify 127.0.0.1: HTTP 500" in given.out, given.out + given.err
    for text in (ran.out, ran.err, again.out, again.err, given.out, given.err):
        assert "s3cret" not in text
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"s3cret" not in file.read_bytes(), file


def test_a_command_comes_from_a_variable_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TELL", f"touch {tmp_path / 'told'}")
    assert notify_problems("$TELL") == []
    assert send("$TELL", TOLD) is None and (tmp_path / "told").exists()
    monkeypatch.setenv("TELL", "sh -c 'echo {message}'")
    assert "would execute {message} as code" in notify_problems("$TELL")[0]


def test_names_become_no_commands(tmp_path: Path) -> None:
    """Neither in words, nor by the environment, nor on stdin; there the text is as it was."""
    name = "x; touch INJ; # $(touch INJ) `touch INJ` ' \" | \\ > INJ"
    code = "print(json.dumps([sys.argv[1], os.environ['SWEEP_NAME'], json.load(sys.stdin)]), file=open('told', 'w'))"
    careless = "subprocess.run('echo ' + sys.argv[1], shell=True)"
    (tmp_path / "tell.py").write_text(f"import json, os, subprocess, sys\n{careless}\n{code}")
    spec = write_sweep(tmp_path, {**GRID, "name": name})
    ran = sweep(tmp_path, "--sweep-config", spec, *OFFLINE, "--notify", f"{sys.executable} tell.py {{message}}")
    assert ran.code == 0, ran.out + ran.err
    word, variable, body = json.loads((tmp_path / "told").read_text())
    assert not (tmp_path / "INJ").exists() and not list(tmp_path.rglob("INJ*"))
    assert variable == name and body["sweeps"][0]["name"] == name and f". {name} (" in body["text"]
    assert ". x_ touch INJ_ # _(touch INJ) _touch INJ_ _ _ _ _ _ INJ (" in word


def test_user_name_and_password_of_a_url_are_sent_as_such_and_shown_nowhere(server: Server) -> None:
    address = f"http://alice:s3cr%40t@127.0.0.1:{server.server_address[1]}/topic"
    assert notify_problems(address) == []
    seen: list[str | None] = []
    original, Handler.log_message = Handler.log_message, lambda self, *_: seen.append(self.headers["Authorization"])  # type: ignore[method-assign]
    try:
        assert send(address, TOLD) is None
        server.status = 401
        assert send(address, TOLD) == "--notify 127.0.0.1: HTTP 401 Unauthorized"
    finally:
        Handler.log_message = original  # type: ignore[method-assign]
    assert seen == ["Basic YWxpY2U6czNjckB0"] * 2


def test_what_a_command_says_of_a_url_is_its_host_alone() -> None:
    told = send("sh -c 'echo cannot reach https://alice:pw@hooks.example.org/s3cret?k=1. >&2; exit 1'", TOLD)
    assert told == "--notify sh: exit code 1: cannot reach hooks.example.org"


def test_with_repeats_the_mean_is_told() -> None:
    best = {"name": "trial-0001", "value": 41.0, "params": {}, "point": "point-0000", "n": 3, "mean": 40.0, "sd": 1.0}
    told = {**TOLD["sweeps"][0], "name": "lr", "metric": "val/mAP", "counts": {"finished": 3}, "best": best}
    told_of = {**TOLD, "sweeps": [told]}
    assert summary(told_of) == (
        "sweep ended, all trials ended well. lr (abc): 3 finished; best val/mAP 40 (point-0000, mean of 3 seeds)"
    )
    assert variables(told_of)["SWEEP_BEST_VALUE"] == "40"


def test_a_sweep_whose_time_was_up_is_told_with_what_is_left() -> None:
    sweep = {"name": "lr", "sweep_id": "abc", "counts": {"killed": 2}, "metric": "val/mAP", "best": None}
    cut = {**sweep, "ended_by": "the sweep has run for 15s", "left": 4}
    told_of = {"error": None, "exit_status": 0, "sweeps": [cut]}
    told = "lr (abc): 2 killed; the sweep has run for 15s, 4 trials to be done"
    assert summary(told_of) == f"sweep ended before all trials were done. {told}"
    assert summary({**told_of, "exit_status": 1}) == f"sweep ended, not every trial ended well. {told}"
    both = summary({**told_of, "sweeps": [cut, {**sweep, "ended_by": "stopped by a@b", "left": 0}]})
    assert both == f"sweep ended before all trials were done. {told}; lr (abc): 2 killed"


def test_with_several_objectives_the_size_of_the_front_is_told() -> None:
    best = {"name": "trial-0001", "value": 40.0, "params": {}, "values": {"val/mAP": 40.0, "ms": 3.0}}
    sweep = {"name": "lr", "sweep_id": "abc", "counts": {"finished": 3}, "metric": "val/mAP", "best": best}
    told_of = {"error": None, "exit_status": 0, "sweeps": [{**sweep, "pareto": ["trial-0001", "trial-0002"]}]}
    told = "sweep ended, all trials ended well. lr (abc): 3 finished; best val/mAP 40 (trial-0001)"
    assert summary(told_of) == f"{told}; 2 on the front"
    assert summary({**told_of, "sweeps": [sweep]}) == told
