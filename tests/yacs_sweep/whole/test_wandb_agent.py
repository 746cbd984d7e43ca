"""Sweeps of the launcher are joined by `wandb agent`, and sweeps of `wandb sweep` by the launcher. The client is a real one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.sweeping import SWEEP, TOY, Ran, environment, sweep, write_sweep
from tests.wandb_server import WandbServer, start_server
from tests.wandb_server.launching import environment as logged_in
from tests.wandb_server.launching import grid, runs, steps, until
from yacs_sweep.launch import agent_run
from yacs_sweep.launch.agent_run import agent_command, is_ours
from yacs_sweep.launch.options.read import parse

PLACE = ("--project", "p", "--entity", "tester")
PROGRAM = """\
import argparse, wandb
parser = argparse.ArgumentParser()
parser.add_argument("--base_lr", type=float)
with wandb.init(config=parser.parse_args()) as run:
    run.log({"val/mAP": 100 * run.config.base_lr})
"""


def project(folder: Path) -> Path:
    """A trainer's checkout, in which the launcher is started by the command that installing it makes."""
    shutil.copytree(TOY, folder, ignore=shutil.ignore_patterns("__pycache__"))
    script = folder / "bin" / "yacs-sweep"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{SWEEP}" "$@"\n')
    script.chmod(0o755)
    (folder / "train_wandb.py").write_text(PROGRAM)
    return folder


def user(server: WandbServer, folder: Path) -> dict[str, str]:
    """The environment of somebody who works in that checkout."""
    env = logged_in(server, folder)
    path = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), env["PATH"]])
    return {**env, "PATH": path, "WANDB_DIR": str(folder)}


