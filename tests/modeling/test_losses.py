from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from yacs.config import CfgNode

from configs.defaults import _C
from modeling.branch import Branch
from modeling.losses.center import CenterLoss
from modeling.losses.circle import PairwiseCircle, pairwise_circle_loss
from modeling.losses.criterion import Criterion, build_criterion
from modeling.losses.identity import ArcFace, Softmax, margin_logits
from modeling.losses.triplet import BatchHardTriplet, batch_hard_triplet_loss, require_negatives
from modeling.losses.weighted_triplet import weighted_triplet_loss
from modeling.settings import loss_problems
from utils.errors import ConfigError, TrainerError

Loss = Callable[[Tensor], Tensor]


def config(**settings: object) -> CfgNode:
    """Defaults with settings of MODEL, SOLVER or DATALOADER."""
    cfg = _C.clone()
    for key, value in settings.items():
        next(node for node in (cfg.MODEL, cfg.SOLVER, cfg.DATALOADER) if key in node)[key] = value
    return cfg


def criterion(**settings: object) -> Criterion:
    """The losses of a head with one branch of six numbers, for five classes."""
    return build_criterion(config(**settings), 5, [6])


def loss_of(made: Criterion, scores: Tensor, features: Tensor, pids: Tensor) -> Tensor:
    loss: Tensor = made([Branch(features, features, scores)], pids)
    return loss


def triplet_by_the_book(features: Tensor, pids: list[int], margin: float | None) -> Tensor:
    """Every anchor's farthest positive and nearest negative, one pair at a time."""
    terms = []
    for anchor, pid in zip(features, pids, strict=True):
        distances = [(anchor - other).pow(2).sum().clamp(min=1e-12).sqrt() for other in features]
        positive = max(d for d, other in zip(distances, pids, strict=True) if other == pid)
        negative = min(d for d, other in zip(distances, pids, strict=True) if other != pid)
        gap = positive - negative
        terms.append(torch.log1p(gap.exp()) if margin is None else (gap + margin).clamp(min=0))
    return torch.stack(terms).mean()


def assert_same_with_gradients(ours: Loss, theirs: Loss) -> Tensor:
    """Compares two losses of six features in float64, and their gradients; returns the features."""
    values = torch.randn(6, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    gradients, losses = [], []
    for loss in (ours, theirs):
        features = values.clone().requires_grad_()
        losses.append(loss(features))
        torch.autograd.backward(losses[-1])
        gradients.append(features.grad)
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(gradients[0], gradients[1])
    return features


@pytest.mark.parametrize("margin", [None, 0.3, 2.0])
@pytest.mark.parametrize("pids", [[1, 1, 2, 2, 3, 3], [5, 5, 5, 5, 9, 7]], ids=["equal counts", "unequal counts"])
def test_triplet_and_its_gradient_are_by_the_book(margin: float | None, pids: list[int]) -> None:
    assert_same_with_gradients(
        lambda f: batch_hard_triplet_loss(f, torch.tensor(pids), margin), lambda f: triplet_by_the_book(f, pids, margin)
    )


def weighted_triplet_by_the_book(features: Tensor, pids: list[int]) -> Tensor:
    """Weighted regularised triplet loss as Ye et al. (TPAMI 2021) write it, one pair at a time."""
    terms = []
    for anchor, pid in zip(features, pids, strict=True):
        distances = [(anchor - other).pow(2).sum().clamp(min=1e-12).sqrt() for other in features]
        positives = [d for d, other in zip(distances, pids, strict=True) if other == pid]
        negatives = [d for d, other in zip(distances, pids, strict=True) if other != pid]
        pull = sum(d * d.exp() for d in positives) / sum(d.exp() for d in positives)
        push = sum(d * (-d).exp() for d in negatives) / sum((-d).exp() for d in negatives)
        terms.append(torch.log1p((pull - push).exp()))
    return torch.stack(terms).mean()


@pytest.mark.parametrize("pids", [[1, 1, 2, 2, 3, 3], [5, 5, 5, 5, 9, 7]], ids=["equal counts", "unequal counts"])
def test_weighted_triplet_and_its_gradient_are_by_the_book(pids: list[int]) -> None:
    features = assert_same_with_gradients(
        lambda f: weighted_triplet_loss(f, torch.tensor(pids)), lambda f: weighted_triplet_by_the_book(f, pids)
    )
    assert torch.autograd.gradcheck(lambda f: weighted_triplet_loss(f, torch.tensor(pids)), (features,))


def test_weighted_triplet_of_a_worked_example() -> None:
    # On a line: anchors 0 and 1 of identity 7, 3 of identity 8. The anchor at 3 has no other positive than itself.
    features = torch.tensor([[0.0], [1.0], [3.0]])
    e = math.e
    pull = e / (1 + e)
    negatives = (3 * e**-3 + 2 * e**-2) / (e**-3 + e**-2)
    expected = sum(math.log1p(math.exp(gap)) for gap in (pull - 3, pull - 2, 0 - negatives)) / 3
    assert float(weighted_triplet_loss(features, torch.tensor([7, 7, 8]))) == pytest.approx(expected, abs=1e-5)


def test_weighted_triplet_of_far_features_is_finite_and_counts_the_nearest_negative() -> None:
    features = torch.tensor([[0.0], [0.0], [200.0], [900.0]], requires_grad=True)
    loss = weighted_triplet_loss(features, torch.tensor([1, 1, 1, 2]))
    torch.autograd.backward(loss)
    expected = (math.log1p(math.exp(200 - 900)) * 2 + math.log1p(math.exp(200 - 700)) + 0) / 4
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-6)
    assert features.grad is not None and torch.isfinite(features.grad).all()


