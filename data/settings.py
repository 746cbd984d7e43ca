"""Checks of the data settings, without importing torch or reading a disk."""

from __future__ import annotations

import difflib
import re
from typing import Any

from data.layouts import LAYOUTS, split_name
from data.samplers import SAMPLERS
from data.transforms import PROBABILITIES, TRANSFORMS
from utils.families import OWN_FILE


def dataset_names(cfg: Any) -> tuple[str, ...]:
    """Lists the data sets to train on: DATASETS.NAMES."""
    return _names(cfg.DATASETS.NAMES)


def tested_names(cfg: Any) -> tuple[str, ...]:
    """Lists the data sets to test on: DATASETS.TEST_NAMES, or NAMES where that is empty."""
    return _names(cfg.DATASETS.TEST_NAMES) or dataset_names(cfg)


def _names(value: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Splits a setting into names; a text may hold several with commas, which is handy on a command line."""
    elements = (value,) if isinstance(value, str) else value
    return tuple(name.strip() for element in elements for name in element.split(",") if name.strip())


def transform_names(cfg: Any) -> tuple[str, ...]:
    """Lists the random transforms: INPUT.TRANSFORMS."""
    return _names(cfg.INPUT.TRANSFORMS)


def uses_identity_sampler(cfg: Any) -> bool:
    """Tells whether batches are P × K, as the triplet loss needs."""
    return "triplet" in cfg.DATALOADER.SAMPLER


def data_problems(cfg: Any) -> list[str]:
    """Checks the data settings of the YACS tree `cfg`; types and ranges are checked elsewhere.

    Returns:
        A line for each problem, which names the key, its value and what is allowed.
    """
    problems = []
    if not dataset_names(cfg):
        problems.append("DATASETS.NAMES: is empty; give the data sets to train on")
    for key in ("NAMES", "TEST_NAMES"):
        names = _names(cfg.DATASETS[key])
        for name in names:
            problems += _name_problems(f"DATASETS.{key}", name)
        if len(set(names)) < len(names):
            problems.append(f"DATASETS.{key}: {list(names)} has a data set twice")
    problems += _pattern_problems(cfg.DATASETS.FOLDER_PATTERN)
    problems += _combine_problems(cfg)
    problems += _transform_problems(cfg)
    problems += _sampling_problems(cfg)
    if uses_identity_sampler(cfg):
        problems += batch_problems(cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.NUM_INSTANCE)
    return problems


def _sampling_problems(cfg: Any) -> list[str]:
    """Checks the weights of data sets; returns the problems."""
    sampling, weights, names = cfg.DATALOADER.SAMPLING, cfg.DATALOADER.SET_WEIGHTS, dataset_names(cfg)
    key = f"DATALOADER.SET_WEIGHTS: {list(weights)}"
    if len(weights) > 1 and sampling in SAMPLERS.names and sampling != "sets":
        return [f"{key} has no effect, since DATALOADER.SAMPLING is {sampling}; choose sets"]
    if len(weights) not in (1, len(names)):
        return [f"{key} has {len(weights)} weights for {len(names)} data sets; give one for each of DATASETS.NAMES"]
    if not any(weight >= 1e-6 for weight in weights):
        return [f"{key} leaves nothing to draw; give a weight above 0"]
    return []


def _transform_problems(cfg: Any) -> list[str]:
    """Checks the names of random transforms, and ranges with their ends swapped; returns the problems."""
    problems = []
    names = transform_names(cfg)
    for name in names:
        if problem := TRANSFORMS.problem(name):
            problems.append(f"INPUT.TRANSFORMS: {problem}")
    if len({name.rpartition(":")[2] for name in names}) < len(names):
        problems.append(f"INPUT.TRANSFORMS: {list(names)} has a transform twice")
    for name, key in PROBABILITIES.items():
        if cfg.INPUT[key] and name not in names:
            problems.append(f"INPUT.{key}: {cfg.INPUT[key]} has no effect, since INPUT.TRANSFORMS leaves {name} out")
    for key in ("RE_AREA", "RPT_AREA", "AFFINE_SCALE"):
        least, largest = cfg.INPUT[key]
        if least > largest:
            problems.append(f"INPUT.{key}: {[least, largest]} is not allowed; give the smaller number first")
    return problems


def _name_problems(key: str, name: str) -> list[str]:
    """Checks the name of one data set; returns the problems."""
    layout, folder = split_name(name)
    if ".py:" in layout:
        problem = LAYOUTS.problem(layout)
        return [f"{key}: {problem}"] if problem else []
    if layout not in LAYOUTS.names:
        near = difflib.get_close_matches(layout, LAYOUTS.names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return [
            f"{key}: {name!r} is not one of {', '.join(LAYOUTS.names)}, one of them with :FOLDER, or {OWN_FILE}{hint}"
        ]
    if layout == "folder" and not folder:
        return [f"{key}: 'folder' needs the folder's name, as in folder:mine"]
    if layout == "synthetic" and folder:
        return [f"{key}: {name!r} is not allowed; write synthetic, whose folder follows from what it holds"]
    return []


def _combine_problems(cfg: Any) -> list[str]:
    """Checks that DATASETS.COMBINEALL trains on no images that are tested on; returns the problems."""
    both = [name for name in dataset_names(cfg) if name in tested_names(cfg)]
    if cfg.DATASETS.COMBINEALL != "yes" or not both:
        return []
    return [
        f"DATASETS.COMBINEALL: yes trains on the queries and the gallery of {', '.join(both)}, which would be tested on;"
        " name other sets in DATASETS.TEST_NAMES, or choose val"
    ]


def _pattern_problems(pattern: str) -> list[str]:
    """Checks DATASETS.FOLDER_PATTERN; returns the problems."""
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        return [f"DATASETS.FOLDER_PATTERN: {pattern!r} is no regular expression: {error}"]
    if "pid" not in groups:
        return [
            f"DATASETS.FOLDER_PATTERN: {pattern!r} does not say where the identity stands; name a group pid, and one "
            r"camid where cameras are known, as in (?P<pid>\d+)_c(?P<camid>\d+)"
        ]
    return []


def batch_problems(batch_size: int, num_instances: int) -> list[str]:
    """Checks the size of a P × K batch with `num_instances` images of each identity; returns the problems."""
    if num_instances < 1:
        return [f"DATALOADER.NUM_INSTANCE: {num_instances} is not allowed; give 1 or more images of an identity"]
    if batch_size % num_instances or batch_size < 2 * num_instances:
        return [
            f"SOLVER.IMS_PER_BATCH: {batch_size} is not allowed; give a multiple of DATALOADER.NUM_INSTANCE "
            f"({num_instances}), at least {2 * num_instances}"
        ]
    return []
