"""A report made from the W&B server alone says of points, objectives and constraints what the sweep's folder says."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import ROOT
from tests.wandb_server import WandbServer, start_server
from tests.wandb_server.launching import environment, grid, new_sweep, sweep
from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.show.report.remote import run_as_trial
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.wandb.judged_here import judged_text, read_judged

SHORT = ("TOY.ITERATIONS", "1", "SOLVER.MAX_EPOCHS", "2", "TOY.NOISE", "5.0")
METRICS = [{"name": "val/mAP", "goal": "maximize"}, {"name": "train/loss", "goal": "minimize", "threshold": 1e9}]
SEVERAL: dict[str, Any] = {
    "metrics": METRICS,
    "metric_constraints": ["val/cmc_rank_1 >= 0", "duration < 3600"],
    "optimize": "best",
}


def reported(server: WandbServer, folder: Path, sweep_id: str, *words: str) -> dict[str, Any]:
    """Makes a report as JSON."""
    command = [sys.executable, str(ROOT / "tools" / "report.py"), "--sweep_id", sweep_id, "--format", "json", *words]
    ran = subprocess.run(
        command, cwd=folder, env=environment(server, folder), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def facts_of(report: dict[str, Any]) -> dict[str, Any]:
    """Selects what both reports must agree on."""
    columns = ("trial", "state", "value", "point", "seed", "front", "left_out", "feasible", "violated", "retry_of")
    objectives = [name for name in report["trials"][0] if name.startswith(("objective:", "param:", "last:"))]
    rows = {
        row["trial"]: {name: row[name] for name in (*columns, *objectives) if name in row} for row in report["trials"]
    }
    points = [
        {key: item[key] for key in ("point", "params", "n", "mean", "sd", "state", "trials")}
        for item in report.get("points", ())
    ]
    text = report["best_text"].replace(" (command below)", "")  # which needs the folder
    best = report["best"] and report["best"]["trial"]
    return {"rows": rows, "points": points, "best": best, "pareto": report.get("pareto"), "text": text}


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param({"repeats": 2}, id="repeats", marks=pytest.mark.slow),
        pytest.param(SEVERAL, id="objectives", marks=pytest.mark.slow),
        pytest.param({**SEVERAL, "repeats": {"key": "SOLVER.SEED", "values": [4, 9]}}, id="both"),
    ],
)
def test_the_server_alone_says_what_the_folder_does(tmp_path: Path, keys: dict[str, Any]) -> None:
    body = {
        key: value for key, value in grid(0.0001, 0.00035, **keys).items() if key != "metric" or "metrics" not in keys
    }
    with start_server() as server:
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, body), *SHORT)
        assert ran.code == 0, ran.out + ran.err
        local = reported(server, tmp_path, ran.dir.name, "--source", "local")
        beside = reported(server, tmp_path, ran.dir.name, "--source", "wandb")
        place = f"tester/p/{ran.dir.name}"
        shutil.rmtree(ran.dir)
        alone = reported(server, tmp_path, place)
        page = tmp_path / "report.html"
        words = [sys.executable, str(ROOT / "tools" / "report.py"), "--sweep_id", place, "--output", str(page)]
        subprocess.run(words, cwd=tmp_path, env=environment(server, tmp_path), check=True, capture_output=True)
        words = ("--train-best", place, "--seeds", "1", "--dry-run")
        best = sweep(server, tmp_path, *words, *(("--prefer", "max val/mAP") if "metrics" in keys else ()))
    assert best.code == 0, best.out + best.err
    name = local["points"][0]["point"] if "repeats" in keys else local["trials"][0]["trial"]
    chosen = f"chosen of sweep {place.split('/')[-1]} by --prefer: {name}, "
    found = chosen if "metrics" in keys else f"best of sweep {place.split('/')[-1]}: {name}, val/mAP "
    assert found in best.out and (("2 seeds" in best.out) is ("repeats" in keys)), best.out
    assert facts_of(alone) == facts_of(local) == facts_of(beside)
    assert alone["source"] != local["source"] and len(local["trials"]) == (4 if "repeats" in keys else 2)
    assert ("pareto" in alone) is ("metrics" in keys)
    text = page.read_text().partition('<script type="text/plain" id="data"')[0]
    assert ("Best points" in text) is ("repeats" in keys) and ("Pareto front" in text) is ("metrics" in keys)
    with (tmp_path / "trials.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(local["trials"])


def test_what_the_server_has_no_key_for_stands_in_the_description() -> None:
    body = {"method": "random", "parameters": {"lr": {"min": 0.0, "max": 1.0}}}
    spec = sweep_from_dict({**body, **SEVERAL, "repeats": {"n": 3, "race": True}})
    text = judged_text(spec)
    read = sweep_from_dict({**body, **read_judged(f"my words (launch 0123)\n\n{text}")})
    assert (read.objectives, read.constraints, read.repeats) == (spec.objectives, spec.constraints, spec.repeats)
    assert judged_text(sweep_from_dict({**body, "metric": {"name": "loss"}})) == ""
    for other in (None, "my words", f"{text}\n - [", text.partition("\n")[0], f"{text.partition(chr(10))[0]} 5"):
        assert read_judged(other) == {}


def test_a_run_that_another_program_has_logged_is_judged_by_its_last_values() -> None:
    body = {"method": "random", "parameters": {"lr": {"min": 0.0, "max": 1.0}}, "metrics": METRICS}
    spec = sweep_from_dict({**body, "metric_constraints": ["duration < 100", "params_m <= 30"]})
    run = {
        "id": "a", "name": "calm-tree-1", "state": "finished", "params": {"lr": 0.5, "_wandb": {}}, "rows": [],
        "created": "2026-11-30T00:00:00Z", "heartbeat": None,
        "summary": {"val/mAP": 80.0, "train/loss": {"min": 0.5, "last": 0.7}, "params_m": 40, "_runtime": 60},
    }  # fmt: skip
    record: TrialRecord = run_as_trial(run, 0, "val/mAP", "maximize", spec).record
    assert record.values == {"val/mAP": 80.0, "train/loss": 0.5}
    assert record.facts == {"duration": 60.0, "params_m": 40}
    assert (record.feasible, record.violated) == (False, ["params_m <= 30"])
