"""Writes and reads points in time as the sweep's files hold them: UTC, ISO 8601, milliseconds, `Z` at the end."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any


def utc_text(seconds: float) -> str:
    """Formats seconds since 1970 as `2026-01-01T00:00:00.000Z`."""
    time = datetime.fromtimestamp(seconds, timezone.utc)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_now() -> str:
    """Formats the present time as `utc_text` does."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_seconds(text: Any) -> float | None:
    """Parses an ISO 8601 time into seconds since 1970; one without a zone is taken as UTC. None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 reads no Z
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()
