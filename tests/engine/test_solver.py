from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from engine.config import load_config
from engine.solver import build_optimizer, learning_rate, learning_rate_factor, set_learning_rate
from modeling.model import build_model

# What reid-strong-baseline 3da7e6f has in force during epochs 1, 2, …: its scheduler is stepped as an epoch starts.
LINEAR = {"steps": (40, 70), "gamma": 0.1, "warmup_factor": 0.01, "warmup_iters": 10, "warmup_method": "linear"}
CONSTANT = {"steps": (30, 55), "gamma": 0.1, "warmup_factor": 0.01, "warmup_iters": 5, "warmup_method": "constant"}
OVERLAP = {"steps": (2, 4), "gamma": 0.5, "warmup_factor": 1 / 3, "warmup_iters": 3, "warmup_method": "linear"}


@pytest.mark.parametrize(
    ("base", "settings", "epoch", "value"),
    [
        (3.5e-4, LINEAR, 1, 3.815e-05),
        (3.5e-4, LINEAR, 2, 7.28e-05),
        (3.5e-4, LINEAR, 9, 3.1535e-04),
        (3.5e-4, LINEAR, 10, 3.5e-04),
        (3.5e-4, LINEAR, 39, 3.5e-04),
        (3.5e-4, LINEAR, 40, 3.5e-05),
        (3.5e-4, LINEAR, 70, 3.5e-06),
        (3.5e-4, CONSTANT, 4, 3.5e-06),
        (3.5e-4, CONSTANT, 5, 3.5e-04),
        (1e-3, OVERLAP, 1, 5.5555556e-4),
        (1e-3, OVERLAP, 2, 3.8888889e-4),
        (1e-3, OVERLAP, 3, 5e-4),
        (1e-3, OVERLAP, 4, 2.5e-4),
    ],
)
def test_schedule_is_the_originals(base: float, settings: dict[str, object], epoch: int, value: float) -> None:
    assert base * learning_rate_factor(epoch, **settings) == pytest.approx(value, rel=1e-7)  # type: ignore[arg-type]


def test_no_warm_up_starts_at_the_base_rate(small_config: Path) -> None:
    cfg = load_config(str(small_config), ["SOLVER.BASE_LR", "0.02", "SOLVER.WARMUP_ITERS", "0"])
    assert learning_rate(cfg, 1) == 0.02


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD"])
def test_two_groups_hold_every_trained_parameter_once(small_config: Path, name: str) -> None:
    overrides = ["SOLVER.OPTIMIZER_NAME", name, "SOLVER.BIAS_LR_FACTOR", "2", "SOLVER.WEIGHT_DECAY_BIAS", "0"]
    cfg = load_config(str(small_config), overrides)
    model = build_model(cfg, 5)
    optimizer = build_optimizer(cfg, model)
    assert type(optimizer).__name__ == name
    weights, biases = optimizer.param_groups
    names = {id(parameter): key for key, parameter in model.named_parameters()}
    assert all("bias" not in names[id(parameter)] for parameter in weights["params"])
    assert all("bias" in names[id(parameter)] for parameter in biases["params"])
    trained = {key for key in names.values() if key != "bottleneck.bias"}
    assert {names[id(p)] for group in optimizer.param_groups for p in group["params"]} == trained
    assert (weights["weight_decay"], biases["weight_decay"]) == (0.0005, 0.0)
    set_learning_rate(optimizer, 0.5)
    assert (weights["lr"], biases["lr"]) == (0.5, 1.0)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD"])
def test_merged_groups_step_like_one_group_a_parameter(small_config: Path, name: str) -> None:
    cfg = load_config(str(small_config), ["SOLVER.OPTIMIZER_NAME", name, "SOLVER.BIAS_LR_FACTOR", "2"])
    torch.manual_seed(0)
    ours, theirs = nn.Linear(4, 3), nn.Linear(4, 3)
    theirs.load_state_dict(ours.state_dict())
    optimizer = build_optimizer(cfg, ours)
    set_learning_rate(optimizer, 0.1)
    groups = [
        {"params": [p], "lr": 0.2 if key == "bias" else 0.1, "weight_decay": 0.0005}
        for key, p in theirs.named_parameters()
    ]
    plain = getattr(torch.optim, name)(groups, **({"momentum": cfg.SOLVER.MOMENTUM} if name == "SGD" else {}))
    for _step in range(3):
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        optimizer.step()
        plain.step()
    for key, value in ours.state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[key])
