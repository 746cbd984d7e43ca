"""Makes a Python function the trainer.

The function travels to its trials as ``function.pkl`` in the sweep's folder, by cloudpickle: what is defined in a
notebook, in ``__main__`` or inside another function goes by value, what a module holds by name. A trial is a process of
its own like any other (`call_function.py`), which prints what the function reports as METRIC lines.
"""

from __future__ import annotations

import inspect
import os
import pickle
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from ..base.errors import ConfigError
from ..base.files import write_atomically
from ..base.values import to_json
from ..logs.patterns import LogFormat
from ..records.folder import SweepPaths
from ..spec.parameter import Parameter, nest_values
from ..spec.sweep import SweepSpec
from .inside import call_function
from .profile import PYTHON, TrainerProfile

FUNCTION = "(function)"  # in place of a profile's path


@dataclass(frozen=True)
class FunctionProfile(TrainerProfile):
    """Starts a function as the trainer.

    `pickled` is the content of the file that `call_function.py` reads; empty for a sweep whose folder has the file.
    """

    pickled: bytes = b""
    parameters: tuple[Parameter, ...] = ()
    metric: str | None = None

    def install(self, sweep_dir: Path) -> str:
        """Keeps the function in the sweep's folder, so that the sweep's id alone is enough to resume it."""
        if self.pickled:
            write_atomically(sweep_dir / call_function.FUNCTION_FILE, self.pickled)
        return self.reference

    def wandb_config(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the parameters, nested as the sweep has them."""
        return nest_values(self.parameters, params)

    def write_parameters(self, output_dir: Path, params: Mapping[str, Any]) -> dict[str, str]:
        """Writes the parameters, nested as the sweep file nests them, and the objective's name."""
        content = {"params": self.wandb_config(params), "metric": self.metric}
        (output_dir / call_function.PARAMS_FILE).write_text(to_json(content), encoding="utf-8")
        return {}

    @property
    def parameter_files(self) -> tuple[str, ...]:
        """Names the file of `write_parameters`, in the output directory."""
        return (call_function.PARAMS_FILE,)

    @property
    def reads_folder(self) -> bool:
        """Whether the trainer looks for its parameters in its output directory: `call_function.py` does."""
        return True

    def for_spec(self, spec: SweepSpec) -> FunctionProfile:
        """Returns the profile of this function with the parameters and the objective of a sweep."""
        return replace(self, parameters=spec.parameters, metric=spec.metric.name if spec.metric else None)


def function_profile(train: Callable[..., Any] | None, cwd: Path) -> FunctionProfile:
    """Makes the profile of a function; without one, of a sweep whose folder has it. Trials run in `cwd`.

    Raises:
        ConfigError: the function cannot be called with parameters, or not be sent to another process.
    """
    if train is not None and not callable(train):
        raise ConfigError(f"train: {train!r} is not a function; write train=fn, where fn(params) returns a value")
    name = FUNCTION if train is None else getattr(train, "__qualname__", type(train).__name__)
    return FunctionProfile(
        name=name,
        path=Path(FUNCTION),
        command=(PYTHON, call_function.__file__, "{output_dir}"),
        cwd=cwd,
        overrides="wandb",
        metrics=LogFormat((), wandb=True),
        env={"WANDB_MODE": "disabled"},
        preload=() if train is None else _libraries(train),
        reference=FUNCTION,
        pickled=b"" if train is None else _pickled(train, name),
    )


def function_problems(given: object, trainer: str, paths: SweepPaths | None) -> list[str]:
    """Explains why a sweep with that trainer cannot be resumed with the given function, or without one.

    Args:
        paths: of the sweep; None: its folder is on another machine.
    """
    if isinstance(given, FunctionProfile):
        return [] if trainer == FUNCTION else ["train: the sweep runs a command, not a function; leave it out"]
    kept = paths is not None and (paths.dir / call_function.FUNCTION_FILE).is_file()
    if trainer != FUNCTION or kept:
        return []
    where = f"{paths.dir} has no {call_function.FUNCTION_FILE}" if paths else "this machine does not have it"
    return [f"the trainer of this sweep is a Python function, and {where}; Sweep.open(…, train=fn) gives it again"]


def _pickled(train: Callable[..., Any], name: str) -> bytes:
    """Pickles the function with the import path and the number of its arguments."""
    import cloudpickle  # only a sweep of a function needs it

    if inspect.iscoroutinefunction(train) or inspect.isasyncgenfunction(train):
        raise ConfigError(f"train: {name} is async; write a plain function that runs its own event loop")
    try:
        takes = call_function.count_arguments(train)
    except TypeError as error:
        raise ConfigError(f"train: {name} {error}; write fn(params) or fn(params, report)") from None
    path = [os.path.abspath(folder) for folder in sys.path]  # "": the folder of an interactive session
    try:
        return pickle.dumps({"path": path, "arguments": takes, "function": cloudpickle.dumps(train)})
    except Exception as error:  # whatever the __reduce__ of something it refers to raises
        raise ConfigError(
            f"train: {name} cannot be sent to a process of its own: {type(error).__name__}: {error}; "
            "create inside the function what it uses from outside (files, connections, locks, data loaders)"
        ) from None


def _libraries(train: Callable[..., Any]) -> tuple[str, ...]:
    """Lists the installed packages that the function names in its own code: imported once for all trials."""
    code, names = getattr(train, "__code__", None), getattr(train, "__globals__", {})
    found = (names.get(name) for name in (code.co_names if code else ()))
    modules = dict.fromkeys(item.__name__.partition(".")[0] for item in found if isinstance(item, ModuleType))
    folders = {os.path.realpath(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}
    return tuple(name for name in modules if _folder(sys.modules.get(name)) in folders)


def _folder(module: ModuleType | None) -> str:
    """Returns the folder that holds the module, or the package of a package's module."""
    path = getattr(module, "__file__", None) or ""
    package = os.path.dirname(path) if hasattr(module, "__path__") else path
    return os.path.realpath(os.path.dirname(package)) if path else ""