def test_weighted_triplet_is_chosen_and_refuses_one_identity() -> None:
    made = criterion(METRIC_LOSS_TYPE="weighted_triplet", SAMPLER="triplet")
    features, pids = torch.randn(4, 6), torch.tensor([1, 1, 2, 2])
    torch.testing.assert_close(loss_of(made, torch.zeros(4, 5), features, pids), weighted_triplet_loss(features, pids))
    with pytest.raises(ValueError, match="a batch of 3 images has identity 4 only"):
        made.check(torch.tensor([4, 4, 4]))


def test_triplet_of_a_worked_example() -> None:
    # On a line: anchors 0 and 1 of identity 7, 3 of identity 8. Farthest positives 1, 1, 0; nearest negatives 3, 2, 2.
    features = torch.tensor([[0.0], [1.0], [3.0]])
    loss = batch_hard_triplet_loss(features, torch.tensor([7, 7, 8]), margin=1.5)
    assert float(loss) == pytest.approx((0 + 0.5 + 0) / 3, abs=1e-5)
    soft = batch_hard_triplet_loss(features, torch.tensor([7, 7, 8]), margin=None)
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
    smooth, plain = Softmax(config(IF_LABELSMOOTH="on")), Softmax(config(IF_LABELSMOOTH="off"))
    features, pids = torch.zeros(1, 2), torch.tensor([1])
    assert float(smooth(scores, features, pids)) == pytest.approx(float(-(targets * log_probabilities).sum()))
    assert float(plain(scores, features, pids)) == pytest.approx(float(-log_probabilities[1]))
    targets = torch.tensor([0.3 / 4, 0.7 + 0.3 / 4, 0.3 / 4, 0.3 / 4])
    more = Softmax(config(IF_LABELSMOOTH="on", LABEL_SMOOTHING=0.3))
    assert float(more(scores, features, pids)) == pytest.approx(float(-(targets * log_probabilities).sum()))


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
    made = criterion(
        SAMPLER=sampler,
        IF_LABELSMOOTH=label_smoothing,
        MARGIN=0.7,
        METRIC_LOSS_TYPE=metric,
        IF_WITH_CENTER="yes" if "center" in metric else "no",
        ID_LOSS_TYPE=identity or "softmax",
        COSINE_MARGIN=0.4,
        COSINE_SCALE=20.0,
        CIRCLE_MARGIN=0.2,
        CIRCLE_SCALE=64.0,
    )
    found = {term.name: term.loss for term in made.terms}
    assert ("identity" in found, "metric" in found, "center" in found) == (
        bool(identity),
        bool(pairs),
        "center" in metric,
    )
    assert made.uses_scores is bool(identity)
    if identity:
        arcface = found["identity"]
        assert isinstance(arcface, ArcFace)
        assert (arcface.smoothing, arcface.margin, arcface.scale) == (smoothing, 0.4, 20.0)
    if pairs == "triplet":
        assert isinstance(found["metric"], BatchHardTriplet) and found["metric"].margin == 0.7
    elif pairs:
        circle = found["metric"]
        assert isinstance(circle, PairwiseCircle) and (circle.margin, circle.scale) == (0.2, 64.0)


