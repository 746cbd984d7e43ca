"""Which points cannot be the best or on the front, and what tables and lines say of them."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest

from tests.report_sweeps import in_memory
from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.records.points import group_points, noun_of
from yacs_sweep.show.left_out import cannot_be, left_out, left_out_text, threshold_text
from yacs_sweep.show.lines import reason_shown, trial_ended_line, trial_table
from yacs_sweep.show.point_table import point_table
from yacs_sweep.show.report.data import Sweep, trial_of
from yacs_sweep.show.report.findings import Findings
from yacs_sweep.show.report.page.figures import figures
from yacs_sweep.show.report.page.html import page
from yacs_sweep.show.report.points import by_points
from yacs_sweep.show.report.scores import sample
from yacs_sweep.show.report.text import as_csv, as_markdown
from yacs_sweep.show.trials import Trials
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep import SweepSpec

METRICS = [{"name": "val/mAP", "goal": "maximize", "threshold": 60}, {"name": "ms", "threshold": 8.5}]


def spec_of(**others: Any) -> SweepSpec:
    body: dict[str, Any] = {"method": "random", "metric_constraints": ["params <= 30"]}
    if "metric" not in others:
        body["metrics"] = METRICS
    return sweep_from_dict({**body, "parameters": {"a": {"min": 0.0, "max": 1.0}}, **others})


def trial(number: int, point: int, quality: float | None, ms: float, params: float = 20.0) -> TrialRecord:
    record = TrialRecord(f"s-{number}", f"trial-{number:04d}", number, {"a": point / 8})
    record.state = "failed" if quality is None else "finished"
    record.value, record.values = quality, None if quality is None else {"val/mAP": quality, "ms": ms}
    record.facts, record.feasible = {"params": params}, params <= 30
    record.violated = [] if record.feasible else ["params <= 30"]
    record.point, record.seed = f"point-{point:04d}", number
    record.started, record.ended = "2026-11-30T00:00:00.000Z", "2026-11-30T00:00:42.000Z"
    return record


RECORDS = [
    *(trial(0, 0, 80.0, 5.0), trial(1, 0, 82.0, 5.0)),  # may be on the front
    *(trial(2, 1, 90.0, 5.0, 40.0), trial(3, 1, 91.0, 5.0, 40.0)),  # violates
    *(trial(4, 2, 50.0, 9.0), trial(5, 2, 52.0, 9.0)),  # misses both thresholds
    trial(6, 3, 95.0, 1.0),  # one seed
    trial(7, 4, None, 1.0),
]
KINDS = {"point-0001": "violates", "point-0002": "beyond", "point-0003": "few", "point-0004": "early"}
BOTH = "worse than the threshold val/mAP >= 60 and ms <= 8.5"
COUNTS = "1 violating a constraint, 1 worse than a threshold, 1 with fewer than 2 seeds, 1 not finished"


def test_each_has_one_reason() -> None:
    assert left_out(spec_of(repeats=2), group_points(RECORDS)) == KINDS
    assert left_out_text(spec_of(repeats=2), group_points(RECORDS)) == COUNTS
    assert cannot_be(spec_of(repeats=2)) == "cannot be on the front"
    # Where no point has enough seeds, those with the most count.
    assert "2 seeds" in left_out_text(spec_of(repeats=4), group_points(RECORDS))


def test_a_point_on_the_front_has_no_reason() -> None:
    few = [RECORDS[6], RECORDS[4], RECORDS[5]]  # one seed within the thresholds, two seeds beyond them
    assert left_out(spec_of(repeats=2), group_points(few)) == {"point-0002": "beyond"}
    (figure,) = (
        figures(sweep, [], sample(sweep), sweep)["front"] for sweep in [by_points(report_of(few, spec_of(repeats=2)))]
    )
    assert figure["kind"] == ["beyond", "front"]


@pytest.mark.parametrize(
    ("key", "word"),
    [("DATASETS.FOLD", "fold"), ("SPLIT", "split"), ("SOLVER.SEED", "seed"), ("DATASETS.NAMES", "repeat")],
)
def test_the_repeats_have_the_word_of_their_key(key: str, word: str) -> None:
    spec = spec_of(repeats={"key": key, "values": [0, 1]})
    assert noun_of(spec) == word and noun_of(spec_of(repeats=2)) == "seed"
    assert f"1 with fewer than 2 {word}s" in left_out_text(spec, group_points(RECORDS))
    assert f" {word}s " in point_table(group_points(RECORDS), spec, 150).splitlines()[0]
    findings = Findings.of(report_of(RECORDS, spec))
    texts = [as_markdown(findings), page(findings).partition('<script type="text/plain" id="data"')[0]]
    for text in texts:
        assert f"{word}s" in text
        assert word == "seed" or not re.search(r"\bseeds?\b", text), re.search(r".{60}\bseeds?\b.{40}", text)
    rows = csv.DictReader(io.StringIO(as_csv(findings)))
    assert {row["left_out"] for row in rows if row["trial"] == RECORDS[6].name} == {f"with too few {word}s"}


def test_a_sweep_of_one_objective_counts_only_points() -> None:
    one = {"metric": {"name": "val/mAP", "goal": "maximize"}}
    with_repeats, without = spec_of(**one, repeats=2), spec_of(**one)
    assert cannot_be(with_repeats) == "cannot be the best"
    assert "1 with fewer than 2 seeds" in left_out_text(with_repeats, group_points(RECORDS))
    assert left_out_text(without, group_points(RECORDS)) == ""
    assert left_out_text(with_repeats, group_points(RECORDS[:2])) == ""


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"val/mAP": 50.0, "ms": 9.0}, BOTH),
        ({"val/mAP": 60.0, "ms": 8.6}, "worse than the threshold ms <= 8.5"),
        ({"val/mAP": 60.0, "ms": 8.5}, ""),
        ({"ms": None}, ""),
    ],
)
def test_thresholds(values: dict[str, Any], text: str) -> None:
    assert threshold_text(values, spec_of().objectives) == text


def test_tables_and_lines_have_the_reason() -> None:
    spec = spec_of(repeats=2)
    table = point_table(group_points(RECORDS), spec, 150, front=["point-0000"]).splitlines()
    assert BOTH in table[4] and "violates params <= 30" in table[3]
    assert f"trial-0004: {BOTH}" in trial_table(RECORDS[:5], "val/mAP", 100, objectives=spec.objectives)
    assert trial_ended_line(RECORDS[4], "val/mAP", spec.objectives).endswith(f": {BOTH}")
    assert reason_shown(RECORDS[2], spec.objectives) == "violates params <= 30"
    assert reason_shown(RECORDS[0], spec.objectives) == reason_shown(RECORDS[4]) == ""


def report_of(records: list[TrialRecord], spec: SweepSpec) -> Sweep:
    return in_memory([trial_of(record, [], "val/mAP") for record in records], spec)


def test_rows_for_python_have_the_reason() -> None:
    trials = Trials(RECORDS, "val/mAP", "maximize", "s", spec_of(repeats=2))
    rows = {row["name"]: row["left_out"] for row in trials}
    assert [rows[RECORDS[place].name] for place in (0, 2, 4, 6, 7)] == [
        *("", "violating a constraint", "worse than a threshold", "with too few seeds", "not finished")
    ]
    assert BOTH in str(trials) and "ms &lt;= 8.5" in trials._repr_html_()
    plain = sweep_from_dict({"method": "random", "metric": {"name": "val/mAP"}, "parameters": {"a": {"value": 1}}})
    assert "left_out" not in Trials(RECORDS, "val/mAP", aims=plain)[0]


def test_the_report_as_text_has_the_reason() -> None:
    trials = [trial_of(record, [], "val/mAP") for record in RECORDS]
    findings = Findings.of(report_of(RECORDS, spec_of(repeats=2)))
    text = as_markdown(findings)
    assert f"Cannot be on the front: {COUNTS}." in text
    table = page(findings).partition("<h2>Best points</h2>")[2].partition("</table>")[0]
    assert table.count('<span class="violates">') == 2
    assert "violates params &lt;= 30" in table and "worse than the threshold val/mAP &gt;= 60 and ms &lt;= 8.5" in table
    assert "finished, worse than the threshold val/mAP &gt;= 60 and ms &lt;= 8.5" in text
    rows = {row["trial"]: row["left_out"] for row in csv.DictReader(io.StringIO(as_csv(findings)))}
    assert [rows[record.name] for record in RECORDS[::2]] == [
        "",
        "violating a constraint",
        "worse than a threshold",
        "with too few seeds",
    ]
    plain = sweep_from_dict({"method": "random", "metric": {"name": "val/mAP"}, "parameters": {"a": {"value": 1}}})
    assert "left_out" not in as_csv(Findings.of(in_memory(trials, plain)))


def test_a_trial_that_lacks_an_objective_lacks_no_seed() -> None:
    spec = sweep_from_dict({"method": "random", "metrics": METRICS, "parameters": {"a": {"min": 0.0, "max": 1.0}}})
    records = [trial(0, 0, 80.0, 5.0), trial(1, 1, 90.0, 5.0)]
    for record in records:
        record.point = None
    records[1].values = {"val/mAP": 90.0, "ms": None}
    assert left_out(spec, group_points(records)) == {} and left_out_text(spec, group_points(records)) == ""
