"""What the launcher does with W&B, with the client of this interpreter: `make test-clients` runs it with several.

Each test is one column of the matrix in docs/wandb-protocol.md. Whatever the client calls privately is left to it: rows,
states and files on the server are the same with all of them.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import ROOT, Ran, environment, processes_with, write_sweep
from tests.wandb_programs import PROGRAMS, check_printed_line
from tests.wandb_server import WandbServer, start_server
from tests.wandb_server.launching import environment as logged_in
from tests.wandb_server.launching import grid, new_sweep, orders, read_until, runs, started, steps, sweep, until
from tests.wandb_server.model import Run

pytestmark = pytest.mark.clients

SLOWLY = ("SOLVER.MAX_EPOCHS", "4", "TOY.SECONDS", "0.3")
CLOCKS = {"_timestamp", "_runtime", "_step", "step"}


def told(run: Run) -> list[dict[str, Any]]:
    """A run's rows on the server, without what a clock says."""
    return [{name: value for name, value in row.items() if name not in CLOCKS} for row in run.history()]


def kept(ran: Ran, name: str) -> list[dict[str, Any]]:
    """The same rows on disk."""
    return [{name: value for name, value in row.items() if name not in CLOCKS} for row in ran.rows(name)]


def refused(server: WandbServer) -> list[tuple[str, int]]:
    """Operations that the server did not take."""
    return [(request.operation, request.status) for request in server.record.requests() if request.status >= 400]


def report_of(server: WandbServer, folder: Path, path: str) -> dict[str, Any]:
    """Makes a report of a sweep on the server, on a machine that has no folder of it."""
    words = [sys.executable, str(ROOT / "tools" / "report.py"), "--sweep_id", path, "--format", "json"]
    env = logged_in(server, folder)
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_create_rows_read_back(tmp_path: Path) -> None:
    with start_server() as server:
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, grid(0.0001, 0.001)), timeout=180)
        assert ran.code == 0, ran.out + ran.err
        assert "warning" not in ran.out, ran.out
        assert [run.state for run in runs(server)] == ["finished", "finished"] and len(server.state.sweeps) == 1
        for run in runs(server):
            assert steps(run) == list(range(8))
            assert told(run) == kept(ran, run.title)
            summary, trial = json.loads(run.summary), ran.trial(run.title)
            assert summary["val/mAP"] == trial["value"] == summary["sweep/best"]
            assert (summary["sweep/state"], summary["sweep/exit_code"]) == ("finished", 0)
            assert json.loads(run.config)["base_lr"]["value"] == trial["params"]["base_lr"]
            assert {name for name in run.uploads if not name.startswith("artifact/")} <= {
                *("config.yaml", "wandb-summary.json", "wandb-metadata.json")
            }
            page = json.loads(run.uploads["wandb-metadata.json"])
            assert [page["program"], *page["args"]] == trial["command"] and page["host"] == socket.gethostname()
            assert page["git"]["commit"] == run.attributes["commit"] == trial["git_commit"].removesuffix("+dirty")
        for secret in (server.key, "optuna", "/site-packages", f'"{getpass.getuser()}"'):
            assert server.record.contains(secret) == [], secret
        assert set(server.record.contains(str(tmp_path))) == {"upload"}  # in the trial's command
        assert refused(server) == []
        # Another machine reads it back, and learns from it.
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        path = f"tester/p/{ran.dir.name}"
        assert {trial["value"] for trial in report_of(server, elsewhere, path)["trials"]} == {
            json.loads(run.summary)["val/mAP"] for run in runs(server)
        }
        bayes = grid(method="bayes", parameters={"base_lr": {"min": 0.0001, "max": 0.001}})
        words = ["--controller", "local", "--wandb-mode", "disabled", "--from-sweep", path, "--count", "1"]
        learned = sweep(server, elsewhere, "--sweep-config", write_sweep(elsewhere, bayes), *words, timeout=180)
        assert learned.code == 0 and "learning from 2 of 2 finished trials" in learned.out, learned.out + learned.err


def test_resume(tmp_path: Path) -> None:
    with start_server() as server:
        words = new_sweep(tmp_path, grid(0.0001, 0.001), *SLOWLY)
        with started(server, tmp_path, *words) as launcher:
            read_until(launcher, "Epoch[2]")
            launcher.terminate()
            launcher.communicate(timeout=180)
        (folder,) = (tmp_path / "log" / "sweep" / "sweep").iterdir()
        assert [run.state for run in runs(server)] == ["preempted"]
        first = runs(server)[0]
        ran = sweep(server, tmp_path, "--sweep_id", folder.name, timeout=180)
        assert ran.code == 0, ran.out + ran.err
        assert [run.state for run in runs(server)] == ["finished", "finished"] and first.starts == 2
        for run in runs(server):
            assert told(run) == kept(ran, run.title)
            assert steps(run) == [row["step"] for row in ran.rows(run.title)]
        assert refused(server) == []


