"""Searches with Ax (`pip install ax-platform`), as its client chooses by itself; also several objectives and a constraint."""

from __future__ import annotations

import logging
from typing import Any

from ax.api.client import Client
from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig
from ax.utils.common.logger import ROOT_STREAM_HANDLER
from lines import evaluate, is_log, is_whole, request


def parameter(name: str, described: dict[str, Any]) -> Any:
    """Converts a parameter of a sweep file."""
    if "values" in described:
        values = described["values"]
        kind = "str" if isinstance(values[0], str) else "int" if isinstance(values[0], int) else "float"
        return ChoiceParameterConfig(name=name, values=values, parameter_type=kind)
    return RangeParameterConfig(
        name=name,
        bounds=(described["min"], described["max"]),
        parameter_type="int" if is_whole(described) else "float",
        scaling="log" if is_log(described) else "linear",
    )


def main() -> None:
    ROOT_STREAM_HANDLER.setLevel(logging.CRITICAL)
    asked = request()
    names = [f"f{place}" for place in range(asked.get("objectives", 1))]
    client = Client(random_seed=asked["seed"])
    client.configure_experiment(parameters=[parameter(name, item) for name, item in asked["parameters"].items()])
    client.configure_optimization(
        objective=", ".join(f"-{name}" for name in names),
        outcome_constraints=["excess <= 0"] if asked.get("constrained") else None,
    )
    for _ in range(asked["trials"]):
        ((number, point),) = client.get_next_trials(max_trials=1).items()
        found = evaluate(dict(point))
        values, excess = found if isinstance(found, list) else ([found], 0.0)
        data = dict(zip(names, values, strict=True))
        client.complete_trial(number, raw_data=data | ({"excess": excess} if asked.get("constrained") else {}))


if __name__ == "__main__":
    main()
