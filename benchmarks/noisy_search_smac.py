"""Runs SMAC3 for noisy_search.py, in an environment of its own (`pip install smac`): lines of JSON in and out.

Reads the parameters, then writes each trial's point and seed and reads its value; at last writes the incumbent.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from typing import Any

from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer
from smac import HyperparameterOptimizationFacade, Scenario
from smac.runhistory.dataclasses import TrialValue


def parameter(name: str, described: dict[str, Any]) -> Any:
    """Converts a parameter of a sweep file."""
    if "values" in described:
        return Categorical(name, described["values"])
    low, high = described["min"], described["max"]
    log = described.get("distribution") == "log_uniform_values"
    if isinstance(low, int) and isinstance(high, int):
        return Integer(name, (low, high), log=log)
    return Float(name, (low, high), log=log)


def plain(point: Any) -> dict[str, Any]:
    """Converts a configuration to JSON's values."""
    return {name: value.item() if hasattr(value, "item") else value for name, value in dict(point).items()}


def write(message: Any) -> None:
    print(json.dumps(message), flush=True)


def main() -> None:
    warnings.simplefilter("ignore")
    asked = json.loads(sys.stdin.readline())
    space = ConfigurationSpace(seed=asked["seed"])
    space.add([parameter(name, described) for name, described in asked["parameters"].items()])
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            space, deterministic=False, n_trials=asked["trials"], seed=asked["seed"], output_directory=folder
        )
        smac = HyperparameterOptimizationFacade(scenario, lambda config, seed=0: 0.0, logging_level=50)
        for _ in range(asked["trials"]):
            info = smac.ask()
            write({"point": plain(info.config), "seed": info.seed})
            smac.tell(info, TrialValue(cost=json.loads(sys.stdin.readline()), time=1.0))
        write({"point": plain(smac.intensifier.get_incumbent())})


if __name__ == "__main__":
    main()