def test_repeats(tmp_path: Path) -> None:
    """Each point's run logs means, each seed has a run in a group, and the next launch continues a point in its run."""
    short = ("SOLVER.MAX_EPOCHS", "2", "TOY.NOISE", "5.0")
    with start_server() as server:
        words = new_sweep(tmp_path, grid(0.0001, 0.001, repeats=2))
        ran = sweep(server, tmp_path, *words, "--count", "3", *short, timeout=180)
        assert ran.code == 0, ran.out + ran.err
        again = sweep(server, tmp_path, "--sweep_id", ran.dir.name, timeout=180)
        assert again.code == 0, again.out + again.err
        found = runs(server)
        rows = ran.summary["trials"]
        assert [(row["point"], row["seed"]) for row in rows] == [(f"point-000{p}", s) for p in (0, 1) for s in (1, 2)]
        points = [run for run in found if run.sweep is not None]
        assert len(points) == 2 and len(found) == 6 and {run.state for run in found} == {"finished"}
        for point, run in zip(ran.summary["points"], points, strict=True):
            assert run.metric("val/mAP")[-1] == pytest.approx(point["mean"])
            assert json.loads(run.summary)["seeds"] == 2
            group = f"{ran.dir.name}-{point['point']}"
            seeds = [other for other in found if other.attributes.get("groupName") == group]
            assert {other.title for other in seeds} == set(point["trials"])
            for other in seeds:
                assert told(other) == kept(ran, other.title)
        assert not refused(server)
        # Another machine reads the points back.
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        read = report_of(server, elsewhere, f"tester/p/{ran.dir.name}")["points"]
        names = ("point", "n", "mean", "sd", "params")
        ranked = sorted(ran.summary["points"], key=lambda point: -point["mean"])
        assert [[item[name] for name in names] for item in read] == [[item[name] for name in names] for item in ranked]


@pytest.mark.parametrize("controller", ["wandb", "local"])
def test_stop(tmp_path: Path, controller: str) -> None:
    """By the sweep's heartbeat; on the local controller by the client, which asks every 15 s."""
    endless = ("SOLVER.MAX_EPOCHS", "300", "TOY.SECONDS", "0.2")
    place = ("--wandb-mode", "online") if controller == "local" else ()
    words = new_sweep(tmp_path, grid(0.0001), *endless, *place, "--controller", controller)
    often = {"WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1"}
    with start_server() as server, started(server, tmp_path, *words, env=often) as launcher:
        until(lambda: any(run.rows for run in runs(server)))
        server.control.stop_run(runs(server)[0].name)
        out, _ = launcher.communicate(timeout=180)
        assert launcher.returncode == 0, out
        (run,) = runs(server)
        assert (run.state, run.exit_code) == ("finished", 0)
        assert json.loads(run.summary)["sweep/stopped_early"] is True


def test_control(tmp_path: Path) -> None:
    """`wandb sweep --pause` and the others steer a running sweep of ours, and ours are W&B's."""
    words = new_sweep(tmp_path, grid(*(n / 1e4 for n in range(1, 90))), "SOLVER.MAX_EPOCHS", "20", "TOY.SECONDS", "0.1")

    def theirs(flag: str) -> None:
        command = [sys.executable, "-m", "wandb", "sweep", flag, f"tester/p/{name}"]
        env = logged_in(server, tmp_path)
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def ours(option: str) -> str:
        ran = sweep(server, tmp_path, option, name, trainer=None, config=None, verbose=False, timeout=120)
        assert ran.code == 0, ran.out + ran.err
        return ran.out

    with start_server() as server, started(server, tmp_path, *words) as launcher:
        read_until(launcher, "Epoch[1]")
        (made,) = server.state.sweeps.values()
        name = made.name
        theirs("--pause")
        read_until(launcher, "paused on W&B")
        assert f"tester/p/{name} is running on the W&B server now (it was paused)" in ours("--resume")
        assert made.state == "RUNNING"
        read_until(launcher, "resumed by ")
        ours("--pause")
        assert made.state == "PAUSED"
        read_until(launcher, "paused by ")
        theirs("--resume")
        read_until(launcher, "resumed on W&B")
        read_until(launcher, "▶")
        theirs("--stop")
        read_until(launcher, "stopped on W&B")
        out, _ = launcher.communicate(timeout=180)
        assert launcher.returncode == 0 and {run.state for run in runs(server)} == {"finished"}, out
    assert orders(tmp_path) == [
        *(("pause", "wandb"), ("resume", "command"), ("pause", "command"), ("resume", "wandb"), ("stop", "wandb"))
    ]
    words = new_sweep(tmp_path, grid(0.0001), "SOLVER.MAX_EPOCHS", "300", "TOY.SECONDS", "0.1")
    with start_server() as server, started(server, tmp_path, *words) as launcher:
        read_until(launcher, "Epoch[1]")
        (made,) = server.state.sweeps.values()
        name = made.name
        theirs("--cancel")
        out, _ = launcher.communicate(timeout=180)
        assert launcher.returncode == 130 and "cancelled on W&B" in out, out
        assert [run.state for run in runs(server)] == ["killed"]


