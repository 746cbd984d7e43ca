"""Which parameters the report says matter, against made-up sweeps whose truth is known."""

from __future__ import annotations

import math
import random

import pytest

from tests.made_up_sweeps import COMMON, RUNGS, SWEEPS, Known, trained
from tests.report_sweeps import in_memory, trial
from yacs_sweep.show.report.data import Sweep
from yacs_sweep.show.report.findings import Findings
from yacs_sweep.show.report.importance import Effect, caveat, effects, leading
from yacs_sweep.show.report.page.html import page
from yacs_sweep.show.report.scores import sample
from yacs_sweep.show.report.statistics import correlation_interval
from yacs_sweep.show.report.text import as_markdown


def found_in(sweep: Sweep) -> list[Effect]:
    return effects(sweep, sample(sweep))


def drawn(count: int, goal: str = "maximize", seed: int = 0) -> Sweep:
    """Trials of a metric that `lr` decides and `noise` does not."""
    source = random.Random(seed)
    trials = []
    for number in range(count):
        params = {"lr": 10 ** source.uniform(-5, -1), "noise": source.random(), "kind": source.choice("abc")}
        value = -abs(math.log10(params["lr"]) + 3) + 0.05 * source.gauss(0, 1)
        trials.append(trial(number, params, value if goal == "maximize" else -value))
    return in_memory(trials, goal=goal)


@pytest.mark.parametrize("goal", ["maximize", "minimize"])
def test_the_parameter_that_decides_is_the_most_important_and_beyond_chance(goal: str) -> None:
    found = found_in(drawn(120, goal))
    assert found[0].name == "lr" and found[0].clear and found[0].importance > 0.6
    assert 0.6 < sum(effect.importance for effect in found) <= 1
    assert caveat(drawn(120, goal), sample(drawn(120, goal)), found) == ""


def test_parameters_without_effect_are_rarely_called_clear() -> None:
    clear = total = 0
    for seed in range(25):
        for effect in found_in(drawn(60, seed=seed)):
            if effect.name != "lr":
                clear, total = clear + effect.clear, total + 1
    assert total == 50 and clear / total < 0.1  # one sweep in a hundred is what the mark promises


def test_a_parameter_with_its_best_value_in_the_middle_is_important_without_correlation() -> None:
    effect = found_in(drawn(200))[0]
    assert effect.correlation is not None and abs(effect.correlation) < 0.35
    assert effect.clear


def test_the_level_of_a_category_that_is_better_has_the_positive_sign() -> None:
    trials = [trial(n, {"optimizer": ["sgd", "adam", "adamw"][n % 3]}, float(n % 3 == 1) + 0.01 * n) for n in range(30)]
    (effect,) = found_in(in_memory(trials))
    assert (effect.level, effect.clear) == ("adam", True)
    assert effect.correlation is not None and effect.correlation > 0.7


def test_conditional_parameters_count_where_they_apply() -> None:
    source = random.Random(2)
    trials = []
    for number in range(120):
        params: dict[str, object] = {"optimizer": source.choice(["sgd", "adam"])}
        value = source.gauss(0, 0.05)
        if params["optimizer"] == "sgd":
            params["momentum"] = momentum = source.random()
            value += momentum
        trials.append(trial(number, params, value))
    found = {effect.name: effect for effect in found_in(in_memory(trials))}
    assert found["momentum"].trials == sum("momentum" in item.record.params for item in trials)
    assert found["momentum"].correlation == pytest.approx(1, abs=0.1)


def test_few_trials_are_said_to_be_few() -> None:
    few = drawn(5)
    assert found_in(few) == []
    assert (
        caveat(few, sample(few), []) == "5 trials with a value: too few to say anything about importance (6 at least)."
    )
    some = drawn(15)
    assert "15 trials for 3 parameters are few: from about 30 on" in caveat(some, sample(some), found_in(some))


def test_a_sweep_without_a_metric_is_said_to_have_none() -> None:
    sweep = in_memory([trial(n, {"a": n}, None) for n in range(2)], metric=None)
    assert "has no metric" in caveat(sweep, sample(sweep), [])


