"""Sweeps with several seeds for each point on the loopback W&B server: which runs there are, and what they log."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from statistics import fmean, stdev

import pytest

from tests.wandb_server import start_server
from tests.wandb_server.launching import end_of, grid, new_sweep, runs, started, sweep, until
from tests.wandb_server.model import Run

SHORT = ("TOY.ITERATIONS", "1", "SOLVER.MAX_EPOCHS", "2", "TOY.NOISE", "5.0")


def points_of(found: list[Run], sweep_id: str) -> list[Run]:
    """Returns the runs of the server's sweep."""
    return [run for run in found if run.sweep == sweep_id]


def test_the_servers_runs_log_means_and_the_seeds_are_runs_of_a_group(tmp_path: Path) -> None:
    with start_server() as server:
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, grid(0.0001, 0.00035, repeats=2)), *SHORT)
        assert ran.code == 0, ran.out + ran.err
        found = runs(server)
    sweep_id = ran.dir.name
    points = points_of(found, sweep_id)
    rows = ran.summary["trials"]
    assert [(row["point"], row["seed"]) for row in rows] == [(f"point-000{p}", s) for p in (0, 1) for s in (1, 2)]
    assert len(points) == 2 and len(found) == 6
    assert {run.state for run in found} == {"finished"}
    for number, run in enumerate(points):
        own = [row for row in rows if row["point"] == f"point-000{number}"]
        values = [row["value"] for row in own]
        summary = json.loads(run.summary)
        assert summary["val/mAP"] == pytest.approx(fmean(values))
        assert summary["val/mAP_sd"] == pytest.approx(stdev(values))
        assert summary["seeds"] == 2
        assert run.metric("val/mAP") == pytest.approx([values[0], fmean(values)])
        group = [other for other in found if other.attributes.get("groupName") == f"{sweep_id}-point-000{number}"]
        assert {other.name for other in group} == {row["id"] for row in own}
        for other, row in zip(sorted(group, key=lambda run: run.name), own, strict=True):
            assert other.sweep is None
            assert json.loads(other.config)["seed"]["value"] == row["seed"]
            assert other.metric("val/mAP")[-1] == row["value"]


@pytest.mark.slow
def test_a_stop_of_the_point_ends_its_trial_and_its_further_seeds(tmp_path: Path) -> None:
    words = ("SOLVER.MAX_EPOCHS", "200", "TOY.SECONDS", "0.05", "--count", "2")
    with (
        start_server() as server,
        started(server, tmp_path, *new_sweep(tmp_path, grid(0.0001, repeats=2), *words)) as launcher,
    ):
        until(lambda: any(run.rows for run in runs(server)), 60)
        (point,) = [run for run in runs(server) if run.sweep]
        server.control.stop_run(point.name)
        code, out = end_of(launcher)
        assert code == 0, out
        found = runs(server)
        assert len(found) == 2
        assert {run.state for run in found} == {"finished"}
        assert json.loads(point.summary)["sweep/state"] == "stopped"


def test_an_interrupted_point_is_continued_with_the_seeds_it_lacks(tmp_path: Path) -> None:
    slow = ("SOLVER.MAX_EPOCHS", "4", "TOY.SECONDS", "0.05", "TOY.NOISE", "5.0")
    with start_server() as server:
        with started(server, tmp_path, *new_sweep(tmp_path, grid(0.0001, repeats=3), *slow)) as launcher:
            until(lambda: sum(bool(run.rows) for run in runs(server) if not run.sweep) == 2, 60)
            launcher.send_signal(signal.SIGINT)
            code, out = end_of(launcher)
            assert code == 130, out
        (folder,) = (tmp_path / "log" / "sweep" / "sweep").iterdir()
        ran = sweep(server, tmp_path, "--sweep_id", folder.name)
        assert ran.code == 0, ran.out + ran.err
        found = runs(server)
    rows = ran.summary["trials"]
    assert sorted((row["seed"], row["state"]) for row in rows) == [(1, "finished"), (2, "finished"), (3, "finished")]
    (point,) = points_of(found, folder.name)
    assert json.loads(point.summary)["val/mAP"] == pytest.approx(fmean(row["value"] for row in rows))
    assert point.state == "finished"
    assert len(found) == 4
