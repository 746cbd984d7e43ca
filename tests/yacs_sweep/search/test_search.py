"""Runs searches from the command line on real trials: early termination, target, run_cap, warm start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import GRID, processes_with, sweep, write_sweep
from tests.wandb_server import start_server
from tests.wandb_server.launching import new_sweep
from tests.wandb_server.launching import sweep as wandb_sweep

LR = {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2}
RANDOM: dict[str, Any] = {
    "method": "random",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": LR},
}
QUIET = ("--wandb-mode", "disabled", "TOY.ITERATIONS", "1")


@pytest.mark.parametrize("goal", ["maximize", "minimize"])
def test_hyperband_ends_the_child_on_both_goals(tmp_path: Path, goal: str) -> None:
    rates = [0.00035, 0.0003, 1e-6] if goal == "maximize" else [1e-6, 2e-6, 0.00035]
    body = {
        **GRID,
        "metric": {"name": "val/mAP", "goal": goal},
        "parameters": {"base_lr": {"values": rates}, "max_epochs": {"value": 40}},
        "early_terminate": {"type": "hyperband", "min_iter": 2, "eta": 3},
    }
    # Each epoch takes a while, so that a trial that is ended has not come to its end by itself.
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, body), *QUIET, "TOY.SECONDS", "0.02")
    assert ran.code == 0, ran.out + ran.err
    good, close, bad = ran.summary["trials"]
    assert (good["state"], bad["state"]) == ("finished", "stopped")
    assert "hyperband: val/mAP" in bad["reason"]
    assert bad["rows"] < good["rows"]
    assert ran.summary["best"]["name"] in (good["name"], close["name"])


# Logs 60 values, of a level that falls slowly; that of the second trial rests and is nan from the ninth value on.
LOGS = """\
import json, subprocess, sys, time
level = float(sys.argv[1].partition("=")[2])
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", sys.argv[0]])  # the trainer's own child
for step in range(1, 61):
    value = level - 0.01 * step if level < 5 else level if step < 9 else float("nan")
    print("METRIC " + json.dumps({"val/loss": value}), flush=True)
    time.sleep(0.05)
