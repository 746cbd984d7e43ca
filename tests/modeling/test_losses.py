from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from configs.defaults import _C
from modeling.losses import (
    CenterLoss,
    Criterion,
    batch_hard_triplet_loss,
    build_center_loss,
    build_criterion,
    margin_logits,
    pairwise_circle_loss,
    require_negatives,
)


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
    require_negatives(torch.tensor([2, 1, 1]))
    with pytest.raises(ValueError, match="a batch of 3 images has identity 4 only"):
        require_negatives(torch.tensor([4, 4, 4]))
    with pytest.raises(ValueError, match="a batch of 1 images has identity 4 only"):
        require_negatives(torch.tensor([4]))


def test_label_smoothing_spreads_epsilon_over_all_classes() -> None:
    scores = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    log_probabilities = scores.log_softmax(1)[0]
    targets = torch.tensor([0.1 / 4, 0.9 + 0.1 / 4, 0.1 / 4, 0.1 / 4])
    smooth, plain = Criterion("softmax", smoothing=0.1), Criterion("softmax")
    features, pids = torch.zeros(1, 2), torch.tensor([1])
    assert float(smooth(scores, features, pids)) == pytest.approx(float(-(targets * log_probabilities).sum()))
    assert float(plain(scores, features, pids)) == pytest.approx(float(-log_probabilities[1]))


@pytest.mark.parametrize(
    ("sampler", "metric", "identity", "pairs"),
    [
        ("softmax", "triplet", "arcface", ""),
        ("triplet", "triplet", "", "triplet"),
        ("softmax_triplet", "triplet_center", "arcface", "triplet"),
        ("softmax_triplet", "circle", "arcface", "circle"),
        ("softmax_triplet", "center", "arcface", ""),
    ],
)
@pytest.mark.parametrize(("label_smoothing", "smoothing"), [("on", 0.1), ("off", 0.0)])
def test_the_configuration_chooses_the_losses(
    sampler: str, metric: str, identity: str, pairs: str, label_smoothing: str, smoothing: float
) -> None:
    cfg = _C.clone()
    cfg.DATALOADER.SAMPLER, cfg.MODEL.IF_LABELSMOOTH, cfg.SOLVER.MARGIN = sampler, label_smoothing, 0.7
    cfg.MODEL.METRIC_LOSS_TYPE, cfg.MODEL.ID_LOSS_TYPE = metric, "arcface"
    cfg.SOLVER.COSINE_MARGIN, cfg.SOLVER.COSINE_SCALE = 0.4, 20.0
    cfg.SOLVER.CIRCLE_MARGIN, cfg.SOLVER.CIRCLE_SCALE = 0.2, 64.0
    assert build_criterion(cfg) == Criterion(identity, pairs, smoothing, 0.7, 0.4, 20.0, 0.2, 64.0)


def test_the_losses_settings_are_those_of_the_papers() -> None:
    """Bag of Tricks: margin 0.3; ArcFace: margin 0.5; circle loss: 0.25 and 128 for persons."""
    cfg = _C.clone()
    cfg.DATALOADER.SAMPLER, cfg.MODEL.IF_LABELSMOOTH = "softmax_triplet", "off"
    criterion = build_criterion(cfg)
    assert criterion == Criterion("softmax", "triplet")
    assert (criterion.margin, criterion.cosine_margin, criterion.cosine_scale) == (0.3, 0.5, 30.0)
    assert (criterion.circle_margin, criterion.circle_scale, criterion.smoothing) == (0.25, 128.0, 0.0)


def test_the_configuration_chooses_the_center_loss() -> None:
    cfg = _C.clone()
    cfg.MODEL.IF_WITH_CENTER = "no"
    assert build_center_loss(cfg, 5, 6) is None
    cfg.MODEL.IF_WITH_CENTER = "yes"
    loss = build_center_loss(cfg, 5, 6)
    assert loss is not None and loss.centers.shape == (5, 6)


def test_losses_are_added() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, features = torch.randn(4, 3, generator=generator), torch.randn(4, 5, generator=generator)
    pids = torch.tensor([0, 0, 1, 2])
    parts = [criterion(scores, features, pids) for criterion in (Criterion("softmax"), Criterion(pairs="triplet"))]
    assert all(part > 0 for part in parts)
    torch.testing.assert_close(Criterion("softmax", "triplet")(scores, features, pids), parts[0] + parts[1])
    circle = pairwise_circle_loss(features, pids, 0.25, 128.0)
    torch.testing.assert_close(Criterion("softmax", "circle")(scores, features, pids), parts[0] + circle)


