"""Sweeps with several objectives and constraints, run as a user does: what they leave, and what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sweeping import TOY, sweep
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


def test_a_sweep_says_that_no_trial_keeps_its_constraints(tmp_path: Path) -> None:
    text = TEXT.replace("duration < 600", "duration < 0").replace("count: 6", "count: 2")
    ran = sweep(tmp_path, "--sweep-config", write(tmp_path, text), "--wandb-mode", "disabled")
    assert ran.code == 0, ran.err
    why = "of 2 finished trials none is known to keep the constraints: train/lr < 0.05; duration < 0"
    assert f"there is no best trial: {why}" in ran.out
    best = sweep(tmp_path, "--train-best", ran.dir.name, "--dry-run", config=None, trainer=None)
    assert best.code == 2 and f"it has no best trial: {why}" in best.err


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
    (line,) = [line for line in ran.out.splitlines() if "on the Pareto front: " in line]
    assert f"on the Pareto front: {len(front)}: {summary['pareto'][0]}" in line
    assert line.endswith(f"; configurations in {ran.dir / 'pareto'}")
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


def test_a_trial_on_the_front_is_chosen_by_what_is_preferred_and_can_be_trained(tmp_path: Path) -> None:
    ran = sweep(tmp_path, "--sweep-config", write(tmp_path, TEXT), "--wandb-mode", "disabled", "--seed", "3")
    assert ran.code == 0, ran.err
    folder, name, rows = ran.dir, ran.dir.name, {row["name"]: row for row in ran.summary["trials"]}
    front = ran.summary["pareto"]
    for chosen in front:  # the trainer takes each file as it is
        words = [sys.executable, str(TOY / "train.py"), f"--config_file={folder}/pareto/{chosen}.yml"]
        done = subprocess.run([*words, "OUTPUT_DIR", str(tmp_path)], capture_output=True, text=True, check=True)
        assert re.findall(r"mAP: (.*)%", done.stdout)[-1] == f"{rows[chosen]['value']:.1f}"
    kept = [row for row in rows.values() if row["feasible"]]
    worst = min(kept, key=lambda row: row["value"])
    text = f"val/mAP < {worst['value'] + 0.05}, max train/lr"
    best = sweep(tmp_path, "--train-best", name, "--seeds", "2", "--prefer", text, config=None, trainer=None)
    assert best.code == 0, best.out + best.err
    assert f"chosen of sweep {name} by --prefer: {worst['name']}, val/mAP {worst['value']:.6g}" in best.out
    (spec,) = (folder.parent / f"{name}-best").glob("sweep.yaml")
    assert yaml.safe_load(spec.read_text())["parameters"]["base_lr"]["value"] == worst["params"]["base_lr"]
    plain = sweep(tmp_path, "--train-best", name, "--dry-run", config=None, trainer=None)
    assert plain.code == 0 and f"best of sweep {name}: {front[0]}, val/mAP " in plain.out
    if len(front) > 1:
        assert "on the front, too: --prefer " in plain.out
    for text, says in (
        ("val/map > 1", "no trial has measured val/map; did you mean val/mAP?"),
        ("val/mAP > 99", f"no trial fits; the nearest is {front[0]}, val/mAP "),
    ):
        refused = sweep(tmp_path, "--train-best", name, "--prefer", text, config=None, trainer=None)
        assert refused.code == 2 and says in refused.err, refused.err
    alone = sweep(tmp_path, "--prefer", "min ms", "--sweep-config", write(tmp_path, TEXT))
    assert alone.code == 2 and "--prefer: needs --train-best" in alone.err
    assert {path.name for path in folder.parent.iterdir() if path.is_dir()} == {name, f"{name}-best"}
