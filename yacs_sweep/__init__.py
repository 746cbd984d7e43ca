"""Searches hyperparameters of a trainer that runs as a child process. In Python: `Sweep` (docs/python.md)."""

from __future__ import annotations

import sys
from typing import Any

if sys.version_info < (3, 10):  # noqa: UP036 - a checkout is started by any
    version = ".".join(map(str, sys.version_info[:2]))
    sys.stderr.write(
        f"error: the launcher needs Python 3.10 or newer, and this is {version}; a trainer's may be older\n"
    )
    raise SystemExit(2)

__all__ = ["Best", "ConfigError", "Report", "Run", "Sweep", "SweepError", "Trials", "__version__"]
_HOMES = {
    "Best": "api",
    "ConfigError": "base.errors",
    "Report": "trainers.inside.call_function",
    "Run": "show.runs",
    "Sweep": "api",
    "SweepError": "base.errors",
    "Trials": "show.trials",
}


def __getattr__(name: str) -> Any:
    """Imports a public name on its first use, since agents and `--help` import the package as well."""
    if name == "__version__":
        from .base.shipped import version

        return version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
