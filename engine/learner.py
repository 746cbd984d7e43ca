"""Training steps of a model: forward, loss, backward and optimizer, with all the state that a step changes."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from yacs.config import CfgNode

from engine.averaging import WeightAverage
from engine.distributed import ProcessGroup, synchronise_batch_norm
from engine.solver import build_optimizer, load_optimizer, set_learning_rate
from modeling.backbones.timm_models import TimmBackbone
from modeling.losses import build_center_loss, build_criterion, require_negatives
from modeling.model import ReIDModel

State = dict[str, Any]


class Learner:
    """Trains a model batch by batch; with a loaded state it continues exactly where that state was saved."""

    def __init__(self, cfg: CfgNode, model: ReIDModel, device: torch.device, group: ProcessGroup) -> None:
        self.cfg, self.device, self.group = cfg, device, group
        self.criterion = build_criterion(cfg)
        model.to(device)
        # Copied before the model is wrapped, compiled or given synchronised batch normalisation.
        self.average = WeightAverage(model, cfg.SOLVER.EMA_DECAY) if cfg.SOLVER.EMA_DECAY else None
        if group.size > 1 and cfg.MODEL.SYNC_BN:
            synchronise_batch_norm(model, device, of_timm=isinstance(model.base, TimmBackbone))
        self.model = model
        self.optimizer = build_optimizer(cfg, model)
        self.center = build_center_loss(cfg, model.num_classes, model.channels)
        self.center_optimizer: torch.optim.Optimizer | None = None
        if self.center is not None:
            self.center.to(device)
            self.center_optimizer = torch.optim.SGD(self.center.parameters(), lr=cfg.SOLVER.CENTER_LR)
        self.scaler = torch.amp.GradScaler(device.type, enabled=cfg.MODEL.PRECISION == "fp16")
        if cfg.MODEL.COMPILE:
            model.compile()
        self._backbone = [parameter for parameter in model.base.parameters() if parameter.requires_grad]
        self._frozen = False
        self._wrapped: nn.Module = model if group.size == 1 else self._wrap_distributed()
        self._accumulated = 0  # batches whose gradients are summed for the next step

    @property
    def eval_model(self) -> ReIDModel:
        """Model to evaluate: the averaged one where SOLVER.EMA_DECAY is set."""
        return self.model if self.average is None else self.average.model  # type: ignore[return-value]

    @property
    def between_steps(self) -> bool:
        """Tells whether the state is complete: no accumulated gradients wait for a step."""
        return self._accumulated == 0

    def start_epoch(self, epoch: int) -> None:
        """Switches to training mode; freezes or unfreezes the backbone as SOLVER.FREEZE_EPOCHS says."""
        frozen = epoch <= self.cfg.SOLVER.FREEZE_EPOCHS
        if frozen != self._frozen:
            for parameter in self._backbone:
                parameter.requires_grad_(not frozen)
            self._frozen = frozen
            if self.group.size > 1:
                self._wrapped = self._wrap_distributed()  # looks once at which parameters are trained
        self.model.train()
        if frozen:
            self.model.base.eval()

    def train_batch(self, images: Tensor, pids: Tensor, *, rate: float, last: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Trains on this process's shard of a batch.

        Args:
            images: [b, 3, H, W].
            pids: classes [b], on the host.
            rate: the learning rate.
            last: whether the batch is the epoch's last, so that accumulated gradients are stepped with.
        Returns:
            Loss, class scores [B, C] and classes [B] of the whole batch, on the device.
        """
        if self.criterion.pairs == "triplet" and self.group.size == 1:
            require_negatives(pids)
        set_learning_rate(self.optimizer, rate)
        every = self.cfg.SOLVER.ACCUMULATE
        if self._accumulated == 0:
            self.optimizer.zero_grad(set_to_none=True)
            if self.center_optimizer is not None:
                self.center_optimizer.zero_grad(set_to_none=True)
        self._accumulated += 1
        step = last or self._accumulated == every
        images = images.to(self.device, non_blocking=True)
        pids = self.group.all_gather_batch(pids.to(self.device, non_blocking=True))
        wrapped = self._wrapped
        no_sync = isinstance(wrapped, DistributedDataParallel) and not step
        with wrapped.no_sync() if no_sync else nullcontext():  # type: ignore[operator]
            scores, features = wrapped(images)
            if scores.dtype == self.model.autocast:
                scores = scores.float()
            scores, features = self.group.all_gather_batch(scores), self.group.all_gather_batch(features)
            loss = self.criterion(scores, features, pids)
            if self.center is not None:
                loss = loss + self.cfg.SOLVER.CENTER_LOSS_WEIGHT * self.center(features, pids)
            torch.autograd.backward(self.scaler.scale(loss / every))
        if step:
            self._step(every)
        return loss.detach(), scores.detach(), pids

    def _step(self, every: int) -> None:
        """Steps the optimizers with the gradients of the accumulated batches, each divided by `every`."""
        solver = self.cfg.SOLVER
        optimizers = [self.optimizer] + ([self.center_optimizer] if self.center_optimizer is not None else [])
        for optimizer in optimizers:
            # An epoch's last step may be of fewer batches than the gradients were divided by.
            extra = every / self._accumulated
            if optimizer is self.center_optimizer:
                extra /= solver.CENTER_LOSS_WEIGHT  # the weight is for the features only, as in the original
            if extra != 1 or solver.CLIP_NORM:
                self.scaler.unscale_(optimizer)
            gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            if extra != 1:
                torch._foreach_mul_(gradients, extra)
            if solver.CLIP_NORM and optimizer is self.optimizer:
                nn.utils.clip_grad_norm_(self.model.parameters(), solver.CLIP_NORM)
            self.scaler.step(optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update(self.model)
        self._accumulated = 0

    def agree_on_buffers(self) -> None:
        """Takes rank 0's buffers in every process, before an evaluation.

        Running statistics differ where each process normalises alone (MODEL.SYNC_BN False). Rank 0's are those that a
        checkpoint holds, and that DistributedDataParallel takes at the start of a step.
        """
        models = [self.model] if self.average is None else [self.model, self.average.model]
        self.group.broadcast_tensors([buffer for model in models for buffer in model.buffers()])

    def state(self) -> State:
        """Returns the state for a checkpoint, as tensors and plain numbers."""
        centers = {}
        if self.center is not None and self.center_optimizer is not None:
            centers = {"loss": self.center.state_dict(), "optimizer": self.center_optimizer.state_dict()}
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.average.state() if self.average is not None else {},
            "scaler": self.scaler.state_dict(),
            "center": centers,
        }

    def load(self, state: State, saved: CfgNode) -> None:
        """Restores what `state` returned; of the optimizers the momenta and counters.

        Args:
            state: the state.
            saved: the configuration that it was saved with; where it differs, this run's counts.
        """
        self.model.load_state_dict(state["model"])
        load_optimizer(self.optimizer, state["optimizer"], saved=saved, cfg=self.cfg, model=self.model)
        if self.average is not None:
            self.average.load(state["ema"])
        self.scaler.load_state_dict(state["scaler"])
        if self.center is not None and self.center_optimizer is not None:
            self.center.load_state_dict(state["center"]["loss"])
            groups = self.center_optimizer.state_dict()["param_groups"]
            self.center_optimizer.load_state_dict({**state["center"]["optimizer"], "param_groups": groups})

    def _wrap_distributed(self) -> DistributedDataParallel:
        """Wraps the model so that its gradients are averaged over all processes."""
        return DistributedDataParallel(
            self.model,
            device_ids=[self.device] if self.device.type == "cuda" else None,
            # The classifier without an identity loss; parts of timm's networks that their features do not need.
            find_unused_parameters=not self.criterion.identity or isinstance(self.model.base, TimmBackbone),
        )


def set_arithmetic(cfg: CfgNode) -> None:
    """Chooses the fastest or, by SOLVER.DETERMINISTIC, the bit-for-bit repeatable algorithms, for this process."""
    deterministic = cfg.SOLVER.DETERMINISTIC
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
