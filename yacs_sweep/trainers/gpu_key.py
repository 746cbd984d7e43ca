"""Writes the value of the trainer's key that chooses GPUs (`gpu_key` of a profile), in the form the trainer wants.

Trainers use such a key in two ways. Some set CUDA_VISIBLE_DEVICES from it and so need the machine's names of the GPUs:
reid-strong-baseline, TransReID, CLIP-ReID and SOLIDER-REID (MODEL.DEVICE_ID, a text). Others count the GPUs that
CUDA_VISIBLE_DEVICES leaves them from 0: HRNet (GPUS, a list). A few want their number alone: pycls, SlowFast (NUM_GPUS).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..logs.names import FIELD

GPU_PLACEHOLDERS = ("gpu_ids", "visible_gpu_ids", "gpu_count")  # of a form
NAME = "{gpu_ids}"
NUMBER = "{visible_gpu_ids}"
LIST = "[{visible_gpu_ids}]"
_NO_GPU = "NoDevFiles"  # what Slurm says to a job without GPUs
_JOBS = ("SLURM_JOB_ID", "RAY_JOB_ID")  # variables of a scheduler's job
_SPEAKS_OF_GPUS = re.compile(r"(?:.*[._])?(?:DEVICE_?IDS?|GPU_?IDS?|GPUS?|GPU_DEVICES|CUDA_DEVICES?)", re.IGNORECASE)


@dataclass(frozen=True)
class GpuKey:
    """Names the trainer's key that chooses GPUs; `form` is the value with placeholders, None: by the default's type."""

    key: str
    form: str | None = None

    def form_for(self, default: Any) -> str:
        """Returns the value's form for a key with that default: a text has the GPUs' names, numbers count from 0."""
        if self.form is not None:
            return self.form
        if isinstance(default, int | float) and not isinstance(default, bool):
            return NUMBER
        return LIST if isinstance(default, list | tuple) else NAME

    def text(self, gpu_ids: Sequence[str], default: Any) -> str:
        """Writes the value for these GPUs as a text."""
        values = {
            "gpu_ids": ",".join(gpu_ids),
            "visible_gpu_ids": ",".join(map(str, range(len(gpu_ids)))),
            "gpu_count": str(len(gpu_ids)),
        }
        return FIELD.sub(lambda match: values.get(match[1], match[0]), self.form_for(default))


def gpus_of_job(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the GPUs that a scheduler (Slurm, Ray) has given to the job the launcher runs in; empty outside of one."""
    if not any(name in environment for name in _JOBS):
        return ()
    names = [word.strip() for word in environment.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    return () if _NO_GPU in names or "-1" in names else tuple(name for name in names if name)


def likely_key(defaults: Mapping[str, Any]) -> str | None:
    """Finds the key of a trainer's tree that chooses GPUs, by its name and its default; None without one.

    Keys that hold a number of GPUs (NUM_GPUS) or a switch choose none.
    """
    found = [
        key
        for key, value in defaults.items()
        if _SPEAKS_OF_GPUS.fullmatch(key)
        and not re.search(r"(?:^|[._])NUM_GPUS?$", key, re.IGNORECASE)
        and isinstance(value, str | int | list | tuple)
        and not isinstance(value, bool)
    ]
    return min(found, key=len) if found else None
