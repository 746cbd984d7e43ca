"""Loop of a head's preparation, the stage of training before the epochs, with all the state that it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from yacs.config import CfgNode

from data.loading import UNREADABLE
from engine.distributed import ProcessGroup
from engine.solver import cosine
from modeling.model import ReIDModel
from modeling.preparation import Preparation

State = dict[str, Any]


class PreparationLoop:
    """Trains a preparation step by step; with a loaded state it continues exactly where that state was saved.

    Every process makes every step, with all images of its batch, so that the result does not depend on their number.

    Args:
        cfg: the configuration, whose SOLVER.STAGE1 counts here.
        stage: is trained.
        device: computes.
        group: the processes.
    """

    def __init__(self, cfg: CfgNode, stage: Preparation, device: torch.device, group: ProcessGroup) -> None:
        self.cfg, self.device, self.group = cfg, device, group
        self.solver = cfg.SOLVER.STAGE1
        self.stage = stage.to(device)
        trained = [parameter for parameter in stage.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(
            trained, lr=self.solver.BASE_LR, weight_decay=self.solver.WEIGHT_DECAY, fused=True
        )
        self.scaler = torch.amp.GradScaler(device.type, enabled=cfg.MODEL.PRECISION == "fp16")
        self._features, self._pids = torch.empty(0), torch.empty(0, dtype=torch.int64)
        self._order = torch.empty(0, dtype=torch.int64)  # of the images in the epoch
        self._loss_sum, self._batches = torch.zeros((), device=device), 0

    @property
    def per_epoch(self) -> int:
        """Counts the batches of an epoch; the last may be smaller. 0 before the features are there."""
        return -(-len(self._pids) // int(self.solver.IMS_PER_BATCH))

    @property
    def total(self) -> int:
        """Counts the steps of all epochs."""
        return int(self.solver.MAX_EPOCHS * self.per_epoch)

    def place(self, steps: int) -> tuple[int, int]:
        """Returns the epoch, and the iteration in it, of the last of so many steps; both are counted from 1."""
        epoch, place = divmod(steps - 1, self.per_epoch)
        return epoch + 1, place + 1

    @torch.no_grad()
    def compute_features(
        self, model: ReIDModel, loader: Iterable[Any], check_stop: Callable[[], None]
    ) -> tuple[Tensor, Tensor]:
        """Computes the features of images with a network, which stays as it is.

        Args:
            model: the network.
            loader: batches as for evaluation, of this process's shard.
            check_stop: called after every batch; may raise.
        Returns:
            Features [N, D] and identities [N], in host memory.
        """
        was_training = model.training
        model.eval()
        features, pids = [], []
        for images, batch_pids, *_others in loader:
            features.append(self.stage.encode(model, images.to(self.device, non_blocking=True)).cpu())
            pids.append(batch_pids)
            check_stop()
        model.train(was_training)
        return torch.cat(features), torch.cat(pids)

    def keep(self, features: Tensor, pids: Tensor, counts: list[int]) -> None:
        """Keeps the features and identities of the images, but for unreadable ones, on every process.

        Args:
            features: [N, D], of this process's shard.
            pids: [N].
            counts: N of every process, by rank.
        """
        if self.group.size > 1:
            features, pids = (self.group.all_gather_rows(rows, counts) for rows in (features, pids))
        readable = pids != UNREADABLE
        self._features, self._pids = features[readable].to(self.device), pids[readable].to(self.device)

    def step(self, number: int) -> None:
        """Makes step `number`, counted from 0, on a batch that the seed, the epoch and its place there decide."""
        epoch, iteration = self.place(number + 1)
        if iteration == 1:
            self._loss_sum, self._batches = torch.zeros((), device=self.device), 0
            self._order = self._shuffled(epoch)
        self.optimizer.param_groups[0]["lr"] = self.rate(epoch)
        batch = self._order[(iteration - 1) * self.solver.IMS_PER_BATCH :][: self.solver.IMS_PER_BATCH]
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.stage.loss(self._features[batch], self._pids[batch])
        torch.autograd.backward(self.scaler.scale(loss))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._loss_sum += loss.detach()
        self._batches += 1

    def rate(self, epoch: int) -> float:
        """Computes the learning rate of an epoch, counted from 1: warm-up, then half a cosine over all epochs.

        The cosine has begun with the warm-up, and ends with the last epoch (Loshchilov and Hutter, ICLR 2017; with
        CLIP-ReID's warm-up).
        """
        solver = self.solver
        if epoch < solver.WARMUP_EPOCHS:
            return float(
                solver.WARMUP_LR_INIT + epoch / solver.WARMUP_EPOCHS * (solver.BASE_LR - solver.WARMUP_LR_INIT)
            )
        share = cosine(epoch + 1, start=0, end=solver.MAX_EPOCHS, minimum=0)
        return float(solver.LR_MIN + (solver.BASE_LR - solver.LR_MIN) * share)

    def mean_loss(self) -> float:
        """Returns the mean loss of the epoch's steps so far; waits for the device."""
        return float(self._loss_sum) / self._batches

    def finish(self, models: Iterable[ReIDModel]) -> None:
        """Puts the result, that of rank 0, into each of the models."""
        self.group.broadcast_tensors([parameter for parameter in self.stage.parameters() if parameter.requires_grad])
        for model in models:
            self.stage.finish(model)

    def state(self) -> State:
        """Returns the state for a checkpoint, as tensors and plain numbers."""
        return {
            "stage": self.stage.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "features": self._features,
            "pids": self._pids,
            "loss_sum": float(self._loss_sum),
            "batches": self._batches,
        }

    def load(self, state: State, number: int) -> None:
        """Restores what `state` returned before step `number`."""
        self.stage.load_state_dict(state["stage"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self._features, self._pids = state["features"].to(self.device), state["pids"].to(self.device)
        self._loss_sum.fill_(state["loss_sum"])
        self._batches = state["batches"]
        self._order = self._shuffled(self.place(number + 1)[0])

    def _shuffled(self, epoch: int) -> Tensor:
        """Draws the order of the images in an epoch, which the seed decides."""
        rng = np.random.default_rng([self.cfg.SOLVER.SEED, epoch])
        return torch.from_numpy(rng.permutation(len(self._pids))).to(self.device)
