"""Training loss: the losses of a configuration over the branches of a head, with their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from modeling.branch import Branch
from modeling.losses import ALSO_LOSSES, IDENTITY_LOSSES, METRIC_LOSSES
from modeling.settings import branch_weights
from utils.errors import ConfigError, TrainerError
from utils.families import Builder

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
IDENTITY = "identity"  # the name of the loss that sees scores


@dataclass(frozen=True)
class Term:
    """One loss of one branch in the sum, with its weight; `label` is its name in the log."""

    name: str
    label: str
    branch: int
    weight: float
    loss: Loss

    def sees(self, branch: Branch) -> bool:
        """Tells whether a branch gives this loss what it sees."""
        return branch.scores is not None if self.name == IDENTITY else branch.for_pairs


class Criterion(nn.Module):
    """Weighted sum of losses over branches; a Module, since losses may have parameters.

    Attributes:
        labels: names of the losses whose shares in the sum are logged; none where the sum is of the default two with weight 1.
        shares: of the last batch, the weighted loss of each label [len(labels)], on the device.
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        super().__init__()
        self.terms = tuple(terms)
        labels = tuple(dict.fromkeys(term.label for term in terms))
        weighted = any(term.weight != 1 for term in terms)
        self.labels = labels if len(labels) > 2 or (weighted and len(labels) > 1) else ()
        self.shares: Tensor | None = None
        self.losses = nn.ModuleDict(
            {f"{term.name}_{term.branch}": term.loss for term in terms if isinstance(term.loss, nn.Module)}
        )

    @property
    def uses_scores(self) -> bool:
        """Tells whether some loss sees class scores, so that classifiers are trained."""
        return any(term.name == IDENTITY for term in self.terms)

    def check(self, pids: Tensor) -> None:
        """Checks a batch's identities [B], on the host, for each loss.

        Raises:
            ValueError: a loss cannot be computed for such a batch.
        """
        for term in self.terms:
            if check := getattr(term.loss, "check", None):
                check(pids)

    def optimizers(self) -> Iterator[tuple[str, float, torch.optim.Optimizer]]:
        """Makes the optimizer of each loss with parameters; yields the loss's name, its weight, and the optimizer.

        Raises:
            ConfigError: a loss has parameters and no `make_optimizer`.
        """
        for term in self.terms:
            if isinstance(term.loss, nn.Module) and next(term.loss.parameters(), None) is not None:
                make: Any = getattr(term.loss, "make_optimizer", None)
                if make is None:
                    raise ConfigError(
                        f"the loss {type(term.loss).__name__} has parameters and no make_optimizer(), which makes their"
                        " optimizer"
                    )
                yield f"{term.name}_{term.branch}", term.weight, make()

    def forward(self, branches: Sequence[Branch], pids: Tensor) -> Tensor:
        """Computes the scalar loss of a batch.

        Args:
            branches: the head's output in training.
            pids: identities [B].
        Raises:
            TrainerError: no branch gives what a loss sees, or a loss is not one number.
        """
        total: Tensor | None = None
        device = branches[0].features.device
        shares = {label: torch.zeros((), device=device) for label in self.labels}
        for term in self.terms:
            branch = branches[term.branch]
            if term.sees(branch):
                loss = term.loss(branch.scores, branch.features, pids)  # type: ignore[arg-type]
                if isinstance(loss, Tensor) and loss.numel() != 1:
                    raise TrainerError(
                        f"the loss {term.label} gives a tensor of shape {list(loss.shape)}, not one number"
                    )
                loss = loss if term.weight == 1 else term.weight * loss
                total = loss if total is None else total + loss
                if shares:
                    share = torch.as_tensor(loss, dtype=torch.float32, device=device)
                    shares[term.label] = shares[term.label] + share.detach().sum()
        if total is None:
            raise TrainerError("nothing can be trained: no branch of the head gives what a loss sees")
        self.shares = torch.stack(list(shares.values())) if shares else None
        return total


def build_criterion(cfg: CfgNode, num_classes: int, widths: Sequence[int], own_terms: Sequence[Term] = ()) -> Criterion:
    """Builds the training loss: DATALOADER.SAMPLER chooses the losses, MODEL.*_LOSS_TYPE their kind.

    Args:
        cfg: the configuration.
        num_classes: number of training identities.
        widths: length D of the features of each branch.
        own_terms: the head's own, beside those.
    Raises:
        ConfigError: a loss cannot be built, or MODEL.BRANCH_WEIGHTS are not of this head.
    """
    factors = branch_weights(cfg, len(widths))
    losses = list(_losses(cfg))
    labels = _labels([kind for _, kind, _, _ in losses])
    return Criterion(
        [
            Term(name, label, branch, weight * factors[branch], builder(cfg, num_classes, width))
            for (name, _kind, weight, builder), label in zip(losses, labels, strict=True)
            for branch, width in enumerate(widths)
            if weight * factors[branch]
        ]
        + list(own_terms)
    )


def _labels(kinds: Sequence[str]) -> list[str]:
    """Makes a label of each kind of loss: of FILE.py:NAME the NAME; the second of a name is NAME_2."""
    labels: list[str] = []
    for kind in kinds:
        label, number = kind.rpartition(":")[2], 1
        while (numbered := f"{label}_{number}" if number > 1 else label) in labels:
            number += 1
        labels.append(numbered)
    return labels


def _losses(cfg: CfgNode) -> Iterator[tuple[str, str, float, Builder]]:
    """Yields name, kind (as a setting names it), weight and builder of each loss that a configuration chooses."""
    model, sampler = cfg.MODEL, cfg.DATALOADER.SAMPLER
    if "softmax" in sampler:
        yield IDENTITY, model.ID_LOSS_TYPE, model.ID_LOSS_WEIGHT, IDENTITY_LOSSES.builder(model.ID_LOSS_TYPE)
    if "triplet" in sampler and model.METRIC_LOSS_TYPE != "center":
        yield "metric", model.METRIC_LOSS_TYPE, model.TRIPLET_LOSS_WEIGHT, METRIC_LOSSES.builder(model.METRIC_LOSS_TYPE)
    if model.IF_WITH_CENTER == "yes":
        yield "center", "center", cfg.SOLVER.CENTER_LOSS_WEIGHT, ALSO_LOSSES.builder("center")
    for number, (name, weight) in enumerate(also_losses(cfg), start=1):
        yield f"also{number}", name, weight, ALSO_LOSSES.builder(name)


def also_losses(cfg: CfgNode) -> list[tuple[str, float]]:
    """Lists the further losses, MODEL.ALSO_LOSSES, with their weights."""
    names = [name for name in cfg.MODEL.ALSO_LOSSES if name]
    weights = [weight * cfg.MODEL.ALSO_LOSS_FACTOR for weight in cfg.MODEL.ALSO_LOSS_WEIGHTS]
    return list(zip(names, weights * len(names) if len(weights) == 1 else weights, strict=True))
