"""Reading of files of weights. Nothing that is read here runs code."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from modeling.torchscript import is_torchscript, read_torchscript
from modeling.weights.stand_ins import STAND_INS
from utils.errors import ConfigError

# First bytes of files from torch.save: a zip archive, or before PyTorch 1.6 a pickle of any protocol.
_BEGINNINGS = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_PYTHON_OBJECT = re.compile(r"GLOBAL (\S+)")  # in torch's refusal
_CONVERT = (
    "convert it once, in the folder of the code that wrote it: old = torch.load(FILE, weights_only=False), then"
    ' torch.save(old["state_dict"], NEW) where old is a dictionary, else torch.save(old.state_dict(), NEW)'
)
# Keys of dictionaries with the weights inside, those of averaged weights first, as this trainer's `ema`.
_WRAPPERS = (
    *("ema", "state_dict_ema", "model_ema", "teacher", "weights"),
    *("model", "state_dict", "model_state_dict", "net", "network", "student"),
)
_PARTS = ("module", "_orig_mod")  # of names: from DataParallel, DistributedDataParallel and torch.compile
_PREFIXES = ("model.", "net.", "network.")  # of names, where all have one


def read_state_dict(path: str) -> dict[str, Tensor]:
    """Reads the weights in a file: a state dict, alone or in a dictionary of other things, such as a checkpoint.

    Of a checkpoint with averaged weights, those are taken; of one with a teacher and a student, the teacher. What wrappers
    of networks put into names (`module.`, `_orig_mod.`, and before all names `model.` or `net.`) is taken out of them.

    Raises:
        ConfigError: the file is missing, damaged, or holds something else than weights.
    """
    weights = _unwrapped(_read(path))
    if weights is None:
        raise ConfigError(f"{path}: holds no state dict")
    return _plain_names(weights)


def _unwrapped(content: Any, depth: int = 4) -> dict[str, Tensor] | None:
    """Finds the state dict in what a file holds, at most so many dictionaries deep; None where there is none."""
    if not isinstance(content, Mapping) or not depth:
        return None
    for key in _WRAPPERS:
        if (inside := _unwrapped(content.get(key), depth - 1)) is not None:
            return inside
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)} or None


def _plain_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Takes out of the names what wrappers of networks put into them."""
    plain = {".".join(part for part in name.split(".") if part not in _PARTS): value for name, value in weights.items()}
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in plain):
            return _plain_names({name.removeprefix(prefix): value for name, value in plain.items()})
    return plain


def read_settings(path: str) -> str | None:
    """Reads the configuration (YAML) in a checkpoint of this trainer, but no weights; None in a file without one.

    Raises:
        ConfigError: see `read_state_dict`.
    """
    content = _read(path, only_settings=True)
    if not isinstance(content, Mapping) or not isinstance(content.get("format"), int):
        return None
    config = content.get("config")
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
                with torch.serialization.safe_globals(STAND_INS):
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
