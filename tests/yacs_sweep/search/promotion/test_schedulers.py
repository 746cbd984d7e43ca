"""Tests the schedulers of paused trials: what they promote, and what always holds, on simulated sweeps."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulator import Faults, Simulator
from yacs_sweep.search.promotion.make import make_scheduler
from yacs_sweep.search.promotion.scheduler import New, Resume, Scheduler, TrialView, Wait
from yacs_sweep.spec.sweep import EarlyTerminate

ASHA = EarlyTerminate("asha", min_iter=1, max_iter=9, eta=3.0)
HALVING = EarlyTerminate("hyperband", min_iter=1, max_iter=9, eta=3.0)
BRACKETS = EarlyTerminate("hyperband", max_iter=9, s=2, eta=3.0)
RULES = [ASHA, HALVING, BRACKETS, EarlyTerminate("asha", min_iter=2, eta=2.0), replace(HALVING, eta=2.5, max_iter=30)]


def scheduler(rule: EarlyTerminate, count: int | None = None, goal: str = "minimize") -> Scheduler:
    return make_scheduler(rule, goal, count)


def paused(number: int, *values: float, until: int | None = None) -> TrialView:
    return TrialView(number, values, "paused", until or len(values))


def simulated(
    rule: EarlyTerminate,
    *,
    count: int | None = 27,
    workers: int = 1,
    epochs: int = 9,
    seed: int = 0,
    faults: Faults | None = None,
    ties: bool = False,
    goal: str = "minimize",
    budget: int | None = None,
) -> Simulator:
    """Makes a sweep of trials with random ends, speeds and noise."""
    source = random.Random(seed)
    ends = [float(source.randint(0, 2)) if ties else source.random() for _ in range(2000)]
    speeds = [math.exp(source.gauss(0, 1)) for _ in ends]
    sign = -1 if goal == "maximize" else 1
    return Simulator(
        scheduler(rule, count, goal),
        lambda number, point, iteration: sign * (ends[number] + 1 / iteration),
        epochs,
        count,
        workers,
        budget,
        seconds=lambda number: speeds[number],
        faults=faults or Faults(),
        source=source,
    )


def trained(sweep: Simulator) -> list[int]:
    return sorted((trial.iterations for trial in sweep.trials), reverse=True)


# -- what is promoted -----------------------------------------------------------------------------------------------


def test_a_trial_is_promoted_once_it_is_among_the_best_third_of_its_rung() -> None:
    trials = [paused(0, 0.5), paused(1, 0.2)]
    assert scheduler(ASHA).next(trials, 5) == New(1)
    assert scheduler(ASHA).next([*trials, paused(2, 0.9)], 5) == Resume(1, 3)
    assert scheduler(ASHA, goal="maximize").next([*trials, paused(2, 0.9)], 5) == Resume(2, 3)


def test_the_highest_rung_is_promoted_first() -> None:
    low = [paused(number, number / 10) for number in range(9)]
    high = [paused(number, 1.0, 1.0, float(number), until=3) for number in (9, 10, 11)]
    assert scheduler(ASHA).next([*low, *high], 5) == Resume(9, None)


def test_of_equal_trials_the_first_is_promoted() -> None:
    assert scheduler(ASHA).next([paused(number, 0.5) for number in range(3)], 5) == Resume(0, 3)


def test_a_failed_trial_counts_as_the_worst_of_the_rung_it_was_on_its_way_to() -> None:
    failed = [TrialView(number, (), "ended", 1, failed=True) for number in (0, 1)]
    assert scheduler(ASHA).next([*failed, paused(2, 0.9)], 5) == Resume(2, 3)
    assert scheduler(HALVING).next([*failed, paused(2, 0.9)], 0) == Resume(2, 3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_trial_without_a_finite_value_is_never_promoted(bad: float) -> None:
    trials = [paused(0, bad), paused(1, bad), paused(2, bad)]
    for rule in (ASHA, HALVING):
        assert scheduler(rule).next(trials, 0) is None
        assert scheduler(rule).next([*trials, paused(3, 7.0)], 0) == Resume(3, 3)


def test_a_running_trial_continues_without_a_pause_when_it_is_promotable_at_once() -> None:
    others = [paused(0, 0.5), paused(1, 0.7)]
    assert scheduler(ASHA).runs_on(2, [*others, TrialView(2, (0.1,), "running", 1)]) == 3
    assert scheduler(ASHA).runs_on(2, [*others, TrialView(2, (0.6,), "running", 1)]) == 1
    brackets = scheduler(EarlyTerminate("hyperband", min_iter=1, max_iter=3, eta=3.0))
    assert brackets.runs_on(2, [*others, TrialView(2, (0.1,), "running", 1)]) is None
    assert brackets.runs_on(2, [*others, TrialView(2, (0.6,), "running", 1)]) == 1
    assert brackets.runs_on(1, [others[0], TrialView(1, (0.1,), "running", 1)]) == 1  # a third is to come


def test_halving_waits_for_the_whole_rung() -> None:
    trials = [paused(number, number / 10) for number in range(8)]
    assert scheduler(HALVING, 9).next(trials, 1) == New(1)
    running = [*trials, TrialView(8, (), "running", 1)]
    assert scheduler(HALVING, 9).next(running, 0) == Wait()
    assert scheduler(HALVING, 9).next([*trials, paused(8, 0.8)], 0) == Resume(0, 3)


def test_a_trial_that_paused_too_early_is_resumed_first() -> None:
    trials = [paused(0, 0.5), paused(1, 0.7), paused(2, 0.9), TrialView(3, (0.9, 0.8), "paused", 3)]
    for rule in (ASHA, HALVING):
        assert scheduler(rule, 4).next(trials, 0) == Resume(3, 3)


def test_a_pause_that_came_late_is_no_promotion() -> None:
    late = [paused(0, 0.5, 0.4, until=1), paused(1, 0.7), paused(2, 0.2)]
    assert scheduler(HALVING, 3).next(late, 0) == Resume(2, 3)
    assert scheduler(ASHA).next(late, 0) == Resume(2, 3)


# -- whole sweeps ---------------------------------------------------------------------------------------------------


def test_halving_trains_what_the_paper_says() -> None:
    sweep = simulated(HALVING)
    sweep.run()
    assert trained(sweep) == [9] * 3 + [3] * 6 + [1] * 18
    best = sorted(range(27), key=lambda number: sweep.curve(number, {}, 1))
    assert {trial.number for trial in sweep.trials if trial.iterations == 9} == set(best[:3])


def test_hyperband_has_the_brackets_of_the_paper() -> None:
    sweep = simulated(BRACKETS, count=17)  # 9 from iteration 1, 5 from iteration 3, 3 to the end
    sweep.run()
    assert [trial.iterations for trial in sweep.trials[14:]] == [9] * 3
    assert sorted(trial.iterations for trial in sweep.trials[9:14]) == [3] * 4 + [9]
    assert sorted(trial.iterations for trial in sweep.trials[:9]) == [1] * 6 + [3] * 2 + [9]


def test_asha_trains_at_most_what_halving_would_and_a_little() -> None:
    for workers in (1, 4, 9):
        sweep = simulated(ASHA, count=81, workers=workers)
        sweep.run()
        assert trained(sweep)[8] == 9, "a ninth of the trials is trained to the end"
        assert sweep.trained <= 0.45 * 9 * 81


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_search_of_few_trials_ends_with_one_that_is_fully_trained(rule: EarlyTerminate, count: int) -> None:
    sweep = simulated(rule, count=count)
    sweep.run()
    assert any(trial.state == "ended" for trial in sweep.trials)


def test_without_a_limit_trials_are_promoted_all_the_same() -> None:
    for rule in RULES:
        sweep = simulated(rule, count=None, budget=400, workers=3)
        sweep.run()
        assert sum(trial.state == "ended" for trial in sweep.trials) >= 5


def test_the_next_best_is_promoted_when_all_promoted_have_failed() -> None:
    for rule in (ASHA, HALVING):
        sweep = simulated(rule, count=3)
        fails = min(range(3), key=lambda number: sweep.curve(number, {}, 1))
        sweep.fails = lambda trial, fails=fails: trial.number == fails and trial.iterations == 2  # type: ignore[misc]
        sweep.run()
        assert sum(trial.state == "ended" and not trial.failed for trial in sweep.trials) == 1


# -- what always holds ----------------------------------------------------------------------------------------------

chances = st.floats(0.0, 0.2)
faults = st.builds(Faults, fail=chances, stop=chances, kill=chances, relaunch=st.floats(0, 0.02), late=st.floats(0, 1))


@settings(max_examples=150, deadline=None)
@given(
    rule=st.sampled_from(RULES),
    count=st.integers(1, 40),
    workers=st.integers(1, 6),
    epochs=st.integers(1, 12),
    seed=st.integers(0, 10**6),
    faults=faults,
    ties=st.booleans(),
    goal=st.sampled_from(["minimize", "maximize"]),
)
def test_whatever_happens_no_iteration_is_lost_or_repeated(
    rule: EarlyTerminate, count: int, workers: int, epochs: int, seed: int, faults: Faults, ties: bool, goal: str
) -> None:
    sweep = simulated(rule, count=count, workers=workers, epochs=epochs, seed=seed, faults=faults, ties=ties, goal=goal)
    trials = sweep.run()  # it checks every action
    assert len(trials) == count
    assert sweep.trained == sum(len(trial.values) for trial in trials) <= count * epochs
    assert all(trial.state in ("paused", "ended") for trial in trials)
    paused_ones = {trial.number for trial in trials if trial.state == "paused"}
    assert sweep.dropped <= paused_ones
    if not any(trial.failed or (trial.state == "ended" and trial.iterations < epochs) for trial in trials):
        assert any(trial.iterations == epochs for trial in trials)


@settings(max_examples=60, deadline=None)
@given(rule=st.sampled_from(RULES), count=st.integers(1, 40), workers=st.integers(1, 6), seed=st.integers(0, 10**6))
def test_decisions_depend_on_the_order_of_values_alone(
    rule: EarlyTerminate, count: int, workers: int, seed: int
) -> None:
    one = simulated(rule, count=count, workers=workers, seed=seed, ties=True)
    one.run()
    other = simulated(rule, count=count, workers=workers, seed=seed, ties=True, goal="maximize")
    plain = other.curve
    other.curve = lambda number, point, iteration: plain(number, point, iteration) ** 3 * 5 - 7
    other.run()
    assert other.actions == one.actions


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.integers(0, 2), min_size=9, max_size=9),
    order=st.permutations(range(9)),
    rule=st.sampled_from([ASHA, HALVING]),
)
def test_the_order_in_which_equal_values_come_does_not_matter(
    values: list[int], order: list[int], rule: EarlyTerminate
) -> None:
    """Whatever was logged last, the trials of the rung are the same, and so is what is promoted."""
    trials = [paused(number, float(value)) for number, value in enumerate(values)]
    expected = min(range(9), key=lambda number: (values[number], number))
    assert scheduler(rule, 9).next(trials, 0) == Resume(expected, 3)
    last = order[-1]
    asks = [replace(trial, state="running") if trial.number == last else trial for trial in trials]
    best = sorted(range(9), key=lambda number: (values[number], number))[:3]
    expected_until = 3 if last in best and rule.type == "asha" else 1
    assert scheduler(rule, 9).runs_on(last, asks) == expected_until


@settings(max_examples=40, deadline=None)
@given(rule=st.sampled_from([ASHA, HALVING, BRACKETS]), count=st.integers(9, 40), seed=st.integers(0, 10**6))
def test_what_will_not_be_promoted_is_dropped_in_the_end(rule: EarlyTerminate, count: int, seed: int) -> None:
    sweep = simulated(rule, count=count, workers=3, seed=seed)
    trials = sweep.run()
    assert scheduler(rule, count).dropped(trials, 0) == {t.number for t in trials if t.state == "paused"}
