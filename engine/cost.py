"""Measures what the features of one image cost: parameters, multiply-accumulate operations (MACs), and time.

A measurement leaves training as it is: random number generators, running statistics, training and evaluation mode and the
settings of cuDNN stay. One that fails gives a line that says why, and ends nothing.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from modeling.model import ReIDModel, is_of_classifier
from utils.errors import Stopped

CPU_BATCH = 4  # images at most on a CPU, where more take longer and are hardly faster for each
SECONDS = 0.3  # of timed passes, after which no further one begins
FEWEST, MOST = 3, 30  # timed passes


@dataclass(frozen=True)
class Cost:
    """One line for the log, and the metrics in it by their names; none where nothing could be measured."""

    line: str
    metrics: dict[str, float] = field(default_factory=dict)


def measure_work(model: ReIDModel, size: Sequence[int]) -> Cost:
    """Counts parameters (millions) and MACs (billions) of the features of one image of `size` (height, width).

    Without the classifier, which only training uses. MACs are those of convolutions and matrix products, attention
    included, by torch's own formulas; nothing is computed for them: the network runs on tensors without data.
    """
    used = (parameter for name, parameter in model.named_parameters() if not is_of_classifier(name))
    millions = sum(parameter.numel() for parameter in used) / 1e6
    line = f"Model: {millions:.3f} M parameters"
    counter = FlopCounterMode(display=False)
    try:
        tensors = {name: tensor.to("meta") for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
        with _evaluation_mode(model), _in_float32(model), torch.no_grad(), counter:
            functional_call(model, tensors, (torch.zeros(1, 3, *size, device="meta"),))
    except Exception as error:  # a network of timm that asks for values
        return Cost(f"{line}; MACs could not be counted: {_first_line(error)}", {"model/params_m": millions})
    billions = counter.get_total_flops() / 2e9  # a multiplication and an addition are two of them
    return Cost(
        f"{line}, {billions:.3f} GMACs for an image of {size[0]}x{size[1]}",
        {"model/params_m": millions, "model/gmacs": billions},
    )


def measure_time(
    model: ReIDModel,
    size: Sequence[int],
    *,
    batch: int,
    device: torch.device,
    check_stop: Callable[[], None] = lambda: None,
) -> Cost:
    """Measures the time of a forward pass in evaluation mode: the median of several, after one that is not timed.

    Args:
        model: on `device`.
        size: height and width of the images, which are random numbers.
        batch: images in a pass; on a CPU at most `CPU_BATCH`.
        device: computes; waited for after each pass.
        check_stop: called before each timed pass; may raise `Stopped`, which is passed on.
    """
    batch = min(batch, CPU_BATCH) if device.type == "cpu" else batch
    seconds: list[float] = []
    try:
        images = torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(0)).to(device)
        with _evaluation_mode(model), torch.inference_mode():
            _timed_pass(model, images)  # chooses algorithms, and takes memory
            while len(seconds) < FEWEST or (len(seconds) < MOST and sum(seconds) < SECONDS):
                check_stop()
                seconds.append(_timed_pass(model, images))
    except Stopped:
        raise
    except Exception as error:  # most likely too little memory, on a device that others use
        return Cost(f"The time of a forward pass could not be measured: {_first_line(error)}")
    milliseconds = 1e3 * statistics.median(seconds) / batch
    precision = str(model.autocast or torch.float32).removeprefix("torch.")
    return Cost(
        f"Forward pass: {milliseconds:.4g} ms per image (median of {len(seconds)} passes, batch {batch}, {precision},"
        f" {device.type})",
        {"model/ms_per_image": milliseconds},
    )


def _timed_pass(model: nn.Module, images: torch.Tensor) -> float:
    """Returns the seconds of one forward pass, until the device has done it."""
    _wait_for(images.device)
    started = time.perf_counter()
    model(images)
    _wait_for(images.device)
    return time.perf_counter() - started


def _wait_for(device: torch.device) -> None:
    """Waits until a device has done what it was given; a CPU has."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switches to evaluation mode, and back to the mode that each part had."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def _in_float32(model: ReIDModel) -> Iterator[None]:
    """Switches autocast off, which tensors without data have none of."""
    autocast, model.autocast = model.autocast, None
    try:
        yield
    finally:
        model.autocast = autocast


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