def test_outage(tmp_path: Path) -> None:
    often = {"WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1"}
    words = new_sweep(tmp_path, grid(0.0001, 0.001), *SLOWLY)
    with start_server() as server, started(server, tmp_path, *words, env=often) as launcher:
        read_until(launcher, "Epoch[1]")
        until(lambda: any(run.rows for run in runs(server)))
        with server.outage():
            read_until(launcher, "W&B does not answer")  # after 20 s with clients up to 0.28, which ask again before
        read_until(launcher, "▶")  # the next trial
        assert _kill_services(tmp_path) >= 1
        out, _ = launcher.communicate(timeout=180)
        assert launcher.returncode == 0, out
        (folder,) = (tmp_path / "log" / "sweep" / "sweep").iterdir()
        ran = Ran(0, out, "", tmp_path)
        assert ran.dir == folder
        assert [run.state for run in runs(server)] == ["finished", "finished"]
        for run in runs(server):
            assert told(run) == kept(ran, run.title)


def _kill_services(folder: Path) -> int:
    """Kills the client's service processes that were started with a home below `folder`; returns how many."""
    found = 0
    for pid in processes_with("wandb-core"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in Path(f"/proc/{pid}/environ").read_bytes():
                os.kill(pid, signal.SIGKILL)
                found += 1
    return found


def test_offline_and_sync_with_an_artifact(tmp_path: Path) -> None:
    with start_server() as server:
        path = write_sweep(tmp_path, grid(0.0001, 0.001))
        words = ("--controller", "local", "--project", "p", "--entity", "tester", "--log-model", "TOY.CHECKPOINT", "9")
        ran = sweep(server, tmp_path, "--sweep-config", path, *words, timeout=180)
        assert ran.code == 0 and "`wandb sync`" in ran.out, ran.out + ran.err
        assert server.record.requests() == [] and "W&B does not have" not in ran.out
        folders = sorted(map(str, (ran.dir / "wandb").glob("offline-run-*")))
        command = [sys.executable, "-m", "wandb", "sync", *folders]
        env = logged_in(server, tmp_path)
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        for number in range(2):
            run = server.control.run(f"{ran.dir.name}-{number}")
            assert (run.title, run.state) == (f"trial-{number:04d}", "finished")
            page = json.loads(run.uploads["wandb-metadata.json"])
            assert [page["program"], *page["args"]] == ran.trial(run.title)["command"]
            assert told(run) == kept(ran, run.title)
        _holds_the_best(server, ran)


def test_artifact(tmp_path: Path) -> None:
    with start_server() as server:
        words = new_sweep(tmp_path, grid(0.0001), "--log-model", "TOY.CHECKPOINT", "9")
        ran = sweep(server, tmp_path, *words, timeout=180)
        assert ran.code == 0 and f"logged to W&B: tester/p/{ran.dir.name}-best:v0" in ran.out, ran.out + ran.err
        _holds_the_best(server, ran)
        assert refused(server) == []


def _holds_the_best(server: WandbServer, ran: Ran) -> None:
    """The server's artifact is what is in best/."""
    (artifact,) = server.state.artifacts.values()
    assert (artifact["state"], artifact["type"]) == ("COMMITTED", "model")
    files = {path.name: path.read_bytes() for path in (ran.dir / "best").iterdir()}
    sent = server.control.run(f"{ran.dir.name}-best").uploads
    assert len(files) >= 3 and {name: sent[f"artifact/{name}"] for name in files} == files


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_printed_line(tmp_path: Path, program: str) -> None:
    """What the launcher prints to train with the best gives the program what the trial got."""
    check_printed_line(tmp_path, program)


def test_the_wheel_beside_this_client(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("yacs-sweep")
    if not command.is_file():
        pytest.skip("the launcher is not installed in this environment")
    (tmp_path / "train.py").write_text(
        "import argparse, wandb\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--lr', type=float)\n"
        "with wandb.init(config=parser.parse_args()) as run:\n"
        "    for epoch in range(3):\n"
        "        run.log({'val_loss': run.config.lr / (epoch + 1), 'epoch': epoch})\n"
    )
    search = {
        "program": "train.py",
        "method": "grid",
        "metric": {"name": "val_loss", "goal": "minimize"},
        "parameters": {"lr": {"values": [0.5, 0.25]}},
    }
    words = [str(command), "--sweep-config", str(write_sweep(tmp_path, search)), "--project", "p"]
    with start_server() as server:
        for controller, env in (("wandb", logged_in(server, tmp_path)), ("local", environment(tmp_path))):
            folder = tmp_path / controller
            given = [*words, "--controller", controller, "--results_dir", str(folder)]
            done = subprocess.run(
                given, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=180, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
            (summary,) = folder.glob("sweep/*/summary.json")
            best = json.loads(summary.read_text())["best"]
            assert (best["params"], best["value"]) == ({"lr": 0.25}, 0.25 / 3)
        assert [run.state for run in runs(server)] == ["finished", "finished"]
        assert [[row["val_loss"] for row in run.history()] for run in runs(server)] == [
            [lr / (epoch + 1) for epoch in range(3)] for lr in (0.5, 0.25)
        ]
