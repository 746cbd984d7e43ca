"""The agent server: what it forks is like what is executed, and whichever of the processes dies, the sweep goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sweeping import environment, start, write_sweep
from tests.trainers import kill_all, living, roles, wait_until, write_trainer
from tests.wandb_server import start_server
from tests.wandb_server.launching import end_of, grid, new_sweep, read_until, runs, started
from yacs_sweep.base.ask_process import TimedOut
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.base.processes import MARKER
from yacs_sweep.launch.workers.agent_starter import UNKNOWN_STATUS, AgentStarter, ForkedProcess
from yacs_sweep.launch.workers.channel import Channel
from yacs_sweep.wandb.ask_client import ask_client
from yacs_sweep.wandb.sweeps import split_path

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="agents are forked on Linux alone")
GRID = {
    "method": "grid",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"values": [0.001, 0.002, 0.003]}},
}
# Trials wait for a file, so that something can be done to the processes meanwhile.
PATIENT = (
    "import time\nprint('up', flush=True)\nwhile not (out.parent / 'go').exists(): time.sleep(0.02)\nprint('mAP: 1%')"
)


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    kill_all(tmp_path)


def launch(folder: Path, *words: str) -> subprocess.Popen[str]:
    trainer, spec = write_trainer(folder, PATIENT), write_sweep(folder, GRID)
    env = environment(folder, WANDB_API_KEY="f" * 40)
    words = ("--sweep-config", str(spec), "--controller", "local", "--wandb-mode", "disabled", *words)
    launcher = start(folder, *words, trainer=trainer, config=None, env=env)
    wait_until(lambda: len(roles(folder).get("child", [])) == (2 if "--workers" in words else 1), 30)
    return launcher


def finish(folder: Path, launcher: subprocess.Popen[str]) -> tuple[str, dict[str, int]]:
    """Lets the trials end; what the launcher printed, and how many trials are in which state."""
    (sweep,) = (folder / "log" / "sweep" / "sweep").iterdir()
    (sweep / "go").touch()
    out, _ = launcher.communicate(timeout=180)
    assert launcher.returncode == 0, out
    assert not living(folder)
    counts: dict[str, int] = json.loads((sweep / "summary.json").read_text())["counts"]
    return out, counts


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def variables(pid: int) -> dict[str, str]:
    words = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


def test_agents_are_processes_of_their_own(tmp_path: Path) -> None:
    launcher = launch(tmp_path, "--workers", "2")
    there = roles(tmp_path)
    (server,) = there["agent server"]
    assert parent(server) == launcher.pid
    assert [parent(agent) for agent in there["agent"]] == [server, server]
    assert [os.getsid(agent) for agent in there["agent"]] == there["agent"]
    locks = [path.read_text().split() for path in tmp_path.glob("log/sweep/sweep/*/agents/*-*.lock")]
    marks = {int(pid): mark for _, pid, mark in locks}
    assert {agent: variables(agent)[MARKER] for agent in there["agent"]} == marks
    assert sorted(variables(guard)[MARKER] for guard in there["guard"]) == sorted(marks.values())
    assert all("WANDB_API_KEY" not in variables(pid) for pid in [server, *there["agent"], *there["guard"]])
    for agent in there["agent"]:  # none holds what belongs to the server, or to the other one
        files = [os.readlink(path) for path in Path(f"/proc/{agent}/fd").iterdir() if path.is_symlink()]
        assert sum(file.startswith("socket:") for file in files) == 2  # to the supervisor and to the guard
    _, counts = finish(tmp_path, launcher)
    assert counts == {"finished": 3}


def test_the_only_worker_needs_no_server_beside_it(tmp_path: Path) -> None:
    launcher = launch(tmp_path)
    there = roles(tmp_path)
    assert "agent server" not in there
    assert [parent(agent) for agent in there["agent"]] == [launcher.pid]
    os.kill(there["agent"][0], signal.SIGKILL)
    out, counts = finish(tmp_path, launcher)
    assert "the agent of trial-0000 died (SIGKILL); the trial is lost" in out
    assert counts == {"finished": 3, "lost": 1}


def test_how_an_agent_died_is_told(tmp_path: Path) -> None:
    launcher = launch(tmp_path, "--workers", "2")
    os.kill(roles(tmp_path)["agent"][0], signal.SIGKILL)
    out, counts = finish(tmp_path, launcher)
    assert "died (SIGKILL); the trial is lost" in out
    assert counts == {"finished": 3, "lost": 1}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_that_dies_or_hangs_costs_nothing(tmp_path: Path, number: signal.Signals) -> None:
    launcher = launch(tmp_path, "--workers", "2")
    there = roles(tmp_path)
    (server,) = there["agent server"]
    os.kill(server, number)
    time.sleep(0.3)
    assert roles(tmp_path)["agent"] == there["agent"]  # they live on
    os.kill(there["agent"][0], signal.SIGKILL)
    wait_until(lambda: len(roles(tmp_path).get("agent", [])) == (2 if number == signal.SIGKILL else 1), 30)
    out, counts = finish(tmp_path, launcher)
    assert "died (exit code unknown); the trial is lost" in out
    assert counts == {"finished": 3, "lost": 1}


def test_a_supervisor_that_is_killed_takes_the_server_along(tmp_path: Path) -> None:
    launcher = launch(tmp_path, "--workers", "2")
    launcher.kill()
    launcher.wait()
    wait_until(lambda: not living(tmp_path), 10)


def test_a_mistake_leaves_no_process(tmp_path: Path) -> None:
    spec = write_sweep(tmp_path, {**GRID, "method": "guess"})
    launcher = start(tmp_path, "--sweep-config", spec, "--controller", "local")
    launcher.communicate(timeout=180)
    assert launcher.returncode == 2
    assert not living(tmp_path)


# -- the starter alone ------------------------------------------------------------------------------------------------


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Callable[..., tuple[AgentStarter, ForkedProcess, Channel]]]:
    """An agent that waits for its first message."""
    import socket

    made: list[AgentStarter] = []

    def make(prepare: Callable[[AgentStarter], None]) -> tuple[AgentStarter, ForkedProcess, Channel]:
        made.append(AgentStarter())
        prepare(made[0])
        ours, theirs = socket.socketpair()
        with theirs, (tmp_path / "log").open("wb") as log:
            process = made[0].start("0" * 32, theirs.fileno(), log.fileno(), log.fileno())
        assert isinstance(process, ForkedProcess)
        return made[0], process, Channel(ours)

    yield make
    for starter in made:
        starter.close()


def test_an_agent_leaves_when_its_channel_closes(
    agent: Callable[..., tuple[AgentStarter, ForkedProcess, Channel]],
) -> None:
    _, process, channel = agent(lambda starter: starter.prepare([]))
    wait_until(lambda: process.poll() is None and process.pid, 30)
    channel.close()
    wait_until(lambda: process.poll() is not None, 10)
    assert process.poll() == 1


def test_a_module_that_cannot_be_imported_is_the_agents_affair(
    agent: Callable[..., tuple[AgentStarter, ForkedProcess, Channel]],
) -> None:
    _, process, _ = agent(lambda starter: starter.prepare(["no_such_module_anywhere"]))
    wait_until(lambda: process.poll() is None and process.pid, 30)
    process.kill()
    wait_until(lambda: process.poll() is not None, 10)
    assert process.poll() == -signal.SIGKILL


def test_an_agent_that_was_never_started_is_ended_with_the_server(
    agent: Callable[..., tuple[AgentStarter, ForkedProcess, Channel]],
) -> None:
    starter, process, channel = agent(lambda starter: os.kill(starter._process.pid, signal.SIGSTOP))  # type: ignore[union-attr]
    assert (process.poll(), process.pid) == (None, 0)
    process.kill()
    wait_until(lambda: process.poll() is not None, 10)
    assert process.poll() == UNKNOWN_STATUS
    assert channel.receive() is None
    assert starter.start("0" * 32, 0, 1, 2) is None


# -- requests to W&B's client -----------------------------------------------------------------------------------------


def children() -> set[int]:
    """Lists this process's children, of which other tests may have left some."""
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


