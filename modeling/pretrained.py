"""Loading of starting weights, of files and downloads, into a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn
from yacs.config import CfgNode

from modeling.heads.layers import GeM
from modeling.model import ORIGIN_COUNTS, ReIDModel, is_of_classifier
from modeling.weights.files import read_state_dict
from modeling.weights.fitting import Reading, is_note, read_names
from modeling.weights.tables.bare import BACKBONE, TIMM
from modeling.weights.tables.reid import OURS
from utils.errors import ConfigError, TrainerError

_SIDE = "base.sie_embed"  # embeddings of the cameras and views of a data set


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
    if choice == "self":
        return load_reid_weights(model, read_state_dict(path), path)
    if not path and (own := getattr(model.base, "load_imagenet", None)):
        own(None)
        return f"Starting from ImageNet weights of {cfg.MODEL.NAME.split('/')[0]}"
    weights = read_state_dict(path) if path else _download(getattr(model.base, "published_as", cfg.MODEL.NAME))
    return _load_backbone(model, weights, path or "torchvision")


def load_reid_weights(
    model: ReIDModel, weights: Mapping[str, Tensor], source: str, *, for_training: bool = True
) -> str:
    """Loads the weights of a re-identification network, in anyone's names, into a model.

    The classifier is left out where it does not fit, since it knows other identities. With a backbone alone, the head
    stays as it is.

    Args:
        model: gets the weights.
        weights: a state dict.
        source: names the weights in messages.
        for_training: False where features are compared next, and nothing learns what is not in the weights.
    Returns:
        A line for the log.
    Raises:
        ConfigError: the weights do not fit this network.
    """
    expected = model.state_dict()
    reading = read_names(weights, expected, model.base)
    verb = "Starting from" if for_training else "Using"
    line = f"{verb} the weights of {_origin(reading, source)}"
    head = [name for name in expected if _is_of_no_classifier(name) and not (_is_of_backbone(name) or is_note(name))]
    classifier = any(is_of_classifier(name) for name in reading.tensors)
    if head and not any(name in reading.tensors for name in head) and reading.knows_all(_is_of_no_classifier):
        if not (for_training or all(_is_neutral(model, name) for name in head)):
            raise ConfigError(
                f"{source}: holds a backbone alone, and the head of this network needs weights of its own"
            )
        wanted: Callable[[str], bool] = _starts_backbone(model, reading)
        line = f"{verb} the backbone of {_origin(reading, source)}: it has no more that fits, and the head is new"
    elif not classifier or class_count(reading.tensors) not in (None, model.num_classes):
        wanted = _is_of_no_classifier
        line += f", with a new classifier for {model.num_classes} identities" if for_training else ""
    else:
        wanted = _is_any
    if for_training and _SIDE in reading.misshapen:
        wanted, chosen = (lambda name: name != _SIDE and chosen(name)), wanted
        line += ", with new embeddings of cameras and views, which are others"
    _load(model, reading, wanted, source)
    return line + _other_settings(reading, model)


def class_count(weights: Mapping[str, Tensor]) -> int | None:
    """Counts the identities of the weights' classifier; None without a classifier of this trainer's form."""
    found = (value for key, value in weights.items() if is_of_classifier(key) and key.endswith(".weight"))
    return next((len(classifier) for classifier in found if classifier.ndim == 2), None)


def _load_backbone(model: ReIDModel, weights: Mapping[str, Tensor], source: str) -> str:
    """Loads the weights of a backbone, in anyone's names, into a model's; returns a line for the log."""
    reading = read_names(weights, model.state_dict(), model.base)
    own, wanted = getattr(model.base, "load_imagenet", None), _starts_backbone(model, reading)
    if own and reading.misfits(model.state_dict(), wanted):  # timm knows more of its own files
        found = {name: value for name, value in reading.tensors.items() if _is_of_backbone(name)}
        named = {name.removeprefix("base.").removeprefix("net."): value for name, value in found.items()}
        own({**named, **{name: weights[name] for name in reading.unknown}})
        return f"Starting from ImageNet weights of {source}"
    _load(model, reading, wanted, source)
    if reading.format in (BACKBONE, TIMM):
        return f"Starting from ImageNet weights of {source}"
    more = any(not _is_of_backbone(name) for name in reading.tensors)
    return f"Starting from the backbone of {_origin(reading, source)}" + (
        "; MODEL.PRETRAIN_CHOICE self takes its head, too" if more else ""
    )


def _starts_backbone(model: ReIDModel, reading: Reading) -> Callable[[str], bool]:
    """Makes what tells whether a backbone needs a tensor to start from: not those that were added to it and are not there."""
    added = tuple(f"base.{name}" for name in getattr(model.base, "added", ()))
    if any(name.startswith(added) for name in reading.tensors):
        return _is_of_backbone
    return lambda name: _is_of_backbone(name) and not name.startswith(added)


def _is_any(_name: str) -> bool:
    """Tells that a tensor is wanted, whatever its name."""
    return True


def _is_of_backbone(name: str) -> bool:
    """Tells whether a tensor of this name is of the backbone."""
    return name.startswith("base.")


def _is_of_no_classifier(name: str) -> bool:
    """Tells whether a tensor of this name is of the backbone, or of the head but for its classifier."""
    return not is_of_classifier(name)


def _is_neutral(model: ReIDModel, name: str) -> bool:
    """Tells whether a tensor is of a layer that does no harm untrained: batch normalisation, or pooling."""
    layer = model.get_submodule(name.rpartition(".")[0])
    return isinstance(layer, (nn.BatchNorm1d, GeM))


def _origin(reading: Reading, source: str) -> str:
    """Names weights in a line of the log, with how they are read where the names are not this trainer's."""
    return source if reading.format is OURS else f"{source}, read as {reading.how}"


def _other_settings(reading: Reading, model: ReIDModel) -> str:
    """Says with which settings the origin's network is built otherwise; empty where it is built like this one."""
    others = [setting for setting in reading.format.settings if setting.of(model) != setting.value]
    listed = " and ".join(f"{setting.key} {setting.value}" for setting in others)
    return f"; {reading.format.owner} network has {listed}, this one does not" if others else ""


def _load(model: ReIDModel, reading: Reading, wanted: Callable[[str], bool], source: str) -> None:
    """Loads what is wanted of the tensors that were read; ConfigError counts and names those that do not fit."""
    if misfits := reading.misfits(model.state_dict(), wanted):
        raise ConfigError(f"{source}: does not fit this network: read as {reading.how}, tensors {misfits}")
    loaded = {name: value for name, value in reading.tensors.items() if wanted(name) and name != ORIGIN_COUNTS}
    model.load_state_dict(loaded, strict=False)


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
