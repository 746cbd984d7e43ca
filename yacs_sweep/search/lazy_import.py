"""Delays the import of a library's module that takes long and is hardly ever used."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType


class _LazyFinder(MetaPathFinder):
    """Finds one module, with a loader that runs the module at its first use."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns the module's spec once; None for all other modules."""
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def load_when_used(name: str) -> None:
    """Delays a module's code from its import to the first use of one of its names.

    Source: `importlib.util.LazyLoader`, which is meant for this.
    """
    if name not in sys.modules:
        sys.meta_path.insert(0, _LazyFinder(name))
