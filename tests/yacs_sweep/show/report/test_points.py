"""Reports of sweeps with repeats and with several objectives: means, errors, rivals, fronts, in every form."""

from __future__ import annotations

import csv
import io
import json
import math
import statistics

import pytest

from tests.report_sweeps import METRIC, sweep_of_several
from yacs_sweep.records.front import nondominated
from yacs_sweep.show.report.data import Curve
from yacs_sweep.show.report.findings import Findings
from yacs_sweep.show.report.page.figures import bounds_in, figures
from yacs_sweep.show.report.page.html import page
from yacs_sweep.show.report.points import _mean_curve, by_points
from yacs_sweep.show.report.text import as_csv, as_json, as_markdown


def test_points_have_the_means_of_their_seeds() -> None:
    sweep = sweep_of_several(24, repeats=3)
    folded = by_points(sweep)
    assert (len(folded.trials), folded.noun, sweep.noun) == (24, "point", "trial")
    for place, trial in enumerate(folded.trials):
        own = [r for r in sweep.records if r.point == f"point-{place:04d}" and r.state == "finished"]
        values = [float(record.value or 0.0) for record in own]
        assert trial.record.value == pytest.approx(statistics.fmean(values))
        assert trial.point is not None and trial.point.estimate.n == len(values)
        error = statistics.stdev(values) / math.sqrt(len(values))
        assert trial.point.estimate.error == pytest.approx(error)
        assert trial.record.values == pytest.approx(
            {name: statistics.fmean((r.values or {})[name] or 0.0 for r in own) for name in (METRIC, "ms")}
        )
        curves = [t.curves[METRIC] for t in sweep.trials if t.record in own]
        assert trial.curves[METRIC].y == pytest.approx(
            [statistics.fmean(ys) for ys in zip(*(c.y for c in curves), strict=True)]
        )
        assert trial.bands[METRIC][-1] == pytest.approx(error)
    best = folded.best
    assert best is not None and best.value == max(t.record.value or 0.0 for t in folded.finished)
    typical = sweep.best  # what is trained again is a trial of the best point, not the luckiest of all
    assert typical is not None and typical.point == best.name
    assert by_points(sweep_of_several()).trials is not folded.trials


def test_curves_of_seeds_that_evaluated_at_other_epochs() -> None:
    curve, errors = _mean_curve([Curve([1, 2, 4], [0, 2, 4]), Curve([2, 3, 4, 5], [4, 5, 8, 9])])
    assert (curve.x, curve.y) == ([2, 3, 4], [3, 4, 6])
    assert errors == pytest.approx([1, 1, 2])
    alone = _mean_curve([Curve([1, 2], [5, math.nan]), Curve([1], [7])])
    assert (alone[0].x, alone[0].y) == ([1], [6])
    assert _mean_curve([Curve([1], [math.nan])])[1] == [None]


def test_rivals_of_the_best_point_are_named() -> None:
    findings = Findings.of(sweep_of_several(24, repeats=3))
    verdict = findings.verdict
    assert verdict is not None and verdict.clear is False
    assert verdict.text.startswith("point-0014 has the best mean, 82.903 ± 0.18 (standard error, 3 seeds).")
    assert "It cannot be told apart from point-0016 and point-0015 (noise between seeds" in verdict.text
    few = Findings.of(sweep_of_several(2, repeats=2, constraints=())).verdict
    assert few is not None and few.clear is None and "Too few seeds have finished" in few.text


@pytest.mark.parametrize("repeats", [0, 3])
def test_the_front_and_what_is_not_on_it(repeats: int) -> None:
    findings = Findings.of(sweep_of_several(24, repeats=repeats))
    data = figures(findings.sweep, findings.effects, findings.used, findings.whole)["front"]
    kinds = dict(zip((t.record.name for t in findings.sweep.trials), data["kind"], strict=True))
    able = [
        (t.record.name, (-float((t.record.values or {})[METRIC] or 0), float((t.record.values or {})["ms"] or 0)))
        for t in findings.sweep.trials
        if t.record.state == "finished" and not t.record.violated and float((t.record.values or {})[METRIC] or 0) >= 55
    ]
    front = {able[place][0] for place in nondominated([cost for _, cost in able])}
    assert {name for name, kind in kinds.items() if kind == "front"} == front == set(findings.front)
    violated = {t.record.name for t in findings.sweep.trials if t.record.violated}
    assert violated and {name for name, kind in kinds.items() if kind == "violates"} == violated
    assert {"objective": 1, "at": 9.5, "text": "ms < 9.5"} in data["bounds"] and len(data["bounds"]) == 1
    assert data["pairs"] == [(0, 1)]
    best = findings.sweep.best
    assert best is not None and best.name not in violated


def test_three_objectives_are_drawn_in_pairs() -> None:
    findings = Findings.of(sweep_of_several(12, more=2, constraints=()))
    data = figures(findings.sweep, findings.effects, findings.used, findings.whole)["front"]
    assert data["pairs"] == [(0, 1), (0, 2), (1, 2)]
    assert page(findings, "now").count('data-plot="front') == 3


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ms <= 5", [("ms", 5.0)]),
        ("val/mAP >= 80 and ms < 1e-3", [("val/mAP", 80.0), ("ms", 0.001)]),
        ("80 <= `val-mAP`", [("val-mAP", 80.0)]),
        ("ms / 2 < 5", []),
        ("ms < 5 or ms > 9", []),
        ("name == 'x'", []),
    ],
)
def test_bounds(text: str, found: list[tuple[str, float]]) -> None:
    assert bounds_in(text) == found


def test_text_forms_have_points_and_the_front() -> None:
    findings = Findings.of(sweep_of_several(24, repeats=3))
    text = as_markdown(findings)
    assert "maximize val/mAP, minimize ms: 68 finished, 4 failed" in text
    assert "| point | val/mAP | ± error | seeds | ms | front | state |" in text and "| point-0001 |" in text
    assert "| 2 of 3 |" in text and "violates" in as_markdown(Findings.of(sweep_of_several(6, constraints=("ms < 2",))))
    assert "## Pareto front\n\nmaximize val/mAP, minimize ms; params_m &lt;= 32; ms &lt; 9.5." in text
    rows = list(csv.DictReader(io.StringIO(as_csv(findings))))
    assert len(rows) == 72  # every trial, with its point and seed
    assert [(row["rank"], row["point"]) for row in rows[:4]] == [("1", "point-0014")] * 3 + [("2", "point-0016")]
    assert {row["seed"] for row in rows if row["point"] == "point-0003"} == {"1", "2", "3"}
    assert {row["point"] for row in rows if row["front"] == "true"} == set(findings.front)
    assert rows[0]["objective:ms"] and {row["feasible"] for row in rows} >= {"true", "false"}
    content = json.loads(as_json(findings))
    assert content["best"]["trial"] == "point-0014" and content["pareto"] == findings.front
    assert len(content["points"]) == 24 and content["points"][0]["n"] == 3 and len(content["trials"]) == 72
    plain = json.loads(as_json(Findings.of(sweep_of_several(6, more=0, constraints=()))))
    assert "points" not in plain and "pareto" not in plain


def test_a_sweep_without_them_has_no_column_more() -> None:
    findings = Findings.of(sweep_of_several(6, more=0, constraints=()))
    head = as_csv(findings).splitlines()[0]
    assert not {"point", "seed", "front", "feasible", "violated"} & set(head.split(","))
    assert 'data-plot="front' not in page(findings, "now") and "Pareto" not in as_markdown(findings)
