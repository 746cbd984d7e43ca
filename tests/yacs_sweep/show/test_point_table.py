"""Points and several objectives in tables, lines and on the live screen."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from yacs_sweep.base.wording import cells
from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.records.points import group_points
from yacs_sweep.records.standings import rank_points
from yacs_sweep.show.cells import plain
from yacs_sweep.show.lines import Contrast, trial_ended_line, trial_started_line, trial_table, values_text
from yacs_sweep.show.live.board import Board, Sweep
from yacs_sweep.show.live.frame import best, frame
from yacs_sweep.show.point_table import means_text, point_table, points_text
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep import SweepSpec

METRICS = [{"name": "val/mAP", "goal": "maximize"}, {"name": "ms"}]


def spec_of(**others: Any) -> SweepSpec:
    return sweep_from_dict({"method": "random", "parameters": {"a": {"min": 0.0, "max": 1.0}}, **others})


def trial(number: int, value: float | None, *, point: int | None = None, **others: Any) -> TrialRecord:
    record = TrialRecord(f"s-{number}", f"trial-{number:04d}", number, {"a": 0.5 if point is None else point})
    record.state, record.value = "failed" if value is None else "finished", value
    record.cause = "exit" if value is None else "finished"
    record.started, record.ended = "2026-11-30T00:00:00.000Z", "2026-11-30T00:00:42.000Z"
    if point is not None:
        record.point, record.seed = f"point-{point:04d}", number % 3 + 1
    for name, given in others.items():
        setattr(record, name, given)
    return record


REPEATED = [
    *(trial(0, 80.0, point=0), trial(1, 82.0, point=0), trial(2, 84.0, point=0)),
    *(trial(3, 90.0, point=1), trial(4, None, point=1), trial(5, 70.0, point=1)),
    *(trial(6, 95.0, point=2),),
    *(trial(9, None, point=3),),
]
REPEATS = spec_of(metric=METRICS[0], repeats=3)


def test_points_with_too_few_seeds_come_after_those_with_enough() -> None:
    ranked = rank_points(REPEATS, group_points(REPEATED))
    assert [point.name for point in ranked] == ["point-0000", "point-0001", "point-0002", "point-0003"]
    # Where none has enough, those with the most could be the best.
    few = rank_points(spec_of(metric=METRICS[0], repeats=9), group_points(REPEATED))
    assert [point.name for point in few] == ["point-0000", "point-0001", "point-0002", "point-0003"]


def test_table_of_points() -> None:
    ranked = rank_points(REPEATS, group_points(REPEATED))
    assert point_table(ranked, REPEATS, 100).splitlines() == [
        "point       val/mAP  seeds   state     parameters",
        "──────────  ───────  ──────  ────────  ──────────",
        "point-0000  82 ± 2   3       finished  a=0",
        "point-0001  80 ± 14  2 of 3  finished  a=1",
        "point-0002  95       1       finished  a=2",
        "point-0003           0 of 1  failed    a=3",
        "±: standard deviation (sd) of a point's seeds",
    ]
    assert point_table(ranked, REPEATS, 100, most=1, file="summary.json").splitlines()[-2:] == [
        "+3 more; summary.json has all",
        "±: standard deviation (sd) of a point's seeds",
    ]
    assert "±" not in point_table(ranked[2:], REPEATS, 100)  # one seed has no spread


RECIPES = [
    *(f"configs/bag_of_tricks/msmt17_v1_resnet50{ibn}.yml" for ibn in ("", "_ibn_a")),
    "configs/agw/msmt17_v1_resnet50.yml",
]


def of_recipes() -> tuple[SweepSpec, list[TrialRecord]]:
    """Makes a sweep over recipe files beside a long constant: two seeds of each, of which the last file is the worst."""
    fixed = "bottleneck,stripes,global,attention"
    parameters = {"heads": {"value": fixed}, "config_file": {"values": RECIPES}}
    spec = sweep_from_dict({"method": "grid", "parameters": parameters, "metric": METRICS[0], "repeats": 2})
    records = [trial(number, 97.0 - number, point=number // 2) for number in range(6)]
    for record, path in zip(records, [each for each in RECIPES for _ in range(2)], strict=True):
        record.params = {"heads": fixed, "config_file": path}
    return spec, records


@pytest.mark.parametrize("width", [80, 200])
def test_long_values_of_a_parameter_stay_different_in_tables(width: int) -> None:
    spec, records = of_recipes()
    points = group_points(records)
    shown = [
        point_table(points, spec, width).splitlines()[2:5],
        trial_table(records[::2], "val/mAP", width).splitlines()[2:],
    ]
    for rows in shown:
        values = [row.partition("config_file=")[2].split()[0] for row in rows]
        assert len(set(values)) == 3
        assert values[0].endswith("resnet50.yml") and values[1].endswith("ibn_a.yml") and "agw" in values[2]
        assert all(row.find("config_file=") < (row.find("heads=") if "heads=" in row else width) for row in rows)


def test_long_values_of_a_parameter_stay_different_in_lines() -> None:
    spec, records = of_recipes()
    contrast = Contrast.of_search(spec.parameters)
    started = {trial_started_line(record, contrast=contrast).partition("config_file=")[2] for record in records}
    assert len(started) == 3
    alike = points_text(group_points(records)[1:], contrast)
    assert alike == (
        "point-0001 (config_file=…/bag_of_tr…50_ibn_a.yml), point-0002 (config_file=…/agw/msmt1…resnet50.yml)"
    )
    assert points_text(6 * group_points(records)[:1], contrast).endswith(", +2 more")


@pytest.mark.parametrize("width", [30, 50, 80])
def test_table_of_points_fits(width: int) -> None:
    table = point_table(group_points(REPEATED), REPEATS, width)
    assert max(map(cells, table.splitlines())) <= width


def several() -> list[TrialRecord]:
    rows = [(80.0, 5.0, True), (85.0, 9.0, True), (79.0, 6.0, True), (99.0, 1.0, False), (98.0, 1.0, None)]
    records = []
    for number, (quality, ms, feasible) in enumerate(rows):
        record = trial(number, quality, values={"val/mAP": quality, "ms": ms}, feasible=feasible)
        record.facts = {} if feasible is None else {"params": 20 if feasible else 40}
        record.violated = ["params <= 30"] if feasible is False else []
        records.append(record)
    return records


def test_table_of_several_objectives_marks_the_front_and_names_what_is_violated() -> None:
    table = trial_table(several(), "val/mAP", 120, front=["trial-0000", "trial-0001"]).splitlines()
    assert table[0].split() == ["trial", "val/mAP", "ms", "front", "state", "time", "parameters", "reason"]
    assert table[2].split() == ["trial-0000", "80", "5", "●", "finished", "42", "s", "a=0.5"]
    assert "●" in table[3] and "●" not in "".join(table[4:])
    assert table[5].endswith("violates params <= 30")
    assert table[6].endswith("its constraints could not be judged")
    narrow = trial_table(several(), "val/mAP", 60, front=["trial-0000"]).splitlines()
    assert max(map(cells, narrow)) <= 60
    assert "trial-0003: violates params <= 30" in narrow


def test_points_of_several_objectives_name_what_their_means_violate() -> None:
    spec = spec_of(metrics=METRICS, metric_constraints=["params <= 30"], repeats=2)
    records = several()
    for number, record in enumerate(records):
        record.point, record.seed = f"point-{number // 2:04d}", number % 2
        record.facts = {"params": 20 if number < 2 else 40} if number < 4 else {}
    table = point_table(group_points(records), spec, 120, front=["point-0000"]).splitlines()
    assert table[0].split() == ["point", "val/mAP", "ms", "seeds", "front", "state", "parameters"]
    assert table[2].split()[:9] == ["point-0000", "82.5", "±", "3.5", "7", "±", "2.8", "2", "●"]
    assert "violates params <= 30" in table[3]
    assert "its constraints could not be judged" in table[4]


def test_lines_of_trials() -> None:
    first = several()[3]
    assert values_text(first, "val/mAP") == "val/mAP 99, ms 1"
    assert values_text(trial(0, 1.5), "val/mAP") == "val/mAP 1.5"
    assert values_text(trial(0, None), "val/mAP") == ""
    assert trial_ended_line(first, "val/mAP") == (
        "✓ trial-0003 finished after 42 s, val/mAP 99, ms 1: violates params <= 30"
    )
    repeat = trial(1, 80.0, point=4)
    assert trial_started_line(repeat) == "▶ trial-0001 (point-0004, seed 2): a=4"
    assert trial_ended_line(repeat, "val/mAP") == "✓ trial-0001 (point-0004, seed 2) finished after 42 s, val/mAP 80"
    assert means_text(group_points(REPEATED)[0], REPEATS) == "val/mAP 82 ± 2 (sd, 3 seeds)"
    assert means_text(group_points(REPEATED)[2], REPEATS) == "val/mAP 95 (1 seed)"


def shown(spec: SweepSpec, before: list[TrialRecord], later: list[TrialRecord]) -> str:
    """The line of the live screen about the best."""
    assert spec.metric is not None
    about = ("s", "s", "random", "local", "", spec.metric.name, spec.metric.goal)
    sweep = Sweep(*about, total=9, aims=spec, trials=before)
    for record in before:
        sweep.see_end(record, compare=False)
    for record in later:
        sweep.trial(record, 0.0)
    board = Board([sweep], 1, 0.0)
    lines = [plain(line) for line in frame(board, 200, 40, 1.0, datetime(2026, 11, 30))]
    return next(line for line in lines if line.startswith("best"))


@pytest.mark.parametrize("known", [0, 3, len(REPEATED)])
def test_the_live_screen_shows_the_best_mean(known: int) -> None:
    line = shown(REPEATS, REPEATED[:known], REPEATED[known:])
    assert line == "best  point-0000  val/mAP 82 ± 2 (sd, 3 seeds)  a=0"


@pytest.mark.parametrize("known", [0, 3, 5])
def test_the_live_screen_shows_all_objectives_and_the_size_of_the_front(known: int) -> None:
    spec = spec_of(metrics=METRICS, metric_constraints=["params <= 30"])
    records = several()
    assert shown(spec, records[:known], records[known:]) == "best  trial-0001  val/mAP 85, ms 9  front 2  a=0.5"


def test_the_live_screen_where_no_trial_keeps_the_constraints() -> None:
    spec = spec_of(metrics=METRICS, metric_constraints=["params <= 1"])
    sweep = Sweep("s", "s", "random", "local", "", "val/mAP", "maximize", total=9, aims=spec, counts={"finished": 2})
    for record in several()[3:]:
        sweep.see_end(record)
    assert plain(best(sweep)) == "best  none keeps the constraints"


def test_the_live_screen_without_a_finished_point() -> None:
    assert shown(REPEATS, [], [trial(9, None, point=3)]) == "best  no finished trial yet"


def test_the_live_screen_shows_the_mean_of_the_seeds_of_one_configuration() -> None:
    records = [trial(number, value) for number, value in enumerate([80.0, 84.0, 82.5])]
    for number, record in enumerate(records):
        record.params = {"a": 0.5, "seed": number + 4}
    sweep = Sweep("s-best", "s", "grid", "local", "", "val/mAP", "maximize", total=3, seed="seed", trials=records[:1])
    sweep.see_end(records[0], compare=False)
    assert plain(best(sweep)) == "best  trial-0000  val/mAP 80  a=0.5 seed=4"  # of one there is no mean
    for record in records[1:]:
        sweep.trial(record, 0.0)
    assert plain(best(sweep)) == "mean  val/mAP 82.167 ± 2 (sd, 3 seeds)  a=0.5"
    assert sweep.best_value == pytest.approx(82.1666667)
