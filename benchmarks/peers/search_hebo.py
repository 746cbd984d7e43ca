"""Searches with HEBO (`pip install HEBO`, Python 3.10): a GP with warped inputs and outputs, several acquisition functions."""

from __future__ import annotations

import random
from typing import Any

import numpy
import torch
from hebo.design_space.design_space import DesignSpace
from hebo.optimizers.hebo import HEBO
from lines import evaluate, is_log, is_whole, request


def parameter(name: str, described: dict[str, Any]) -> dict[str, Any]:
    """Converts a parameter of a sweep file."""
    if "values" in described:
        return {"name": name, "type": "cat", "categories": described["values"]}
    kinds = {(False, False): "num", (False, True): "int", (True, False): "pow", (True, True): "pow_int"}
    kind = kinds[is_log(described), is_whole(described)]
    return {"name": name, "type": kind, "lb": described["min"], "ub": described["max"]}


def main() -> None:
    asked = request()
    random.seed(asked["seed"])
    numpy.random.seed(asked["seed"])
    torch.manual_seed(asked["seed"])
    space = DesignSpace().parse([parameter(name, described) for name, described in asked["parameters"].items()])
    search = HEBO(space, scramble_seed=asked["seed"])
    for _ in range(asked["trials"]):
        points = search.suggest(n_suggestions=1)
        value = evaluate({name: points.iloc[0][name] for name in points.columns})
        search.observe(points, numpy.array([[value]]))


if __name__ == "__main__":
    main()
