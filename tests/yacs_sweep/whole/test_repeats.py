"""Sweeps with several seeds for each point, run as a user does: what they leave, and what they say."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import yaml

from tests.sweeping import sweep, write_sweep
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.show.report.data import read_local
from yacs_sweep.show.report.findings import Findings
from yacs_sweep.show.report.page.html import page
from yacs_sweep.show.report.text import as_markdown

BODY: dict[str, Any] = {
    "method": "grid",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"values": [0.0001, 0.00035, 0.001]}},
    "repeats": 3,
}
QUIET = ("--wandb-mode", "disabled", "TOY.ITERATIONS", "1", "SOLVER.MAX_EPOCHS", "2", "TOY.NOISE", "5.0")


@pytest.mark.parametrize("workers", ["1", "3"])
def test_every_point_is_trained_with_every_seed(tmp_path: Path, workers: str) -> None:
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, BODY), "--workers", workers, *QUIET)
    assert ran.code == 0, ran.out + ran.err
    rows = ran.summary["trials"]
    assert [(row["point"], row["seed"]) for row in rows] == [(f"point-000{p}", s) for p in range(3) for s in (1, 2, 3)]
    for row in rows:
        assert set(row["params"]) == {"base_lr"}
        words = row["command"]
        assert words[words.index("SOLVER.SEED") + 1] == str(row["seed"])
    means = {
        point: fmean(row["value"] for row in rows if row["point"] == point) for point in {row["point"] for row in rows}
    }
    assert {item["point"]: item["mean"] for item in ran.summary["points"]} == pytest.approx(means)
    best = ran.summary["best"]
    assert best["point"] == max(means, key=lambda point: means[point]) == "point-0001"
    assert best["n"] == 3
    found = yaml.safe_load((ran.dir / "best.yml").read_text())
    assert found["SOLVER"]["BASE_LR"] == 0.00035


def test_a_failed_seed_is_tried_again_and_its_point_counts_by_all(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, {**BODY, "repeats": {"key": "TOY.MODE", "values": ["", "exit3"]}})
    ran = sweep(tmp_path, "--sweep-config", path, *QUIET)
    assert ran.code == 1
    assert ran.summary["counts"] == {"finished": 3, "failed": 3}
    assert [(item["n"], item["state"]) for item in ran.summary["points"]] == [(1, "finished")] * 3
    again = sweep(tmp_path, "--sweep_id", ran.dir.name, "--retry-failed=trial-0003", "--wandb-mode", "disabled")
    assert again.code == 1
    (row,) = [row for row in ran.summary["trials"] if row["retry_of"]]
    assert (row["point"], row["seed"], row["state"]) == ("point-0001", "exit3", "failed")
    assert again.summary["counts"] == {"finished": 3, "failed": 4}


def test_a_race_on_a_grid_is_done_when_no_point_is_left_in_it(tmp_path: Path) -> None:
    rates = [round(0.00035 * 4.0**k, 8) for k in range(8)]
    body = {**BODY, "parameters": {"base_lr": {"values": rates}}, "repeats": {"n": 6, "race": True}}
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, body), *QUIET)
    assert ran.code == 0, ran.out + ran.err
    seeds = {item["point"]: len(item["trials"]) for item in ran.summary["points"]}
    assert len(seeds) == 8 and seeds["point-0000"] == 6
    assert sum(seeds.values()) < 36
    assert ran.summary["best"]["point"] == "point-0000"
    for _ in range(2):
        status = sweep(tmp_path, "--status", "--sweep_id", ran.dir.name, config=None, trainer=None)
        assert "every trial is done" in status.out and "resume" not in status.out
        again = sweep(tmp_path, "--sweep_id", ran.dir.name, "--wandb-mode", "disabled")
        assert again.code == 0
        assert "no point of the grid gets further seeds" in again.out
        assert sum(len(item["trials"]) for item in again.summary["points"]) == sum(seeds.values())


def test_the_best_point_is_trained_with_seeds_that_the_sweep_did_not_use(tmp_path: Path) -> None:
    found = sweep(
        tmp_path, "--sweep-config", write_sweep(tmp_path, BODY), "--wandb-mode", "disabled", "TOY.NOISE", "5.0"
    )
    assert found.code == 0, found.err
    folder, best = found.dir, found.summary["best"]
    ran = sweep(tmp_path, "--train-best", folder.name, "--seeds", "2", config=None, trainer=None)
    assert ran.code == 0, ran.out + ran.err
    content = json.loads((folder.parent / f"{folder.name}-best" / "seeds.json").read_text())
    assert [row["seed"] for row in content["trials"]] == [4, 5]
    assert content["search"] == {"name": "point-0001", "value": pytest.approx(best["mean"])}
    assert f"point-0001 has been trained with seeds 1, 2, 3 (mean {best['mean']:.6g}" in ran.out
    assert f"the search's best point, point-0001, had a mean of {best['mean']:.4g}" in ran.out
    for path in (folder.parent / f"{folder.name}-best").glob("trial-*/trial.json"):
        words = json.loads(path.read_text())["command"]
        assert words.count("SOLVER.SEED") == 1 and words[words.index("SOLVER.BASE_LR") + 1] == "0.00035"


def test_what_was_preferred_is_named_and_seeds_are_not_trained_again(tmp_path: Path) -> None:
    body = {key: value for key, value in BODY.items() if key != "metric"}
    metrics = [{"name": "val/mAP", "goal": "maximize"}, {"name": "train/loss", "goal": "minimize"}]
    found = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, {**body, "metrics": metrics, "repeats": 2}), *QUIET)
    assert found.code == 0, found.err
    folder, summary = found.dir, found.summary
    name = folder.name
    ran = sweep(tmp_path, "--train-best", name, "--prefer", "min train/loss", "--seeds", "1", config=None, trainer=None)
    assert ran.code == 0, ran.out + ran.err
    search = json.loads((folder.parent / f"{name}-best" / "seeds.json").read_text())["search"]
    (point,) = [item for item in summary["points"] if item["point"] == search["name"]]
    assert search["prefer"] == "min train/loss" and search["values"] == pytest.approx(point["values"])
    assert f"the point preferred by 'min train/loss', {search['name']}, had a mean of {point['mean']:.4g}" in ran.out
    assert "search's best" not in ran.out
    (row,) = [line.split() for line in ran.out.splitlines() if line.startswith("train/loss ")]
    assert row[-1] == f"{point['values']['train/loss']:.4g}"  # the search's value, beside that of the seed
    lead = f"The configuration of the point preferred by &#x27;min train/loss&#x27;, {search['name']}, trained once with seeds"
    assert lead in page(Findings.of(read_local(SweepPaths(folder.parent.parent, name))))
    again = sweep(tmp_path, "--train-best", f"{name}-best", config=None, trainer=None)
    assert again.code == 2 and f"write --train-best {name}, or --sweep_id {name}-best" in again.err


def test_the_fold_of_a_cross_validation_is_not_part_of_the_best(tmp_path: Path) -> None:
    body = {**BODY, "repeats": {"key": "TOY.ITERATIONS", "values": [1, 2]}}
    found = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, body), "--wandb-mode", "disabled")
    assert found.code == 0, found.err
    folder = found.dir
    ran = sweep(tmp_path, "--train-best", folder.name, "--seeds", "1", config=None, trainer=None)
    assert ran.code == 0, ran.out + ran.err
    assert "TOY.ITERATIONS: as in the configuration, not " in ran.out
    said = "the search's values are means over TOY.ITERATIONS 1, 2; what is trained now has the TOY.ITERATIONS of the "
    assert f"{said}configuration" in ran.out
    assert "no comparison with the search's best point, point-0001, whose mean is over the folds" in ran.out
    (head,) = [line for line in ran.out.splitlines() if line.startswith("metric ")]
    assert head.split() == ["metric", "mean", "±", "std", "n"]  # no column of the search's values
    content = json.loads((folder.parent / f"{folder.name}-best" / "seeds.json").read_text())
    assert content["search"] == {"name": "point-0001", "value": None}
    report = as_markdown(Findings.of(read_local(SweepPaths(folder.parent.parent, folder.name))))
    assert "No comparison with the search's best point, point-0001" in report and "in the search" not in report
    (path,) = (folder.parent / f"{folder.name}-best").glob("trial-*/trial.json")
    assert "TOY.ITERATIONS" not in json.loads(path.read_text())["command"]


def test_a_sweep_that_was_asked_for_a_part_has_the_others_left(tmp_path: Path) -> None:
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, BODY), "--count", "4", *QUIET)
    assert ran.code == 0, ran.err
    assert not json.loads((ran.dir / "launch.json").read_text())["exhausted"]
    again = sweep(tmp_path, "--sweep_id", ran.dir.name, "--wandb-mode", "disabled")
    assert [item["n"] for item in again.summary["points"]] == [3, 3, 3]
