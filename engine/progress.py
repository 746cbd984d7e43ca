"""Progress of a training run: the place in it, the last results, and the running means of an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.checkpoint import State
from engine.evaluation.evaluate import Results


@dataclass
class Progress:
    """Progress of a run: `iteration` batches of `epoch`, which counts from 1, are trained on.

    An epoch ends after its evaluation, where one is due; the next then begins at iteration 0. Epoch 0 is the preparation of a
    head that has one; its iterations are the steps of all of that.
    """

    epoch: int = 1
    iteration: int = 0
    results: Results | None = None  # of the last evaluation

    @classmethod
    def from_state(cls, state: State) -> Progress:
        """Restores the progress from its dictionary in a checkpoint (`dataclasses.asdict`)."""
        return cls(state["epoch"], state["iteration"], state["results"] and Results(**state["results"]))

    def describe_place(self) -> str:
        """Writes which epoch, or iteration of an epoch, was trained last."""
        if self.epoch == 0:
            return f"after step {self.iteration} of the first stage"
        if self.iteration:
            return f"after iteration {self.iteration} of epoch {self.epoch}"
        return f"after epoch {self.epoch - 1}" if self.epoch > 1 else "before the first iteration"

    def is_complete(self, max_epochs: int) -> bool:
        """Tells whether nothing is left to train or to evaluate."""
        return self.epoch > max_epochs and self.results is not None and self.results.epoch == self.epoch - 1


class RunningMeans:
    """Running mean loss over an epoch's batches and accuracy over its images, summed on the device without a wait.

    Args:
        device: holds the sums.
        labels: names of the losses whose shares in the loss are averaged, too.
    """

    def __init__(self, device: torch.device, labels: Sequence[str] = ()) -> None:
        self.labels = list(labels)
        self.share_sums = torch.zeros(len(self.labels), device=device)
        self.share_batches = 0
        self.loss_sum = torch.zeros((), device=device)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)
        self.batches = 0
        self.images = 0

    def add(self, loss: Tensor, scores: Tensor, pids: Tensor, shares: Tensor | None = None) -> None:
        """Adds a batch's loss, class scores [B, C], identities [B] and each label's share in the loss."""
        if shares is not None:
            self.share_sums += shares
            self.share_batches += 1
        self.loss_sum += loss.detach()
        self.correct += (scores.detach().argmax(1) == pids).sum()
        self.batches += 1
        self.images += len(pids)

    def values(self) -> tuple[float, float]:
        """Returns mean loss and accuracy (0..1) so far; waits for the device."""
        return float(self.loss_sum) / self.batches, int(self.correct) / self.images

    def shares(self) -> dict[str, float]:
        """Returns each label's mean share in the loss so far; waits for the device."""
        sums = self.share_sums.tolist() if self.share_batches else []
        return {label: total / self.share_batches for label, total in zip(self.labels, sums, strict=False)}

    def state(self) -> State:
        """Returns the sums for a checkpoint, as plain numbers."""
        state = {
            "loss_sum": float(self.loss_sum),
            "correct": int(self.correct),
            "batches": self.batches,
            "images": self.images,
        }
        if not self.labels:
            return state
        shares = {"labels": self.labels, "sums": self.share_sums.tolist(), "batches": self.share_batches}
        return {**state, "shares": shares}

    def load(self, state: State) -> None:
        """Restores what `state` returned."""
        self.loss_sum.fill_(state["loss_sum"])
        self.correct.fill_(state["correct"])
        self.batches, self.images = state["batches"], state["images"]
        shares = state.get("shares")
        if shares and shares["labels"] == self.labels:  # else of other losses: the means begin with the next batch
            self.share_sums.copy_(torch.tensor(shares["sums"]))
            self.share_batches = shares["batches"]
