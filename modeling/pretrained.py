"""Starting weights from files and downloads."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from yacs.config import CfgNode

from modeling.backbones.timm_models import TimmBackbone
from modeling.model import ReIDModel
from utils.errors import TrainerError

# What ImageNet classifiers are called in the published files of the networks here.
_CLASSIFIERS = ("fc.", "classifier.", "last_linear.")


def load_pretrained(cfg: CfgNode, model: ReIDModel) -> str:
    """Fills `model` as MODEL.PRETRAIN_CHOICE says; returns one line about what was done.

    Raises:
        TrainerError: the weights cannot be had, or do not belong to this network.
    """
    choice, path = cfg.MODEL.PRETRAIN_CHOICE, cfg.MODEL.PRETRAIN_PATH
    if choice == "none":
        return "Starting from random weights"
    if choice == "imagenet":
        if isinstance(model.base, TimmBackbone):
            model.base.load_imagenet(read_state_dict(path) if path else None)
            return f"Starting from ImageNet weights of {path or 'timm'}"
        weights = read_state_dict(path) if path else _download(cfg.MODEL.NAME)
        backbone = {key: value for key, value in weights.items() if not key.startswith(_CLASSIFIERS)}
        _load(model.base, backbone, path or "the download")
        return f"Starting from ImageNet weights of {path or 'torchvision'}"
    # reid-strong-baseline's IBN network carries ImageNet's classifier along, unused.
    weights = {key: value for key, value in read_state_dict(path).items() if not key.startswith("base.fc.")}
    classes = weights.get("classifier.weight")
    if classes is None or classes.shape[0] == model.num_classes:
        _load(model, weights, path)
        return f"Starting from the weights of {path}"
    # Another set of identities: everything carries over but the classifier.
    own = {k: v for k, v in model.state_dict().items() if k.startswith("classifier.")}
    _load(model, {**weights, **own}, path)
    return f"Starting from the weights of {path}, with a new classifier for {model.num_classes} identities"


def read_state_dict(path: str) -> dict[str, Tensor]:
    """The weights in a file: a state dict, or a checkpoint of this trainer, of which the averaged weights are taken
    where it has them. Runs no code from the file.

    Raises:
        TrainerError: no such file, damaged, or something else than weights.
    """
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise TrainerError(f"{path}: cannot be read: {error.strerror or error}") from None
    except pickle.UnpicklingError:
        raise TrainerError(
            f"{path}: holds Python objects, not only weights, and is not opened because that could run code; where"
            " you trust it, convert it once: torch.save(torch.load(old, weights_only=False).state_dict(), new)"
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise TrainerError(f"{path}: is damaged or no file of weights ({str(error).splitlines()[0]})") from None
    if isinstance(content, Mapping):
        averaged = content.get("ema") or {}
        wrapped = (averaged.get("weights"), content.get("model"), content.get("state_dict"))
        content = next((weights for weights in wrapped if isinstance(weights, Mapping)), content)
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise TrainerError(f"{path}: holds no state dict")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def _download(name: str) -> dict[str, Tensor]:
    from torchvision.models import get_model_weights, list_models

    if name not in list_models():
        raise TrainerError(
            f"ImageNet weights of {name} are not torchvision's to download; set MODEL.PRETRAIN_PATH to a file of them,"
            " or MODEL.PRETRAIN_CHOICE none"
        )
    try:
        weights: dict[str, Tensor] = get_model_weights(name)["IMAGENET1K_V1"].get_state_dict(progress=False)
    except (OSError, RuntimeError) as error:
        raise TrainerError(
            f"ImageNet weights of {name} cannot be downloaded ({error}); set MODEL.PRETRAIN_PATH to a file of them,"
            " or MODEL.PRETRAIN_CHOICE none"
        ) from None
    return weights


def _load(module: torch.nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    expected = module.state_dict()
    missing = sorted(expected.keys() - weights.keys())
    surplus = sorted(weights.keys() - expected.keys())
    shapes = [key for key in expected.keys() & weights.keys() if expected[key].shape != weights[key].shape]
    # Files from before PyTorch 0.4.1 have no counters.
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    problems = [
        f"{len(keys)} {what} (first: {min(keys)})"
        for what, keys in (("missing", missing), ("unknown", surplus), ("of another shape", shapes))
        if keys
    ]
    if problems:
        raise TrainerError(f"{source}: does not fit this network: tensors {', '.join(problems)}")
    module.load_state_dict(weights, strict=False)
