"""Answers for a peer's scheduler, in its environment: reads a question as a line of JSON, writes the answer as one.

ray    pip install "ray[tune]"
syne   pip install "syne-tune[gpsearchers]==0.13.0" "numpy<2"    the last one with MOBSTER and with promotion
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
from typing import Any

logging.disable(logging.CRITICAL)
RESOURCE, VALUE = "epoch", "value"


class RayAsha:
    """Runs Ray Tune's ASHA, which stops trials, on random points."""

    def __init__(self, seed: int, dimensions: int, epochs: int) -> None:
        from ray.tune.schedulers import AsyncHyperBandScheduler

        self.source, self.dimensions = random.Random(f"{seed}:ray"), dimensions
        self.scheduler = AsyncHyperBandScheduler(
            time_attr=RESOURCE, metric=VALUE, mode="min", max_t=epochs, grace_period=1, reduction_factor=3
        )
        self.trials: dict[int, Any] = {}

    def suggest(self, number: int) -> dict[str, Any]:
        """Starts a random point."""
        self.trials[number] = type("Trial", (), {"trial_id": f"{number}"})()
        self.scheduler.on_trial_add(None, self.trials[number])
        return {"number": number, "point": [self.source.random() for _ in range(self.dimensions)]}

    def result(self, number: int, epoch: int, value: float, last: bool) -> str:
        """Reports a value; returns whether the trial continues."""
        trial, row = self.trials[number], {RESOURCE: epoch, VALUE: value}
        if last:
            self.scheduler.on_trial_complete(None, trial, row)
            return "stop"
        return "continue" if self.scheduler.on_trial_result(None, trial, row) == "CONTINUE" else "stop"


class Syne:
    """Runs Syne Tune's ASHA with promotion, on random points or on those of MOBSTER's Gaussian process."""

    def __init__(self, seed: int, dimensions: int, epochs: int, searcher: str) -> None:
        import syne_tune.config_space as space
        from syne_tune.optimizer.baselines import ASHA, MOBSTER

        names = [f"x{place}" for place in range(dimensions)]
        cube = {name: space.uniform(0.0, 1.0) for name in names}
        kind = MOBSTER if searcher == "mobster" else ASHA
        self.names = names
        self.scheduler = kind(
            {**cube, "epochs": epochs},
            metric=VALUE,
            mode="min",
            resource_attr=RESOURCE,
            max_resource_attr="epochs",
            grace_period=1,
            reduction_factor=3,
            type="promotion",
            random_seed=seed,
            points_to_evaluate=[],  # as for all: none is given
            search_options={"debug_log": False},
        )
        self.trials: dict[int, Any] = {}

    def suggest(self, number: int) -> dict[str, Any] | None:
        """Returns a new point, or a trial to resume."""
        from datetime import datetime

        from syne_tune.backend.trial_status import Trial

        found = self.scheduler.suggest(trial_id=number)
        if found is None:
            return None
        if found.spawn_new_trial_id:
            trial = Trial(trial_id=number, config=found.config, creation_time=datetime.now())
            self.trials[number] = trial
            self.scheduler.on_trial_add(trial)
            return {"number": number, "point": [found.config[name] for name in self.names]}
        return {"number": found.checkpoint_trial_id}

    def result(self, number: int, epoch: int, value: float, last: bool) -> str:
        """Reports a value; returns whether the trial continues."""
        row = {RESOURCE: epoch, VALUE: value}
        word = self.scheduler.on_trial_result(self.trials[number], row)
        if word != "CONTINUE":
            self.scheduler.on_trial_remove(self.trials[number])
        elif last:
            self.scheduler.on_trial_complete(self.trials[number], row)
        return "continue" if word == "CONTINUE" else "stop"


def main() -> None:
    engine: Any = None
    epochs = 0
    answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr  # what libraries print is no answer
    for line in sys.stdin:
        question = json.loads(line)
        answer: Any = None
        if question["op"] == "begin":
            library, _, method = question["method"].partition(" ")
            epochs = question["epochs"]
            shape = (question["seed"], question["dimensions"], epochs)
            engine = RayAsha(*shape) if library == "ray" else Syne(*shape, method)
        elif question["op"] == "suggest":
            answer = engine.suggest(question["number"])
        else:
            number, epoch, value = question["number"], question["epoch"], question["value"]
            answer = engine.result(number, epoch, value, epoch >= epochs)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
