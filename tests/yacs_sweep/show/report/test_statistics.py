"""What the report claims, against known answers: correlation, noise, and whether the best is the best."""

from __future__ import annotations

import math
import random

import pytest

from tests.report_sweeps import in_memory, trial
from yacs_sweep.show.report.data import Trial
from yacs_sweep.show.report.findings import Findings, places
from yacs_sweep.show.report.page.html import page
from yacs_sweep.show.report.statistics import (
    compare_best,
    correlation_interval,
    noise,
    ranks,
    residuals,
    spearman,
    t_quantile,
)
from yacs_sweep.show.report.text import as_markdown


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 10, 30, 300])
@pytest.mark.parametrize("share", [0.9, 0.975, 0.9995])
def test_quantiles_of_students_t_are_those_of_scipy(share: float, degrees: int) -> None:
    special = pytest.importorskip("scipy.special")
    assert t_quantile(share, degrees) == pytest.approx(special.stdtrit(degrees, share), rel=1e-9)


def test_rank_correlation_of_known_samples() -> None:
    assert ranks([3.0, 1.0, 3.0, 2.0]) == [3.5, 1.0, 3.5, 2.0]
    assert spearman([1, 2, 3, 4], [1, 8, 27, 64]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    # Spearman's example of IQ and hours of television, as in any textbook.
    iq, hours = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110], [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]
    assert spearman(iq, hours) == pytest.approx(-29 / 165)
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    assert spearman([1, 2], [1, 2]) is None


def test_correlation_intervals_cover_the_truth_as_often_as_they_say() -> None:
    source = random.Random(1)
    rho, covered = 0.5, 0
    truth = 6 / math.pi * math.asin(rho / 2)  # Spearman's of a normal distribution
    for _ in range(400):
        pairs = [
            (x, rho * x + math.sqrt(1 - rho**2) * source.gauss(0, 1)) for x in (source.gauss(0, 1) for _ in range(40))
        ]
        found = spearman(*zip(*pairs, strict=True))
        assert found is not None
        interval = correlation_interval(found, 40)
        assert interval is not None
        covered += interval[0] <= truth <= interval[1]
    assert 0.92 <= covered / 400 <= 0.98
    assert correlation_interval(0.5, 4) is None


def test_a_perfect_correlation_of_few_trials_has_a_wide_interval() -> None:
    widths = []
    for count in (6, 12, 40):
        interval = correlation_interval(1.0, count)
        assert interval is not None and interval[1] == 1.0
        mirrored = correlation_interval(-1.0, count)
        assert mirrored == (-1.0, pytest.approx(-interval[0]))
        widths.append(1 - interval[0])
    # One swap of neighbours makes 33/35 of 1 with six pairs; Fisher's z of that, less 1.96 · √(1.5 / 3).
    assert widths[0] == pytest.approx(1 - math.tanh(math.atanh(33 / 35) - 1.96 * math.sqrt(0.5)), abs=1e-3)
    assert widths[0] > 0.6 > widths[1] > widths[2] > 0.0001


def with_tail(number: int, value: float, scatter: float, seed: int = 0) -> Trial:
    source = random.Random(f"{seed} {number}")
    found = trial(number, {"a": number}, value)
    found.tail = [value + scatter * source.gauss(0, 1) for _ in range(16)]
    return found


def test_the_best_two_are_told_apart_only_beyond_the_noise_of_their_curves() -> None:
    close = in_memory([with_tail(n, 80 - 0.1 * n, 0.5) for n in range(6)])
    verdict = compare_best(close)
    assert verdict is not None and verdict.clear is False
    assert "cannot be told apart: trial-0000 is 0.1 ahead of trial-0001" in verdict.text
    assert len(verdict.alike) == 6
    # Curves of one seed do not show what seeds do, so that being further apart proves nothing.
    apart = compare_best(in_memory([with_tail(n, 80 - 10 * n, 0.5) for n in range(6)]))
    assert apart is not None and apart.clear is None and apart.alike == ["trial-0000"]
    assert "Between seeds they usually vary more; how much is not known" in apart.text and "chance" not in apart.text
    assert "Train the best with several seeds" in apart.text


def test_noise_is_estimated_without_bias_and_a_slope_is_no_noise() -> None:
    found = noise(in_memory([with_tail(n, 80.0, 0.5) for n in range(40)]))
    assert found is not None and found.deviation == pytest.approx(0.5, rel=0.25)
    straight = trial(0, {}, 9.0)
    straight.tail = [float(n) for n in range(10)]
    assert residuals(straight) == pytest.approx((0, 3))
    straight.tail = [1.0, 2.0, 3.0]
    assert residuals(straight) is None


