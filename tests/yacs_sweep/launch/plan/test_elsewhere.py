"""A sweep that W&B's own tools have made is read from the server as from its file."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from yacs_sweep.launch.options.table import Options
from yacs_sweep.launch.plan import elsewhere
from yacs_sweep.launch.plan.checks import controller_problems
from yacs_sweep.wandb.sweeps import RemoteSweep

TEXT = """\
method: random
metric: {name: loss, goal: minimize}
parameters:
  lr: {distribution: log_uniform_values, min: 1e-6, max: 1e-3}
early_terminate: {type: hyperband, min_iter: 2, max_iter: 9}
author: me
"""


def test_numbers_that_pyyaml_takes_for_texts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    remote = RemoteSweep("abc", "p", "e", "https://wandb.test/abc", "RUNNING", yaml.safe_load(TEXT))
    assert remote.config["parameters"]["lr"]["min"] == "1e-6"  # as the client gives it
    monkeypatch.setattr(elsewhere, "remote_sweep", lambda *_, **__: remote)
    source = elsewhere.elsewhere_source("abc", Options(sweep_id="abc", controller="wandb"))
    assert source.spec is not None and source.spec.early_terminate is not None
    assert (source.spec.parameters[0].min, source.spec.parameters[0].max) == (1e-6, 1e-3)
    assert source.spec.early_terminate.bands[:2] == (2, 6)


def test_a_sweep_of_several_objectives_that_the_server_does_not_search(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "method: custom\nmetrics: [{name: loss}, {name: ms}]\nscheduler: {engine: optuna}\nparameters: {lr: {value: 1}}\n"
    remote = RemoteSweep("abc", "p", "e", "https://wandb.test/abc", "RUNNING", yaml.safe_load(text))
    monkeypatch.setattr(elsewhere, "remote_sweep", lambda *_, **__: remote)
    options = Options(sweep_id="abc", controller="wandb")
    source = elsewhere.elsewhere_source("abc", options)
    assert source.spec is not None and [metric.name for metric in source.spec.objectives] == ["loss", "ms"]
    (problem,) = controller_problems(options, source.controller, source.spec)
    assert problem.startswith("method custom: W&B's server does not search so")