def generated() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, scores, centers and classes that any numpy draws alike."""
    rng = np.random.default_rng(11)
    features, scores, centers = (rng.standard_normal(shape).astype(np.float32) for shape in ((8, 6), (8, 5), (5, 6)))
    tensors = [torch.from_numpy(values).requires_grad_() for values in (features, scores, centers)]
    return *tensors, torch.tensor([0, 0, 1, 1, 3, 3, 4, 4])  # type: ignore[return-value]


# Computed with these losses once they agreed, to 2e-7, with reid-strong-baseline 3da7e6f on that project's own
# outputs: loss, then the norms of its gradients.
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("triplet", [1.641625, 0.7056128]),
        ("soft triplet", [1.63667, 0.5648063]),
        ("label smoothing", [2.237227, 0.3216576]),
        ("center", [9.258312, 2.151547, 2.59951]),
    ],
)
def test_losses_and_gradients_are_the_originals(name: str, expected: list[float]) -> None:
    features, scores, centers, pids = generated()
    center = CenterLoss(5, 6)
    center.centers.data = centers.detach()
    loss = {
        "triplet": lambda: batch_hard_triplet_loss(features, pids, 0.3),
        "soft triplet": lambda: batch_hard_triplet_loss(features, pids, 0.0),
        "label smoothing": lambda: Criterion("softmax", smoothing=0.1)(scores, features, pids),
        "center": lambda: center(features, pids),
    }[name]()
    torch.autograd.backward(loss)
    leaves = {"label smoothing": [scores], "center": [features, center.centers]}.get(name, [features])
    found = [float(loss.detach()), *[float(leaf.grad.norm()) for leaf in leaves if leaf.grad is not None]]
    assert found == pytest.approx(expected, rel=1e-5)


def test_circle_loss_is_equation_6_of_its_paper() -> None:
    features, _scores, _centers, pids = generated()
    unit = torch.nn.functional.normalize(features.detach().double())
    margin, gamma, terms = 0.25, 16.0, []
    for i in range(8):
        near = far = 0.0
        for j in range(8):
            s = float(unit[i] @ unit[j])
            if i != j and pids[i] == pids[j]:
                near += math.exp(-gamma * max(1 + margin - s, 0) * (s - (1 - margin)))
            elif pids[i] != pids[j]:
                far += math.exp(gamma * max(s + margin, 0) * (s - margin))
        terms.append(math.log(1 + near * far))
    loss = pairwise_circle_loss(features, pids, margin, gamma)
    assert float(loss.detach()) == pytest.approx(sum(terms) / 8, rel=1e-5)


def test_circle_loss_passes_over_an_identity_with_one_image() -> None:
    features = generated()[0]
    loss = pairwise_circle_loss(features, torch.tensor([0, 0, 0, 0, 1, 1, 1, 2]), 0.25, 128)
    torch.autograd.backward(loss)
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()


def test_margin_softmaxes_of_a_worked_example() -> None:
    cosines = torch.tensor([[0.6, 0.1, -0.2]])
    pids, margin, scale = torch.tensor([0]), 0.3, 10.0
    cosface = margin_logits("cosface", cosines, pids, margin, scale)
    arcface = margin_logits("arcface", cosines, pids, margin, scale)
    circle = margin_logits("circle", cosines, pids, margin, scale)
    assert cosface[0].tolist() == pytest.approx([3.0, 1.0, -2.0], abs=1e-5)
    assert arcface[0].tolist() == pytest.approx([10 * math.cos(math.acos(0.6) + 0.3), 1.0, -2.0], abs=1e-5)
    # 10 (1.3 - .6)(.6 - .7); 10 (.1 + .3)(.1 - .3); 10 (-.2 + .3)(-.2 - .3)
    assert circle[0].tolist() == pytest.approx([-0.7, -0.8, -0.5], abs=1e-5)
    # A negative farther away than -margin is past its optimum and no longer pushed.
    far = margin_logits("circle", torch.tensor([[0.6, -0.9]]), pids, margin, scale)
    assert far[0].tolist() == pytest.approx([-0.7, 0.0], abs=1e-5)


def test_arcface_goes_on_falling_where_the_angle_passes_pi() -> None:
    cosines = torch.linspace(-1, 1, 201)[:, None].requires_grad_()
    logits = margin_logits("arcface", cosines, torch.zeros(201, dtype=torch.int64), 0.5, 1.0)
    assert (logits.diff(dim=0) > 0).all()
    torch.autograd.backward(logits.sum())
    assert cosines.grad is not None
    assert torch.isfinite(cosines.grad).all()


def test_the_kind_of_identity_loss_reaches_the_loss() -> None:
    cosines = torch.tensor([[0.6, 0.1, -0.2]])
    features, pids = torch.zeros(1, 2), torch.tensor([0])
    plain, harder = (
        Criterion("cosface", cosine_margin=margin, cosine_scale=10.0)(cosines, features, pids) for margin in (0.0, 0.3)
    )
    torch.testing.assert_close(plain, torch.nn.functional.cross_entropy(10 * cosines, pids))
    assert float(harder) == pytest.approx(math.log1p(math.exp(-2) + math.exp(-5)), rel=1e-5)
