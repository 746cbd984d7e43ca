"""The metric of a trainer's profile is that of sweeps that name none, and is shown as such."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.sweeping import TOY
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.launch.options.read import parse
from yacs_sweep.launch.plan.dry_run import describe
from yacs_sweep.launch.plan.make import make_plan
from yacs_sweep.spec.sweep import Metric

SWEEP = {"method": "random", "parameters": {"base_lr": {"values": [0.1, 0.2]}}, "count": 2}


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options that name a trainer whose metric is val/top1_err."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    content = f"extends: {TOY / 'toy.yaml'}\nmetric: {{name: val/top1_err, goal: minimize}}\n"
    (tmp_path / "mine.yaml").write_text(content)
    return ["--trainer", "mine.yaml", "--config_file", str(TOY / "toy.yml"), "--controller", "local"]


def sweep(tmp_path: Path, **keys: object) -> list[str]:
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({**SWEEP, **keys}))
    return ["--sweep-config", "sweep.yaml"]


NOTE = "the metric of the trainer mine, since none is named"


def test_a_sweep_that_names_no_metric_has_the_trainers(tmp_path: Path, trainer: list[str]) -> None:
    plan = make_plan(parse([*trainer, *sweep(tmp_path)]))
    assert plan.spec.metric == Metric("val/top1_err", "minimize")
    assert f"minimize val/top1_err: {NOTE}" in describe(plan)
    bayes = make_plan(parse([*trainer, *sweep(tmp_path, method="bayes")]))  # which needs a metric
    assert bayes.spec.metric == Metric("val/top1_err", "minimize")
    options = make_plan(parse([*trainer, "--lr_values", "0.1,0.2"]))
    assert options.spec.metric == Metric("val/top1_err", "minimize")


def test_the_goal_alone_may_be_given(tmp_path: Path, trainer: list[str]) -> None:
    plan = make_plan(parse([*trainer, *sweep(tmp_path), "--goal", "maximize"]))
    assert plan.spec.metric == Metric("val/top1_err", "maximize")
    assert f"maximize val/top1_err: {NOTE}" in describe(plan)


def test_what_the_sweep_or_an_option_names_counts(tmp_path: Path, trainer: list[str]) -> None:
    named = make_plan(parse([*trainer, *sweep(tmp_path, metric={"name": "val/mAP", "goal": "maximize"})]))
    assert named.spec.metric == Metric("val/mAP", "maximize")
    given = make_plan(parse([*trainer, *sweep(tmp_path), "--metric", "val/loss"]))
    assert given.spec.metric == Metric("val/loss", "minimize")
    assert not [line for plan in (named, given) for line in plan.notes if NOTE in line]


def test_without_a_metric_anywhere_there_is_none(tmp_path: Path, trainer: list[str]) -> None:
    trainer[1] = str(TOY / "toy.yaml")
    assert make_plan(parse([*trainer, *sweep(tmp_path)])).spec.metric is None
    with pytest.raises(ConfigError, match="`metric` is missing; method bayes needs"):
        make_plan(parse([*trainer, *sweep(tmp_path, method="bayes")]))
