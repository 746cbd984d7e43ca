"""Says whether the installed W&B client can be used, without importing it: a launch asks this before it waits for one."""

from __future__ import annotations

import re
from functools import cache

from ..base.shipped import installed

OLDEST, NEWEST = (0, 20), (0, 31)  # versions that were tried: `make test-clients`


@cache
def client_version() -> str | None:
    """Returns the version of the installed client; None where there is none."""
    return installed().get("wandb")


def why_unusable(version: str | None) -> str | None:
    """Explains why a client of this version (None: no client) cannot be used; None where it can."""
    oldest = f"pip install 'wandb>={_text(OLDEST)}'"
    if version is None:
        return f"W&B's client is not installed; {oldest}"
    numbers = _numbers(version)
    return f"wandb {version} is too old; {oldest}" if numbers is not None and numbers < OLDEST else None


def why_untried(version: str) -> str | None:
    """Says that a client is newer than all that were tried, or of an unknown kind; None for the others."""
    numbers = _numbers(version)
    if numbers is not None and numbers <= NEWEST:
        return None
    return f"wandb {version} has not been tried (those from {_text(OLDEST)} to {_text(NEWEST)} have)"


def _numbers(version: str) -> tuple[int, int] | None:
    """Returns the first two numbers of a version; None where it has another form."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else None


def _text(numbers: tuple[int, int]) -> str:
    return ".".join(map(str, numbers))
