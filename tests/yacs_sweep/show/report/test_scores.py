"""Trials compared in pairs: those that ended early at the iteration they had reached."""

from __future__ import annotations

import math
import random

import pytest

from tests.report_sweeps import METRIC, in_memory, spec_of, trial
from yacs_sweep.show.report.data import Curve, Trial
from yacs_sweep.show.report.scores import TIMES, sample
from yacs_sweep.show.report.statistics import ranks


def run(number: int, values: list[float], state: str = "finished", first: int = 1, **more: object) -> Trial:
    """A trial that evaluates once an epoch."""
    found = trial(number, {"a": number}, values[-1], state=state, **more)
    found.curves[METRIC] = Curve([float(first + place) for place in range(len(values))], values)
    found.epochs = True
    return found


@pytest.mark.parametrize("goal", ["maximize", "minimize"])
def test_the_score_of_finished_trials_is_the_rank_of_their_value(goal: str) -> None:
    source = random.Random(4)
    values = [float(source.randrange(20)) for _ in range(30)]
    used = sample(in_memory([trial(n, {}, value) for n, value in enumerate(values)], goal=goal))
    sign = 1 if goal == "maximize" else -1
    assert used.scores == pytest.approx([(rank - 1) / 29 for rank in ranks([sign * value for value in values])])
    assert used.text() == "From 30 of 30 trials."


def test_a_stopped_trial_is_compared_at_the_epoch_it_had_reached() -> None:
    slow = run(0, [1.0, 2.0, 3.0, 4.0, 9.0])
    ahead = run(1, [4.0, 5.0], "stopped")  # 5 is more than 2, less than 9
    behind = run(2, [1.5, 1.6, 1.7], "stopped")
    used = sample(in_memory([slow, ahead, behind]))
    assert used.scores == [0.5, 1.0, 0.0]
    assert used.censored == [False, True, True] and used.early == 2
    assert (
        used.text()
        == "From 3 of 3 trials; 2 ended early and are compared with the others at the last epoch both have reached."
    )


def test_the_last_epoch_that_both_have_reached_counts_not_one_before() -> None:
    late, other = run(1, [0.0, 0.0, 5.0], "stopped"), run(2, [1.0, -9.0], "stopped")
    used = sample(in_memory([run(0, [1.0, 2.0, 3.0, 9.0]), late, other]))
    assert used.scores == [0.5, 1.0, 0.0]  # late has overtaken the first in its third epoch, other in its second


def test_trials_that_are_killed_run_or_fail_with_a_value_take_part_as_well() -> None:
    states = ["finished", "killed", "running", "failed", "lost", "stopped"]
    used = sample(in_memory([run(n, [float(n)] * 2, state) for n, state in enumerate(states)]))
    assert used.early == 5 and used.scores == [n / 5 for n in range(6)]


def test_the_best_so_far_counts_where_a_trials_value_is_its_best() -> None:
    first, second = run(0, [7.0, 1.0, 2.0, 8.0]), run(1, [5.0, 5.0], "stopped")
    assert sample(in_memory([first, second])).scores == [0.0, 1.0]
    best = spec_of({"a": {"values": [0, 1]}}, optimize="best")
    assert sample(in_memory([first, second], best)).scores == [1.0, 0.0]


def test_epochs_that_two_trials_do_not_share_are_not_compared() -> None:
    early, late, other = run(0, [5.0, 6.0], "stopped"), run(1, [1.0, 2.0], first=10), run(2, [9.0] * 12)
    assert sample(in_memory([early, late, other])).scores == [0.0, 0.0, 1.0]  # the first two are not compared


def test_diverged_trials_are_worse_than_any_value() -> None:
    broken = run(0, [90.0, 95.0], "failed", cause="diverged")
    trials = [broken, run(1, [1.0, 2.0]), run(2, [0.5], "stopped"), trial(3, {}, math.nan, state="failed")]
    used = sample(in_memory([*trials, trial(4, {}, None, state="failed")]))
    assert used.scores == pytest.approx([1 / 6, 1.0, 2 / 3, 1 / 6]) and used.diverged == 2
    assert used.text().endswith("; 2 diverged and count as the worst; 1 without a value is left out.")
    assert used.drawn_text("dashed") == (
        "2 of 5 trials; dashed: 1 that ended early, with a value of an earlier epoch; "
        "3 diverged or without a value are left out."
    )
    infinite = sample(in_memory([trial(0, {}, math.inf), trial(1, {}, 3.0)]))
    assert infinite.scores == [0.0, 1.0]  # not comparable, so not the best


def test_trials_without_rows_are_compared_by_their_value_and_that_is_said() -> None:
    elsewhere = trial(1, {}, 3.0, state="stopped")
    used = sample(in_memory([run(0, [1.0, 2.0, 9.0]), elsewhere, run(2, [4.0, 4.0], "stopped")]))
    assert used.scores == [0.5, 0.0, 1.0] and used.without_rows == 1
    assert "; 1 have no rows here" not in used.text()
    assert "; 1 has no rows here and is compared by its last value." in used.text()


def test_without_a_value_there_is_nothing_to_score() -> None:
    assert sample(in_memory([trial(0, {}, None), trial(1, {}, math.nan)])).trials == []
    assert sample(in_memory([trial(0, {}, 1.0)], metric=None)).trials == []
    assert sample(in_memory([trial(0, {}, 1.0)])).scores == [0.5]


def test_many_different_ends_are_compared_at_a_bounded_number_of_iterations() -> None:
    size = 3 * TIMES
    trials = [run(n, [float(n)] * (n + 1), "stopped" if n else "finished") for n in range(size)]
    assert sample(in_memory(trials)).scores == pytest.approx([n / (size - 1) for n in range(size)])
