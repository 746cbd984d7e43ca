"""A minimal `wandb` for a trainer whose environment has no W&B client.

It is given to the trainer's own code only. Libraries look whether W&B is installed, and use more of it than is here:
for them it stays absent.
"""

from __future__ import annotations

import os
import sys
import types

from .run import Nothing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any, Callable

_LIBRARIES = ("site-packages", "dist-packages")


def spec(fill: Callable[[types.ModuleType], None]) -> ModuleSpec | None:
    """Returns the spec of the stand-in; None when a library asks. `fill` gives the module its functions."""
    if _asked_by_library():
        return None
    from importlib.machinery import ModuleSpec

    return ModuleSpec("wandb", _Loader(fill), is_package=True)  # type: ignore[arg-type]


def _asked_by_library() -> bool:
    """Whether the code that imports `wandb`, or looks for it, is an installed library or Python's own."""
    ours, standard = os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.abspath(os.__file__))
    frame: types.FrameType | None = sys._getframe()
    while frame is not None:
        file = frame.f_code.co_filename
        path = os.path.abspath(file)
        machinery = file.startswith("<frozen importlib") or os.path.dirname(path) == os.path.join(standard, "importlib")
        if not machinery and os.path.dirname(path) != ours and not path.endswith("sitecustomize.py"):
            return path.startswith(standard + os.sep) or bool(set(path.split(os.sep)).intersection(_LIBRARIES))
        frame = frame.f_back
    return True


class Error(Exception):
    """Stands for W&B's."""


class Media(Nothing):
    """Stands for images, tables and other media, which a trial's rows do not hold."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()


class _BeforeInit:
    """Stands for `wandb.config` and `wandb.log` while there is no run."""

    def __init__(self, name: str) -> None:
        self.__dict__["_name"] = name

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        raise Error("You must call wandb.init() before wandb.%s" % self.__dict__["_name"])

    __getitem__ = __setitem__ = __call__

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self()

    def __setattr__(self, name: str, value: Any) -> None:
        self()


_BeforeInit.__name__ = "PreInit"
_OF_RUN = (
    "config summary log save watch unwatch alert define_metric use_artifact log_artifact log_model mark_preempting"
)


class _Loader:
    def __init__(self, fill: Callable[[types.ModuleType], None]) -> None:
        self._fill = fill

    def create_module(self, spec: Any) -> None:
        """Leaves the module to Python."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Fills the module."""
        sys.stderr.write("wandb is not installed here; a stand-in takes what the program logs\n")
        content: dict[str, Any] = {name: _BeforeInit(name) for name in _OF_RUN.split()}
        content.update(dict.fromkeys(("init", "finish", "login", "setup", "teardown", "sweep", "agent"), _later))
        content.update(Error=Error, run=None, __version__="0.0.0", Settings=dict, util=Nothing(), plot=Nothing())
        content["__getattr__"] = _missing
        vars(module).update(content)
        self._fill(module)


def _later(**kwargs: Any) -> None:
    """Has the signature of what is replaced."""


def _missing(name: str) -> Any:
    """Returns a class for names that W&B gives to media, artifacts and the like."""
    if name[:1].isupper():
        return Media
    raise AttributeError("the stand-in for wandb has no %s: install wandb in the trainer's environment" % name)
