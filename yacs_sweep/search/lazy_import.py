"""Puts off the import of a part of somebody else's package that we do not need, and that takes long to import."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType


class _WhenUsed(MetaPathFinder):
    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def load_when_used(name: str) -> None:
    """Has the module loaded when something of it is first used, not when it is imported.

    Source: `importlib.util.LazyLoader`, which is meant for this.
    """
    if name not in sys.modules:
        sys.meta_path.insert(0, _WhenUsed(name))