def test_the_losses_settings_are_those_of_the_papers() -> None:
    """Bag of Tricks: margin 0.3; ArcFace: margin 0.5; circle loss: 0.25 and 128 for persons."""
    cfg = config(SAMPLER="softmax_triplet", IF_LABELSMOOTH="off")
    softmax, triplet = (term.loss for term in build_criterion(cfg, 5, [6]).terms)
    assert isinstance(softmax, Softmax) and softmax.smoothing == 0.0 and not softmax.takes_cosines
    assert isinstance(triplet, BatchHardTriplet) and triplet.margin == 0.3
    assert Softmax(config()).smoothing == 0.1
    assert (ArcFace(cfg).margin, ArcFace(cfg).scale) == (0.5, 30.0)
    assert (PairwiseCircle(cfg).margin, PairwiseCircle(cfg).scale) == (0.25, 128.0)


def test_the_soft_margin_has_a_key_of_its_own() -> None:
    features, scores, _centers, pids = generated()
    soft = BatchHardTriplet(config(NO_MARGIN=True))(scores, features, pids)
    torch.testing.assert_close(soft, batch_hard_triplet_loss(features, pids, None))
    told = ["SOLVER.MARGIN: 0 is not allowed; MODEL.NO_MARGIN True chooses the soft margin, which 0 once did"]
    assert list(loss_problems(config(MARGIN=0.0), True)) == told
    assert not [*loss_problems(config(MARGIN=0.0), False), *loss_problems(config(MARGIN=0.0, NO_MARGIN=True), True)]


def test_the_configuration_chooses_the_center_loss() -> None:
    assert not list(criterion(IF_WITH_CENTER="no").parameters())
    made = criterion(IF_WITH_CENTER="yes", CENTER_LOSS_WEIGHT=0.25, CENTER_LR=0.125)
    [(name, weight, optimizer)] = made.optimizers()
    assert (name, weight, optimizer.param_groups[0]["lr"]) == ("center_0", 0.25, 0.125)
    [centers] = optimizer.param_groups[0]["params"]
    assert centers.shape == (5, 6)
    assert list(made.state_dict()) == ["losses.center_0.centers"]


def test_losses_are_added() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, features = torch.randn(4, 3, generator=generator), torch.randn(4, 5, generator=generator)
    pids = torch.tensor([0, 0, 1, 2])
    both = config(IF_LABELSMOOTH="off")
    parts = [loss(both)(scores, features, pids) for loss in (Softmax, BatchHardTriplet)]
    assert all(part > 0 for part in parts)
    torch.testing.assert_close(loss_of(build_criterion(both, 3, [5]), scores, features, pids), parts[0] + parts[1])
    circle = pairwise_circle_loss(features, pids, 0.25, 128.0)
    both.MODEL.METRIC_LOSS_TYPE = "circle"
    torch.testing.assert_close(loss_of(build_criterion(both, 3, [5]), scores, features, pids), parts[0] + circle)


