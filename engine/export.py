"""Export of a trained network to ONNX, checked against PyTorch."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from yacs.config import CfgNode

from engine.inference import find_weights, load_model, with_checkpoint_settings
from modeling.model import ORIGIN_COUNTS, ReIDModel
from utils.errors import ConfigError, TrainerError
from utils.files import TEMPORARY_SUFFIX, cannot_write, require_writable

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-4  # of a feature's largest value; both compute in float32, with other kernels


@dataclass(frozen=True)
class Export:
    """Summary of an export: image size (height, width) in pixels, feature length, largest difference from PyTorch.

    The difference is relative to the largest value of a feature.
    """

    size: tuple[int, int]
    channels: int
    difference: float


def export_onnx(cfg: CfgNode, weights: str, output: Path, given: Collection[str] = ()) -> Export:
    """Writes the network with `weights` (see `engine.inference.load_model`) as ONNX.

    A checkpoint's settings win over `cfg`, but for the keys that are `given`.

    The network takes images [batch, 3, H, W] float32, normalised as INPUT says, and gives features [batch, D], taken
    where TEST.NECK_FEAT says and not scaled to unit length. One that takes origins has a second input `origins` int64
    [batch, 2]: the numbers of camera and view, -1 where they are not known. The file appears only after onnxruntime has
    computed equal features with it.

    Raises:
        ConfigError: a package is missing, the weights do not fit, the file cannot be written.
        TrainerError: the network cannot be exported, or its features differ.
    """
    _require_packages()
    require_writable(output)
    weights = find_weights(cfg, weights)
    cfg = with_checkpoint_settings(cfg, weights, given).clone()
    cfg.defrost()
    cfg.MODEL.DEVICE, cfg.MODEL.PRECISION, cfg.MODEL.CHANNELS_LAST = "cpu", "fp32", False
    model, _device = load_model(cfg, weights)
    height, width = cfg.INPUT.SIZE_TEST
    temporary = output.with_name(output.name + TEMPORARY_SUFFIX)
    try:
        _write(model, _inputs(model, torch.zeros(2, 3, height, width)), temporary)
        difference = _difference(model, temporary, (height, width))
        if not difference <= TOLERANCE:
            raise TrainerError(f"onnxruntime's features differ from PyTorch's by {difference:.1e} of the largest value")
        temporary.replace(output)
    except OSError as error:
        raise cannot_write(output, error) from None
    finally:
        temporary.unlink(missing_ok=True)
    return Export((height, width), model.channels, difference)


def _require_packages() -> None:
    """Raises ConfigError where a package for the export is not installed."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"ONNX export needs {', '.join(missing)}, not installed: pip install {' '.join(missing)}")


def _inputs(model: ReIDModel, images: Tensor) -> dict[str, Tensor]:
    """Names what a model takes for images: themselves, and origins where it takes some, the last one not known."""
    if not model.takes_origins:
        return {"images": images}
    places = torch.arange(len(images), 0, -1)[:, None] - 1
    counts: Tensor = model.get_buffer(ORIGIN_COUNTS)
    return {"images": images, "origins": torch.where(places == 0, -1, places % counts.clamp(min=1))}


def _write(model: ReIDModel, inputs: dict[str, Tensor], path: Path) -> None:
    """Exports a model with torch.onnx for inputs of a batch, silently; TrainerError where it cannot."""
    logger, batch = logging.getLogger("torch.onnx"), torch.export.Dim("batch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                tuple(inputs.values()),
                str(path),
                input_names=list(inputs),
                output_names=["features"],
                dynamic_shapes={name: {0: batch} for name in inputs},
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except OSError:
        raise
    except Exception as error:  # the exporter's own errors, and those of three libraries below it
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TrainerError(f"this network cannot be exported: {reason}") from None
    finally:
        logger.setLevel(level)


def _difference(model: ReIDModel, path: Path, size: tuple[int, int]) -> float:
    """Measures the largest relative difference of features between onnxruntime and PyTorch, on four random images."""
    runtime: Any = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for batch in (1, 3):
        inputs = _inputs(model, torch.randn(batch, 3, *size, generator=generator))
        with torch.inference_mode():
            expected = model(*inputs.values())
        (found,) = session.run(["features"], {name: value.numpy() for name, value in inputs.items()})
        if found.shape != tuple(expected.shape):
            raise TrainerError(f"onnxruntime's features have the shape {found.shape}, not {tuple(expected.shape)}")
        difference = (torch.from_numpy(found) - expected).abs().max() / expected.abs().max()
        largest = max(largest, float(difference))
    return largest
