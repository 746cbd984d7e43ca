"""Loading of starting weights, of files and downloads, into a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor, nn
from yacs.config import CfgNode

from modeling.heads.layers import GeM
from modeling.model import ORIGIN_COUNTS, ReIDModel, is_of_classifier
from modeling.weights.files import read_state_dict
from modeling.weights.fitting import Reading, is_note, read_names
from modeling.weights.tables.bare import BACKBONE, TIMM
from modeling.weights.tables.reid import OURS
from utils.errors import ConfigError, TrainerError


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
    published = getattr(model.base, "published_as", cfg.MODEL.NAME)
    weights, source = read_state_dict(path) if path else _download(published), path or "torchvision"
    reading = read_names(weights, model)
    end = _load_backbone(model, reading, weights, source)
    if reading.format in (BACKBONE, TIMM) or not reading.fitting:
        return f"Starting from ImageNet weights of {source}{end}"
    if any(_is_of_no_classifier(name) and not _is_of_backbone(model, name) for name in reading.tensors):
        end += "; MODEL.PRETRAIN_CHOICE self takes its head, too"
    return f"Starting from the backbone of {_origin(reading, source)}{end}"


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
    reading = read_names(weights, model)
    verb = "Starting from" if for_training else "Using"
    head = [
        name for name in expected if _is_of_no_classifier(name) and not (_is_of_backbone(model, name) or is_note(name))
    ]
    without_head = not any(name in reading.tensors for name in head) and reading.knows_all(_is_of_no_classifier)
    if reading.format.is_bare or (head and without_head):
        if not (for_training or all(_is_neutral(model, name) for name in head)):
            raise ConfigError(
                f"{source}: holds a backbone alone, and the head of this network needs weights of its own"
            )
        line = f"{verb} the backbone of {_origin(reading, source)}: it has no more that fits, and the head is new"
        return line + _load_backbone(model, reading, weights, source) + reading.format.other_settings(model)
    line = f"{verb} the weights of {_origin(reading, source)}"
    wanted: Callable[[str], bool] = _is_any
    classifier = any(is_of_classifier(name) for name in reading.tensors)
    if not classifier or class_count(reading.tensors) not in (None, model.num_classes):
        wanted = _is_of_no_classifier
        line += f", with a new classifier for {model.num_classes} identities" if for_training else ""
    return line + _load(model, reading, wanted, source) + reading.format.other_settings(model)


def class_count(weights: Mapping[str, Tensor]) -> int | None:
    """Counts the identities of the weights' classifier; None without a classifier of this trainer's form."""
    found = (value for key, value in weights.items() if is_of_classifier(key) and key.endswith(".weight"))
    return next((len(classifier) for classifier in found if classifier.ndim == 2), None)


def _load_backbone(model: ReIDModel, reading: Reading, weights: Mapping[str, Tensor], source: str) -> str:
    """Loads the backbone's weights, as they were read, or as the backbone itself reads them; returns a line's end."""
    wanted = partial(_is_of_backbone, model)
    own = getattr(model.base, "load_imagenet", None)
    if own is None or not reading.misfits(model.state_dict(), _needed(model, reading, wanted)):
        return _load(model, reading, wanted, source)
    # As timm converts its own older files.
    intended = {reading.format.intended(name): value for name, value in weights.items()}
    named = {name.removeprefix("base."): value for name, value in intended.items() if wanted(name)}
    own({name.removeprefix("net."): value for name, value in named.items()} if reading.fitting else weights)
    return ""


def _needed(model: ReIDModel, reading: Reading, wanted: Callable[[str], bool]) -> Callable[[str], bool]:
    """Narrows what is wanted of the weights: of the parts that were added to a backbone, to those that some fit."""
    fitting = reading.tensors.keys() - set(reading.misshapen)
    added = [f"base.{name}" for name in getattr(model.base, "added", ())]
    new = tuple(part for part in added if not any(name.startswith(part) for name in fitting))
    return lambda name: wanted(name) and not name.startswith(new)


def _is_any(_name: str) -> bool:
    """Tells that a tensor is wanted, whatever its name."""
    return True


def _is_of_backbone(model: ReIDModel, name: str) -> bool:
    """Tells whether a tensor of this name is of the backbone, or of a branch's copy of its end."""
    return model.plain_name(name).startswith("base.")


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


def _load(model: ReIDModel, reading: Reading, wanted: Callable[[str], bool], source: str) -> str:
    """Loads what is wanted of the tensors that were read.

    Returns:
        The end of a line for the log: what is new beside it, and what was resized.
    Raises:
        ConfigError: with the number and the first of the tensors that do not fit.
    """
    needed = _needed(model, reading, wanted)
    if misfits := reading.misfits(model.state_dict(), needed):
        raise ConfigError(f"{source}: does not fit this network: read as {reading.how}, tensors {misfits}")
    loaded = {name: value for name, value in reading.tensors.items() if needed(name) and name != ORIGIN_COUNTS}
    model.load_state_dict(loaded, strict=False)
    new = [name for name in model.state_dict() if wanted(name) and not needed(name)]
    return (f"; new: {len(new)} tensors (first: {min(new)})" if new else "") + reading.resizing


def _download(name: str) -> dict[str, Tensor]:
    """Downloads torchvision's ImageNet weights of a network."""
    from torchvision.models import get_model_weights, list_models

    if name not in list_models():
        raise TrainerError(
            f"there is no download of starting weights for {name}; set MODEL.PRETRAIN_PATH to a file of them (the head of"
            " a recipe's file says which), or MODEL.PRETRAIN_CHOICE none"
        )
    try:
        weights: dict[str, Tensor] = get_model_weights(name)["IMAGENET1K_V1"].get_state_dict(progress=False)
    except (OSError, RuntimeError) as error:
        raise TrainerError(
            f"ImageNet weights of {name} cannot be downloaded ({error}); set MODEL.PRETRAIN_PATH to a file of them,"
            " or MODEL.PRETRAIN_CHOICE none"
        ) from None
    return weights