# -- known answers ----------------------------------------------------------------------------------------------------
def mistakes(known: Known, found: list[Effect]) -> list[str]:
    """Claims that are not true: an effect where there is none, and pairs in the wrong order."""
    ranks = {effect.name: effect.rank for effect in found if effect.rank is not None}
    wrong = [name for name in ranks if name not in known.order]
    for place, stronger in enumerate(known.order):
        weaker = [name for name in known.order[place + 1 :] if name in ranks]
        wrong += [f"{name} before {stronger}" for name in weaker if ranks[name] < ranks.get(stronger, len(found) + 1)]
    return wrong


@pytest.mark.parametrize("known", SWEEPS, ids=lambda known: known.name)
def test_the_order_of_importance_is_right_or_cannot_be_told(known: Known) -> None:
    sweep = known.sweep()
    if known.stopping and known.noise:
        assert 0.2 < sum(item.record.state == "stopped" for item in sweep.trials) / known.count < 0.9
    used = sample(sweep)
    assert len(used.trials) == known.count
    found = effects(sweep, used)
    assert mistakes(known, found) == []
    findings = Findings.of(sweep)
    first = leading(found)
    if known.found:
        assert first == list(known.order[:1])
        assert [effect.name for effect in found if effect.clear][: known.found] == list(known.order[: known.found])
        assert f"<dt>matters most</dt><dd>{first[0]}<" in page(findings)
        second = "matters most, then <b>" if known.found > 1 else f"<b>{first[0]}</b> matters most"
        assert second in page(findings)
    elif not known.noise:
        assert findings.caveat == "All trials are equally good: no parameter makes a difference."
    elif not first:
        assert findings.caveat.startswith("Cannot tell what matters: the effect of any of")
        assert "Which parameters matter cannot be told." in page(findings)
        assert "<dt>matters most</dt><dd>cannot tell<" in page(findings)
        assert "Cannot tell what matters" in as_markdown(findings)


def test_there_are_thirty_of_them() -> None:
    assert len({known.name for known in SWEEPS}) == 30
    assert sum(known.stopping for known in SWEEPS) == 16 and sum(known.found > 0 for known in SWEEPS) == 20


def test_noise_alone_is_rarely_taken_for_an_effect() -> None:
    claims = 0
    for seed in range(80):
        known = Known("noise", COMMON, lambda params: 0.0, [], count=16, stopping=seed % 2 == 0)
        claims += bool(mistakes(known, found_in(known.sweep(seed))))
    assert claims <= 3  # 0.8 expected


def test_more_parameters_do_not_make_chance_pass_more_often() -> None:
    claims = 0
    for seed in range(50):
        source = random.Random(seed)
        trials = [trial(n, {f"p{k}": source.random() for k in range(20)}, source.random()) for n in range(16)]
        claims += any(effect.rank for effect in found_in(in_memory(trials)))
    assert claims <= 3  # 0.5 expected; 9 if each parameter had the level for itself


def test_importance_is_less_what_any_parameter_of_as_many_levels_explains() -> None:
    shares = []
    for seed in range(40):
        source = random.Random(seed)
        trials = [trial(n, {"word": f"w{source.randrange(12)}"}, source.random()) for n in range(40)]
        shares += [effect.importance for effect in found_in(in_memory(trials))]
    assert sum(shares) / len(shares) < 0.1  # 11 of 39 degrees of freedom explain 28 %


def test_a_parameter_that_passes_stands_before_one_that_explains_more_but_may_be_chance() -> None:
    source = random.Random(35)
    trials = []
    for number in range(40):
        params = {"margin": source.random(), "word": f"w{source.randrange(24)}"}
        trials.append(trial(number, params, 2.3 * params["margin"] + source.gauss(0, 1)))
    first, second = found_in(in_memory(trials))
    assert (first.name, first.rank, second.name, second.rank) == ("margin", 1, "word", None)
    assert second.importance > first.importance > first.chance


