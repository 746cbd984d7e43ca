"""Hyperband stops the trials W&B's own engine stops, with the same bands and thresholds."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.spec.hyperband import Decision, bands, decide, iterations
from yacs_sweep.spec.read_sweep import sweep_from_dict

ENGINE = json.loads((Path(__file__).parent / "data" / "wandb_engine.json").read_text(encoding="utf-8"))
# Keys hyperband does not know: the engine drops them, its schema refuses them, and so does the reader.
REFUSED_ALTHOUGH_RUN = {"extra_key"}
# The schema takes both keys without `s`, and the engine then fails; the reader takes the bands from min_iter.
TAKEN_ALTHOUGH_IT_FAILS = {"err_max_iter_and_min_iter_without_s"}


def history(values: list[Any]) -> list[Any]:
    return [math.nan if value == "NaN" else None if value == "skip" else value for value in values]


def line(name: str, decision: Decision, sign: int) -> str:
    """A decision in the words of the engine's log (figures negated when it maximises)."""
    text = f"Run: {name} Step: {decision.iterations}"
    if decision.value is not None and decision.threshold is not None:
        figures = f"Metric: {sign * decision.value:g} Threshold: {sign * decision.threshold:g}"
        text += f"  (Band: {decision.band} {figures})"
    return text + ("  STOP" if decision.stop else "")


@pytest.mark.parametrize("case", ENGINE["hyperband"], ids=lambda case: case["id"])
def test_as_the_engine(case: dict[str, Any]) -> None:
    description = {
        "method": "random",
        "parameters": {"a": [1]},
        "metric": case["metric"],
        "early_terminate": case["early_terminate"],
    }
    if case["id"] in TAKEN_ALTHOUGH_IT_FAILS:
        rule = sweep_from_dict(description).early_terminate
        assert rule is not None and rule.max_iter is None and rule.bands[0] == case["early_terminate"]["min_iter"]
        return
    if "error" in case or case["id"] in REFUSED_ALTHOUGH_RUN:
        with pytest.raises(ConfigError):
            sweep_from_dict(description)
        return
    spec = sweep_from_dict(description)
    rule = spec.early_terminate
    assert rule is not None and spec.metric is not None
    # The engine takes a goal it does not know ("Maximize") for minimize; the reader takes it at its word.
    goal = "minimize" if case["id"] == "goal_misspelt" else spec.metric.goal
    assert list(rule.bands[: len(case.get("bands", []))]) == case.get("bands", [])
    lines, stopped = [], []
    for name, state, values in case["runs"]:
        if state != "running":
            continue
        others = [history(other) for another, _, other in case["runs"] if another != name]
        decision = decide(
            history(values),
            others,
            bands=rule.bands,
            eta=rule.eta or 0,
            strict=bool(rule.strict),
            goal=goal,
        )
        lines.append(line(name, decision, -1 if goal == "maximize" else 1))
        stopped += [name] * decision.stop
    assert stopped == case["stopped"]
    assert lines == case.get("lines", lines)


def test_bands_ascend_without_repeats_and_end() -> None:
    found = bands(min_iter=1, eta=1.2)
    assert list(found) == sorted(set(found))
    assert found[:6] == (1, 2, 3, 4, 5, 6)
    assert bands(min_iter=3, eta=1e200) == (3,)
    assert bands() == ()
    assert bands(max_iter=81, s=10, eta=3) == (1, 3, 9, 27)


def test_bands_of_a_longest_training_are_its_parts_by_powers_of_eta() -> None:
    assert bands(max_iter=81, s=3, eta=3) == (3, 9, 27)
    assert bands(max_iter=27, s=1, eta=3) == (9,)
    assert bands(max_iter=27, s=0, eta=3) == ()
    assert bands(max_iter=27) == ()


def test_quotients_are_rounded_before_they_are_truncated() -> None:
    """1.1 is a little more than eleven tenths, so that 11 // 1.1 is 9; int(11 / 1.1), as the engine has it, is 10."""
    assert bands(max_iter=11, s=1, eta=1.1) == (10,)
    others = [[float(value)] for value in range(10)]
    assert decide([10.0], others, bands=(1,), eta=1.1) == Decision(False, 1, 1, 10.0, 10.0)


def test_bands_end_with_a_thousand_million_iterations_and_are_a_hundred_at_most() -> None:
    assert bands(min_iter=1, eta=10) == tuple(10**i for i in range(10))
    assert bands(min_iter=10**9, eta=2) == (10**9,)
    assert len(bands(min_iter=1, eta=1.1)) == 100
    close = bands(min_iter=300, eta=1.0005)  # several powers between two whole numbers
    assert close[:3] == (300, 301, 302)


def test_only_finite_numbers_are_iterations() -> None:
    assert iterations([1, None, "2", True, math.nan, -math.inf, 3.5]) == [1.0, 3.5]


def test_decision_shows_the_metrics_own_sign() -> None:
    decision = decide([50, 40], [[50, 60], [50, 70]], bands=(2,), eta=2, goal="maximize")
    assert decision == Decision(stop=True, iterations=2, band=2, value=40, threshold=60)


def test_best_so_far_counts_when_not_strict() -> None:
    others = [[5.0, 5.0], [6.0, 6.0]]
    assert decide([1.0, 9.0], others, bands=(2,), eta=2, strict=True).stop
    assert not decide([1.0, 9.0], others, bands=(2,), eta=2, strict=False).stop
