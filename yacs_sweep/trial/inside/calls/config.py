"""Stands for `wandb.config` and `run.summary` in a trial: they behave as W&B's, and know the sweep's parameters."""

from __future__ import annotations

import dataclasses
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, Mapping


def warn(text: str) -> None:
    """Prints a line as W&B's client prints its warnings."""
    sys.stderr.write("wandb: WARNING %s\n" % text)


def plain(value: Any) -> Any:
    """Returns a value as W&B keeps it in a run's config: numbers, texts, lists and dicts of them."""
    if value is None or isinstance(value, str) or type(value) in (bool, int, float):
        return value
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    for method in ("tolist", "item"):  # arrays and scalars of numpy, torch, JAX
        if callable(getattr(value, method, None)):
            try:
                return getattr(value, method)()
            except Exception:
                break
    if hasattr(value, "keys") and hasattr(value, "__getitem__"):  # other mappings, as OmegaConf's
        return {key: plain(value[key]) for key in list(value.keys())}
    return value if isinstance(value, (bool, int, float)) else str(value)


def as_dict(given: Any) -> dict[str, Any]:
    """Returns what may be given as a config: a mapping, argparse's namespace, a dataclass, an object's attributes."""
    if given is None:
        return {}
    if isinstance(given, Config):
        return dict(given._items)
    if isinstance(given, dict):
        return given
    if hasattr(given, "keys") and hasattr(given, "__getitem__"):
        return {key: given[key] for key in list(given.keys())}
    if hasattr(given, "__dict__"):
        return dict(vars(given))
    raise TypeError("config must be a dict or have a __dict__ attribute.")


class Config:
    """A run's parameters. Those of the sweep are locked: nothing the program says changes them."""

    _items: dict[str, Any]
    _locked: frozenset[str]
    _read: Callable[[Any], dict[str, Any]]
    _error: type[Exception]
    _tell: Callable[[dict[str, Any]], None] | None

    def __init__(self, read: Callable[[Any], dict[str, Any]], error: type[Exception]) -> None:
        """Makes an empty config.

        Args:
            read: makes a dict of anything that may be given as a config.
            error: raised when a value would change without allow_val_change.
        """
        self._start(read, error, {})
        if os.path.isfile("config-defaults.yaml"):
            try:
                self.update("config-defaults.yaml")
            except Exception as error_:
                warn("config-defaults.yaml cannot be read: %s" % error_)

    def _start(self, read: Callable[[Any], dict[str, Any]], error: type[Exception], items: dict[str, Any]) -> None:
        first = {"_read": read, "_error": error, "_items": items, "_locked": frozenset(), "_tell": None}
        for name, value in first.items():
            object.__setattr__(self, name, value)

    def _lock(self, parameters: Mapping[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
        """Sets the trial's parameters for good. `tell` is called with the program's own ones, now and as they change."""
        own = {key: value for key, value in self._items.items() if key not in parameters}
        if own:
            tell(own)
        self._items.update(parameters)
        object.__setattr__(self, "_locked", frozenset(parameters))
        object.__setattr__(self, "_tell", tell)

    def _set(self, values: Mapping[str, Any], allow_val_change: bool | None) -> None:
        changed = {}
        for key, value in values.items():
            key, value = str(key).strip("-"), plain(value)
            if key in self._locked:
                if value != self._items[key]:
                    warn("Config item '%s' was locked by 'sweep' (ignored update)." % key)
            elif not allow_val_change and key in self._items and self._items[key] != value:
                raise self._error(
                    'Attempted to change value of key "%s" from %s to %s\nIf you really want to do this, pass '
                    "allow_val_change=True to config.update()" % (key, self._items[key], value)
                )
            else:
                changed[key] = value
        self._items.update(changed)
        if self._tell is not None:
            self._tell(changed)

    def update(self, d: Any, allow_val_change: bool | None = None) -> None:
        """Adds values; changes others only when it is allowed."""
        self._set(self._read(d), allow_val_change)

    def setdefaults(self, d: Any) -> None:
        """Adds values under names that have none."""
        self._set({key: value for key, value in self._read(d).items() if key not in self._items}, None)

    def update_locked(self, d: Any, user: Any = None, _allow_val_change: Any = None) -> None:
        """Does what `update` does."""
        self.update(d, allow_val_change=True)

    merge_locked = update_locked

    def keys(self) -> list[str]:
        """Returns the names."""
        return [key for key in self._items if not key.startswith("_")]

    def items(self) -> list[tuple[str, Any]]:
        """Returns names and values."""
        return [(key, self._items[key]) for key in self.keys()]

    def values(self) -> list[Any]:
        """Returns the values."""
        return [value for _, value in self.items()]

    def get(self, *args: Any) -> Any:
        """Returns a value, or the default."""
        return self._items.get(*args)

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as a dict."""
        return dict(self.items())

    def _as_dict(self) -> dict[str, Any]:
        return self._items

    def persist(self) -> None:
        """Does nothing: there is nothing to send."""

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._set({key: value}, None)

    __setattr__ = __setitem__

    def __getattr__(self, key: str) -> Any:
        items = self.__dict__.get("_items", {})
        if key in items:
            return items[key]
        raise AttributeError("%r object has no attribute %r" % (type(self).__name__, key))

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return str(self.as_dict())

    def __reduce__(self) -> Any:
        return restored, (dict(self._items),)


def restored(items: dict[str, Any]) -> Config:
    """Makes a copy of a config, in another process perhaps."""
    config: Config = Config.__new__(Config)
    config._start(as_dict, ValueError, items)
    return config


class Summary(dict):  # type: ignore[type-arg]  # its parameters are unknown to Python 3.7
    """A run's summary: the last value of each metric, or what `define_metric` and the program say."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        """`tell` is called with what the program itself writes."""
        super().__init__()
        self.__dict__["_tell"] = tell

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self.__dict__["_tell"]({key: value})

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Sets several values."""
        values = dict(*args, **kwargs)
        super().update(values)
        self.__dict__["_tell"](values)

    def _as_dict(self) -> dict[str, Any]:
        return dict(self)

    def __getattr__(self, key: str) -> Any:
        if key in self:
            return self[key]
        raise AttributeError(key)

    __setattr__ = __setitem__

    def __reduce__(self) -> Any:
        return dict, (dict(self),)
