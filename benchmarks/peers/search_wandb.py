"""Searches with the engine of W&B's sweeps (`pip install sweeps`), which its server is understood to run for `method: bayes`."""

from __future__ import annotations

import numpy
from lines import evaluate, request

from sweeps import RunState, SweepRun, next_run


def main() -> None:
    asked = request()
    numpy.random.seed(asked["seed"])
    config = {
        "method": "bayes",
        "metric": {"name": "value", "goal": "minimize"},
        "parameters": asked["parameters"],
    }
    runs: list[SweepRun] = []
    for _ in range(asked["trials"]):
        run = next_run(config, runs, validate=not runs)
        value = evaluate({name: entry["value"] for name, entry in run.config.items()})
        runs.append(SweepRun(config=run.config, state=RunState.finished, summary_metrics={"value": value}))


if __name__ == "__main__":
    main()
