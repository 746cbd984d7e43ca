"""Whether all seeds of a configuration end alike, and what is said of that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.report_sweeps import write_rows
from tests.sweeping import sweep, write_sweep
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.records.points import group_points
from yacs_sweep.show import same_seeds
from yacs_sweep.show.report.data import read_local
from yacs_sweep.show.report.findings import Findings
from yacs_sweep.show.report.text import as_markdown
from yacs_sweep.show.same_seeds import SeedsWatch, same_best_text, same_seeds_text
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.spec.sweep import SweepSpec

ROWS = [{"loss": 0.5, "epoch": 1}, {"acc": 70.25, "ms": 3.5, "epoch": 1}]
BETTER = [{"loss": 0.25, "epoch": 1}, {"acc": 72.5, "ms": 3.5, "epoch": 1}]
OTHER_LOSS = [{**ROWS[0], "loss": 0.75}, ROWS[1]]
OTHER_TIME = [{**ROWS[0], "batch_time": 0.2}, {**ROWS[1], "ms": 4.5}]
BARE = [{"acc": 100.0, "epoch": 1}]


def spec_of(repeats: Any = 3, **others: Any) -> SweepSpec:
    body: dict[str, Any] = {"method": "random", "parameters": {"a": {"min": 0.0, "max": 1.0}}}
    if "metrics" not in others:
        body["metric"] = {"name": "acc", "goal": "maximize"}
    return sweep_from_dict({**body, "repeats": repeats, **others})


def written(folder: Path, *points: list[list[dict[str, Any]]], several: bool = False) -> list[TrialRecord]:
    """Writes the trials of points: of each the rows of its seeds 1, 2, …; the last row with acc has the value."""
    records: list[TrialRecord] = []
    for place, seeds in enumerate(points):
        for seed, rows in enumerate(seeds, start=1):
            number = len(records)
            record = TrialRecord(f"s-{number}", f"t{number}", number, {"a": place / 8}, state="finished")
            record.point, record.seed = f"point-{place:04d}", seed
            record.value = rows[-1]["acc"]
            record.values = {"acc": rows[-1]["acc"], "ms": rows[-1]["ms"]} if several else None
            record.command = ["train.py", "SOLVER.SEED", str(seed), "OUT", record.name]
            write_rows(SweepPaths(folder, "s").trial(record.name), rows)
            records.append(record)
    return records


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([[ROWS] * 3], "point-0000 logged the same values to the last digit with all seeds (SOLVER.SEED 1, 2, 3)"),
        ([[ROWS] * 2, [BETTER] * 2], "2 points logged the same values to the last digit with all seeds"),
        ([[ROWS, OTHER_TIME, ROWS]], "point-0000 logged the same values"),  # how long it took is no result
        ([[ROWS] * 2, [BETTER]], None),  # too few
        ([[ROWS] * 3, [BETTER, ROWS]], None),  # the seed reaches the trainer
        ([[ROWS, ROWS, OTHER_LOSS]], None),
        ([[BARE] * 3], None),  # a metric at its bound
        ([[BARE] * 2, [[{"acc": 0.0, "epoch": 1}]] * 2], "2 points"),
    ],
)
def test_what_is_said_of_seeds(tmp_path: Path, points: list[Any], said: str | None) -> None:
    found = same_seeds_text(spec_of(), written(tmp_path, *points), SweepPaths(tmp_path, "s"))
    assert (found is None) is (said is None), found
    if found is not None and said is not None:
        assert found.startswith(f"the seed changes nothing: {said}")
        assert "another key for it, `repeats: {key: KEY}` or `aliases: {seed: KEY}` names that" in found


def test_points_are_looked_at_together_only_while_none_shows_a_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[int]()

    def looked(spec: SweepSpec, records: Any, paths: SweepPaths) -> str | None:
        asked.append(len(records))
        return same_seeds_text(spec, records, paths)

    monkeypatch.setattr(same_seeds, "same_seeds_text", looked)
    spec, known = spec_of(2, parameters={"a": {"min": 0.0, "max": 9.0}}), list[TrialRecord]()
    watch = SeedsWatch(spec, SweepPaths(tmp_path, "s"))
    for record in written(tmp_path, *[[ROWS, BETTER]] * 20):
        known.append(record)
        point = next(found for found in group_points(known) if found.name == record.point)
        assert watch.after(point, known) is None
    assert asked == [1]  # before the first point had two seeds


def test_that_the_seeds_change_nothing_is_said_once_and_at_the_end(tmp_path: Path) -> None:
    spec, known = spec_of(2, parameters={"a": {"min": 0.0, "max": 9.0}}), list[TrialRecord]()
    watch, said = SeedsWatch(spec, SweepPaths(tmp_path, "s")), list[str | None]()
    for record in written(tmp_path, *[[ROWS, ROWS], [BETTER, BETTER], [ROWS, ROWS]]):
        known.append(record)
        said.append(watch.after(group_points([each for each in known if each.point == record.point])[0], known))
    assert [text is not None for text in said] == [False, False, False, True, False, False]
    assert "3 points logged the same values" in str(watch.text(known))


def test_folds_are_named_and_words_of_other_styles(tmp_path: Path) -> None:
    records, paths = written(tmp_path, [ROWS] * 3), SweepPaths(tmp_path, "s")
    for record in records:
        record.command = ["train.py", f"--fold={record.seed}"]
    found = same_seeds_text(spec_of({"key": "fold", "values": [1, 2, 3]}), records, paths)
    assert found is not None and found.startswith("fold changes nothing: point-0000 logged")
    assert "with all folds (--fold=1, 2, 3)" in found and "aliases" not in found
    for record in records:
        record.command = []
    assert "(1, 2, 3)" in str(same_seeds_text(spec_of(), records, paths))


def test_several_objectives_of_which_one_measures_time(tmp_path: Path) -> None:
    records = written(tmp_path, [ROWS, OTHER_TIME, ROWS], several=True)
    paths, metrics = SweepPaths(tmp_path, "s"), [{"name": "acc", "goal": "maximize"}, {"name": "ms"}]
    assert same_seeds_text(spec_of(metrics=metrics), records, paths) is not None
    records[1].values = {"acc": 70.0, "ms": 3.5}
    assert same_seeds_text(spec_of(metrics=metrics), records, paths) is None


def test_of_no_repeats_of_unfinished_trials_and_of_other_machines_nothing_is_said(tmp_path: Path) -> None:
    records, paths = written(tmp_path, [ROWS] * 3), SweepPaths(tmp_path, "s")
    assert same_seeds_text(spec_of(None), records, paths) is None
    assert same_seeds_text(spec_of(), records, SweepPaths(tmp_path / "elsewhere", "s")) is None
    records[2].state = "stopped"
    assert same_seeds_text(spec_of(), records, paths) is None


def test_the_seeds_of_the_best_configuration(tmp_path: Path) -> None:
    records, paths = written(tmp_path, [ROWS] * 3), SweepPaths(tmp_path, "s")
    for record in records:
        record.params, record.point, record.seed = {"a": 0.5, "seed": record.seed}, None, None
    parameters = {"a": {"value": 0.5}, "seed": {"values": [1, 2, 3]}}
    small = spec_of(None, method="grid", parameters=parameters)
    found = same_best_text(small, records, paths)
    assert found is not None and "the best logged the same values" in found
    assert same_best_text(small, records[:2], paths) is None
    assert same_best_text(spec_of(None), records, paths) is None


def test_a_sweep_says_it_at_once_and_at_its_end_and_status_and_report_show_it(tmp_path: Path) -> None:
    search = {
        "method": "grid",
        "metric": {"name": "val/mAP", "goal": "maximize"},
        "parameters": {"base_lr": {"values": [0.0001, 0.001]}},
        "repeats": 2,
    }
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, search), "--wandb-mode", "disabled")
    assert ran.code == 0, ran.out + ran.err
    logged = "2 points logged the same values to the last digit with all seeds (SOLVER.SEED 1, 2)"
    said, name = f"the seed changes nothing: {logged}", ran.dir.name
    lines = ran.out.splitlines()
    told = [place for place, line in enumerate(lines) if line.startswith(f"[sweep] warning: {said}")]
    last = next(place for place, line in enumerate(lines) if "trial-0003 (point-0001, seed 2) finished" in line)
    end = next(place for place, line in enumerate(lines) if line.startswith("[sweep] best: point-0001"))
    assert len(told) == 2 and last < told[0] < end < told[1]
    shown = sweep(tmp_path, "--status", "--sweep_id", ran.dir.name, trainer=None, config=None, verbose=False)
    assert f"warning  {said}" in shown.out
    report = as_markdown(Findings.of(read_local(SweepPaths(tmp_path / "log" / "sweep", ran.dir.name))))
    assert "The seed changes nothing: 2 points" in report
    assert "more than chance" not in report and "noise between seeds" not in report
    best = sweep(tmp_path, "--train-best", name, trainer=None, config=None)
    assert best.code == 0 and "different parameters" not in best.out
    text = "the seed changes nothing: the best logged the same values to the last digit with all seeds"
    assert f"[sweep] warning: {text} (SOLVER.SEED 3, 4, 5)" in best.out
    status = sweep(tmp_path, "--status", "--sweep_id", f"{name}-best", trainer=None, config=None)
    assert f"warning  {text}" in status.out
