"""Reads the weights of a TorchScript archive (`torch.jit.save`) without running what it holds.

`torch.jit.load` compiles the archive's code, and its constructors may run. The weights are plain data beside the code: a
pickle of nested objects and files of numbers. The pickle is read here by a reader that knows three things (an object, a
tensor, a list of tensors), makes nothing else, and refuses the rest. openai/CLIP publishes its weights in such archives.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

_TYPES: dict[str, torch.dtype] = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_LISTS = ("build_tensorlist", "build_intlist", "build_doublelist", "build_boollist")


def is_torchscript(path: str) -> bool:
    """Tells whether a file is a TorchScript archive, which has constants of its code beside its weights."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def read_torchscript(path: str) -> dict[str, Tensor]:
    """Reads the tensors of a TorchScript archive by their names, as in the state dict of its module.

    Raises:
        OSError: the file cannot be read.
        pickle.UnpicklingError: the archive holds something else than modules, tensors and plain values.
        ValueError, KeyError, RuntimeError, zipfile.BadZipFile: it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        pickled = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        root = pickled.removesuffix("data.pkl")
        order = archive.read(f"{root}byteorder") if f"{root}byteorder" in archive.namelist() else b"little"
        if order != b"little":
            raise ValueError(order)
        module = _Reader(archive, root, archive.read(pickled)).load()
    return dict(_tensors(module, ""))


class _Object:
    """Any object of the archive: its attributes, by name."""

    def __init__(self) -> None:
        self.attributes: Any = {}

    def __setstate__(self, state: Any) -> None:
        self.attributes = state


def _tensors(part: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Yields the tensors of an object and of those in it, with their dotted names."""
    attributes = getattr(part, "attributes", None)
    for name, value in attributes.items() if isinstance(attributes, dict) else ():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, _Object):
            yield from _tensors(value, f"{prefix}{name}.")


class _Reader(pickle.Unpickler):
    """Reader of the archive's pickle that makes tensors, `_Object`s and plain values only."""

    def __init__(self, archive: zipfile.ZipFile, root: str, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self._archive, self._root = archive, root
        self._storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return _Object
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _view
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        if module == "torch.jit._pickle" and name in _LISTS:
            return list
        raise pickle.UnpicklingError(f"it holds {module}.{name}")

    def persistent_load(self, pid: Any) -> Tensor:
        _kind, dtype, key, _device, _count = pid
        if key not in self._storages:
            content = bytearray(self._archive.read(f"{self._root}data/{key}"))
            self._storages[key] = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        return self._storages[key]


def _view(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_others: Any) -> Tensor:
    """Makes a tensor of a part of the numbers that an archive's tensors share."""
    return storage.as_strided(size, stride, offset)
