from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from configs.defaults import _C
from engine.distributed import ProcessGroup
from engine.learner import Learner, set_arithmetic
from modeling.branch import Branch
from modeling.losses.center import CenterLoss
from modeling.model import build_model

RATE = 0.1
CPU = torch.device("cpu")


def learner(**settings: object) -> Learner:
    """Plain SGD on a small network; `settings` are of SOLVER, or of MODEL where that has them."""
    cfg = _C.clone()
    cfg.MODEL.NAME, cfg.MODEL.PRETRAIN_CHOICE = "resnet18", "none"
    cfg.SOLVER.update(OPTIMIZER_NAME="SGD", MOMENTUM=0.0, WEIGHT_DECAY=0.0, WEIGHT_DECAY_BIAS=0.0)
    for key, value in settings.items():
        (cfg.MODEL if key in cfg.MODEL else cfg.SOLVER)[key] = value
    torch.manual_seed(0)
    return Learner(cfg, build_model(cfg, 4), CPU, ProcessGroup())


def batches(number: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    pids = torch.tensor([0, 0, 1, 1, 3, 3])
    return [(torch.randn(6, 3, 32, 16, generator=generator), pids) for _ in range(number)]


def train(ours: Learner, number: int, epoch: int = 1) -> None:
    ours.start_epoch(epoch)
    for index, (images, pids) in enumerate(batches(number)):
        ours.train_batch(images, pids, rate=RATE, last=index + 1 == number)


def weights(ours: Learner) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in ours.model.state_dict().items()}


def test_accumulated_batches_step_by_their_mean_gradient_also_the_last_few() -> None:
    ours = learner(ACCUMULATE=2)
    other = copy.deepcopy(ours.model)
    train(ours, 3)
    other.train()
    for group in (batches(3)[:2], batches(3)[2:]):
        loss = sum(ours.criterion(other(images), pids) for images, pids in group) / len(group)
        gradients = torch.autograd.grad(loss, [p for p in other.parameters() if p.requires_grad])
        with torch.no_grad():
            for parameter, gradient in zip((p for p in other.parameters() if p.requires_grad), gradients, strict=True):
                parameter -= RATE * gradient
    for name, value in other.state_dict().items():
        torch.testing.assert_close(ours.model.state_dict()[name], value, rtol=1e-4, atol=1e-5)
    assert ours.between_steps


def test_gradients_wait_between_the_batches_of_a_step() -> None:
    ours = learner(ACCUMULATE=2)
    before = weights(ours)
    ours.start_epoch(1)
    images, pids = batches(1)[0]
    ours.train_batch(images, pids, rate=RATE, last=False)
    assert not ours.between_steps
    assert torch.equal(ours.model.classifier.weight, before["classifier.weight"])
    ours.train_batch(images, pids, rate=RATE, last=False)
    assert ours.between_steps
    assert not torch.equal(ours.model.classifier.weight, before["classifier.weight"])


def test_a_long_gradient_is_shortened() -> None:
    steps = []
    for clip in (0.0, 0.5):
        ours = learner(CLIP_NORM=clip)
        before = dict(ours.model.named_parameters())
        before = {name: parameter.detach().clone() for name, parameter in before.items()}
        train(ours, 1)
        steps.append({name: (before[name] - p.detach()) / RATE for name, p in ours.model.named_parameters()})
    free, clipped = (torch.cat([step.flatten() for step in by_name.values()]) for by_name in steps)
    assert free.norm() > 1
    assert float(clipped.norm()) == pytest.approx(0.5, rel=1e-3)
    torch.testing.assert_close(clipped / clipped.norm(), free / free.norm(), rtol=1e-3, atol=1e-4)


