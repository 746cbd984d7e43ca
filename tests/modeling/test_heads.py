"""Heads with several branches, and heads and losses of files of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from configs.defaults import _C
from engine.cost import measure_work
from engine.distributed import ProcessGroup
from engine.learner import Learner
from modeling.branch import Branch
from modeling.heads.layers import BranchLayers
from modeling.model import ReIDModel, build_model, is_of_classifier
from modeling.pretrained import class_count, load_reid_weights
from utils.errors import ConfigError, TrainerError

HEAD = f"{__file__}:Joined"


class Joined(ReIDModel):
    """Two branches with losses of their own, and a third without pairs; features depend on the cameras, if given."""

    def __init__(self, cfg: CfgNode, backbone: nn.Module, num_classes: int) -> None:
        super().__init__(cfg, backbone, num_classes)
        channels = self.widths[0]
        self.widths = [channels, channels, 8]
        self.average = BranchLayers(cfg, channels, num_classes)
        self.maximum = BranchLayers(cfg, channels, num_classes)
        self.reduce = nn.Linear(channels, 8)
        self.part = BranchLayers(cfg, 8, num_classes)

    def branches(self, output: Tensor, origins: Tensor | None = None) -> list[Branch]:
        mean = output.mean((2, 3)) if origins is None else output.mean((2, 3)) + origins[:, :1]
        part = self.part(self.reduce(mean))._replace(for_pairs=False)
        return [self.average(mean), self.maximum(output.amax((2, 3))), part]


class Silent(ReIDModel):
    """A head without scores."""

    def branches(self, output: Tensor, origins: Tensor | None = None) -> list[Branch]:
        features = output.mean((2, 3))
        return [Branch(features, features)]


class Proxies(nn.Module):
    """A loss with parameters: the distance to a learnt proxy of the class."""

    def __init__(self, cfg: CfgNode, num_classes: int, channels: int) -> None:
        super().__init__()
        self.proxies = nn.Parameter(torch.zeros(num_classes, channels))

    def forward(self, scores: Tensor, features: Tensor, pids: Tensor) -> Tensor:
        return (features - self.proxies[pids]).pow(2).mean()

    def make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def config(**settings: object) -> CfgNode:
    cfg = _C.clone()
    cfg.MODEL.update(NAME="resnet18", PRETRAIN_CHOICE="none", HEAD=HEAD)
    cfg.SOLVER.update(OPTIMIZER_NAME="SGD", MOMENTUM=0.0, WEIGHT_DECAY=0.0, WEIGHT_DECAY_BIAS=0.0)
    for key, value in settings.items():
        (cfg.MODEL if key in cfg.MODEL else cfg.SOLVER)[key] = value
    return cfg


@pytest.fixture(scope="module")
def model() -> ReIDModel:
    torch.manual_seed(0)
    return build_model(config(), 3)


def images() -> Tensor:
    return torch.randn(6, 3, 32, 16, generator=torch.Generator().manual_seed(1))


def test_a_head_with_several_branches_joins_its_features(model: ReIDModel) -> None:
    model.train()
    branches: Any = model(images())
    assert [branch.scores.shape for branch in branches] == [(6, 3)] * 3
    model.eval()
    for compares_necked in (True, False):
        model.compares_necked = compares_necked
        joined: Any = model(images())
        parts = model.branches(model.base(images()))
        expected = torch.cat([part.necked if compares_necked else part.features for part in parts], 1)
        assert torch.equal(joined, expected) and joined.shape == (6, model.channels) == (6, 512 + 512 + 8)
        assert all(part.scores is None for part in parts)
    moved = model(images(), torch.arange(12).reshape(6, 2) // 2)
    torch.testing.assert_close(moved[:, :512] - joined[:, :512], torch.arange(6.0)[:, None].expand(6, 512))


def test_the_cost_counts_what_evaluation_uses(model: ReIDModel) -> None:
    found = measure_work(model, (32, 16)).metrics
    backbone = sum(parameter.numel() for parameter in model.base.parameters())
    necks_and_linear = 2 * (512 + 512 + 8) + 512 * 8 + 8
    assert found["model/params_m"] == pytest.approx((backbone + necks_and_linear) / 1e6)
    plain = measure_work(build_model(config(HEAD="baseline"), 3), (32, 16)).metrics
    assert found["model/gmacs"] - plain["model/gmacs"] == pytest.approx(512 * 8 / 1e9)


def test_weights_of_other_identities_keep_the_new_classifiers(model: ReIDModel) -> None:
    weights = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    assert class_count(weights) == 3
    assert len([name for name in weights if is_of_classifier(name)]) == 3
    other = build_model(config(), 5)
    before = other.part.classifier.weight.clone()  # type: ignore[union-attr]
    assert load_reid_weights(other, weights, "x").endswith("with a new classifier for 5 identities")
    assert torch.equal(other.part.classifier.weight, before)  # type: ignore[union-attr, arg-type]
    assert not other.reduce.weight.any()  # type: ignore[union-attr, operator]


def test_branches_and_a_loss_of_the_users_learn_and_resume() -> None:
    cfg = config(
        ALSO_LOSSES=(f"{__file__}:Proxies", "center"),
        ALSO_LOSS_WEIGHTS=(0.5, 1e-3),
        BRANCH_WEIGHTS=(1.0, 0.5, 0.25),
        ID_LOSS_TYPE="cosface",
        CLIP_NORM=1e6,
    )
    torch.manual_seed(0)
    ours = Learner(cfg, build_model(cfg, 3), torch.device("cpu"), ProcessGroup())
    names = {"also1_0", "also1_1", "also1_2", "also2_0", "also2_1", "also2_2"}
    assert ours.optimizers.of_losses.keys() == names
    pids = torch.tensor([0, 0, 1, 1, 2, 2])
    ours.start_epoch(1)
    losses = [float(ours.train_batch(images(), pids, rate=0.02, last=True)[0]) for _ in range(6)]
    assert losses[-1] < losses[0]
    proxies = {name: value for name, value in ours.criterion.state_dict().items() if "also1" in name}
    # The third branch is not for losses over features.
    assert [bool(value.any()) for value in proxies.values()] == [True, True, False]
    other = Learner(cfg, build_model(cfg, 3), torch.device("cpu"), ProcessGroup())
    other.load(ours.state(), cfg)
    for learner in (ours, other):
        learner.start_epoch(2)
    steps = [learner.train_batch(images(), pids, rate=0.02, last=True)[0] for learner in (ours, other)]
    assert torch.equal(*steps)
    after = [learner.criterion.state_dict() for learner in (ours, other)]
    assert all(torch.equal(value, after[1][name]) for name, value in after[0].items())


def test_centers_of_older_checkpoints_are_read() -> None:
    cfg = config(HEAD="baseline", IF_WITH_CENTER="yes")
    ours = Learner(cfg, build_model(cfg, 3), torch.device("cpu"), ProcessGroup())
    state = ours.state()
    centers = torch.ones(3, 512)
    state["center"] = {"loss": {"centers": centers}, "optimizer": state["center"]["optimizers"]["center_0"]}
    ours.load(state, cfg)
    assert torch.equal(ours.criterion.state_dict()["losses.center_0.centers"], centers)


def test_a_head_without_scores_is_told() -> None:
    cfg = config(HEAD=f"{__file__}:Silent")
    cfg.DATALOADER.SAMPLER = "triplet"
    ours = Learner(cfg, build_model(cfg, 3), torch.device("cpu"), ProcessGroup())
    ours.start_epoch(1)
    with pytest.raises(TrainerError, match="no branch of the head has class scores"):
        ours.train_batch(images(), torch.tensor([0, 0, 1, 1, 2, 2]), rate=0.1, last=True)


def test_weights_for_another_number_of_branches_are_told_with_the_network() -> None:
    with pytest.raises(
        ConfigError, match=r"MODEL\.BRANCH_WEIGHTS: \[1\.0, 2\.0\] has 2 numbers; .*each of the 3 branches"
    ):
        build_model(config(BRANCH_WEIGHTS=(1.0, 2.0)), 3)


def test_this_file_is_found_by_its_path() -> None:
    assert Path(HEAD.rpartition(":")[0]).is_file()
