"""Searches with SMAC3 (`pip install smac`): random forest and intensification, as its facade for hyperparameters sets them.

With noise, each point is written with its seed, and the incumbent at the end.
"""

from __future__ import annotations

import tempfile
from typing import Any

from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer
from lines import evaluate, is_log, is_whole, plain, request, write
from smac import HyperparameterOptimizationFacade, Scenario
from smac.runhistory.dataclasses import TrialValue


def parameter(name: str, described: dict[str, Any]) -> Any:
    """Converts a parameter of a sweep file."""
    if "values" in described:
        return Categorical(name, described["values"])
    kind = Integer if is_whole(described) else Float
    return kind(name, (described["min"], described["max"]), log=is_log(described))


def main() -> None:
    asked = request()
    deterministic = asked.get("deterministic", False)
    space = ConfigurationSpace(seed=asked["seed"])
    space.add([parameter(name, described) for name, described in asked["parameters"].items()])
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            space, deterministic=deterministic, n_trials=asked["trials"], seed=asked["seed"], output_directory=folder
        )
        smac = HyperparameterOptimizationFacade(scenario, lambda config, seed=0: 0.0, logging_level=50)
        for _ in range(asked["trials"]):
            info = smac.ask()
            value = evaluate(dict(info.config), **({} if deterministic else {"seed": info.seed}))
            smac.tell(info, TrialValue(cost=value, time=1.0))
        if not deterministic:
            best = smac.intensifier.get_incumbent()
            write({"point": {name: plain(value) for name, value in dict(best).items()}})


if __name__ == "__main__":
    main()
