"""Programs that report to W&B alone, each as it is, swept end to end on both controllers: the same rows on both."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sweeping import Ran, sweep
from tests.wandb_server import launching, start_server

FOREIGN = Path(__file__).resolve().parents[2] / "foreign_trainers"


@dataclass(frozen=True)
class Case:
    """A program, and what its sweep has to find."""

    folder: str
    points: int
    best: dict[str, Any]
    value: float
    rows: list[dict[str, Any]]  # of the best trial
    config: dict[str, Any] = field(default_factory=dict)  # beside the parameters
    name: str = ""  # that the program gives its run


CASES = [
    Case(
        "wandb_argparse",
        4,
        {"lr": 0.1, "batch_size": 8},
        0.892,  # the highest of the three, as define_metric says
        [
            {"step": 0, "epoch": 0, "train_loss": 1.0, "val_acc": 0.792},
            {"step": 1, "epoch": 1, "train_loss": 0.5, "val_acc": 0.892},
            {"step": 2, "epoch": 2, "train_loss": 1 / 3, "val_acc": 0.792},
            {"step": 3, "best_val_acc": 0.892},
        ],
        {"epochs": 3, "model": {"depth": 2, "width": 64}},
    ),
    Case(
        "wandb_lightning",
        2,
        {"lr": 0.02},
        0.25,
        [
            {"step": 0, "epoch": 0, "trainer/global_step": 1, "train/loss": 0.02},
            {"step": 1, "epoch": 0, "trainer/global_step": 2, "train/loss": 0.01},
            {"step": 2, "epoch": 0, "trainer/global_step": 2, "val/loss": 0.5},
            {"step": 3, "epoch": 1, "trainer/global_step": 3, "train/loss": 0.02 / 3},
            {"step": 4, "epoch": 1, "trainer/global_step": 4, "train/loss": 0.005},
            {"step": 5, "epoch": 1, "trainer/global_step": 4, "val/loss": 0.25},
            {"step": 6, "done": 1, "trainer/global_step": 4},
        ],
        {"seed": 7},
    ),
    Case(
        "wandb_transformers",
        2,
        {"learning_rate": 2e-05},
        0.9,
        [
            {"step": 0, "train/loss": 0.7654321, "train/learning_rate": 2e-05, "train/global_step": 10},
            {"step": 1, "eval/loss": 0.6123456, "eval/accuracy": 0.9, "train/global_step": 10},
            {"step": 2, "train/loss": 0.7654321 / 2, "train/learning_rate": 2e-05, "train/global_step": 20},
            {"step": 3, "eval/loss": 0.6123456, "eval/accuracy": 0.9, "train/global_step": 20},
        ],
        {"num_train_epochs": 2, "model": {"hidden": 4}, "model/num_parameters": 12},
    ),
    Case(
        "wandb_click",
        4,
        {"lr": 0.2, "hidden_size": 16, "verbose": True},
        0.125 / 21,
        [
            {"step": 0, "loss": 1.0, "rmse": 0.125},
            {"step": 10, "loss": 1 / 11, "rmse": 0.125 / 11},
            {"step": 20, "loss": 1 / 21, "rmse": 0.125 / 21},
        ],
        name="lr=0.2",
    ),
    Case(
        "wandb_hydra",
        2,
        {"optim.lr": 0.3},
        0.5,
        [
            {"step": 0, "epoch": 0, "val.loss": 1.0, "val.acc": 0.9},
            {"step": 1, "epoch": 1, "val.loss": 0.5, "val.acc": 0.95},
        ],
        {"project": "shapes", "epochs": 2, "optim": {"lr": 0.3, "name": "sgd"}},
    ),
    Case(
        "wandb_module",
        4,
        {"lr": 0.01, "wd": 0.01, "epochs": 2},
        0.505,
        [{"step": 0, "epoch": 0, "loss": 1.01}, {"step": 1, "epoch": 1, "loss": 0.505}],
    ),
]


def project(folder: Path, case: Case, *, only_best: bool = False) -> tuple[str | Path, ...]:
    """Copies the program's repository into the folder; returns the words that sweep it."""
    shutil.copytree(FOREIGN / case.folder, folder, dirs_exist_ok=True)
    path = folder / "sweep.yaml"
    if only_best:
        body = yaml.safe_load(path.read_text())
        for name, value in case.best.items():
            body["parameters"][name] = {"values": [value]}
        path.write_text(yaml.safe_dump(body))
    return ("--sweep-config", path)


def check(ran: Ran, case: Case, points: int) -> None:
    assert ran.code == 0, ran.out + ran.err
    assert ran.summary["counts"] == {"finished": points}
    best = ran.summary["best"]
    assert best["params"] == case.best
    assert best["value"] == pytest.approx(case.value)
    assert ran.rows(best["name"]) == [pytest.approx(row) for row in case.rows]
    left = [path for path in ran.cwd.rglob("*") if path.name.startswith(("offline-run", "run-2"))]
    assert not [path for path in left if path.parent != ran.dir / "wandb"]  # of the launcher's own client


def cases(slow: Sequence[str]) -> list[Any]:
    """All cases, those of some programs as slow tests: on the other controller they are ordinary ones."""
    marks = {case.folder: [pytest.mark.slow] if case.folder in slow else [] for case in CASES}
    return [pytest.param(case, id=case.folder, marks=marks[case.folder]) for case in CASES]


