"""Checkpoints: save and load everything that a run needs to resume as if it had never stopped.

A checkpoint is a dictionary written by `torch.save` and read with `weights_only=True`, so that opening one runs
no code: format (int); model, optimizer, ema, scaler and center (`engine.learner`); rng; progress and means
(`engine.trainer`); num_classes; config (YAML text); while a head's preparation lasts, also preparation
(`engine.preparation`). The learning rate is a function of the configuration and the place in the run, and needs no state.

A file that is torn (cut short, or with a wrong checksum) can never be read, so the one before it is taken. Any other
file that cannot be read now (permissions, a disk's error, another version's format) ends the run with nothing changed.
"""

from __future__ import annotations

import errno
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.output_dir import BEST_NAME, checkpoint_name, list_checkpoints
from utils.errors import ConfigError, TrainerError
from utils.files import TEMPORARY_SUFFIX, write_atomically

FORMAT = 2
_KEYS = {
    *("format", "model", "optimizer", "ema", "scaler", "center"),
    *("rng", "progress", "means", "num_classes", "config"),
}
_SOMETIMES = {"preparation"}

State = dict[str, Any]


class TornFileError(Exception):
    """Damage of a file that was written by `torch.save`: cut short, or with a wrong checksum."""


def save_checkpoint(folder: Path, state: State) -> Path:
    """Writes a checkpoint, then removes all others but the one before it.

    Returns:
        The path of the checkpoint.
    Raises:
        TrainerError: the file could not be written; the earlier checkpoints are untouched.
    """
    path = folder / checkpoint_name(state["progress"]["epoch"], state["progress"]["iteration"])
    write_state(path, {"format": FORMAT, **state}, "cannot write the checkpoint")
    _remove_superseded(folder, path)
    return path


def write_state(path: Path, state: State, failure: str) -> None:
    """Writes a file of `torch.save`; an error begins with `failure`.

    Raises:
        TrainerError: the file could not be written; an earlier one is untouched.
    """
    try:
        write_atomically(path, lambda stream: torch.save(state, stream))
    except (OSError, RuntimeError) as error:  # torch wraps a full disk in a RuntimeError
        cause = error if isinstance(error, OSError) else error.__context__ or error
        reason = getattr(cause, "strerror", None) or str(cause).splitlines()[0]
        raise TrainerError(f"{failure} {path}: {reason}") from None


def _remove_superseded(folder: Path, newest: Path) -> None:
    """Removes earlier checkpoints but the one before `newest`, torn ones, and unfinished files.

    What cannot be read for another reason than being torn may be worth something, and stays.
    """
    try:
        paths = list_checkpoints(folder)
    except ConfigError:
        return  # the next checkpoint removes them
    earlier = paths[paths.index(newest) + 1 :]
    whole = [path for path in earlier if _is_checkpoint(path)]
    torn = [path for path in paths if path != newest and path not in whole and _is_torn(path)]
    unfinished = [*folder.glob(f"checkpoint_*.pth{TEMPORARY_SUFFIX}"), folder / f"{BEST_NAME}{TEMPORARY_SUFFIX}"]
    for path in (*whole[1:], *torn, *unfinished):
        path.unlink(missing_ok=True)


def _is_checkpoint(path: Path) -> bool:
    """Tells whether a file opens as a checkpoint of this version; reads no tensor."""
    try:
        return _difference(torch.load(path, map_location="cpu", weights_only=True, mmap=True)) is None
    except Exception:  # a damaged file fails in as many ways as there are bytes
        return False


def _is_torn(path: Path) -> bool:
    """Tells whether a file is torn; False where it cannot be read."""
    try:
        require_whole(path)
    except TornFileError:
        return True
    except (OSError, ValueError, MemoryError):
        return False
    return False


def load_newest(folder: Path, warnings: list[str]) -> tuple[Path, State] | None:
    """Loads the newest checkpoint that is not torn into host memory; None where there is none.

    Args:
        folder: the run's OUTPUT_DIR.
        warnings: gets one line about each torn checkpoint.
    Returns:
        The path of the checkpoint and its state.
    Raises:
        ConfigError: a checkpoint, or the folder, cannot be read now, and may be readable at another time.
    """
    for path in list_checkpoints(folder):
        try:
            return path, read_checkpoint(path)
        except TornFileError as error:
            warnings.append(f"Skipping the checkpoint {path}, which is damaged: {error}")
    return None


def read_checkpoint(path: Path) -> State:
    """Reads a checkpoint into host memory.

    Raises:
        TornFileError: the file is torn.
        ConfigError: the file cannot be read for another reason; the text says what to do.
    """
    try:
        require_whole(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except TornFileError:
        raise
    except OSError as error:
        raise _cannot_resume(path, error.strerror or str(error)) from None
    except Exception as error:  # a whole file: of another program or version, or there is too little memory
        raise _cannot_resume(path, (str(error).splitlines() or [type(error).__name__])[0]) from None
    if difference := _difference(state):
        raise _cannot_resume(path, difference)
    return dict(state)


def _difference(state: Any) -> str | None:
    """Says how the content of a file differs from a checkpoint's; None where it does not."""
    found = state.get("format") if isinstance(state, dict) else None
    if found != FORMAT:
        return f"its format is {found}, this version reads {FORMAT}"
    if differing := (state.keys() - _SOMETIMES) ^ _KEYS:
        return f"its parts differ: {', '.join(sorted(map(str, differing)))}"
    return None


def _cannot_resume(path: Path, reason: str) -> ConfigError:
    """Makes the error for a checkpoint that cannot be read, and is not torn."""
    return ConfigError(
        f"cannot resume from the checkpoint {path}: {reason}. Nothing was changed: make it readable or move it away to"
        " resume from the one before it, or give another OUTPUT_DIR to start afresh"
    )


def require_whole(path: Path) -> None:
    """Reads a file of `torch.save` to its end and compares its checksums, which torch writes and does not look at.

    Raises:
        TornFileError: the file is cut short, or a checksum is wrong.
        OSError: the file cannot be read.
        ValueError: the file does not begin as `torch.save` begins one, so that nothing says what it is.
    """
    with open(path, "rb") as stream:
        beginning = stream.read(2)
        if beginning.strip(b"\0") and beginning != b"PK":
            raise ValueError("it does not begin as this trainer begins one")
        try:
            with zipfile.ZipFile(stream) as archive:
                damaged = archive.testzip()
        except MemoryError:
            raise
        except Exception as error:  # a damaged file fails in as many ways as there are bytes
            if disk := _disk_error(error):
                raise disk from None
            # Its directory is at its end.
            cut = isinstance(error, EOFError) or "zip file" in str(error)
            reason = "it is cut short" if cut else (str(error).splitlines() or [type(error).__name__])[0]
            raise TornFileError(reason) from None
    if damaged:
        raise TornFileError(f"the checksum of {damaged} is wrong")


def _disk_error(error: BaseException | None) -> OSError | None:
    """Finds the disk's error behind an error of `zipfile`, which takes some for a file of another kind."""
    while error is not None:
        # EINVAL is a place before the beginning of a short file.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            return error
        error = error.__context__
    return None


def rng_state() -> State:
    """Returns the state of every global random number generator, in types that a weights-only load reads."""
    _kind, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (np.asarray(keys).tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_rng_state(state: State) -> None:
    """Restores the generators' state from `rng_state`; CUDA's only where the number of GPUs is unchanged."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state(("MT19937", np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def seed_everything(seed: int) -> None:
    """Seeds Python's, numpy's and torch's global generators, on all devices."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
