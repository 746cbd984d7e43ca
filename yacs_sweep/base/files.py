"""Reads and writes whole files that several processes share: a reader never sees half of one."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

PART_AGE = 60.0  # seconds after which a half-written file belongs to nobody any more


def read_json(path: Path) -> dict[str, Any]:
    """Reads the object in a JSON file; an empty one where the file is missing, damaged or holds something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def write_atomically(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Replaces the file at `path` in one step; text is written as UTF-8.

    Args:
        durable: whether the file also survives a power cut (fsync).

    Raises:
        OSError: the file cannot be written; the former one is still in place.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with open(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def remove_parts(folder: Path) -> None:
    """Removes the half-written files that killed writers left in `folder` and in the folders directly below."""
    for pattern in (".*.part", "*/.*.part"):
        for path in folder.glob(pattern):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > PART_AGE:
                    path.unlink()
