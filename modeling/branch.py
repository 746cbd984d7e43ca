"""One branch of a head: what the losses see of it, and what is compared in evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from modeling.precision import full_precision
from utils.errors import TrainerError


class Branch(NamedTuple):
    """Output of one branch of a head for a batch.

    Attributes:
        features: before the neck [B, D]; evaluation compares these or `necked`.
        necked: after the neck [B, D].
        scores: class scores [B, num_classes] for the identity loss; None in evaluation, and where a branch has none.
        for_pairs: whether the losses over pairs see this branch.
    """

    features: Tensor
    necked: Tensor
    scores: Tensor | None = None
    for_pairs: bool = True

    def for_losses(self, *, necked: bool) -> Branch:
        """Returns what the losses see, in float32 where autocast computed in 16 bits: `features` are those for the pairs.

        Args:
            necked: whether the losses over pairs see the features after the neck.
        """
        scores = None if self.scores is None else full_precision(self.scores)
        features = full_precision(self.necked if necked else self.features)
        return Branch(features, self.necked, scores, self.for_pairs)


def first_scores(branches: Sequence[Branch]) -> Tensor:
    """Returns the class scores [B, num_classes] that the accuracy is counted with: the first there are.

    Raises:
        TrainerError: no branch has scores.
    """
    for branch in branches:
        if branch.scores is not None:
            return branch.scores
    raise TrainerError("nothing can be trained: no branch of the head has class scores")
