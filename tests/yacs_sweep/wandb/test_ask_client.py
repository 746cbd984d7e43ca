"""W&B's client in a process of its own: no password of the server's address comes back, and the reason is the true one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import ROOT, write_sweep
from tests.wandb_server import WandbServer, start_server
from tests.wandb_server.launching import environment, grid, new_sweep, sweep
from yacs_sweep.base.ask_process import NoAnswer
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.wandb.ask_client import ClientError, WandbUnavailable, ask_client
from yacs_sweep.wandb.login import credentials

REPORT = ROOT / "tools" / "report.py"
QUIET = ("--controller", "local", "--wandb-mode", "disabled")
SECRET = "s3cret/of@alice"
NOBODY = "http://alice:PASSWORD@127.0.0.1:9"  # port 9: nothing listens
BAYES = {
    "method": "bayes",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"min": 0.0001, "max": 0.001}},
}
TRAIN = ("SOLVER.MAX_EPOCHS", "1", "TOY.ITERATIONS", "1")


@pytest.fixture(scope="module")
def server() -> Iterator[WandbServer]:
    with start_server() as started:
        yield started


def address(server: WandbServer, folder: Path, password: str = "PASSWORD") -> dict[str, str]:
    """The server's address as a user writes it who needs a name and a password to get through to it."""
    plain = environment(server, folder)["WANDB_BASE_URL"]
    return {"WANDB_BASE_URL": plain.replace("://", f"://alice:{password}@")}


def test_a_password_in_the_address_is_shown_nowhere(tmp_path: Path, server: WandbServer) -> None:
    env = address(server, tmp_path)
    created = sweep(server, tmp_path, *new_sweep(tmp_path, grid(0.0001, 0.0002), "--count", "1", *TRAIN), env=env)
    assert created.code == 0, created.out + created.err
    name = created.dir.name
    plain = environment(server, tmp_path)["WANDB_BASE_URL"]
    assert f"sweep on the W&B server: {plain}/tester/p/sweeps/{name}" in created.out
    resumed = sweep(server, tmp_path, "--sweep_id", f"tester/p/{name}", *TRAIN, env=env)
    assert resumed.code == 0, resumed.out + resumed.err
    page = tmp_path / "report.html"
    words = [sys.executable, str(REPORT), "--sweep_id", f"tester/p/{name}", "--source", "wandb", "--output", str(page)]
    report = subprocess.run(
        words, cwd=tmp_path, env=environment(server, tmp_path, **env), capture_output=True, text=True, check=False
    )
    assert report.returncode == 0, report.stdout + report.stderr
    assert f"{plain}/tester/p/" in page.read_text()
    said = created.out + created.err + resumed.out + resumed.err + report.stdout + report.stderr + page.read_text()
    assert "PASSWORD" not in said and "alice" not in said
    results = [path for path in created.dir.rglob("*") if path.is_file() and "wandb" not in path.parts]
    assert len(results) > 5 and not [path for path in results if b"PASSWORD" in path.read_bytes()]


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "no sweep tester/p/absent12 on the W&B server\n"),
        (
            "f" * 40,
            "W&B at {server} cannot be used: Failed to verify credentials with {server}: user is not logged in\n",
        ),
        ("", "W&B at {server} cannot be used: No API key configured. Use `wandb login` to log in.\n"),
    ],
)
def test_why_a_sweep_to_learn_from_cannot_be_read(
    tmp_path: Path, server: WandbServer, key: str | None, reason: str
) -> None:
    env = address(server, tmp_path) | ({} if key is None else {"WANDB_API_KEY": key})
    words = ["--sweep-config", write_sweep(tmp_path, BAYES), *QUIET, "--from-sweep", "tester/p/absent12"]
    ran = sweep(server, tmp_path, *words, env=env)
    assert ran.code == 2, ran.out + ran.err
    plain = environment(server, tmp_path)["WANDB_BASE_URL"]
    told = "--from-sweep tester/p/absent12: no local sweep of that id, and W&B gives none: "
    assert ran.err.endswith(told + reason.format(server=plain))
    assert "PASSWORD" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("words", "before"),
    [
        (
            ["--from-sweep", "tester/p/absent12"],
            "--from-sweep tester/p/absent12: no local sweep of that id, and W&B gives",
        ),
        (["--controller", "wandb"], "error: "),
        (["--sweep_id", "tester/p/absent12"], "error: "),
    ],
)
def test_a_server_that_is_not_there_is_the_reason(
    tmp_path: Path, server: WandbServer, words: list[str], before: str
) -> None:
    if words[0] != "--sweep_id":
        words = ["--sweep-config", str(write_sweep(tmp_path, BAYES)), *words]
    ran = sweep(server, tmp_path, *words, env={"WANDB_BASE_URL": NOBODY})
    assert ran.code == 2, ran.out + ran.err
    assert before in ran.err
    assert ran.err.endswith(
        "W&B at http://127.0.0.1:9 cannot be used: dial tcp 127.0.0.1:9: connect: connection refused\n"
    )
    assert "alice" not in ran.out + ran.err


def test_an_address_that_the_client_refuses_is_the_reason(tmp_path: Path, server: WandbServer) -> None:
    env = address(server, tmp_path, "s3cret@of@alice")
    ran = sweep(server, tmp_path, *new_sweep(tmp_path, grid(0.0001)), "--controller", "wandb", env=env)
    assert ran.code == 2, ran.out + ran.err
    assert "cannot be used: base_url: Input violated strict URL syntax rules, unencoded @ sign" in ran.err
    assert "s3cret" not in ran.err and "alice" not in ran.err


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://wandb.example.org", ""),
        ("https://alice:secret@wandb.example.org/", "alice:secret"),
        ("https://alice@wandb.example.org:8080/a@b", "alice"),
        ("https://alice:a@b@wandb.example.org", "alice:a@b"),
        ("https://alice:a/b@wandb.example.org", "alice:a/b"),
    ],
)
def test_credentials_in_an_address(url: str, found: str) -> None:
    assert credentials({"WANDB_BASE_URL": url}) == found


def answers(kind: str) -> Any:
    """The function that is called in a process of its own."""
    import os

    import wandb  # the client, not our package of that name

    if kind == "result":
        return {"client": hasattr(wandb, "init"), "urls": [f"{os.environ['WANDB_BASE_URL']}/x"], "silent": 1.5}
    if kind == "config":
        raise ConfigError(f"refused by {os.environ['WANDB_BASE_URL']}")
    if kind == "unavailable":
        raise WandbUnavailable("no answer")
    if kind == "exit":
        os._exit(3)
    raise ValueError(f"cannot reach {os.environ['WANDB_BASE_URL']}\nsecond line")


def test_what_the_function_returns_and_raises_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", f"http://alice:{SECRET}@h:1")
    answer = ask_client(answers, {"kind": "result"}, timeout=60)
    assert answer == {"client": True, "urls": ["http://h:1/x"], "silent": 1.5}
    with pytest.raises(ConfigError, match=r"^refused by http://h:1$"):
        ask_client(answers, {"kind": "config"}, timeout=60)
    with pytest.raises(WandbUnavailable, match=r"^no answer$"):
        ask_client(answers, {"kind": "unavailable"}, timeout=60)
    with pytest.raises(ClientError, match=r"^cannot reach http://h:1$"):
        ask_client(answers, {"kind": "client"}, timeout=60)
    with pytest.raises(NoAnswer, match=r"^exit status 3$"):
        ask_client(answers, {"kind": "exit"}, timeout=60)