def test_averaged_weights_follow_and_are_evaluated() -> None:
    ours = learner(EMA_DECAY=0.25)
    expected = weights(ours)
    ours.start_epoch(1)
    for step, (images, pids) in enumerate(batches(3), start=1):
        ours.train_batch(images, pids, rate=RATE, last=False)
        decay = min(0.25, (1 + step) / (10 + step))
        for name, value in ours.model.state_dict().items():
            average = decay * expected[name] + (1 - decay) * value if value.is_floating_point() else value
            expected[name] = average.clone()
    averaged = ours.eval_model.state_dict()
    for name, value in expected.items():
        torch.testing.assert_close(averaged[name], value)
    assert not torch.equal(averaged["classifier.weight"], ours.model.classifier.weight)
    assert not ours.eval_model.training
    assert learner().eval_model.training  # the model itself


@pytest.mark.parametrize("weight", [0.0005, 0.2])
def test_centers_learn_at_their_own_rate_whatever_their_losss_weight(weight: float) -> None:
    ours = learner(IF_WITH_CENTER="yes", CENTER_LOSS_WEIGHT=weight, CENTER_LR=0.5)
    center = ours.criterion.losses["center_0"]
    assert isinstance(center, CenterLoss)
    before = center.centers.detach().clone()
    model = copy.deepcopy(ours.model).train()
    images, pids = batches(1)[0]
    features = model(images)[0].features.detach()
    train(ours, 1)
    # The mean over six images of (f - c)^2 pulls each of a class's two images by 2 (c - f) / 6.
    pull = torch.zeros_like(before).index_add_(0, pids, 2 * (before[pids] - features) / 6)
    torch.testing.assert_close(center.centers.detach(), before - 0.5 * pull, rtol=1e-4, atol=1e-5)
    assert torch.equal(center.centers[2], before[2])  # a class not in the batch


def test_center_loss_reaches_the_network_with_its_weight() -> None:
    losses = {}
    for weight in (1e-6, 1.0):
        ours = learner(IF_WITH_CENTER="yes", CENTER_LOSS_WEIGHT=weight)
        ours.start_epoch(1)
        images, pids = batches(1)[0]
        losses[weight] = float(ours.train_batch(images, pids, rate=RATE, last=True)[0])
    assert losses[1.0] > losses[1e-6] + 100  # squared distances to centers in 512 dimensions


def test_a_frozen_backbone_stays_as_it_is_and_thaws() -> None:
    ours = learner(FREEZE_EPOCHS=2)
    before = weights(ours)
    for epoch in (1, 2):
        train(ours, 1, epoch)
    after = weights(ours)
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert "classifier.weight" in changed
    assert not {name for name in changed if name.startswith("base.")}  # running statistics neither
    train(ours, 1, epoch=3)
    assert not torch.equal(ours.model.state_dict()["base.conv1.weight"], before["base.conv1.weight"])
    assert not torch.equal(ours.model.state_dict()["base.bn1.running_mean"], before["base.bn1.running_mean"])


def test_a_backbone_thaws_within_an_epoch_between_two_steps() -> None:
    ours = learner(FREEZE_ITERS=3, ACCUMULATE=2)
    before = weights(ours)
    images, pids = batches(1)[0]
    thawed = []
    for epoch, number in ((1, 3), (2, 4)):  # steps after the batches 2 and 3; then after 5 and 7
        ours.start_epoch(epoch)
        for batch in range(number):
            ours.train_batch(images, pids, rate=RATE, last=batch + 1 == number)
            after = weights(ours)
            changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
            thawed.append(("base.conv1.weight" in changed, "base.bn1.running_mean" in changed))
            assert ("classifier.weight" in changed) == (epoch > 1 or batch > 0)
    # From the fourth batch on its statistics follow, and its weights with the step after the fifth.
    assert thawed == [(False, False)] * 3 + [(False, True)] + [(True, True)] * 3


