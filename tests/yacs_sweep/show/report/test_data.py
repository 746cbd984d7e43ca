"""From folders to what is drawn: curves, columns, lanes, the surface, the texts."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import re
from pathlib import Path
from typing import Any

import pytest

from tests.report_sweeps import HOSTILE, METRIC, in_memory, odd_sweeps, spec_of, trial, write_sweep
from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.show.report.columns import column
from yacs_sweep.show.report.data import Trial, read_local, thin, trial_of
from yacs_sweep.show.report.findings import Findings, failures, searched_rows
from yacs_sweep.show.report.importance import effects
from yacs_sweep.show.report.page.blob import blob, curve_data
from yacs_sweep.show.report.page.figures import brief, figures, surface, timeline
from yacs_sweep.show.report.page.html import page
from yacs_sweep.show.report.scores import sample
from yacs_sweep.show.report.text import as_csv, as_json, as_markdown
from yacs_sweep.spec.sweep import SweepSpec


def test_thinned_curves_keep_their_ends() -> None:
    curve = thin(list(range(1000)), [float(n) for n in range(1000)], 80)
    assert (len(curve.x), curve.x[0], curve.x[-1]) == (80, 0, 999)
    assert thin([1, 2], [3, 4]).y == [3, 4]


def test_rows_become_curves_over_the_epoch_with_their_gaps() -> None:
    rows = [
        {"step": 0, "epoch": 1, "train/loss": 2.0},
        {"step": 1, "epoch": 1, METRIC: 10.0, "note": "text", "flag": True},
        {"step": 2, "epoch": 2, METRIC: math.nan},
        {"step": 3, "epoch": 3, METRIC: 30.0},
    ]
    found = trial_of(trial(0, {}, 30.0).record, rows, METRIC)
    assert set(found.curves) == {"train/loss", METRIC}
    assert found.curves[METRIC].x == [1, 2, 3] and math.isnan(found.curves[METRIC].y[1])
    assert found.tail == [10.0, 30.0] and found.epochs
    drawn = curve_data([found], [METRIC], 80)[found.record.name][METRIC]
    assert (drawn["x"], drawn["y"]) == ([1, 2, 3], [10.0, None, 30.0])
    without = trial_of(trial(0, {}, 1.0).record, [{"step": 7, "a": 1.0}], METRIC)
    assert without.curves["a"].x == [7] and in_memory([without]).axis == "step"


def test_columns_know_numbers_categories_and_logarithms() -> None:
    sweep = in_memory(
        [trial(n, {"lr": 10.0**-n, "b": [1, n % 2], "c": n / 10, "d": n % 2 == 0}, 1.0) for n in range(4)]
    )
    kinds = {name: column(sweep, name, sweep.trials) for name in ("lr", "b", "c", "d")}
    assert (kinds["lr"].kind, kinds["lr"].log) == ("number", True)
    assert (kinds["b"].kind, kinds["b"].levels) == ("category", ["[1, 0]", "[1, 1]"])
    assert (kinds["c"].kind, kinds["c"].log) == ("number", False)
    assert kinds["d"].levels == ["false", "true"]
    declared = in_memory(
        [trial(n, {"optimizer": ["sgd", "adam"][n % 2], "margin": 0.1 * n}, 1.0) for n in range(1, 4)], spec_of()
    )
    assert column(declared, "optimizer", declared.trials).levels == ["sgd", "adam"]  # as in the sweep file
    many = in_memory([trial(n, {"word": f"w{n:03d}"}, 1.0) for n in range(60)])
    item = column(many, "word", many.trials)
    assert len(item.levels) == 24 and item.levels[-1] == "other" and max(item.present) == 23


def test_trials_that_overlap_get_lanes_of_their_own() -> None:
    trials = [trial(n, {}, 1.0) for n in range(3)]
    found = timeline(in_memory(trials))  # 90 s each, 100 s apart
    assert found["lanes"] == ["worker 1"] and [bar[0] for bar in found["bars"]] == [0, 0, 0]
    trials[1].record.started = trials[0].record.started
    assert len(timeline(in_memory(trials))["lanes"]) == 2
    for place, item in enumerate(trials):
        item.record.gpu_ids = [str(place)]
    assert timeline(in_memory(trials))["lanes"] == ["GPU 0", "GPU 1", "GPU 2"]


def test_the_surface_is_the_metric_where_trials_are_and_empty_elsewhere() -> None:
    trials = [
        trial(10 * x + y, {"x": float(x), "y": float(y)}, float(x))
        for x in range(10)
        for y in range(10)
        if x < 5 or y < 5
    ]
    sweep = in_memory(trials)
    found = surface(sweep, sample(sweep), ["x", "y"], [0, 1])
    assert found is not None and found["kind"] == "contour" and not found["score"]
    z = found["z"]
    assert z[0][0] == pytest.approx(0, abs=0.8) and z[0][-1] == pytest.approx(9, abs=0.8)
    assert z[-1][-1] is None  # no trial was there
    sweep = in_memory([trial(n, {"a": "xy"[n % 2], "b": n % 3 == 0}, float(n % 2)) for n in range(12)])
    boxes = surface(sweep, sample(sweep), ["a", "b"], [0, 1])
    assert boxes is not None and boxes["z"] == [[0.0, 1.0], [0.0, 1.0]]


def kind_of(points: list[tuple[Any, Any]], spec: SweepSpec | None = None, values: list[float] | None = None) -> str:
    """The kind of plot, by default of a metric that follows both parameters."""
    values = values or [math.log(1 + abs(x)) + y for x, y in points]
    sweep = in_memory([trial(n, {"x": x, "y": y}, values[n]) for n, (x, y) in enumerate(points)], spec)
    found = surface(sweep, sample(sweep), ["x", "y"], [0, 1])
    assert found is not None and bool(found["z"]) == (found["kind"] not in ("points", "flat"))
    return str(found["kind"])


def test_a_contour_is_drawn_only_where_trials_make_a_surface() -> None:
    source = random.Random(0)
    spread = [(source.random(), source.random()) for _ in range(24)]
    assert kind_of(spread) == "contour"
    assert kind_of(spread[:11]) == "points"  # too few
    assert kind_of([(x, 2 * x + 0.001 * y) for x, y in spread]) == "points"  # on a line
    four = [(16 * 2 ** (n % 4), y) for n, (_, y) in enumerate(spread)]
    assert kind_of(four) == "strips" and kind_of(four[:23]) == "points"  # four batch sizes
    assert kind_of([(16 * 2 ** (n % 4), n % 3) for n in range(12)]) == "cells"  # a grid
    assert kind_of([(n % 3, n % 3) for n in range(12)]) == "points"  # its diagonal
    floats = spec_of({"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}})
    assert kind_of([(0.1 * (n % 5), y) for n, (_, y) in enumerate(spread)], floats) == "points"  # five values of x


def test_a_contour_shows_an_interaction_and_no_noise() -> None:
    drawn = {"contour": 0, "flat contour": 0, "flat strips": 0}
    for seed in range(40):
        source = random.Random(seed)
        points = [(source.uniform(-1, 1), source.uniform(-1, 1)) for _ in range(60)]
        noise = [source.gauss(0, 1) for _ in points]
        crossed = [math.copysign(1, x * y) + 0.3 * noise[n] for n, (x, y) in enumerate(points)]
        drawn["contour"] += kind_of(points, values=crossed) == "contour"
        drawn["flat contour"] += kind_of(points, values=noise) == "flat"
        drawn["flat strips"] += kind_of([(n % 3, y) for n, (_, y) in enumerate(points)], values=noise) == "flat"
    assert drawn["contour"] == 40
    assert min(drawn["flat contour"], drawn["flat strips"]) >= 37  # 39.6 expected


def test_numbers_with_nothing_between_are_drawn_as_levels() -> None:
    described = {
        "batch": {"values": [128, 16, 32, 0]},
        "depth": {"min": 1, "max": 4},
        "margin": {"min": 0.0, "max": 1.0},
        "dropout": {"distribution": "q_uniform", "min": 0.0, "max": 0.5, "q": 0.25},
    }
    trials = [
        trial(
            n,
            {
                "batch": [128, 16, 32, 0][n % 4],
                "depth": 1 + n % 4,
                "margin": 0.2 * (n % 3),
                "dropout": 0.25 * (n % 3),
                "seen": n % 2,
            },
            1.0,
        )
        for n in range(12)
    ]
    sweep = in_memory(trials, spec_of(described))
    columns = {item["name"]: item for item in figures(sweep, [], sample(sweep))["columns"]}
    assert columns["batch"]["levels"] == ["0", "16", "32", "128"] and columns["batch"]["values"][:4] == [3, 1, 2, 0]
    assert columns["depth"]["levels"] == ["1", "2", "3", "4"] and columns["seen"]["levels"] == ["0", "1"]
    assert columns["dropout"]["levels"] == ["0", "0.25", "0.5"]
    assert (columns["margin"]["kind"], columns["margin"]["levels"]) == ("number", [])


def test_a_surface_with_trials_that_ended_early_is_of_their_scores() -> None:
    source = random.Random(0)
    trials = [trial(n, {"x": source.random(), "y": source.random()}, 10.0 + n) for n in range(20)]
    trials[0].record.state = "stopped"
    sweep = in_memory(trials)
    found = surface(sweep, sample(sweep), ["x", "y"], [0, 1])
    assert found is not None and found["score"]
    assert all(cell is None or 0 <= cell <= 1 for row in found["z"] for cell in row)
    data = figures(sweep, [], sample(sweep))["trials"]
    assert data["early"] == [1] + [0] * 19 and data["drawn"] == [1] * 20 and data["score"][:2] == [0, brief(1 / 19, 4)]


def test_a_large_sweep_stays_small_on_the_page(tmp_path: Path) -> None:
    sweep = read_local(write_sweep(tmp_path, "large", 300, 60))
    data = figures(sweep, effects(sweep, sample(sweep)), sample(sweep))
    assert len(blob(Findings.of(sweep))["curves"]) == 300  # the page draws the best 240 of them
    assert len(json.dumps(data)) < 300_000
    assert data["columns"][data["slices"][0]]["name"] == "base_lr"


def test_broken_files_cost_only_themselves(tmp_path: Path) -> None:
    paths = write_sweep(tmp_path, "broken", 5, 20)
    (paths.dir / "trial-0001" / "trial.json").write_text("{")
    (paths.dir / "trial-0002" / "metrics.jsonl").write_text(
        '{"step": 0, "epoch": 1}\nnot json\n[1]\n{"step": 1, "val/mAP": 1e999}\n{"st'
    )
    (paths.dir / "environment.json").write_text("[]")
    sweep = read_local(paths)
    assert len(sweep.trials) == 4 and sweep.environment == {}


def test_failures_are_grouped_by_their_reason() -> None:
    given = [
        ("failed", "exit", "exit code 3", 3, []),
        ("failed", "exit", "exit code 1: ValueError: lr 0.03 at 0x7f01", 1, []),
        ("failed", "exit", "exit code 1: ValueError: lr 1e-05 at 0x7fa2", 1, ["a", "b"]),
        ("failed", "exit", "exit code 1: KeyError: 'x'", 1, ["c"]),
        ("failed", "exit", "exit code 4", 4, []),
        ("stopped", "stopped", "median", None, ["d"]),
        ("finished", "", "", 0, []),
    ]
    trials = [
        trial(n, {}, None, state=state, cause=cause, reason=reason, exit_code=code, last_lines=lines)
        for n, (state, cause, reason, code, lines) in enumerate(given)
    ]
    found = failures(in_memory(trials))
    assert [(group.reason, len(group.names), group.last_lines, group.lines_of) for group in found] == [
        ("exit code 1: ValueError: lr 0.03 at 0x7f01", 2, ["a", "b"], "trial-0002"),
        ("exit code 3", 1, [], ""),
        ("exit code 1: KeyError: 'x'", 1, ["c"], "trial-0003"),
        ("exit code 4", 1, [], ""),
        ("median", 1, [], ""),
    ]


def test_a_trial_that_was_tried_again_is_no_open_failure() -> None:
    failed = [
        trial(n, {"lr": n}, None, state="failed", cause="exit", exit_code=1, reason="no folder data") for n in range(3)
    ]
    later = [trial(n + 3, {"lr": n}, 40.0 + n, retry_of=f"t-{n}") for n in range(2)]
    findings = Findings.of(in_memory([*failed, *later]))
    assert [(group.names, group.again) for group in failures(findings.sweep)] == [
        (["trial-0002"], False),
        (["trial-0000", "trial-0001"], True),
    ]
    text = as_markdown(findings)
    assert ": 2 finished, 1 failed (2 tried again); took" in text and "| 2 | failed, tried again | exit |" in text
    assert re.findall(r"^\| (trial-\d+) ", text, re.M) == ["trial-0004", "trial-0003", "trial-0002"]
    content = json.loads(as_json(findings))
    assert content["counts"] == {"finished": 2, "failed": 3} and content["retried"] == {"failed": 2}
    rows = {row["trial"]: row["retry_of"] for row in csv.DictReader(io.StringIO(as_csv(findings)))}
    assert rows["trial-0003"] == "t-0" and rows["trial-0000"] == ""
    html = page(findings)
    assert "<dd>2 of 3<small>1 failed (2 tried again)</small>" in html
    assert "failed</span> tried again as trial-0003</td>" in html and "failed</span> tried again</td>" in html


def test_what_was_searched_says_what_could_be_and_what_was(tmp_path: Path) -> None:
    rows = {row["name"]: row for row in searched_rows(read_local(write_sweep(tmp_path, "search", 30, 20)))}
    assert rows["base_lr"]["search"] == "log scale, 1e-05 to 0.01"
    assert rows["base_lr"]["tried"].endswith("(30 values)")
    assert rows["momentum"]["condition"] == "only where optimizer is sgd"
    assert rows["MODEL.STEPS"]["search"] == "[20, 40], [30, 60]"
    assert rows["max_epochs"]["search"] == rows["max_epochs"]["best"] == "20"


def test_the_csv_holds_every_trial_and_no_formula(tmp_path: Path) -> None:
    sweep = read_local(write_sweep(tmp_path, "table", 20, 60))
    sweep.trials[0].record.reason = '=HYPERLINK("http://x")'
    rows = list(csv.DictReader(io.StringIO(as_csv(Findings.of(sweep)))))
    assert len(rows) == 20 and [row["rank"] for row in rows][:2] == ["1", "2"]
    best = sweep.best
    assert best is not None and rows[0]["trial"] == best.name and float(rows[0]["value"]) == best.value
    assert float(rows[0]["param:base_lr"]) == best.params["base_lr"] and "last:train/loss" in rows[0]
    assert any(row["reason"].startswith("'=") for row in rows)
    assert not any(cell.startswith(("=", "@")) for row in rows for cell in row.values())


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Findings]:
    return {name: Findings.of(sweep) for name, sweep in odd_sweeps(tmp_path_factory.mktemp("odd")).items()}


def test_every_kind_of_sweep_has_its_texts(odd: dict[str, Findings]) -> None:
    for name, findings in odd.items():
        content = json.loads(as_json(findings))
        assert len(content["trials"]) == len(findings.whole.trials), name
        assert len(list(csv.reader(io.StringIO(as_csv(findings))))) == len(findings.whole.trials) + 1, name
        assert as_markdown(findings).startswith("# toy"), name
    prose = re.sub(
        r"^(`{3,}).*?^\1$", "", as_markdown(odd["hostile"]), flags=re.MULTILINE | re.DOTALL
    )  # no code blocks
    assert "<script" not in prose and "[a](" not in prose
    assert json.loads(as_json(odd["hostile"]))["trials"][0]["trial"] == HOSTILE
    assert "\x1b" not in as_markdown(odd["hostile"]) + as_csv(odd["hostile"])
    assert "4 failed" in as_markdown(odd["failures_only"])


def test_a_trial_is_read_back_from_the_record_the_launcher_writes() -> None:
    record = TrialRecord("x-1", "trial-0001", 1, {"a": 1})
    assert Trial(record).seconds is None
    record.started, record.ended = "2026-01-01T00:00:00.000Z", "2026-01-01T00:01:30.500Z"
    assert Trial(record).seconds == 90.5
    record.ended = "yesterday"
    assert Trial(record).seconds is None