"""


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        pytest.param({"type": "hyperband", "min_iter": 3, "eta": 3}, 3, marks=pytest.mark.slow),
        pytest.param({"type": "median", "min_trials": 1, "min_iter": 4}, 4, marks=pytest.mark.slow),
        ({"type": "asha", "min_iter": 2, "eta": 2}, 2),
        ({"type": "patience", "patience": 5}, 6),
        ({"type": "divergence"}, 9),
    ],
    ids=lambda item: item["type"] if isinstance(item, dict) else "",
)
def test_each_rule_ends_the_child_and_all_it_started(tmp_path: Path, rule: dict[str, Any], value: int) -> None:
    (tmp_path / "logs.py").write_text(LOGS)
    body = {
        "method": "grid",
        "program": str(tmp_path / "logs.py"),
        "metric": {"name": "val/loss", "goal": "minimize"},
        "parameters": {"level": {"values": [1.0, 5.0]}},
        "early_terminate": rule,
    }
    words = ["--sweep-config", write_sweep(tmp_path, body), "--wandb-mode", "disabled"]
    ran = sweep(tmp_path, *words, trainer=None, config=None)
    assert ran.code == 0, ran.out + ran.err
    good, bad = ran.summary["trials"]
    assert (good["state"], good["rows"]) == ("finished", 60)
    assert bad["state"] == "stopped"
    assert bad["reason"].startswith(f"stopped early: {rule['type']}: val/loss")
    assert value <= bad["rows"] < 40  # what was on its way when it was ended is logged too
    assert processes_with(str(tmp_path / "logs.py")) == []
    assert ran.summary["best"]["name"] == good["name"]


def test_divergence_ends_the_trial(tmp_path: Path) -> None:
    body = {**GRID, "early_terminate": {"type": "divergence", "metric": "train/acc", "factor": 5}}
    long = ("TOY.SECONDS", "0.02", "SOLVER.MAX_EPOCHS", "60")
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, body), *QUIET, *long)
    assert ran.code == 0, ran.out + ran.err
    assert {trial["state"] for trial in ran.summary["trials"]} == {"stopped"}
    assert "more than 5 times its first value" in ran.summary["trials"][0]["reason"]


def test_target_ends_the_sweep_well_and_stays_reached(tmp_path: Path) -> None:
    body = {**GRID, "metric": {"name": "val/mAP", "goal": "maximize", "target": 79.9}}
    first = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, body), *QUIET)
    assert first.code == 0, first.out
    assert first.summary["counts"] == {"finished": 2}  # the second rate of three is the best there is
    assert "trial-0001 reached the target: val/mAP 80 (target 79.9)" in first.out
    again = sweep(tmp_path, "--sweep_id", first.dir.name, "--wandb-mode", "disabled")
    assert again.code == 0
    assert again.summary["counts"] == {"finished": 2}
    more = sweep(tmp_path, "--sweep_id", first.dir.name, "--count", "1", "--wandb-mode", "disabled")
    assert more.summary["counts"] == {"finished": 3}


def test_run_cap_limits_the_whole_life_of_a_sweep(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, {**RANDOM, "run_cap": 3})
    first = sweep(tmp_path, "--sweep-config", path, "--count", "2", *QUIET)
    assert first.summary["counts"] == {"finished": 2}
    again = sweep(tmp_path, "--sweep_id", first.dir.name, "--count", "5", "--wandb-mode", "disabled")
    assert again.code == 0
    assert again.summary["counts"] == {"finished": 3}
    assert "the sweep's run_cap allows 1 more" in again.out


def test_warm_start_from_points_and_from_another_sweep(tmp_path: Path) -> None:
    body = {**RANDOM, "parameters": {"base_lr": LR, "margin": {"min": 0.1, "max": 0.5}}}
    old = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, body), "--count", "11", "--seed", "1", *QUIET)
    assert old.code == 0, old.out + old.err
    (tmp_path / "points.yaml").write_text("- {base_lr: 0.00035, margin: 0.3}\n- {SOLVER.BASE_LR: 1.e-4}\n")
    first, new = old.dir.name, tmp_path / "new"
    new.mkdir()
    words = ["--method", "bayes", "--from-sweep", old.dir.name, "--enqueue", tmp_path / "points.yaml", "--count", "4"]
    ran = sweep(new, "--sweep-config", tmp_path / "y.yaml", *words, "--results_dir", tmp_path / "log" / "sweep", *QUIET)
    assert ran.code == 0, ran.out + ran.err
    assert "learning from 11 of 11 finished trials" in ran.out
    assert "2 points of" in ran.out
    folder = next(path for path in (tmp_path / "log/sweep/sweep").iterdir() if path.name != first)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["counts"] == {"finished": 4}  # what was learnt from is no trial
    points = [trial["params"] for trial in summary["trials"]]
    assert points[0] == {"base_lr": 0.00035, "margin": 0.3}
    assert points[1]["base_lr"] == 0.0001
    assert all(1e-5 <= point["base_lr"] <= 1e-2 for point in points)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--enqueue", "p.yaml"], "--enqueue p.yaml: point 1: base_lr: 5 is not in 1e-05 … 0.01"),
        (["--enqueue", "p.yaml", "--controller", "wandb"], "--enqueue: belongs to the local controller"),
        (["--from-sweep", "nosuch12"], "--from-sweep: only bayes search can use it, and the method is random"),
    ],
)
def test_wrong_warm_starts_are_told_before_anything_is_created(tmp_path: Path, words: list[str], says: str) -> None:
    (tmp_path / "p.yaml").write_text("- {base_lr: 5}\n")
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, RANDOM), *words)
    assert ran.code == 2
    assert says in ran.err
    assert not (tmp_path / "log").exists()


@pytest.mark.slow
def test_warm_start_from_a_sweep_of_the_wandb_server(tmp_path: Path) -> None:
    here, other = tmp_path / "here", tmp_path / "other"
    here.mkdir()
    other.mkdir()
    body = {**RANDOM, "method": "bayes"}
    with start_server() as server:
        told = wandb_sweep(server, here, *new_sweep(here, RANDOM, "--count", "3"), "TOY.ITERATIONS", "1")
        assert told.code == 0, told.out + told.err
        # From a folder that knows nothing of it, so that its results can only come from the server.
        words = ["--sweep-config", write_sweep(other, body), *QUIET, "--controller", "local", "--count", "2"]
        ran = wandb_sweep(server, other, *words, "--from-sweep", f"tester/p/{told.dir.name}")
        assert ran.code == 0, ran.out + ran.err
        assert "learning from 3 of 3 finished trials" in ran.out
        unknown = wandb_sweep(server, other, *words, "--from-sweep", "tester/p/absent12")
        assert unknown.code == 2
        assert "no local sweep of that id, and W&B gives none" in unknown.err
    warm = json.loads((ran.dir / "warm.json").read_text())
    learnt = {(item["params"]["base_lr"], item["value"]) for item in warm["prior"]}
    trials = json.loads((told.dir / "summary.json").read_text())["trials"]
    assert learnt == {(trial["params"]["base_lr"], trial["value"]) for trial in trials}
