"""Training steps of a model: forward, loss, backward and optimizer, with all the state that a step changes."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor
from yacs.config import CfgNode

from engine.distributed import ProcessGroup, synchronise_batch_norm
from engine.steps.averaging import WeightAverage
from engine.steps.graphs import GraphedModel, obstacle_to_graphs
from engine.steps.optimizers import Accumulation, Optimizers
from engine.steps.parallel import ShardedModel, trains_every_parameter
from modeling.branch import first_scores
from modeling.losses.criterion import build_criterion
from modeling.model import ReIDModel

State = dict[str, Any]


class Learner:
    """Trains a model batch by batch; with a loaded state it continues exactly where that state was saved."""

    def __init__(self, cfg: CfgNode, model: ReIDModel, device: torch.device, group: ProcessGroup) -> None:
        self.cfg, self.device, self.group = cfg, device, group
        model.to(device)
        # Copied before the model is wrapped, compiled or given synchronised batch normalisation.
        self.average = WeightAverage(model, cfg.SOLVER.EMA_DECAY) if cfg.SOLVER.EMA_DECAY else None
        if group.size > 1 and cfg.MODEL.SYNC_BN:
            synchronise_batch_norm(model, device, of_timm=cfg.MODEL.NAME.startswith("timm/"))
        self.model = model
        self.criterion = build_criterion(cfg, model.num_classes, model.widths, model.own_terms(cfg)).to(device)
        self.optimizers = Optimizers(cfg, model, self.criterion, device)
        self.accumulation = Accumulation(cfg.SOLVER.ACCUMULATE)
        if cfg.MODEL.COMPILE:
            model.compile()
        self._backbone = [parameter for parameter in model.base.parameters() if parameter.requires_grad]
        self._frozen = False
        self._epoch, self._batches = 1, 0  # that are being trained, and that have been
        all_trained = trains_every_parameter(model, self.criterion.uses_scores)
        self.notes: list[str] = []
        self.sharded = ShardedModel(model, device, group, all_trained=all_trained, graphed=self._graphed())

    def _graphed(self) -> GraphedModel | None:
        """Makes the network that is replayed as CUDA graphs, where MODEL.CUDA_GRAPHS asks for that; else a note says why not."""
        if not self.cfg.MODEL.CUDA_GRAPHS:
            return None
        if obstacle := obstacle_to_graphs(self.cfg, self.device, self.group):
            self.notes.append(f"MODEL.CUDA_GRAPHS: not used, since {obstacle}")
            return None
        return GraphedModel(self.model)

    @property
    def eval_model(self) -> ReIDModel:
        """Model to evaluate: the averaged one where SOLVER.EMA_DECAY is set."""
        return self.model if self.average is None else self.average.model  # type: ignore[return-value]

    @property
    def between_steps(self) -> bool:
        """Tells whether the state is complete: no accumulated gradients wait for a step."""
        return self.accumulation.batches == 0

    def start_epoch(self, epoch: int, batches: int | None = None) -> None:
        """Switches to training mode; the backbone is frozen or thawed as SOLVER.FREEZE_EPOCHS and FREEZE_ITERS say.

        Args:
            epoch: counted from 1.
            batches: of the whole training that have been trained on; None: those since this learner was made.
        """
        self._epoch = epoch
        self._batches = self._batches if batches is None else batches
        self.model.train()
        self._freeze_or_thaw()
        if self._frozen:
            self.model.base.eval()

    def _freeze_or_thaw(self) -> None:
        """Freezes or thaws the backbone for the step to come; frozen, it keeps its running statistics, too."""
        solver = self.cfg.SOLVER
        frozen = self._epoch <= solver.FREEZE_EPOCHS or self._batches < solver.FREEZE_ITERS
        if frozen != self._frozen:
            for parameter in self._backbone:
                parameter.requires_grad_(not frozen)
            self._frozen = frozen
            self.sharded.wrap()  # looks once at which parameters are trained
            self.model.base.train(not frozen)

    def train_batch(
        self, images: Tensor, pids: Tensor, origins: Tensor | None = None, *, rate: float, last: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Trains on this process's shard of a batch.

        Args:
            images: [b, 3, H, W].
            pids: classes [b], on the host.
            origins: cameras and views [b, 2], which a network that takes origins gets; None: not known.
            rate: the learning rate.
            last: whether the batch is the epoch's last, so that accumulated gradients are stepped with.
        Returns:
            Loss, class scores [B, C] of the first branch with scores, and classes [B] of the whole batch, on the device.
        """
        if self.group.size == 1:
            self.criterion.check(pids)
        if self.between_steps:
            self._freeze_or_thaw()
            self.optimizers.begin_step()
        self._batches += 1
        step = self.accumulation.add(last=last)
        images = images.to(self.device, non_blocking=True)
        pids = self.group.all_gather_batch(pids.to(self.device, non_blocking=True))
        taken = origins if self.model.takes_origins else None
        others = () if taken is None else (taken.to(self.device, non_blocking=True),)
        with self.sharded.averaging(step):
            branches = self.sharded(images, *others)
            loss = self.criterion(branches, pids)
            self.optimizers.backward(loss / self.accumulation.every)
        if step:
            self.optimizers.step(rate, self.accumulation.end_step())
            if self.average is not None:
                self.average.update(self.model)
        return loss.detach(), first_scores(branches).detach(), pids

    def agree_on_buffers(self) -> None:
        """Takes rank 0's buffers in every process, before an evaluation.

        Running statistics differ where each process normalises alone (MODEL.SYNC_BN False). Rank 0's are those that a
        checkpoint holds, and that DistributedDataParallel takes at the start of a step.
        """
        models = [self.model] if self.average is None else [self.model, self.average.model]
        self.group.broadcast_tensors([buffer for model in models for buffer in model.buffers()])

    def state(self) -> State:
        """Returns the state for a checkpoint, as tensors and plain numbers."""
        return {
            "model": self.model.state_dict(),
            "ema": self.average.state() if self.average is not None else {},
            **self.optimizers.state(),
        }

    def load(self, state: State, saved: CfgNode) -> None:
        """Restores what `state` returned; of the optimizers the momenta and counters.

        Args:
            state: the state.
            saved: the configuration that it was saved with; where it differs, this run's counts.
        """
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load(state["ema"])
        self.optimizers.load(state, saved)


def set_arithmetic(cfg: CfgNode) -> None:
    """Chooses the fastest or, by SOLVER.DETERMINISTIC, the bit-for-bit repeatable algorithms, for this process."""
    deterministic = cfg.SOLVER.DETERMINISTIC
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
