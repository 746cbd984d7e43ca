"""Sweeps with several objectives and constraints, run as a user does: what they leave, and what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sweeping import sweep
from yacs_sweep import Sweep
from yacs_sweep.records.front import nondominated

TEXT = """\
method: random
metrics:
  - {name: val/mAP, goal: maximize}
  - {name: train/loss, goal: minimize}
metric_constraints: ["train/lr < 0.05", "duration < 600"]
count: 6
parameters:
  base_lr: {distribution: log_uniform_values, min: 1.0e-3, max: 0.5}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "s.yaml"
    path.write_text(text)
    return path


def test_several_objectives_leave_a_front_and_its_files(tmp_path: Path) -> None:
    ran = sweep(tmp_path, "--sweep-config", write(tmp_path, TEXT), "--wandb-mode", "disabled", "--seed", "3")
    assert ran.code == 0, ran.err
    summary = ran.summary
    rows: list[dict[str, Any]] = summary["trials"]
    assert len(rows) == 6
    for row in rows:
        logged = ran.rows(row["name"])
        last = {key: [item[key] for item in logged if key in item][-1] for key in ("val/mAP", "train/loss", "train/lr")}
        assert row["values"] == {"val/mAP": last["val/mAP"], "train/loss": last["train/loss"]}
        assert row["facts"]["train/lr"] == last["train/lr"]
        assert row["facts"]["duration"] > 0
        assert row["feasible"] == (last["train/lr"] < 0.05)
        assert row.get("violated", []) == ([] if row["feasible"] else ["train/lr < 0.05"])
    assert 0 < sum(row["feasible"] for row in rows) < 6  # or this test would show nothing
    kept = [row for row in rows if row["feasible"]]
    front = [kept[place] for place in nondominated([(-row["value"], row["values"]["train/loss"]) for row in kept])]
    assert sorted(summary["pareto"]) == sorted(row["name"] for row in front)
    assert summary["best"]["name"] == max(kept, key=lambda row: row["value"])["name"] == summary["pareto"][0]
    files = {path.name for path in (ran.dir / "pareto").iterdir()}
    assert files == {f"{row['name']}.yml" for row in front}
    for row in front:
        text = (ran.dir / "pareto" / f"{row['name']}.yml").read_text()
        assert text.startswith(
            f"# On the Pareto front of sweep {ran.dir.name}: {row['name']}, val/mAP {row['value']}, train/loss "
        )
        assert yaml.safe_load(text)["SOLVER"]["BASE_LR"] == row["params"]["base_lr"]
    again = sweep(tmp_path, "--sweep_id", ran.dir.name, "--count", "1", "--wandb-mode", "disabled")
    assert again.code == 0, again.err
    content = ran.summary
    assert len(content["trials"]) == 7
    assert {path.stem for path in (ran.dir / "pareto").iterdir()} == set(content["pareto"])


def test_the_sweep_ends_when_one_trial_reaches_all_targets(tmp_path: Path) -> None:
    text = TEXT.replace("goal: maximize}", "goal: maximize, target: 1}").replace(
        "goal: minimize}", "goal: minimize, target: 9}"
    )
    ran = sweep(tmp_path, "--sweep-config", write(tmp_path, text), "--wandb-mode", "disabled", "--seed", "3")
    assert ran.code == 0, ran.err
    assert len(ran.summary["trials"]) < 6
    line = next(line for line in ran.out.splitlines() if "reached the targets" in line)
    assert "val/mAP" in line and "(target 1), train/loss" in line and "(target 9)" in line


def test_several_objectives_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def train(params: dict[str, Any]) -> dict[str, float]:
        return {"quality": params["size"], "ms": params["size"] * 2, "bad": params["size"] == 3}

    found = Sweep(
        train=train,
        method="grid",
        parameters={"size": [1, 2, 3]},
        metrics=({"name": "quality", "goal": "maximize"}, {"name": "ms"}),
        metric_constraints=("ms <= 4",),
        results_dir_base=tmp_path / "r",
        controller="local",
        wandb_mode="disabled",
    )
    assert [metric.name for metric in found.spec.objectives] == ["quality", "ms"]
    rows = found.run()
    assert found.exit_status == 0
    by_size = {row["params"]["size"]: row for row in rows}
    assert by_size[2]["values"] == {"quality": 2.0, "ms": 4.0}
    assert [by_size[size]["feasible"] for size in (1, 2, 3)] == [True, True, False]
    assert by_size[3]["facts"] == {"ms": 6}
    best = found.best
    assert best is not None and (best.params, best.values, best.n) == ({"size": 2}, {"quality": 2.0, "ms": 4.0}, 1)
    assert [(each.params["size"], each.point) for each in found.front] == [(2, None), (1, None)]
    given = Sweep(
        train=train,
        method="random",
        metric="quality",
        parameters={"size": [1, 2, 3]},
        repeats={"n": 2, "key": "seed"},
        controller="local",
        wandb_mode="disabled",
    )
    assert given.spec.repeats is not None and (given.spec.repeats.n, given.plan.count) == (2, 20)