@pytest.mark.parametrize(("done", "frozen"), [(0, True), (6, True), (7, False)])
def test_a_resumed_run_is_frozen_as_long_as_the_whole_one(done: int, frozen: bool) -> None:
    ours = learner(FREEZE_ITERS=8)
    ours.start_epoch(2, done)
    before = weights(ours)
    images, pids = batches(1)[0]
    for _batch in range(2):
        ours.train_batch(images, pids, rate=RATE, last=False)
    assert torch.equal(ours.model.state_dict()["base.conv1.weight"], before["base.conv1.weight"]) == frozen


def test_the_losses_over_pairs_may_see_features_after_the_neck() -> None:
    images, pids = batches(1)[0]
    found = {}
    for place in ("before", "after"):
        ours = learner(METRIC_FEAT=place, ID_LOSS_WEIGHT=0.0)
        ours.start_epoch(1)
        pooled = ours.model.base.train()(images).mean((2, 3))
        # Batch normalisation with weight 1 and bias 0, as the neck begins.
        necked = (pooled - pooled.mean(0)) / (pooled.var(0, unbiased=False) + 1e-5).sqrt()
        expected = ours.criterion([Branch(pooled if place == "before" else necked, necked)], pids)
        found[place] = ours.train_batch(images, pids, rate=RATE, last=True)[0]
        torch.testing.assert_close(found[place], expected.detach(), rtol=1e-4, atol=1e-4)
    assert float(found["before"]) != pytest.approx(float(found["after"]), rel=0.01)


def test_fp16_passes_over_a_step_with_infinite_gradients() -> None:
    ours = learner(PRECISION="fp16", CLIP_NORM=1.0)
    train(ours, 1)
    before, scale = (
        dict(ours.model.named_parameters())["base.conv1.weight"].detach().clone(),
        ours.optimizers.scaler.get_scale(),
    )
    images, pids = batches(1)[0]
    ours.train_batch(images * torch.inf, pids, rate=RATE, last=True)
    assert torch.equal(ours.model.base.conv1.weight, before)  # type: ignore[union-attr, arg-type]
    assert ours.optimizers.scaler.get_scale() == scale / 2


@pytest.mark.parametrize("precision", ["fp32", "bf16", pytest.param("fp16", marks=pytest.mark.slow)])
def test_every_precision_learns(precision: str) -> None:
    ours = learner(PRECISION=precision)
    images, pids = batches(1)[0]
    ours.start_epoch(1)
    losses = [float(ours.train_batch(images, pids, rate=0.02, last=True)[0]) for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]
    assert all(parameter.dtype == torch.float32 for parameter in ours.model.parameters())


@pytest.mark.parametrize(
    "kind", ["cosface", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("arcface", "circle"))]
)
def test_every_head_learns(kind: str) -> None:
    ours = learner(ID_LOSS_TYPE=kind, METRIC_LOSS_TYPE="circle", CIRCLE_SCALE=16.0, POOLING="gem")
    images, pids = batches(1)[0]
    ours.start_epoch(1)
    losses = [float(ours.train_batch(images, pids, rate=0.01, last=True)[0]) for _ in range(8)]
    assert losses[-1] < losses[0]


@pytest.fixture
def arithmetic() -> Iterator[None]:
    yield
    set_arithmetic(_C)


@pytest.mark.usefixtures("arithmetic")
def test_the_deterministic_mode_is_a_switch() -> None:
    cfg = _C.clone()
    for cfg.SOLVER.DETERMINISTIC in (True, False):
        set_arithmetic(cfg)
        assert torch.are_deterministic_algorithms_enabled() is cfg.SOLVER.DETERMINISTIC
        assert torch.backends.cudnn.benchmark is not cfg.SOLVER.DETERMINISTIC


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on CPUs")
def test_a_compiled_network_learns_the_same() -> None:
    plain, compiled = learner(), learner(COMPILE=True)
    losses = []
    for ours in (plain, compiled):
        ours.start_epoch(1)
        losses.append([float(ours.train_batch(*batch, rate=0.01, last=True)[0]) for batch in batches(3)])
    assert list(compiled.model.state_dict()) == list(plain.model.state_dict())
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)