def launch(server: WandbServer, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs the launcher to its end, as it is typed."""
    return subprocess.run(
        ["yacs-sweep", *words],
        cwd=folder,
        env=user(server, folder),
        executable=str(folder / "bin" / "yacs-sweep"),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@contextmanager
def wandb_agent(server: WandbServer, folder: Path, sweep_id: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`wandb agent` while it runs; killed at the end of the block if it still does."""
    command = [sys.executable, "-m", "wandb", "agent", *words, f"tester/p/{sweep_id}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(command, cwd=folder, env=user(server, folder), **pipes)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def profile_sweep(server: WandbServer, folder: Path, *words: str) -> str:
    """A sweep of three points of a profile's trainer, of which the launcher has tried one; returns its id."""
    path = write_sweep(folder, grid(0.0001, 0.00035, 0.001))
    given = ["--trainer", "toy.yaml", "--config_file", "toy.yml", "--sweep-config", path.name, *PLACE, "--count", "1"]
    done = launch(server, folder, *given, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = server.state.sweeps.values()
    return made.name


def test_wandb_agent_runs_our_trials_through_the_launcher(tmp_path: Path) -> None:
    with start_server() as server:
        folder = project(tmp_path / "project")
        name = profile_sweep(server, folder)
        with wandb_agent(server, folder, name) as agent:
            out, _ = agent.communicate(timeout=120)
        assert agent.returncode == 0, out
        assert [run.state for run in runs(server)] == ["finished"] * 3, out
        ran = Ran(0, out, "", folder)
        assert ran.summary["counts"] == {"finished": 3} and ran.summary["best"]["params"] == {"base_lr": 0.00035}
        for run in runs(server):
            assert steps(run) == [row["step"] for row in ran.rows(run.title)] == list(range(8))
            assert json.loads(run.config)["base_lr"]["value"] == ran.trial(run.title)["params"]["base_lr"]
            assert json.loads(run.summary)["sweep/state"] == "finished" and run.starts == 1
        assert all(request.status == 200 for request in server.record.requests())


@pytest.mark.slow
def test_wandb_agent_of_a_machine_that_does_not_know_the_sweep(tmp_path: Path) -> None:
    with start_server() as server:
        name = profile_sweep(server, project(tmp_path / "project"), "SOLVER.MAX_EPOCHS", "1")
        other = project(tmp_path / "other")
        with wandb_agent(server, other, name, "--count", "1") as agent:
            out, _ = agent.communicate(timeout=180)
        assert [run.state for run in runs(server)] == ["finished"] * 2, out
        assert len(runs(server)[1].rows) == 4  # one epoch, as the sweep's launch says
        assert Ran(0, out, "", other).summary["counts"] == {"finished": 1}
        # What the server has of the sweep names no place on the first machine.
        (made,) = server.record.requests("UpsertSweep")
        assert str(tmp_path) not in json.dumps(made.body)


def test_the_servers_stop_ends_a_trial_of_wandb_agent(tmp_path: Path) -> None:
    with start_server() as server:
        folder = project(tmp_path / "project")
        name = profile_sweep(server, folder, "SOLVER.MAX_EPOCHS", "40", "TOY.SECONDS", "0.05")
        with wandb_agent(server, folder, name, "--count", "1"):
            until(lambda: len(runs(server)) == 2 and runs(server)[1].starts == 1, 60)
            run = runs(server)[1]
            server.control.stop_run(run.name)
            until(lambda: run.state not in ("running", "pending"), 60)
            assert (run.state, run.exit_code) == ("killed", 255) or run.exit_code == 255  # not to be handed out again
            assert json.loads(run.summary)["sweep/state"] == "killed"


@pytest.mark.slow
def test_wandb_agent_runs_a_program_of_ours_itself(tmp_path: Path) -> None:
    with start_server() as server:
        folder = project(tmp_path / "project")
        path = write_sweep(folder, grid(0.1, 0.2, program="train_wandb.py"))
        done = launch(server, folder, "--sweep-config", path.name, *PLACE, "--count", "1")
        assert done.returncode == 0, done.stdout + done.stderr
        (made,) = server.state.sweeps.values()
        assert made.definition["program"] == "train_wandb.py" and "command" not in made.definition
        with wandb_agent(server, folder, made.name) as agent:
            out, _ = agent.communicate(timeout=180)
        assert [json.loads(run.summary)["val/mAP"] for run in runs(server)] == [10, 20], out


def test_the_launcher_joins_a_sweep_of_wandb_sweep(tmp_path: Path) -> None:
    with start_server() as server:
        folder = project(tmp_path / "project")
        write_sweep(folder, grid(0.1, 0.2, program="train_wandb.py"))
        words = [sys.executable, "-m", "wandb", "sweep", "--project", "p", "--entity", "tester", "y.yaml"]
        made = subprocess.run(words, cwd=folder, env=user(server, folder), capture_output=True, text=True, check=False)
        name = next(iter(server.state.sweeps.values())).name
        assert made.returncode == 0 and name in made.stdout + made.stderr
        done = launch(server, folder, "--sweep_id", f"tester/p/{name}", "--trainer", "(sweep file)")
        assert done.returncode == 0, done.stdout + done.stderr
        assert [json.loads(run.summary)["val/mAP"] for run in runs(server)] == [10, 20]
        assert [run.state for run in runs(server)] == ["finished"] * 2


def test_agent_run_without_wandb_agent_is_refused(tmp_path: Path) -> None:
    ran = sweep(tmp_path, "--agent-run", env=environment(tmp_path))
    assert (ran.code, ran.out) == (2, "")
    told = "error: --agent-run: is for the command that `wandb agent` starts; WANDB_SWEEP_ID is not set"
    assert ran.err.strip() == told
    given = {"WANDB_SWEEP_ID": "a1b2c3d4", "WANDB_RUN_ID": "r1", "WANDB_SWEEP_PARAM_PATH": "gone.yaml"}
    ran = sweep(tmp_path, "--agent-run", env=environment(tmp_path, **given))
    assert ran.code == 2 and "its parameters cannot be read from gone.yaml" in ran.err
    (tmp_path / "gone.yaml").write_text("wandb_version: 1\nbase_lr: {value: 0.1}\n")
    for words in (("--sweep_id", "a1b2c3d4x"), ("--workers", "2"), ("--engine", "ray")):
        ran = sweep(tmp_path, "--agent-run", *words, env=environment(tmp_path, **given))
        assert ran.code == 2 and "--agent-run: takes sweep, trial and place from `wandb agent`" in ran.err, ran.err


@pytest.mark.parametrize("script", ["tools/sweep.py", "/opt/checkout/tools/sweep.py", "yacs-sweep"])
def test_the_command_of_a_sweep_names_no_place_outside_the_folder(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_run, "COMMAND", ("python", script))
    options = parse(["--trainer", "transreid", "--config_file", "/home/a/x.yml", "SOLVER.GAMMA", "0.5"])
    found = agent_command(options)
    assert found["program"] == ("tools/sweep.py" if script == "tools/sweep.py" else "yacs-sweep")
    interpreter = ["${interpreter}"] if script == "tools/sweep.py" else []
    words = ["--agent-run", "--trainer", "transreid", "--", "SOLVER.GAMMA", "0.5"]
    assert found["command"] == ["${env}", *interpreter, "${program}", *words]
    assert is_ours(found["command"]) and not is_ours(["${env}", "${program}"]) and not is_ours(None)
    assert not re.search(r"/home|/opt", json.dumps(found))
