"""Orders to sweeps that really run: from Python, from another machine, by another user."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.launches import FakeLaunch, sweep_folder, wait_for
from tests.postgres import Postgres, programs
from tests.sweeping import Ran, command, environment, start, write_sweep
from tests.users import as_user
from yacs_sweep import ConfigError, Sweep
from yacs_sweep.launch.control.find import find_steered
from yacs_sweep.launch.control.give import give
from yacs_sweep.launch.options.table import Options
from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.orders import Order, new_order, user_name
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.search.storage.order_log import order_log
from yacs_sweep.serve.orders import give_order

RANDOM: dict[str, Any] = {
    "method": "random",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"min": 0.0001, "max": 0.01}},
}
GROUP = 54321  # of both users
SLOW = ("TOY.SECONDS", "0.2")


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres(["max_connections=30", "fsync=off"]) as running:
        yield running


def order(cwd: Path, *words: str, env: dict[str, str] | None = None) -> Ran:
    """Gives an order from a folder."""
    argv = command(*words, trainer=None, config=None, verbose=False)
    env = environment(cwd) if env is None else env
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False)
    return Ran(done.returncode, done.stdout, done.stderr, cwd)


def only_sweep(cwd: Path) -> str:
    """Waits for the sweep of a folder, and for its first trial; returns its id."""
    wait_for(lambda: list(cwd.glob("log/sweep/sweep/*/*/trial.json")), 60)
    (path,) = cwd.glob("log/sweep/sweep/*/launch.json")
    return path.parent.name


def test_a_sweep_of_this_process_is_paused_resumed_and_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def train(params: dict[str, Any], report: Any) -> float:
        for _ in range(4):
            time.sleep(0.1)
            report(loss=params["lr"])
        return float(params["lr"])

    description = {"method": "random", "metric": {"name": "loss"}, "parameters": {"lr": {"min": 0.0, "max": 1.0}}}
    sweep = Sweep(description, train=train, count=200, workers=2, controller="local", wandb_mode="disabled")
    run = threading.Thread(target=sweep.run)
    run.start()
    wait_for(lambda: sweep.id is not None and len(sweep.results()) > 1, 60)
    (line,) = sweep.pause()
    assert line.startswith("paused by ")
    wait_for(lambda: "running" not in sweep.status()["counts"])
    held = len(sweep.results())
    time.sleep(1.0)
    assert len(sweep.results()) == held
    sweep.resume()
    wait_for(lambda: len(sweep.results()) > held)
    assert sweep.stop(finish=True)[0].startswith("stopped by ")
    run.join(30)
    assert not run.is_alive()
    assert set(sweep.status()["counts"]) == {"finished"}
    assert sweep.exit_status == 0


def test_cancelling_a_sweep_of_this_process_lets_run_return(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    description = {"method": "random", "metric": {"name": "loss"}, "parameters": {"lr": {"min": 0.0, "max": 1.0}}}
    sweep = Sweep(
        description, train=lambda params: time.sleep(60), count=3, controller="local", wandb_mode="disabled", grace=2
    )
    ended: list[Any] = []
    run = threading.Thread(target=lambda: ended.append(sweep.run()))
    run.start()
    wait_for(lambda: sweep.id is not None and len(sweep.results()) > 0, 60)
    assert sweep.cancel()[0].startswith("cancelled by ")
    run.join(30)
    (results,) = ended  # no exception
    (row,) = results
    assert row["state"] == "killed"
    assert row["reason"].startswith("cancelled by ")
    assert sweep.exit_status == 130


@pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")
def test_a_machine_that_shares_the_database_alone(tmp_path: Path, server: Postgres) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    words: Sequence[str | Path] = ("--sweep-config", write_sweep(here, RANDOM), "--wandb-mode", "disabled")
    launch = start(here, *words, "--count", "500", "--storage", server.url, *SLOW)
    try:
        name = only_sweep(here)
        at = ("--storage", server.url)
        paused = order(there, "--pause", name, *at)
        assert paused.code == 0, paused.err
        assert paused.out.startswith("paused by ")
        assert f"process {launch.pid})" in paused.out
        # Where its launch runs, --status needs no database.
        wait_for((here / f"log/sweep/sweep/{name}/control.jsonl").is_file)
        assert "paused  by " in order(here, "--status", "--sweep_id", name).out
        # The served page of the machine with the folder needs the database's password, as the command line does.
        paths = SweepPaths(here / "log/sweep", name)
        status, lines = give_order(paths, None, b'{"act": "resume"}')
        assert status == 422 and "--storage" in lines[0]
        for body, line in (
            (b'{"act": "resume"}', "resumed by "),
            (b'{"act": "add_points", "text": "- {base_lr: 0.005}"}', "1 point "),
        ):
            status, lines = give_order(paths, server.url, body)
            assert status == 200 and lines[0].startswith(line), lines
        given = [entry for entry in order_log(paths, server.url).read() if isinstance(entry, Order)]
        assert [(each.act, each.by) for each in given] == [
            ("pause", "command"),
            ("resume", "page"),
            ("add_points", "page"),
        ]
        refused = order(there, "--sweep_id", name, "--set-workers", "2", *at)
        assert (refused.code, refused.err) == (
            2,
            f"error: --sweep_id {name}: has no folder on this machine; give this order where its trials run\n",
        )
        cancelled = order(there, "--cancel", name, *at)
        assert cancelled.code == 0
        assert cancelled.out.startswith("cancelled by ")
        assert launch.wait(60) == 130
    finally:
        launch.kill()
        launch.communicate()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become other users")
def test_another_user_who_may_not_write_is_told_what_lets_the_group_in(tmp_path: Path) -> None:
    paths = sweep_folder(tmp_path / "log/sweep")

    def pause() -> None:
        with pytest.raises(ConfigError) as caught:
            find_steered(paths.sweep_id, Options(results_dir=str(paths.base)), "--pause")
        (line,) = caught.value.problems
        assert line.startswith(f"{paths.dir}: cannot be written to; its owner, ")
        assert f"chmod -R g+rwX {paths.dir}" in line

    as_user(tmp_path, pause)
    assert not paths.control.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become other users")
def test_another_user_of_the_group_gives_orders(tmp_path: Path) -> None:
    paths = sweep_folder(tmp_path / "log/sweep")
    for place in (paths.dir, paths.agents):
        os.chown(place, -1, GROUP)
        place.chmod(0o2775)
    with FakeLaunch(paths):

        def pause() -> None:
            (sweep,) = find_steered(paths.sweep_id, Options(results_dir=str(paths.base)), "--pause")
            assert give(sweep, new_order("pause")).lines[0].startswith("pause taken (")

        as_user(tmp_path, pause, groups=[GROUP])
    (entry,) = [entry for entry in OrderFile(paths).read() if isinstance(entry, Order)]
    assert entry.act == "pause"
    assert entry.user != user_name()
