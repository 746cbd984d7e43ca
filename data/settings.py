"""Checks the settings the data room reads, without importing torch or touching a disk."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from data.datasets import READERS


def dataset_names(cfg: Any) -> tuple[str, ...]:
    """DATASETS.NAMES as a tuple; a bare string is one name."""
    names = cfg.DATASETS.NAMES
    return (names,) if isinstance(names, str) else tuple(names)


def uses_identity_sampler(cfg: Any) -> bool:
    """Whether batches are P × K, as the triplet loss needs."""
    return "triplet" in cfg.DATALOADER.SAMPLER


def data_problems(cfg: Any) -> list[str]:
    """What is wrong with the data settings of the YACS tree `cfg`, types and ranges apart.

    Each problem is a line naming the key, its value and what is allowed; empty when all is well.
    """
    problems = []
    names = dataset_names(cfg)
    if len(names) != 1:
        problems.append(f"DATASETS.NAMES: {names!r} is not allowed; give one name")
    problems += [_unknown("DATASETS.NAMES", name, READERS) for name in names if name not in READERS]
    if uses_identity_sampler(cfg):
        problems += batch_problems(cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.NUM_INSTANCE)
    return problems


def batch_problems(batch_size: int, num_instances: int) -> list[str]:
    """What is wrong with a P × K batch of `batch_size` images, `num_instances` of each identity."""
    if num_instances < 1:
        return [
            f"DATALOADER.NUM_INSTANCE: {num_instances} is not allowed; give 1 or more images of an identity"
        ]
    if batch_size % num_instances or batch_size < 2 * num_instances:
        return [
            f"SOLVER.IMS_PER_BATCH: {batch_size} is not allowed; give a multiple of DATALOADER.NUM_INSTANCE "
            f"({num_instances}), at least {2 * num_instances}"
        ]
    return []


def _unknown(key: str, value: str, allowed: Iterable[str]) -> str:
    near = difflib.get_close_matches(value, allowed, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{key}: {value!r} is not one of {', '.join(allowed)}{hint}"
