"""What can be said of `--storage URL` without SQLAlchemy, which takes a while to import."""

from __future__ import annotations

MASK = "***"  # instead of a password, wherever a URL is written or shown
URL_VARIABLE = "YACS_SWEEP_STORAGE"  # --storage for who does not want a password on the command line


def shared(url: str | None) -> bool:
    """Whether agents of several machines can work on that storage: PostgreSQL."""
    return url is not None and url.partition(":")[0].partition("+")[0] in ("postgresql", "postgres")
