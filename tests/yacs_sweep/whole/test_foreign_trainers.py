"""Four trainers that are not of this project, each as it is, swept end to end on both controllers."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sweeping import Ran, sweep, write_sweep
from tests.wandb_server import launching, start_server

FOREIGN = Path(__file__).resolve().parents[2] / "foreign_trainers"


@dataclass(frozen=True)
class Case:
    """A trainer, a sweep of it, and what it has to find."""

    folder: str
    parameters: dict[str, Any]
    metric: str
    goal: str
    best: dict[str, Any]
    rows: list[dict[str, Any]]  # of the best trial, without steps
    config: str | None = None


CASES = [
    Case(
        "yacs_classifier",
        {"TRAIN.LR": [0.1, 0.01], "TRAIN.BATCH_SIZE_PER_GPU": [32, 64]},
        "test_accuracy",
        "maximize",
        {"TRAIN.LR": 0.01, "TRAIN.BATCH_SIZE_PER_GPU": 32},
        [
            row
            for epoch, loss in enumerate((2.0, 1.0, 0.66667))
            for row in (
                {"train/loss": loss, "train/acc": 50.0 + epoch, "epoch": epoch},
                {"test_accuracy": 0.6667, "epoch": epoch},
            )
        ],
        "experiment.yaml",
    ),
    Case(
        "hydra_segmenter",
        {
            "lr": [0.1, 0.2],
            "model.backbone": ["resnet18", "resnet50"],
            "model.name": ["it's {a,b}=1e5"],
            "+note": [None],
        },
        "val_miou",
        "maximize",
        {"lr": 0.2, "model.backbone": "resnet50", "model.name": "it's {a,b}=1e5", "+note": None},
        [{"epoch": 0, "train_loss": 1.0, "val_miou": 0.3}, {"epoch": 1, "train_loss": 0.5, "val_miou": 0.3}],
    ),
    Case(
        "argparse_regressor",
        {"lr": [0.03, 0.1], "hidden-size": [8, 16]},
        "valid/rmse",
        "minimize",
        {"lr": 0.03, "hidden-size": 16},
        [{"epoch": epoch, "valid/rmse": 0.0625} for epoch in (1, 2, 3)],
    ),
    Case(
        "transformers_summarizer",
        {"learning_rate": [1e-5, 2e-5]},
        "eval/rougeL",
        "maximize",
        {"learning_rate": 2e-5},
        [
            row
            for epoch in (1.0, 2.0)
            for row in (
                {"train/loss": 0.5 / epoch, "train/grad_norm": "NaN", "train/learning_rate": 2e-05, "epoch": epoch},
                {"eval/loss": 0.6, "eval/rougeL": 40.0, "eval/runtime": 1.5, "epoch": epoch},
            )
        ],
    ),
]


def definition(case: Case, only_best: bool = False) -> dict[str, Any]:
    values = {name: [value] for name, value in case.best.items()} if only_best else case.parameters
    parameters = {name: {"values": found} for name, found in values.items()}
    return {"method": "grid", "metric": {"name": case.metric, "goal": case.goal}, "parameters": parameters}


def project(folder: Path, case: Case) -> dict[str, Any]:
    """A copy of the trainer's repository; settings of the launcher for it."""
    copy = shutil.copytree(FOREIGN / case.folder, folder / "repository")
    config = copy / case.config if case.config else None
    return {"trainer": copy / "trainer.yaml", "config": config}


def check(ran: Ran, case: Case, points: int) -> dict[str, Any]:
    assert ran.code == 0, ran.out + ran.err
    summary = ran.summary
    assert summary["counts"] == {"finished": points}
    best = summary["best"]
    assert best["params"] == case.best
    rows = [{key: value for key, value in row.items() if key != "step"} for row in ran.rows(best["name"])]
    assert rows == case.rows
    return summary


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder)
def test_on_the_embedded_controller(tmp_path: Path, case: Case) -> None:
    settings = project(tmp_path, case)
    words = ("--sweep-config", write_sweep(tmp_path, definition(case)), "--wandb-mode", "disabled")
    check(sweep(tmp_path, *words, **settings), case, math.prod(map(len, case.parameters.values())))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder)
def test_on_the_wandb_controller(tmp_path: Path, case: Case) -> None:
    settings = project(tmp_path, case)
    with start_server() as server:
        ran = launching.sweep(server, tmp_path, *launching.new_sweep(tmp_path, definition(case, True)), **settings)
        assert check(ran, case, 1)["controller"] == "wandb"
        (run,) = server.control.snapshot()["runs"].values()
        assert sum(case.metric in row for row in run["rows"]) == sum(case.metric in row for row in case.rows)


def test_hydra_itself_reads_every_value_as_it_was_meant(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.folder == "hydra_segmenter")
    words = ("--sweep-config", write_sweep(tmp_path, definition(case, True)), "--wandb-mode", "disabled")
    ran = sweep(tmp_path, *words, "train.num_epochs=1", **project(tmp_path, case))
    (trial,) = ran.summary["trials"]
    folder = ran.dir / trial["name"]
    config = yaml.safe_load((folder / ".hydra" / "config.yaml").read_text())
    assert config == {
        "optim": {"lr": 0.2},
        "model": {"backbone": "resnet50", "name": "it's {a,b}=1e5"},
        "train": {"num_epochs": 1},
        "note": None,
    }
    assert len(ran.rows(trial["name"])) == 1 and (folder / "train.log").is_file()


def test_a_metrics_file_of_the_launchers_name_is_the_trainers_own(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.folder == "argparse_regressor")
    settings = project(tmp_path, case)
    words = ("--sweep-config", write_sweep(tmp_path, definition(case)), "--wandb-mode", "disabled", "--count", "1")
    ran = sweep(tmp_path, *words, **settings)
    (trial,) = ran.summary["trials"]
    theirs = (ran.dir / trial["name"] / "output" / "metrics.jsonl").read_text().splitlines()
    assert len(theirs) == 3 and '"note"' in theirs[0]
    assert f"--out={ran.dir / trial['name'] / 'output'}" in trial["command"]
    assert [row["step"] for row in ran.rows(trial["name"])] == [0, 1, 2]


def test_a_metrics_file_of_the_launchers_name_is_noticed(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.folder == "argparse_regressor")
    settings = project(tmp_path, case)
    settings["trainer"].write_text("extends: argparse\ncommand: [python, fit.py]\ncwd: .\noutput_dir_key: out\n")
    words = ("--sweep-config", write_sweep(tmp_path, definition(case, True)), "--wandb-mode", "disabled")
    ran = sweep(tmp_path, *words, **settings)
    assert ran.code == 1
    assert ran.out.count("the trainer writes a metrics.jsonl of its own") == 1
