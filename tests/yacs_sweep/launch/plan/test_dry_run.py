"""`--dry-run`: what is shown, that nothing is created, and that every public sweep file gets there."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import TOY, sweep, write_sweep
from yacs_sweep import cli
from yacs_sweep.base.wording import cells
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.search.local import LocalController
from yacs_sweep.spec.sweep_files import load_spec
from yacs_sweep.trainers.profile import TrainerProfile

TEXT = (Path(__file__).parents[2] / "spec" / "data" / "public_sweeps.txt").read_text(encoding="utf-8")
PARTS = re.compile(r"^=== (.+?) \| \d+ \| (\d+|-) \| .+\n", re.MULTILINE).split(TEXT)[1:]
PUBLIC = {PARTS[place]: (PARTS[place + 1], PARTS[place + 2]) for place in range(0, len(PARTS), 3)}
PROFILE = "command: [python, train.py]\noverrides: argparse\n"


def dry(folder: Path, capsys: pytest.CaptureFixture[str], body: dict[str, Any], *words: str) -> str:
    path = write_sweep(folder, body)
    base = ["--trainer", str(TOY / "toy.yaml"), "--config_file", str(TOY / "toy.yml"), "--controller", "local"]
    assert cli.main([*base, "--sweep-config", str(path), "--dry-run", *words]) == 0
    captured = capsys.readouterr()
    return captured.out + captured.err


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_table_of_parameters_fits_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"method": "random", "parameters": {"base_lr": {"values": [each / 1000 for each in range(1, 99)]}}}
    whole = dry(tmp_path, capsys, body, "--count", "1", "--seed", "1")
    assert "0.098" in whole
    monkeypatch.setattr("yacs_sweep.launch.plan.dry_run.is_terminal", lambda: True)
    monkeypatch.setattr("yacs_sweep.launch.plan.dry_run.output_width", lambda: 79)
    cut = dry(tmp_path, capsys, body, "--count", "1", "--seed", "1")
    (row,) = [line for line in cut.splitlines() if line.startswith("  base_lr")]
    assert cells(row) <= 79 and row.endswith("…")
    first = cut.partition("first trials")[2].partition(":\n")[2]  # its command, which a shell takes as one line
    assert len(first.splitlines()) > 3 and first.splitlines()[0].endswith(" \\")
    assert shlex.split(first.partition("\n\n")[0].replace("\\\n", "")) == shlex.split(
        whole.partition("first trials")[2].splitlines()[1]
    )


def test_everything_is_shown_and_nothing_created(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = {
        "method": "bayes",
        "metric": {"name": "val/mAP", "goal": "maximize", "target": 95},
        "early_terminate": {"type": "hyperband", "max_iter": 27, "min_iter": 3, "s": 2},
        "parameters": {
            "base_lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2},
            "margin": [0.1, 0.3],
            "max_epochs": 2,
        },
    }
    (tmp_path / "points.csv").write_text("base_lr,margin\n3.5e-4,0.3\n")
    before = sorted(os.listdir(tmp_path))
    shown = dry(tmp_path, capsys, body, "--seed", "4", "--enqueue", "points.csv", "TOY.ITERATIONS", "1")
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "y.yaml"])
    lines = shown.splitlines()
    rows = {line.split()[0]: line.split() for line in lines if line.startswith("  ") and line.strip()}
    table = {name: " ".join(row) for name, row in rows.items()}
    assert table["base_lr"] == "base_lr SOLVER.BASE_LR 0.001 log_uniform_values min 1e-05, max 0.01"
    assert table["margin"] == "margin SOLVER.MARGIN 0.3 categorical 0.1 | 0.3"
    assert table["max_epochs"] == "max_epochs SOLVER.MAX_EPOCHS 2 constant always 2"
    assert "bands at 3, 9 logged values" in shown
    assert "has no effect beside max_iter: the bands are 3, 9" in shown  # the trap, before anything starts
    assert "the sweep ends when a trial reaches val/mAP 95" in shown
    commands = [line.split() for line in lines if " train.py " in line]
    assert len(commands) == 5
    assert commands[0][commands[0].index("SOLVER.BASE_LR") + 1] == "0.00035"
    assert all(words[words.index("TOY.ITERATIONS") + 1] == "1" for words in commands)


def test_first_trials_are_those_that_will_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = {
        "method": "random",
        "metric": {"name": "val/mAP", "goal": "maximize"},
        "parameters": {"base_lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2}},
    }
    shown = dry(tmp_path, capsys, body, "--seed", "11")
    ran = sweep(tmp_path, "--sweep-config", "y.yaml", "--seed", "11", "--count", "3", "--wandb-mode", "disabled")
    assert ran.code == 0, ran.err
    for trial in ran.summary["trials"]:
        assert f"SOLVER.BASE_LR {trial['params']['base_lr']!r} " in shown


def test_grid_shows_its_size_and_a_band_at_the_first_value_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = {
        "method": "grid",
        "metric": {"name": "val/mAP", "goal": "maximize"},
        "early_terminate": {"type": "hyperband", "min_iter": 1},
        "parameters": {"base_lr": [0.1, 0.2], "margin": [0.1, 0.3, 0.5]},
    }
    shown = dry(tmp_path, capsys, body)
    assert "grid search, 6 grid points, 6 trials" in shown
    assert "a trial can be ended at the first value it logs" in shown


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_sweep_file_runs_dry_and_gives_five_points(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainerProfile, "start_problems", lambda *_, **__: [])  # accelerate, conda: not installed here
    size, body = PUBLIC[name]
    path = tmp_path / "sweep.yaml"
    if "${program}" in body and not re.search(r"^program:", body, re.MULTILINE):
        body += "\nprogram: main.py\n"  # the restated text leaves it out
    path.write_text(body, encoding="utf-8")
    spec = load_spec(path)
    trainer = []
    if spec.program:
        (tmp_path / spec.program).resolve().parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / spec.program).touch()
    if not spec.program and not spec.command:
        (tmp_path / "t.yaml").write_text(PROFILE)
        (tmp_path / "train.py").touch()
        trainer = ["--trainer", "t.yaml"]
    words = ["--sweep-config", "sweep.yaml", "--controller", "local", "--count", "5", "--dry-run"]
    assert cli.main([*words, *trainer]) == 0, capsys.readouterr().err
    shown = capsys.readouterr().out
    wanted = min(5, int(size)) if size != "-" else 5
    _, _, commands = shown.partition("first trials")
    assert len(commands.splitlines()[1:-2]) == wanted
    paths = SweepPaths(tmp_path, "s")
    paths.agents.mkdir(parents=True)
    controller = LocalController(paths, spec, lock_name="a", seed=1)
    for _ in range(wanted):
        asked = controller.ask()
        assert asked is not None
        assert set(asked[1].params) == {item.name for item in spec.parameters}
