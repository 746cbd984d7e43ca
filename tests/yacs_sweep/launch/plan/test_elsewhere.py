"""A sweep that W&B's own tools have made is read from the server as from its file."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from yacs_sweep.launch.options import Options
from yacs_sweep.launch.plan import elsewhere
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