def test_losses_and_branches_have_weights() -> None:
    cfg = config(ID_LOSS_WEIGHT=0.5, TRIPLET_LOSS_WEIGHT=3.0, BRANCH_WEIGHTS=(1.0, 0.25, 4.0))
    cfg.MODEL.update(ALSO_LOSSES=("circle", "center"), ALSO_LOSS_WEIGHTS=(1.0, 2.0), ALSO_LOSS_FACTOR=0.1)
    generator = torch.Generator().manual_seed(0)
    branches = [
        Branch(f := torch.randn(4, d, generator=generator), f, torch.randn(4, 3, generator=generator)) for d in (5, 2)
    ]
    branches.append(Branch(f := torch.randn(4, 4, generator=generator), f, for_pairs=False))
    pids = torch.tensor([0, 0, 1, 2])
    made = build_criterion(cfg, 3, [5, 2, 4])
    expected = torch.zeros(())
    for number, (branch, weight) in enumerate(zip(branches[:2], (1.0, 0.25), strict=True)):
        assert branch.scores is not None
        center = made.losses[f"also2_{number}"]
        expected = expected + weight * (
            0.5 * Softmax(cfg)(branch.scores, branch.features, pids)
            + 3 * batch_hard_triplet_loss(branch.features, pids, 0.3)
            + 0.1 * pairwise_circle_loss(branch.features, pids, 0.25, 128.0)
            + 0.2 * center(branch.scores, branch.features, pids)
        )
    torch.testing.assert_close(made(branches, pids), expected)
    assert {weight for _name, weight, _optimizer in made.optimizers()} == {0.2, 0.05, 0.8}


def test_a_weight_of_zero_leaves_a_loss_out() -> None:
    assert [term.name for term in criterion(ID_LOSS_WEIGHT=0.0).terms] == ["metric"]
    assert not criterion(ID_LOSS_WEIGHT=0.0).uses_scores
    assert {term.branch for term in build_criterion(config(BRANCH_WEIGHTS=(0.0, 1.0)), 5, [6, 6]).terms} == {1}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"TRIPLET_LOSS_WEIGHT": 0.0, "SAMPLER": "triplet"}, "DATALOADER.SAMPLER triplet leaves no loss to train with"),
        ({"BRANCH_WEIGHTS": (0.0,)}, r"MODEL.BRANCH_WEIGHTS: \[0.0\] leaves no loss"),
        (
            {"ALSO_LOSSES": ("circle",), "ALSO_LOSS_WEIGHTS": (1.0, 2.0)},
            r"MODEL.ALSO_LOSS_WEIGHTS: \[1.0, 2.0\] has 2 numbers",
        ),
        ({"METRIC_LOSS_TYPE": "center"}, "center needs MODEL.IF_WITH_CENTER yes"),
    ],
)
def test_settings_that_cannot_train_are_one_line(settings: dict[str, object], told: str) -> None:
    [problem] = loss_problems(config(**settings), True)
    assert re.search(told, problem)


def test_branches_that_do_not_fit_are_told() -> None:
    with pytest.raises(
        ConfigError, match=r"MODEL.BRANCH_WEIGHTS: \[1.0, 2.0\] has 2 numbers; give one, or .* the 1 branches"
    ):
        criterion(BRANCH_WEIGHTS=(1.0, 2.0))
    features = torch.zeros(2, 6)
    with pytest.raises(TrainerError, match="no branch of the head gives what a loss sees"):
        criterion(SAMPLER="softmax")([Branch(features, features)], torch.tensor([0, 1]))


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
        "soft triplet": lambda: batch_hard_triplet_loss(features, pids, None),
        "label smoothing": lambda: Softmax(config(IF_LABELSMOOTH="on"))(scores, features, pids),
        "center": lambda: center(None, features, pids),
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
    losses = {}
    for margin in (0.0, 0.3):
        cfg = config(ID_LOSS_TYPE="cosface", SAMPLER="softmax", IF_LABELSMOOTH="off", COSINE_MARGIN=margin)
        cfg.SOLVER.COSINE_SCALE = 10.0
        losses[margin] = loss_of(build_criterion(cfg, 3, [2]), cosines, features, pids)
    plain, harder = losses.values()
    torch.testing.assert_close(plain, torch.nn.functional.cross_entropy(10 * cosines, pids))
    assert float(harder) == pytest.approx(math.log1p(math.exp(-2) + math.exp(-5)), rel=1e-5)
