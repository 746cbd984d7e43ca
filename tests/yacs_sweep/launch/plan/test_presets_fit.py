"""Presets fit every profile that has their aliases; otherwise one line says which is missing, and where to write it (F13)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sweeping import TOY
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.base.shipped import SWEEPS
from yacs_sweep.launch.options.read import parse
from yacs_sweep.launch.plan.make import make_plan
from yacs_sweep.spec.sweep import Metric
from yacs_sweep.spec.sweep_files import presets

GENERAL = ["lr_and_decay", "quick_test", "sweep_lr", "sweep_test"]
TREE = """
from yacs.config import CfgNode
_C = CfgNode({"TRAIN": {"LR": 0.1, "WD": 0.01, "EPOCHS": 10}, "OUT": ""})
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a trainer of its own, and its profile."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "train.py").write_text("print('acc: 0.5')\n")
    (tmp_path / "tree.py").write_text(TREE)
    profile = tmp_path / "configs" / "trainers" / "mine.yaml"
    profile.parent.mkdir(parents=True)
    return profile


def write(profile: Path, aliases: str, schema: str = "tree.py:_C") -> None:
    profile.write_text(
        f"command: [python, train.py]\noutput_dir_key: OUT\naliases: {{{aliases}}}\nschema: {schema}\n"
        "metric: {name: val/acc, goal: maximize}\n"
    )


def plan_errors(preset: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        make_plan(parse(["--trainer", "mine", "--sweep-config", preset, "--controller", "local"]))
    return caught.value.problems


@pytest.mark.parametrize("preset", GENERAL)
@pytest.mark.parametrize("schema", ["tree.py:_C", "null"])
def test_a_preset_fits_a_profile_with_its_aliases(own: Path, preset: str, schema: str) -> None:
    write(own, "base_lr: TRAIN.LR, weight_decay: TRAIN.WD, max_epochs: TRAIN.EPOCHS", schema)
    plan = make_plan(parse(["--trainer", "mine", "--sweep-config", preset, "--controller", "local"]))
    assert plan.spec.metric == Metric("val/acc", "maximize")
    assert "maximize val/acc: the metric of the trainer mine, since none is named" in plan.notes


@pytest.mark.parametrize("schema", ["tree.py:_C", "null"])
def test_a_missing_alias_is_named_with_the_file(own: Path, schema: str) -> None:
    write(own, "base_lr: TRAIN.LR", schema)
    assert plan_errors("lr_and_decay") == [
        "lr_and_decay: needs the alias weight_decay, which the profile mine does not have; "
        f"add `aliases: {{weight_decay: KEY}}` to {own}"
    ]
    write(own, "", schema)
    assert plan_errors("quick_test") == [
        "quick_test: needs the alias base_lr, max_epochs, which the profile mine does not have; "
        f"add `aliases: {{base_lr: KEY, max_epochs: KEY}}` to {own}"
    ]


def test_a_profile_that_ships_is_extended(own: Path, tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "train.py").write_text("")
    config = ["--config_file", str(TOY / "toy.yml"), "--controller", "local"]
    with pytest.raises(ConfigError) as caught:
        make_plan(parse(["--trainer", "generic", "--sweep-config", "sweep_lr", *config]))
    assert caught.value.problems == [
        "sweep_lr: needs the alias base_lr, which the profile generic does not have; "
        "a profile of your own with `extends: generic` and `aliases: {base_lr: KEY}` adds it"
    ]


@pytest.mark.parametrize("preset", sorted(set(presets([SWEEPS])) - set(GENERAL)))
def test_a_preset_of_the_reid_trainer_says_so(own: Path, preset: str) -> None:
    write(own, "base_lr: TRAIN.LR, weight_decay: TRAIN.WD, max_epochs: TRAIN.EPOCHS")
    (problem,) = plan_errors(preset)
    assert problem.startswith(f"{preset}: is a preset of the trainer reid alone: mine is not known to have ")
    assert problem.endswith(f"; presets for every trainer: {', '.join(GENERAL)}")


def test_a_sweep_file_of_ones_own_is_told_the_alias(own: Path, tmp_path: Path) -> None:
    write(own, "base_lr: TRAIN.LR")
    (tmp_path / "y.yaml").write_text("method: grid\nparameters:\n  weight_decay: [0.1, 0.2]\n  TRAIN.NO: [1, 2]\n")
    alias, key = plan_errors("y.yaml")
    assert alias.startswith("y.yaml:3:3: parameters.weight_decay: no such key in tree.py:_C")
    assert alias.endswith(f"; the alias `weight_decay: KEY` in {own} would name the key")
    assert "the alias" not in key