def test_a_request_is_answered_by_a_fork_of_the_server() -> None:
    others = children()
    with AgentStarter() as starter:
        starter.prepare(["wandb", "wandb.apis.public", "requests"])
        (server,) = children() - others
        assert ask_client(os.getppid, {}, timeout=60, start=starter.fork_request) == server
        assert len(os.listdir(f"/proc/{server}/task")) == 1  # what is forked from several threads may hang
        value = {"environment": {"YACS_SWEEP_X": "1"}, "timeout": 60, "start": starter.fork_request}
        assert ask_client(os.getenv, {"key": "YACS_SWEEP_X"}, **value) == "1"
        with pytest.raises(ConfigError, match="what: write ID"):
            ask_client(split_path, {"path": "a//b", "label": "what"}, timeout=60, start=starter.fork_request)


def test_a_request_that_hangs_is_ended() -> None:
    with AgentStarter() as starter:
        ask_client(os.getppid, {}, timeout=60, start=starter.fork_request)  # the server is up
        began = time.monotonic()
        with pytest.raises(TimedOut):
            ask_client(signal.pause, {}, timeout=1.0, start=starter.fork_request)
        assert time.monotonic() - began < 10


def test_a_request_without_a_server_is_executed() -> None:
    with AgentStarter() as starter:
        starter.kill()
        assert ask_client(os.getppid, {}, timeout=60, start=starter.fork_request) == os.getpid()


def test_a_server_that_opens_the_client_still_turns_into_the_agent(tmp_path: Path) -> None:
    """It starts W&B's service process, which is none of its own."""
    home = tmp_path / "home" / "home"
    with start_server() as server, started(server, tmp_path, *new_sweep(tmp_path, grid(0.001))) as launcher:
        read_until(launcher, "Epoch[1]")
        (agent,) = roles(home)["agent"]
        assert parent(agent) == launcher.pid
        assert "agent server" not in roles(home)
        assert "WANDB_API_KEY" not in variables(agent)
        code, out = end_of(launcher)
        assert code == 0, out
        assert [run.state for run in runs(server)] == ["finished"]
    assert not living(home)
