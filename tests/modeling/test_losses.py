from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from configs.defaults import _C
from modeling.losses import Criterion, batch_hard_triplet_loss, build_criterion, require_negatives


def triplet_by_the_book(features: Tensor, pids: list[int], margin: float) -> Tensor:
    """Every anchor's farthest positive and nearest negative, one pair at a time."""
    terms = []
    for anchor, pid in zip(features, pids, strict=True):
        distances = [(anchor - other).pow(2).sum().clamp(min=1e-12).sqrt() for other in features]
        positive = max(d for d, other in zip(distances, pids, strict=True) if other == pid)
        negative = min(d for d, other in zip(distances, pids, strict=True) if other != pid)
        gap = positive - negative
        terms.append(torch.log1p(gap.exp()) if margin == 0 else (gap + margin).clamp(min=0))
    return torch.stack(terms).mean()


@pytest.mark.parametrize("margin", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("pids", [[1, 1, 2, 2, 3, 3], [5, 5, 5, 5, 9, 7]], ids=["equal counts", "unequal counts"])
def test_triplet_and_its_gradient_are_by_the_book(margin: float, pids: list[int]) -> None:
    values = torch.randn(6, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    gradients, losses = [], []
    for loss in (
        lambda f: batch_hard_triplet_loss(f, torch.tensor(pids), margin),
        lambda f: triplet_by_the_book(f, pids, margin),
    ):
        features = values.clone().requires_grad_()
        losses.append(loss(features))
        torch.autograd.backward(losses[-1])
        gradients.append(features.grad)
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_triplet_of_a_worked_example() -> None:
    # On a line: anchors 0 and 1 of identity 7, 3 of identity 8. Farthest positives 1, 1, 0; nearest negatives 3, 2, 2.
    features = torch.tensor([[0.0], [1.0], [3.0]])
    loss = batch_hard_triplet_loss(features, torch.tensor([7, 7, 8]), margin=1.5)
    assert float(loss) == pytest.approx((0 + 0.5 + 0) / 3, abs=1e-5)
    soft = batch_hard_triplet_loss(features, torch.tensor([7, 7, 8]), margin=0)
    expected = sum(math.log1p(math.exp(gap)) for gap in (-2, -1, -2)) / 3
    assert float(soft) == pytest.approx(expected, abs=1e-5)


def test_equal_features_have_a_finite_gradient() -> None:
    features = torch.ones(4, 3, requires_grad=True)
    torch.autograd.backward(batch_hard_triplet_loss(features, torch.tensor([1, 1, 2, 2]), 0.3))
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()


def test_a_batch_of_one_identity_is_an_error() -> None:
    require_negatives(torch.tensor([1, 1, 2]))
    with pytest.raises(ValueError, match="identity 4 only"):
        require_negatives(torch.tensor([4, 4, 4]))


def test_label_smoothing_spreads_epsilon_over_all_classes() -> None:
    scores = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    log_probabilities = scores.log_softmax(1)[0]
    targets = torch.tensor([0.1 / 4, 0.9 + 0.1 / 4, 0.1 / 4, 0.1 / 4])
    smooth = Criterion(identity=True, triplet=False, smoothing=0.1, margin=0.3)
    plain = Criterion(identity=True, triplet=False, smoothing=0.0, margin=0.3)
    features, pids = torch.zeros(1, 2), torch.tensor([1])
    assert float(smooth(scores, features, pids)) == pytest.approx(float(-(targets * log_probabilities).sum()))
    assert float(plain(scores, features, pids)) == pytest.approx(float(-log_probabilities[1]))


@pytest.mark.parametrize(
    ("sampler", "identity", "triplet"),
    [("softmax", True, False), ("triplet", False, True), ("softmax_triplet", True, True)],
)
@pytest.mark.parametrize(("label_smoothing", "smoothing"), [("on", 0.1), ("off", 0.0)])
def test_the_sampler_chooses_the_losses(
    sampler: str, identity: bool, triplet: bool, label_smoothing: str, smoothing: float
) -> None:
    cfg = _C.clone()
    cfg.DATALOADER.SAMPLER, cfg.MODEL.IF_LABELSMOOTH, cfg.SOLVER.MARGIN = sampler, label_smoothing, 0.7
    assert build_criterion(cfg) == Criterion(identity, triplet, smoothing, 0.7)


def test_losses_are_added() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, features = torch.randn(4, 3, generator=generator), torch.randn(4, 5, generator=generator)
    pids = torch.tensor([0, 0, 1, 2])
    parts = [Criterion(identity, not identity, 0.1, 0.3)(scores, features, pids) for identity in (True, False)]
    assert all(part > 0 for part in parts)
    torch.testing.assert_close(Criterion(True, True, 0.1, 0.3)(scores, features, pids), parts[0] + parts[1])
