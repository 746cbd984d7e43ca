"""Finds the file outside a trial's folder that is likely a trainer's checkpoint."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePath

MOST = 20_000  # entries of a trainer's folder that are looked at
_SKIPPED = ("__pycache__", "node_modules", "wandb")
_NAMES = re.compile(r"ckpt|check.?point|last|latest|state|resume|model|weights|epoch", re.IGNORECASE)
_SUFFIXES = (".pth", ".pt", ".ckpt", ".tar", ".pkl", ".npz", ".npy", ".bin", ".safetensors", ".h5")


def written_checkpoint(folder: Path, since: float, without: Path, patterns: Sequence[str]) -> Path | None:
    """Finds the file below a folder that was written lately and is likely a checkpoint; None where none looks like one.

    Args:
        since: seconds since the epoch; only files that were changed later count.
        without: a folder that is left out.
        patterns: of the profile's checkpoints.

    Returns:
        Its path, relative to the folder.
    """
    best: tuple[tuple[bool, bool, bool, float], Path] | None = None
    looked = 0
    for root, folders, names in os.walk(folder):
        here = Path(root)
        folders[:] = [
            name for name in folders if not name.startswith(".") and name not in _SKIPPED and here / name != without
        ]
        looked += len(folders) + len(names)
        for name in names:
            likely = (
                any(PurePath(name).match(pattern) for pattern in patterns),
                name.endswith(_SUFFIXES),
                _NAMES.search(name) is not None,
            )
            if not any(likely):
                continue
            with contextlib.suppress(OSError):
                changed = (here / name).stat().st_mtime
                if changed >= since and (best is None or (*likely, changed) > best[0]):
                    best = ((*likely, changed), (here / name).relative_to(folder))
        if looked > MOST:
            break
    return best[1] if best is not None else None