def test_numbers_are_a_curve_where_each_value_is_rare_and_a_category_of_them_says_nothing() -> None:
    trials = [trial(n, {"rate": [1, 2, 4, 8, 16, 32, 64, 128][n % 8], "word": f"w{n}"}, float(n % 8)) for n in range(8)]
    rate, word = sorted(found_in(in_memory(trials)), key=lambda effect: effect.name)
    assert rate.importance > 0.95 and rate.clear  # levels would leave no trial to compare with
    assert word.importance == 0


def test_the_interval_of_the_most_telling_of_many_values_is_wider() -> None:
    source = random.Random(1)
    trials = [trial(n, {"word": "abcdef"[n % 6], "flag": n % 2 == 0}, source.random()) for n in range(36)]
    for effect in found_in(in_memory(trials)):
        assert effect.correlation is not None
        assert effect.interval == correlation_interval(effect.correlation, 36, {"word": 6, "flag": 1}[effect.name])
    wide, usual = correlation_interval(0.3, 36, 6), correlation_interval(0.3, 36)
    assert wide is not None and usual is not None and wide[0] < usual[0] and wide[1] > usual[1]


def test_two_equally_strong_parameters_are_not_put_in_order() -> None:
    draw = {"a": COMMON["margin"], "b": COMMON["margin"], "c": COMMON["margin"]}
    known = Known("equal", draw, lambda params: params["a"] + params["b"], [], count=60)
    found = found_in(known.sweep())
    assert {effect.name: effect.rank for effect in found} == {"a": 1, "b": 1, "c": None}
    findings = Findings.of(known.sweep())
    assert "Cannot tell which of" in findings.caveat and "matters most: each is beyond chance" in findings.caveat
    assert "cannot tell which</small>" in page(findings)
    assert "</b>: which of them matters more cannot be told." in page(findings)


# -- early stopping ---------------------------------------------------------------------------------------------------
def high_rates_stopped() -> Sweep:
    """Twelve trials: the metric grows with the rate up to a point; the four highest rates were stopped early."""
    known = Known("high", {}, lambda params: params["base_lr"] * (1 if params["base_lr"] <= 8 else -1), ["base_lr"])
    source, reached = random.Random(3), {rung: [0.0, -1.0, -2.0] for rung in RUNGS}
    order = [5, 12, 2, 9, 1, 7, 11, 3, 8, 10, 4, 6]
    trials = [
        trained(known, n, {"base_lr": rate, "margin": n % 5 / 10}, source, reached) for n, rate in enumerate(order)
    ]
    for item in trials:
        if item.record.params["base_lr"] > 8:
            curve = item.curves["val/mAP"]
            del curve.x[3:], curve.y[3:]
            item.record.state, item.record.value = "stopped", curve.y[-1]
    return in_memory(trials)


def test_stopped_trials_turn_the_conclusion_the_right_way() -> None:
    sweep = high_rates_stopped()
    finished = [item for item in sweep.trials if item.record.state == "finished"]
    assert len(finished) == 8
    known = {effect.name: effect for effect in found_in(in_memory(finished))}
    assert known["base_lr"].correlation == pytest.approx(
        1, abs=0.05
    )  # the finished ones alone say: the higher the better
    found = {effect.name: effect for effect in found_in(sweep)}
    assert found["base_lr"].trials == 12
    assert found["base_lr"].correlation is not None and found["base_lr"].correlation < 0.2
    findings = Findings.of(sweep)
    text = "From 12 of 12 trials; 4 ended early and are compared with the others at the last epoch both have reached."
    assert text in page(findings) and text in as_markdown(findings)


# -- a search that learns ---------------------------------------------------------------------------------------------
def test_what_a_search_settled_on_meanwhile_is_not_taken_for_an_effect() -> None:
    # Later trials are better, whatever margin is; and the search has narrowed margin meanwhile.
    wrong = {"bayes": 0, "random": 0}
    for seed in range(10):
        source = random.Random(seed)
        trials = []
        for number in range(48):
            margin = source.random() if number < 16 else 0.9 + 0.1 * source.random()
            trials.append(trial(number, {"margin": margin}, 5.0 * (number >= 16) + source.gauss(0, 1)))
        for method in wrong:
            wrong[method] += bool(leading(found_in(in_memory(trials, method=method))))
    assert wrong["bayes"] <= 1 and wrong["random"] == 10
