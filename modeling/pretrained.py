"""Starting weights from files and downloads."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from yacs.config import CfgNode

from modeling.backbones.timm_models import TimmBackbone
from modeling.model import ReIDModel
from utils.errors import ConfigError, TrainerError

# What ImageNet classifiers are called in the published files of the networks here.
_CLASSIFIERS = ("fc.", "classifier.", "last_linear.")
# Of what torch.save writes: a zip archive, before PyTorch 1.6 a pickle of the protocol asked for.
_BEGINNINGS = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_PYTHON_OBJECT = re.compile(r"GLOBAL (\S+)")  # in torch's refusal
_CONVERT = (
    "convert it once, in the folder of the code that wrote it: old = torch.load(FILE, weights_only=False), then"
    ' torch.save(old["state_dict"], NEW) where old is a dictionary, else torch.save(old.state_dict(), NEW)'
)


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
    return load_own(model, read_state_dict(path), path)


def load_own(model: ReIDModel, weights: Mapping[str, Tensor], source: str) -> str:
    """Fills `model` with the weights of a re-identification network; returns one line about what was done.

    Raises:
        ConfigError: they do not belong to this network.
    """
    # reid-strong-baseline's IBN network carries ImageNet's classifier along, unused.
    weights = {key: value for key, value in weights.items() if not key.startswith("base.fc.")}
    without = not any(key.startswith("classifier.") for key in weights)  # as weights are often published
    if not without and class_count(weights) in (None, model.num_classes):
        _load(model, weights, source)
        return f"Starting from the weights of {source}"
    # None, or of another set of identities: everything carries over but the classifier.
    own = {k: v for k, v in model.state_dict().items() if k.startswith("classifier.")}
    _load(model, {**weights, **own}, source)
    return f"Starting from the weights of {source}, with a new classifier for {model.num_classes} identities"


def class_count(weights: Mapping[str, Tensor]) -> int | None:
    """How many identities the network of these weights tells apart; None without a classifier, or with none of ours."""
    classifier = weights.get("classifier.weight")
    return len(classifier) if classifier is not None and classifier.ndim == 2 else None


def read_state_dict(path: str) -> dict[str, Tensor]:
    """The weights in a file: a state dict, or a checkpoint of this trainer, of which the averaged weights are taken
    where it has them. Runs no code from the file.

    Raises:
        ConfigError: no such file, damaged, or something else than weights.
    """
    content = _read(path)
    if isinstance(content, Mapping):
        averaged = content.get("ema")
        averaged = averaged.get("weights") if isinstance(averaged, Mapping) else None
        wrapped = (averaged, content.get("model"), content.get("state_dict"))
        content = next((weights for weights in wrapped if isinstance(weights, Mapping)), content)
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ConfigError(f"{path}: holds no state dict")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def _read(path: str) -> Any:
    try:
        with open(path, "rb") as stream:
            beginning = stream.read(2)
        if beginning in _BEGINNINGS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return torch.load(path, map_location="cpu", weights_only=True)
        reason = "it does not begin like one" if beginning else "it is empty"
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # a damaged file fails in as many ways as there are bytes
        if found := _PYTHON_OBJECT.search(str(error)):
            raise ConfigError(
                f"{path}: holds Python objects ({found[1]}), not only weights, and is not opened because that could run"
                f" code; where you trust it, {_CONVERT}"
            ) from None
        if (protocol := _protocol(path)) > 2:
            raise ConfigError(
                f"{path}: was saved with pickle protocol {protocol} instead of torch's 2, and is not opened because"
                f" that could run code; where you trust it, {_CONVERT}, or torch.save(old, NEW) where old is a state dict"
            ) from None
        # The text of torch's reader of archives says something, those of unpickling do not.
        told = str(error).splitlines() if isinstance(error, RuntimeError) else []
        reason = told[0] if told else type(error).__name__
    raise ConfigError(f"{path}: is damaged or no file of weights ({reason})")


def _protocol(path: str) -> int:
    """Of the pickle in a file that torch.save wrote; 0 where it is none."""
    try:
        with open(path, "rb") as stream:
            beginning = stream.read(2)
        if beginning == b"PK":
            with zipfile.ZipFile(path) as archive:
                name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
                with archive.open(name) as pickled:
                    beginning = pickled.read(2)
    except Exception:  # zipfile raises nearly anything over a damaged archive
        return 0
    return beginning[1] if beginning[:1] == b"\x80" and len(beginning) == 2 else 0


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
        raise ConfigError(f"{source}: does not fit this network: tensors {', '.join(problems)}")
    module.load_state_dict(weights, strict=False)