def test_repeats_and_seeds_are_better_evidence_than_curves() -> None:
    repeats = [trial(n, {"lr": n // 3, "SOLVER.SEED": n % 3}, 10 * (n // 3) + [0.0, 1.0, 2.0][n % 3]) for n in range(6)]
    found = noise(in_memory(repeats))
    assert found is not None and (found.deviation, found.degrees, found.lower_bound) == (1.0, 4, False)
    seeds = {"metrics": {"val/mAP": {"values": [1.0, 3.0]}}}
    found = noise(in_memory(repeats, seeds=seeds))
    assert found is not None and found.deviation == pytest.approx(math.sqrt(2)) and found.degrees == 1


def test_seeds_tell_the_best_apart() -> None:
    seeds = {"metrics": {"val/mAP": {"values": [9.0, 10.0, 11.0]}}}
    verdict = compare_best(in_memory([trial(0, {"a": 1}, 20.0), trial(1, {"a": 2}, 10.0)], seeds=seeds))
    assert verdict is not None and verdict.clear is True and "more than chance (noise 1, from" in verdict.text


def test_one_seed_repeated_is_no_evidence_of_chance() -> None:
    # A trainer that repeats itself to the bit.
    same = [trial(n, {"lr": n // 3}, 80.0 - 1.1 * (n // 3)) for n in range(6)]
    assert noise(in_memory(same)) is None
    verdict = compare_best(in_memory(same[2:4]))
    assert verdict is not None and verdict.clear is None and "more than chance" not in verdict.text
    # One that does so but for what a GPU adds in another order.
    nearly = [trial(n, {"lr": n // 3}, 80.0 - 1.1 * (n // 3) + 0.001 * (n % 3)) for n in range(6)]
    found = noise(in_memory(nearly))
    assert found is not None and found.lower_bound and found.deviation == pytest.approx(0.001)
    # Seeds of which the trainer takes no notice.
    seeds = {"metrics": {"val/mAP": {"values": [3.0, 3.0, 3.0]}}}
    verdict = compare_best(in_memory([trial(0, {"a": 1}, 3.0), trial(1, {"a": 2}, 1.0)], seeds=seeds))
    assert verdict is not None and verdict.clear is None
    assert "gave the same value with 3 seeds" in verdict.text and "more than chance" not in verdict.text
    # Then a curve's bend is no noise, and nothing is said of what cannot be told apart.
    bent = [with_tail(number, 80.0 - number, 5.0) for number in range(4)]
    verdict = compare_best(in_memory(bent))
    assert verdict is not None and verdict.clear is False and "cannot be told apart" in verdict.text
    verdict = compare_best(in_memory(bent, seeds={"metrics": {"val/mAP": {"values": [80.0, 80.0, 80.0]}}}))
    assert verdict is not None and verdict.text == (
        "trial-0000 is 1 ahead of trial-0001. The best configuration gave the same value with 3 seeds: they change nothing in "
        "this trainer, and say nothing of chance."
    )
    assert verdict.alike == ["trial-0000"]


def test_of_two_lower_bounds_the_larger_one_counts() -> None:
    both = [trial(n, {"lr": n // 3}, 80.0 - 1.1 * (n // 3) + 0.001 * (n % 3)) for n in range(6)]
    for item in both:
        item.tail = with_tail(item.record.number, float(item.record.value or 0.0), 2.0).tail
    verdict = compare_best(in_memory(both))
    assert verdict is not None and verdict.clear is False and "last evaluations" in verdict.text


def test_without_evidence_nothing_is_claimed() -> None:
    verdict = compare_best(in_memory([trial(0, {"a": 1}, 2.0), trial(1, {"a": 2}, 1.0)]))
    assert verdict is not None and verdict.clear is None and "nothing here tells" in verdict.text
    assert compare_best(in_memory([trial(0, {"a": 1}, 2.0)])) is None


@pytest.mark.parametrize("goal", ["maximize", "minimize"])
def test_equal_bests_are_called_equal(goal: str) -> None:
    values = [3.0, 5.0, 3.0, 7.0] if goal == "minimize" else [7.0, 5.0, 7.0, 3.0]
    sweep = in_memory([trial(n, {"a": n}, value) for n, value in enumerate(values)], goal=goal)
    verdict = compare_best(sweep)
    assert verdict is not None and verdict.clear is False and verdict.alike == ["trial-0000", "trial-0002"]
    assert verdict.text.startswith(f"trial-0000 and trial-0002 are equally the best, with {values[0]:g}.")
    assert "ahead" not in verdict.text
    assert places(sweep.ranked()) == [1, 1, 3, 4]
    findings = Findings.of(sweep)
    assert "trial-0000 and 1 more, equal" in page(findings) and "equally the best" in as_markdown(findings)
    assert page(findings).count('<td class="num">1 =</td>') == 2


def test_equal_bests_are_equal_within_noise_too_and_many_are_not_all_named() -> None:
    seeds = {"metrics": {"val/mAP": {"values": [9.0, 10.0, 11.0]}}}
    verdict = compare_best(in_memory([trial(n, {"a": n}, 20.0) for n in range(9)], seeds=seeds))
    assert verdict is not None and verdict.clear is False and len(verdict.alike) == 9
    assert verdict.text.startswith(
        "trial-0000, trial-0001, trial-0002 and 6 more are equally the best, with 20 (noise 1,"
    )


def test_trials_that_ended_early_are_not_called_best_and_that_is_said() -> None:
    trials = [trial(0, {"a": 0}, 5.0), trial(1, {"a": 1}, 4.0), trial(2, {"a": 2}, 9.0, state="stopped")]
    verdict = compare_best(in_memory(trials))
    assert verdict is not None and verdict.text.endswith("Only finished trials are compared: 2 of 3.")
    assert places(in_memory(trials).ranked()) == [1, 2, None]