@pytest.mark.parametrize("case", cases(slow=("wandb_module", "wandb_click")))
def test_on_the_embedded_controller(tmp_path: Path, case: Case) -> None:
    words = project(tmp_path, case)
    ran = sweep(tmp_path, *words, "--wandb-mode", "disabled", trainer=None, config=None)
    check(ran, case, case.points)
    said = "notes (str, 3 times), samples (Table, 3 times)"
    assert ran.out.count("these are not numbers and are ignored") == (case.folder == "wandb_argparse")
    assert (
        said in ran.out
        or "samples (Table, 3 times), notes (str, 3 times)" in ran.out
        or case.folder != "wandb_argparse"
    )


@pytest.mark.parametrize("case", cases(slow=("wandb_lightning", "wandb_hydra")))
def test_on_the_wandb_controller(tmp_path: Path, case: Case) -> None:
    """The trial is one run there, the launcher's."""
    words = project(tmp_path, case, only_best=True)
    with start_server() as server:
        ran = launching.sweep(server, tmp_path, *words, *launching.PATH, trainer=None, config=None)
        check(ran, case, 1)
        (run,) = server.control.snapshot()["runs"].values()
        assert [row["_step"] for row in run["rows"]] == [row["step"] for row in case.rows]
        for sent, row in zip(run["rows"], case.rows, strict=True):
            # W&B may repeat the last epoch in rows that have none.
            repeated = {"epoch"} if "epoch" not in row and any("epoch" in other for other in case.rows) else set()
            found = {key: value for key, value in sent.items() if not key.startswith("_") and key not in repeated}
            assert {"step": row["step"], **found} == pytest.approx(row)
        name = yaml.safe_load((tmp_path / "sweep.yaml").read_text())["metric"]["name"]
        assert run["summary"][name] == pytest.approx(case.value)
        config = {key: item["value"] for key, item in run["config"].items() if key != "_wandb"}
        assert config == {**case.best, **case.config}
        (shown,) = launching.runs(server)
        assert shown.title == (case.name or ran.summary["best"]["name"])


TRAINER = """
import os, shutil, sys
import wandb
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
folder = words["OUTPUT_DIR"]
shutil.rmtree(folder)
os.mkdir(folder)
wandb.init(config={"LR": 0.0, "seed": 1})
for epoch in range(4):
    print("Epoch %d acc %.1f" % (epoch, epoch))
    wandb.log({"loss": wandb.config["LR"] * (epoch + 1), "acc": epoch + 0.25}, step=epoch)
"""
PROFILE = """
command: [python, trainer.py]
overrides: yacs
output_dir_key: OUTPUT_DIR
preload: [wandb]
metrics:
  - wandb
  - pattern: 'Epoch (?P<epoch>\\d+) acc (?P<acc>{number})'
    log: {epoch: epoch, printed_acc: acc}
"""


def test_a_profile_takes_calls_beside_patterns(tmp_path: Path) -> None:
    """In trials that are forked from a server which has imported the client; the trainer clears its folder."""
    (tmp_path / "trainer.py").write_text(TRAINER)
    (tmp_path / "trainer.yaml").write_text(PROFILE)
    body = {"method": "grid", "metric": {"name": "loss", "goal": "minimize"}, "parameters": {"LR": [0.5, 0.25]}}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(body))
    words = ("--sweep-config", "sweep.yaml", "--wandb-mode", "disabled", "--controller", "local")
    ran = sweep(tmp_path, *words, trainer=tmp_path / "trainer.yaml", config=None)
    assert ran.code == 0, ran.out + ran.err
    assert "preloading" not in ran.out
    best = ran.summary["best"]
    assert (best["params"], best["value"]) == ({"LR": 0.25}, 1.0)
    rows = ran.rows(best["name"])
    assert [(row["loss"], row["acc"]) for row in rows if "loss" in row] == [
        (0.25 * (epoch + 1), epoch + 0.25) for epoch in range(4)
    ]
    assert [(row["epoch"], row["printed_acc"]) for row in rows if "printed_acc" in row] == [
        (epoch, epoch) for epoch in range(4)
    ]
    assert len(rows) == 8


def test_a_program_that_opens_its_run_disabled_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import wandb\nwandb.init(mode='disabled')\nwandb.log({'loss': 1})\n")
    body = {"program": "train.py", "method": "grid", "metric": {"name": "loss"}, "parameters": {"lr": [0.5]}}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(body))
    ran = sweep(tmp_path, "--sweep-config", "sweep.yaml", "--wandb-mode", "disabled", trainer=None, config=None)
    assert ran.code == 1
    assert "opens its W&B run with mode='disabled'" in ran.summary["trials"][0]["reason"]


def test_early_termination_sees_what_is_logged(tmp_path: Path) -> None:
    text = (
        "import sys, time, wandb\nrun = wandb.init()\n"
        "for step in range(60):\n    run.log({'loss': float('nan') if step else run.config.lr})\n    time.sleep(0.1)\n"
    )
    (tmp_path / "train.py").write_text(text)
    body = {
        "program": "train.py",
        "method": "grid",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"lr": [0.5]},
        "early_terminate": {"type": "divergence"},
    }
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(body))
    words = ("--sweep-config", "sweep.yaml", "--wandb-mode", "disabled", "--controller", "local", "--count", "1")
    ran = sweep(tmp_path, *words, trainer=None, config=None)
    (trial,) = ran.summary["trials"]
    assert trial["state"] == "stopped" and "divergence" in trial["reason"] and trial["rows"] < 60
