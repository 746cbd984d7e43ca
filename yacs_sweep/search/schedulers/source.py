"""Loads the functions of the user's Python file that a sweep file names under `scheduler`.

The file runs in this process. Whatever is wrong with it becomes one line that names the file and the line in it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ...base.errors import SweepError
from ...base.wording import clipped, did_you_mean, show
from ...spec.methods.scheduler import Scheduler
from ...spec.sweep import SweepSpec

_PLAIN = (bool, int, float, str)


class SourceError(SweepError):
    """Something is wrong with the file, or with what its functions return; the text is one line."""


@dataclass(frozen=True)
class SweepInfo:
    """Describes the sweep to the user's `optimizer` function, as W&B's client (0.31) does.

    Attributes:
        config: the sweep file, normalised.
        controller_run_name: W&B's run of the scheduler; there is none here.
    """

    id: str
    name: str
    entity: str
    project: str
    config: dict[str, Any]
    controller_run_name: str = ""


def sweep_info(spec: SweepSpec, sweep_id: str) -> SweepInfo:
    """Describes a sweep to the user's `optimizer` function."""
    return SweepInfo(sweep_id, spec.name or "", spec.entity or "", spec.project or "", spec.to_dict())


class UserFile:
    """Holds the user's file, loaded, and calls functions of it."""

    def __init__(self, path: str | os.PathLike[str], given: str, beside: str | os.PathLike[str] | None = None) -> None:
        """Runs the file.

        Args:
            given: the file as the user named it, for messages.
            beside: the folder of the original, whose modules the file may import.

        Raises:
            SourceError: it cannot be read, or raises an error.
        """
        self.path, self.given = os.path.abspath(path), given
        folder = os.path.abspath(beside if beside is not None else Path(self.path).parent)
        if folder not in sys.path:
            sys.path.append(folder)
        name = f"yacs_sweep_scheduler_{Path(self.path).stem}"
        spec = importlib.util.spec_from_file_location(name, self.path)
        if spec is None or spec.loader is None:
            raise SourceError(f"scheduler source {given}: is not a Python file; write source: FILE.py")
        self.module: ModuleType = importlib.util.module_from_spec(spec)
        sys.modules[name] = self.module  # dataclasses and pickle look their module up
        with self.errors():
            spec.loader.exec_module(self.module)

    def function(self, key: str, name: str) -> Callable[[Any], Any]:
        """Returns a function that takes one argument.

        Args:
            key: of the sweep file, for messages: optimizer or search_space.

        Raises:
            SourceError: there is none of that name, or it cannot be called so.
        """
        found = getattr(self.module, name, None)
        if found is None:
            own = [
                other
                for other, value in vars(self.module).items()
                if inspect.isfunction(value) and value.__module__ == self.module.__name__
            ]
            hint = did_you_mean(name, own) or (f"; it has {', '.join(own)}" if own else "; it has no functions")
            raise SourceError(f"scheduler {key}: {name}: no such function in {self.given}{hint}")
        argument = "trial" if key == "search_space" else "sweep"
        line = self.line(found)
        if not callable(found):
            raise SourceError(f"scheduler {key}: {line}: {name} is {show(found)}, not a function of one argument")
        with contextlib.suppress(ValueError):  # of some built-in functions nothing is known
            try:
                inspect.signature(found).bind(object())
            except TypeError:
                raise SourceError(
                    f"scheduler {key}: {line}: write it as {name}({argument}), with one argument"
                ) from None
        return found  # type: ignore[no-any-return]

    def call(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """Calls one of the user's functions. Raises SourceError for whatever the function raises."""
        with self.errors():
            return function(argument)

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turns the errors of the user's code into one line each."""
        try:
            yield
        except (Exception, SystemExit) as error:
            raise SourceError(f"scheduler source {self._place(error)}: {_text(error)}") from None

    def _place(self, error: BaseException) -> str:
        """Returns the file and the last line of it that took part in an error."""
        if isinstance(error, SyntaxError) and error.filename == self.path:
            return f"{self.given}:{error.lineno}"
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == self.path]
        return f"{self.given}:{lines[-1]}" if lines else self.given

    def line(self, function: Any) -> str:
        """Returns the file and the line where a function is defined, as far as that is known."""
        with contextlib.suppress(TypeError, OSError):
            return f"{self.given}:{inspect.getsourcelines(function)[1]}"
        return self.given

    def params(self, function: Callable[[Any], Any], trial: Any) -> dict[str, Any]:
        """Lets the user's search space draw a trial's parameters.

        Args:
            function: the search space: takes a trial of Optuna's, returns a mapping.

        Raises:
            SourceError: the function raises an error or returns something else.
        """
        found = self.call(function, trial)
        line = f"scheduler search_space: {self.line(function)}"
        if not isinstance(found, Mapping):
            raise SourceError(
                f"{line}: returns {show(found)}, not the parameters; end it with "
                '`return {"NAME": value, …}` or `return trial.params`'
            )
        params = {}
        for name, value in found.items():
            if not isinstance(name, str) or not name:
                raise SourceError(f"{line}: returns {show(name)} as a parameter's name; names are texts")
            params[name] = plain(value)
            if not _is_plain(params[name]):
                allowed = "a trial can be given numbers, texts, true, false, null, lists and mappings"
                raise SourceError(f"{line}: returns {show(value)} as {name}; {allowed}")
        if not params:
            raise SourceError(f"{line}: returns no parameters")
        return params


def _text(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return clipped(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def plain(value: Any) -> Any:
    """Converts numbers of numpy, and tuples, to Python's own numbers and lists."""
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if type(value).__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return value.item()
    return value


def _is_plain(value: Any) -> bool:
    """Tells whether a value can be written to trial.json and given to a trainer."""
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return value is None or isinstance(value, _PLAIN)


def result_and_end(
    found: Any, place: str, kind: type[Any], *, named: str, what: str, line: str
) -> tuple[Any, Callable[[Any], Any] | None]:
    """Splits what the user's `optimizer` function returned: the optimiser, and perhaps a function that ends the search.

    Args:
        place: of the function, for messages.
        kind: of the optimiser.
        named: the same, in words.
        what: a short word for it.
        line: the last line of a function that returns one.

    Raises:
        SourceError: it returned something else.
    """
    result, end = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
    if not isinstance(result, kind):
        raise SourceError(f"{place}: returns {type(result).__name__}, not {named}; end it with `{line}`")
    if end is not None and not callable(end):
        raise SourceError(
            f"{place}: returns {type(end).__name__} beside the {what}, not a function that ends the search"
        )
    return result, end


def open_source(
    scheduler: Scheduler, path: str | os.PathLike[str] | None, beside: str | None = None
) -> UserFile | None:
    """Loads the file of a scheduler; None where it has none. `path`: the copy that is read, if any."""
    if scheduler.source is None:
        return None
    return UserFile(path if path is not None else scheduler.source, scheduler.source, beside)
