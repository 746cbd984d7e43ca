"""Classifies a `--storage URL` without SQLAlchemy, which takes a while to import."""

from __future__ import annotations

MASK = "***"  # in place of a password, wherever a URL is written or shown
URL_VARIABLE = "YACS_SWEEP_STORAGE"  # --storage, to keep a password off the command line


def shared(url: str | None) -> bool:
    """Returns whether agents of several machines can share the storage: only PostgreSQL."""
    return url is not None and url.partition(":")[0].partition("+")[0] in ("postgresql", "postgres")
