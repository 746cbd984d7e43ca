"""The processes that train together under torchrun, and what they tell each other.

One model is trained, whatever their number: every batch is split among the processes, losses are computed from the
features of the whole batch, and normalisation takes the whole batch's statistics.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from utils.errors import ConfigError, Stopped, TrainerError


@dataclass(frozen=True)
class World:
    """This process among `size`."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and prints."""
        return self.rank == 0

    def gather_batch(self, part: Tensor) -> Tensor:
        """The parts [b, ...] of all processes, equally long, in order of rank.

        Its gradient is right where every process computes the same loss of the result and gradients of weights are
        averaged over processes, as DistributedDataParallel does.
        """
        if self.size == 1:
            return part
        gathered: Tensor = _Gather.apply(part, self)
        return gathered

    def gather_objects(self, part: Any) -> list[Any]:
        """What each process gave, in order of rank; pickled, so for small things and seldom."""
        if self.size == 1:
            return [part]
        parts: list[Any] = [None] * self.size
        dist.all_gather_object(parts, part)
        return parts

    def gather_rows(self, rows: Tensor, counts: list[int]) -> Tensor:
        """Rows [counts[rank], ...] in host memory of all processes, in order of rank."""
        longest = max(counts)
        padded = rows.new_zeros((longest, *rows.shape[1:]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded, group=_HOST.get("group"))
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    def agree(self, own: Exception | None, signum: int = 0) -> None:
        """Ends what all processes do at the same place, whichever had to: raises what the first of them failed with,
        or Stopped where one of them was sent a signal.

        Who fails alone would leave the others waiting, or with half a step done.
        """
        code = self.largest(_FAILED if own else signum)
        if code == _FAILED:
            raise next(anew(error) for error in self.gather_objects(own) if error)
        if code:
            raise Stopped(code)

    def largest(self, number: int) -> int:
        """The largest of the processes' numbers."""
        if self.size == 1:
            return number
        value = torch.tensor(number)
        dist.all_reduce(value, op=dist.ReduceOp.MAX, group=_HOST.get("group"))
        return int(value)


def anew(error: Exception) -> Exception:
    """The same error without its frames: where they and the error refer to each other, a loader's workers live on."""
    return type(error)(str(error))


def is_first_process() -> bool:
    """Whether this process is the only one, or the first of those torchrun started."""
    return os.environ.get("RANK", "0") == "0"


_GLOO_PLACE = re.compile(r"^\[[^]]*\]\s*")  # a line of its source, which it begins with
_FAILED = 1000  # larger than any signal
_HOST: dict[str, Any] = {}  # the group for tensors in host memory: NCCL takes none


@contextmanager
def open_world(device: torch.device) -> Iterator[World]:
    """The processes torchrun started this one among; a world of its own where it did not."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    _HOST["group"] = dist.new_group(backend="gloo") if device.type == "cuda" else None
    try:
        yield World(dist.get_rank(), size)
    finally:
        _HOST.clear()
        dist.destroy_process_group()


@contextmanager
def told_when_lost(world: World) -> Iterator[None]:
    """Within it a process that cannot reach another ends with a line: that one has ended, and said why itself.

    Raises:
        TrainerError: instead of what the library of the processes' exchange raises.
    """
    try:
        yield
    except RuntimeError as error:
        if world.size == 1 or not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        reason = _GLOO_PLACE.sub("", (str(error).splitlines() or [""])[0]).split(". ")[0]
        raise TrainerError(
            f"another of the {world.size} processes has ended; its last words on standard error say why ({reason})"
        ) from None


def own_device(device: torch.device) -> torch.device:
    """The GPU of this process where torchrun started several on this machine; else `device`.

    Raises:
        ConfigError: one GPU is named for several processes, or there are fewer than processes.
    """
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device.type != "cuda" or local_size == 1:
        return device
    if str(device) != "cuda":
        raise ConfigError(f"MODEL.DEVICE: {device} for {local_size} processes; give cuda, and each takes its own GPU")
    if torch.cuda.device_count() < local_size:
        raise ConfigError(f"torchrun started {local_size} processes here, for {torch.cuda.device_count()} GPU(s)")
    return torch.device("cuda", int(os.environ["LOCAL_RANK"]))


def share_statistics(model: nn.Module, device: torch.device, of_timm: bool = False) -> None:
    """Makes batch normalisation take its statistics over the batches of all processes; state-dict names stay.

    Args:
        of_timm: has layers of timm, some of which are batch normalisation and activation in one; on CPUs these keep
            their own statistics.
    """
    if device.type != "cuda":
        for module in model.modules():
            if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d):
                module.__class__ = _HostSyncBatchNorm
        return
    convert = import_module("timm.layers").convert_sync_batchnorm if of_timm else None
    (convert or nn.SyncBatchNorm.convert_sync_batchnorm)(model)


class _HostSyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """torch's is for GPUs only; this one is plain arithmetic on sums over all processes."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Either form of input will do."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        x = input if input.dtype == torch.float64 else input.float()
        dims = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        count = x.numel() // x.shape[1] * dist.get_world_size()
        mean = _Sum.apply(x.sum(dims)) / count
        centred = x - mean.view(shape)
        variance = _Sum.apply(centred.pow(2).sum(dims)) / count
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / max(count - 1, 1)), self.momentum)
        scale = (variance + self.eps).rsqrt() * self.weight
        result: Tensor = centred * scale.view(shape) + self.bias.view(shape)
        return result.to(input.dtype)


class _Sum(torch.autograd.Function):
    """Sum over the processes, of the value and of its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


class _Gather(torch.autograd.Function):
    """See World.gather_batch."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, world: World) -> Tensor:
        ctx.world, ctx.rows = world, len(part)
        parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(world.size)]
        dist.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # The same on every process, so no need to sum; the factor makes up for the averaging of weights' gradients.
        own = gradient[ctx.world.rank * ctx.rows : (ctx.world.rank + 1) * ctx.rows]
        return own * ctx.world.size, None
