"""Distributed training under torchrun: the process group, its all-gathers and all-reduces, synchronised batch norm.

The number of processes does not change the result: every batch is split into shards, losses are computed from the
features of the whole batch, and normalisation takes the whole batch's statistics.
"""

from __future__ import annotations

import io
import os
import pickle
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from utils.errors import ConfigError, Stopped, TrainerError
from utils.signals import StopRequest, end_process


@dataclass(frozen=True)
class ProcessGroup:
    """This process's rank in a group of `size` processes, and the collectives over the group.

    Collectives over host memory can be stopped by a signal while they wait for a process that is dead.
    """

    rank: int = 0
    size: int = 1
    stop: StopRequest | None = field(default=None, compare=False, repr=False)
    host: Any = field(default=None, compare=False, repr=False)  # group for tensors in host memory: NCCL takes none

    @property
    def is_first(self) -> bool:
        """Tells whether this process is rank 0, which alone writes files and prints."""
        return self.rank == 0

    def all_gather_batch(self, shard: Tensor) -> Tensor:
        """All-gathers the equally long shards [b, ...] of a batch, with a gradient, in order of rank.

        The gradient is right where every process computes the same loss of the result and gradients of weights are
        averaged over processes, as DistributedDataParallel does.

        Returns:
            The whole batch [b * size, ...], on the shard's device.
        """
        if self.size == 1:
            return shard
        gathered: Tensor = _AllGather.apply(shard, self)
        return gathered

    def all_gather_objects(self, own: Any) -> list[Any]:
        """All-gathers one object of each process, in order of rank; pickled, so for small objects and seldom."""
        if self.size == 1:
            return [own]
        content = torch.frombuffer(bytearray(pickle.dumps(own)), dtype=torch.uint8)
        counts = self.all_gather_rows(torch.tensor([len(content)]), [1] * self.size).tolist()
        contents = torch.split(self.all_gather_rows(content, counts), counts)
        return [pickle.loads(part.numpy().tobytes()) for part in contents]

    def all_gather_rows(self, rows: Tensor, counts: list[int]) -> Tensor:
        """All-gathers rows in host memory, of which rank r has `counts[r]`.

        Args:
            rows: [counts[rank], ...], this process's.
            counts: rows of every process, by rank.
        Returns:
            Rows [sum of counts, ...], in order of rank.
        """
        longest = max(counts)
        padded = rows.new_zeros((longest, *rows.shape[1:]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        self._wait(dist.all_gather(parts, padded, group=self.host, async_op=True))
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    def broadcast_state(self, state: Any) -> Any:
        """Returns rank 0's state of tensors in host memory and plain values; what other ranks give is ignored."""
        if self.size == 1:
            return state
        written = io.BytesIO()
        if self.is_first:
            torch.save(state, written)
        length = torch.tensor(written.getbuffer().nbytes)
        self._wait(dist.broadcast(length, 0, group=self.host, async_op=True))
        content = torch.frombuffer(written.getbuffer(), dtype=torch.uint8) if self.is_first else None
        content = torch.empty(int(length), dtype=torch.uint8) if content is None else content
        self._wait(dist.broadcast(content, 0, group=self.host, async_op=True))
        if self.is_first:
            return state
        return torch.load(io.BytesIO(content.numpy().tobytes()), map_location="cpu", weights_only=True)

    def broadcast_tensors(self, tensors: Sequence[Tensor]) -> None:
        """Overwrites tensors on the training device by rank 0's, all of a type at once."""
        if self.size == 1:
            return
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            chosen = [tensor for tensor in tensors if tensor.dtype == dtype]
            joined = torch.cat([tensor.detach().reshape(-1) for tensor in chosen])
            dist.broadcast(joined, 0)
            parts = torch.split(joined, [tensor.numel() for tensor in chosen])
            for tensor, part in zip(chosen, parts, strict=True):
                tensor.detach().copy_(part.view_as(tensor))

    def raise_on_all(self, own: Exception | None, signum: int = 0) -> None:
        """Raises one exception on every process where any of them has failed or was sent a signal.

        All processes call this at one place of the run. A process that failed alone would leave the others waiting,
        or with half a step done.

        Args:
            own: the error of this process, if any.
            signum: the signal this process was sent; 0: none.
        Raises:
            Exception: the error of the lowest rank that failed.
            Stopped: no process failed, and one was sent a signal.
        """
        if self.stop is not None:
            self.stop.count_step()
        code = self.all_reduce_max(_FAILED if own else signum)
        if self.stop is not None:
            self.stop.restart_clock()  # waiting for the others is no step
        if code == _FAILED:
            raise next(without_traceback(error) for error in self.all_gather_objects(own) if error)
        if code:
            if self.stop is not None:
                self.stop.settle()
            raise Stopped(code)

    def all_reduce_max(self, number: int) -> int:
        """All-reduces a number by taking the largest of all processes."""
        if self.size == 1:
            return number
        value = torch.tensor(number)
        self._wait(dist.all_reduce(value, op=dist.ReduceOp.MAX, group=self.host, async_op=True))
        return int(value)

    def _wait(self, work: Any) -> None:
        """Waits for a collective over host memory.

        Raises:
            Stopped: this process was sent a signal, and the others do not come.
        """
        while True:
            try:
                work.wait(timedelta(seconds=_WAIT_INTERVAL))
            except RuntimeError:
                if work.is_completed() or self.stop is None:
                    raise
            else:
                return
            if self.stop.is_overdue():
                self.stop.abandon_group()


def without_traceback(error: Exception) -> Exception:
    """Copies an error without its traceback, whose frames would keep a loader's worker processes alive."""
    return type(error)(str(error))


def process_count() -> int:
    """Counts the processes that torchrun started; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


_GLOO_PREFIX = re.compile(r"^\[[^]]*\]\s*")  # the place in Gloo's source that its messages begin with
_FAILED = 1000  # larger than any signal
_WAIT_INTERVAL = 0.2  # seconds of a wait after which signals are looked at


@contextmanager
def open_process_group(device: torch.device, stop: StopRequest | None = None) -> Iterator[ProcessGroup]:
    """Joins the process group that torchrun started; without torchrun, a group of one process.

    Args:
        device: computes.
        stop: ends the process at once while it waits for the others to join, and later where they do not come.
    """
    if process_count() == 1:
        yield ProcessGroup(stop=stop)
        return
    with nullcontext() if stop is None else stop.ending_at_once():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        host = dist.new_group(backend="gloo") if device.type == "cuda" else None
    try:
        with nullcontext() if stop is None else stop.in_group():
            yield ProcessGroup(dist.get_rank(), process_count(), stop, host)
    finally:
        if stop is not None and stop.abandoned:
            end_process(stop.signum)
        dist.destroy_process_group()


@contextmanager
def report_lost_process(group: ProcessGroup) -> Iterator[None]:
    """Turns the communication error that the end of another process causes into one clear line.

    Raises:
        TrainerError: instead of the communication library's error; the process that ended has said why itself.
        Stopped: this process was sent a signal; so was, most likely, the one that ended.
    """
    try:
        yield
    except RuntimeError as error:
        if group.size == 1 or not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        if group.stop is not None and group.stop.signum:
            raise Stopped(group.stop.signum) from None
        reason = _GLOO_PREFIX.sub("", (str(error).splitlines() or [""])[0]).split(". ")[0]
        raise TrainerError(
            f"another of the {group.size} processes has ended; its output on standard error says why ({reason})"
        ) from None


def device_of_rank(device: torch.device) -> torch.device:
    """Chooses this process's GPU where torchrun started several processes on this machine; else returns `device`.

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


def synchronise_batch_norm(model: nn.Module, device: torch.device, of_timm: bool = False) -> None:
    """Makes batch normalisation take its statistics over the shards of all processes; state-dict names stay.

    Args:
        model: changed in place.
        device: of the model.
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
    """Synchronised batch normalisation for CPUs, by all-reduced sums: torch has one for GPUs only."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Accepts input of any number of dimensions."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        x = input if input.dtype == torch.float64 else input.float()
        dims = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        count = x.numel() // x.shape[1] * dist.get_world_size()
        mean = _AllReduceSum.apply(x.sum(dims)) / count
        centred = x - mean.view(shape)
        variance = _AllReduceSum.apply(centred.pow(2).sum(dims)) / count
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / max(count - 1, 1)), self.momentum)
        scale = (variance + self.eps).rsqrt() * self.weight
        result: Tensor = centred * scale.view(shape) + self.bias.view(shape)
        return result.to(input.dtype)


class _AllReduceSum(torch.autograd.Function):
    """All-reduces a value and its gradient by their sums."""

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


class _AllGather(torch.autograd.Function):
    """All-gathers the shards of a batch; see `ProcessGroup.all_gather_batch`."""

    @staticmethod
    def forward(ctx: Any, shard: Tensor, group: ProcessGroup) -> Tensor:
        ctx.group, ctx.rows = group, len(shard)
        shards = [torch.empty_like(shard, memory_format=torch.contiguous_format) for _ in range(group.size)]
        dist.all_gather(shards, shard.contiguous())
        return torch.cat(shards)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # Every process has the same gradient, so no sum; the factor makes up for the averaging of weights' gradients.
        own = gradient[ctx.group.rank * ctx.rows : (ctx.group.rank + 1) * ctx.rows]
        return own * ctx.group.size, None
