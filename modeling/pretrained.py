"""Loading of starting weights from files and downloads."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from yacs.config import CfgNode

from modeling.model import ReIDModel, is_of_classifier
from modeling.torchscript import is_torchscript, read_torchscript
from utils.errors import ConfigError, TrainerError

# Names of the ImageNet classifiers in the published files of the networks.
_CLASSIFIERS = ("fc.", "classifier.", "last_linear.")
# First bytes of files from torch.save: a zip archive, or before PyTorch 1.6 a pickle of any protocol.
_BEGINNINGS = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_PYTHON_OBJECT = re.compile(r"GLOBAL (\S+)")  # in torch's refusal
_CONVERT = (
    "convert it once, in the folder of the code that wrote it: old = torch.load(FILE, weights_only=False), then"
    ' torch.save(old["state_dict"], NEW) where old is a dictionary, else torch.save(old.state_dict(), NEW)'
)


def load_pretrained(cfg: CfgNode, model: ReIDModel) -> str:
    """Loads the starting weights that MODEL.PRETRAIN_CHOICE names into a model.

    Returns:
        A line for the log.
    Raises:
        TrainerError: the weights cannot be read or downloaded, or do not fit this network.
    """
    choice, path = cfg.MODEL.PRETRAIN_CHOICE, cfg.MODEL.PRETRAIN_PATH
    if choice == "none":
        return "Starting from random weights"
    if choice == "imagenet":
        if own := getattr(model.base, "load_imagenet", None):
            own(read_state_dict(path) if path else None)
            return f"Starting from ImageNet weights of {path or cfg.MODEL.NAME.split('/')[0]}"
        weights = read_state_dict(path) if path else _download(cfg.MODEL.NAME)
        expected = model.base.state_dict()
        added = {key: value for key, value in expected.items() if key.startswith(_added(model))}
        # OSNet has a layer fc that is no classifier.
        backbone = {k: value for k, value in weights.items() if k in expected or not k.startswith(_CLASSIFIERS)}
        backbone |= added
        _load(model.base, backbone, path or "the download")
        return f"Starting from ImageNet weights of {path or 'torchvision'}"
    return load_reid_weights(model, read_state_dict(path), path)


def _added(model: ReIDModel) -> tuple[str, ...]:
    """Returns the beginnings of names of the backbone's tensors that ImageNet's weights lack."""
    added: tuple[str, ...] = getattr(model.base, "added", ())
    return added


def load_reid_weights(model: ReIDModel, weights: Mapping[str, Tensor], source: str) -> str:
    """Loads the weights of a re-identification network into a model; the classifier is skipped where it does not fit.

    Args:
        model: gets the weights.
        weights: a state dict.
        source: names the weights in messages.
    Returns:
        A line for the log.
    Raises:
        ConfigError: the weights do not fit this network.
    """
    # reid-strong-baseline's IBN network carries ImageNet's classifier along, unused.
    weights = {key: value for key, value in weights.items() if not key.startswith("base.fc.")}
    headless = not any(is_of_classifier(key) for key in weights)  # as weights are often published
    if not headless and class_count(weights) in (None, model.num_classes):
        _load(model, weights, source)
        return f"Starting from the weights of {source}"
    # Without a classifier, or with one for other identities: everything but the classifier is loaded.
    classifier = {key: value for key, value in model.state_dict().items() if is_of_classifier(key)}
    others = {key: value for key, value in weights.items() if not is_of_classifier(key)}
    _load(model, {**others, **classifier}, source)
    return f"Starting from the weights of {source}, with a new classifier for {model.num_classes} identities"


def class_count(weights: Mapping[str, Tensor]) -> int | None:
    """Counts the identities of the weights' classifier; None without a classifier of this trainer's form."""
    found = (value for key, value in weights.items() if is_of_classifier(key) and key.endswith(".weight"))
    return next((len(classifier) for classifier in found if classifier.ndim == 2), None)


def read_state_dict(path: str) -> dict[str, Tensor]:
    """Reads the weights in a file: a state dict, or a checkpoint of this trainer. Runs no code from the file.

    Of a checkpoint with averaged weights, those are taken.

    Raises:
        ConfigError: the file is missing, damaged, or holds something else than weights.
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


def read_settings(path: str) -> str | None:
    """Reads the configuration (YAML) in a checkpoint of this trainer, but no weights; None in a file without one.

    Raises:
        ConfigError: see `read_state_dict`.
    """
    content = _read(path, only_settings=True)
    config = content.get("config") if isinstance(content, Mapping) else None
    return config if isinstance(config, str) else None


def _read(path: str, *, only_settings: bool = False) -> Any:
    """Reads a file of torch.save with weights_only; ConfigError explains a refusal.

    With `only_settings`, tensors are not read, and nothing of a file from before PyTorch 1.6, which has no settings.
    """
    try:
        with open(path, "rb") as stream:
            beginning = stream.read(2)
        if beginning in _BEGINNINGS:
            if only_settings and beginning != b"PK":
                return None
            if is_torchscript(path):
                return None if only_settings else read_torchscript(path)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return torch.load(path, map_location="cpu", weights_only=True, mmap=only_settings)
        reason = "it does not begin like one" if beginning else "it is empty"
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except MemoryError:
        raise ConfigError(f"{path}: cannot be read: there is too little memory") from None
    except Exception as error:  # a damaged file fails in as many ways as there are bytes
        if found := _PYTHON_OBJECT.search(str(error)):
            raise ConfigError(
                f"{path}: holds Python objects ({found[1]}), not only weights, and is not opened because that could run"
                f" code; where you trust it, {_CONVERT}"
            ) from None
        if (protocol := _pickle_protocol(path)) > 2:
            raise ConfigError(
                f"{path}: was saved with pickle protocol {protocol} instead of torch's 2, and is not opened because"
                f" that could run code; where you trust it, {_CONVERT}, or torch.save(old, NEW) where old is a state dict"
            ) from None
        if "allocate memory" in str(error):  # torch has no class for that
            raise ConfigError(f"{path}: cannot be read: there is too little memory") from None
        # The messages of torch's archive reader help a user, those of unpickling do not.
        lines = str(error).splitlines() if isinstance(error, RuntimeError) else []
        reason = lines[0] if lines else type(error).__name__
    raise ConfigError(f"{path}: is damaged or not a file of weights ({reason})")


def _pickle_protocol(path: str) -> int:
    """Reads the protocol of the pickle in a file from torch.save; 0 where the file holds no pickle."""
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
    """Downloads torchvision's ImageNet weights of a network."""
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
    """Loads weights into a module; ConfigError counts and names the tensors that do not fit."""
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
