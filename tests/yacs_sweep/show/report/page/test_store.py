"""The data of the page and what is looked at, in a browser: columns, filter by brush, order, address, merged rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Page
from tests.report_sweeps import in_memory, trial
from yacs_sweep.show.lines import duration_text
from yacs_sweep.show.report.findings import Findings
from yacs_sweep.show.report.page.blob import blob
from yacs_sweep.show.report.page.html import page

START = "return report.store && report.store.count > 0"


def say(value: Any) -> str:
    """Writes a value as JavaScript."""
    return json.dumps(value)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of eight trials: a, b and x y are searched; the third trial has failed."""
    trials = [
        trial(n, {"a": 10.0**-n, "b": ["sgd", "adam"][n % 2], "x y": n}, [3.0, 5.0, None, 5.5, 1.0, 2.0, 4.0, 0.5][n])
        for n in range(8)
    ]
    trials[2].record.state = "failed"
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(page(Findings.of(in_memory(trials)), "now"), encoding="utf-8")
    return path


def names(chromium: Page) -> list[int]:
    """The numbers of the trials that are visible, in order."""
    found: list[int] = chromium.run("return report.store.visible.map((row) => report.store.value(row, 'number'))")
    return found


def test_columns_order_brush_and_merged_rows(chromium: Page, file: Path) -> None:
    chromium.show(file)
    chromium.until(START)
    columns = {item["key"]: item for item in chromium.run("return report.store.columns")}
    assert (columns["a"]["of"], columns["a"]["kind"], columns["b"]["kind"]) == ("param", "number", "text")
    assert columns["val/mAP"]["of"] == "metric" and columns["state"]["kind"] == "state"
    assert names(chromium) == [3, 1, 6, 0, 5, 4, 7, 2]  # best first, without a value last
    chromium.run("report.store.set({sort: [['val/mAP', '+']]})")
    assert names(chromium) == [7, 4, 5, 0, 6, 1, 3, 2]
    chromium.run("report.store.set({sort: [['b', '+'], ['number', '-']]})")
    assert names(chromium) == [7, 5, 3, 1, 6, 4, 2, 0]
    chromium.run("report.store.set({sort: [], brush: {b: ['sgd'], 'val/mAP': [1, 3.5]}})")
    assert names(chromium) == [0, 4]
    chromium.run("report.store.set({brush: {}})")
    # What a server sends of trials that have changed: one is new, one has ended.
    row = {"name": ["trial-0002", "new"], "number": [2, 8], "state": ["finished", "running"], "value": [9.0, None]}
    row |= {"rank": [1, None], "params": {"a": [0.01, 0.5], "c": [None, 7]}, "values": {"val/mAP": [9.0, "NaN"]}}
    chromium.run(f"report.store.merge({{trials: {say(row)}, curves: {{new: {{'val/mAP': {{x: [1], y: [2]}}}}}}}})")
    assert names(chromium)[0] == 2 and len(names(chromium)) == 9
    seen = "const s = report.store, row = s.row('new'); return [s.value(row, 'c'), s.value(row, 'b'), s.value(0, 'c')]"
    assert chromium.run(seen) == [7, None, None]
    assert chromium.run("return Number.isNaN(report.store.value(report.store.row('new'), 'val/mAP'))")
    assert chromium.run("return report.store.curves.new['val/mAP'].y[0]") == 2
    assert chromium.messages() == []


def test_numbers_and_times_are_written_as_in_the_reports_text(chromium: Page, file: Path) -> None:
    chromium.show(file)
    chromium.until(START)
    texts = chromium.run("return [12345, 12345.6, -0.5, 1e-5, null].map((value) => report.format.text(value))")
    assert texts == ["12345", "1.235e4", "−0.5", "1e−5", "–"]
    seconds = [3.24, 42, 200, 4200]
    assert chromium.run(f"return {seconds}.map((each) => report.format.duration(each))") == [
        duration_text(each) for each in seconds
    ]


def test_the_address_holds_what_is_looked_at(chromium: Page, file: Path) -> None:
    chromium.show(file)
    chromium.until(START)
    view = {
        "where": "val/mAP > 1 and b == 'ad&m, #=~'",
        "sort": [["val/mAP", "-"], ["x y", "+"]],
        "columns": ["name", "x y", "a,b=c&d"],
        "chosen": ["trial-0001", "trial-0003"],
        "page": 3,
        "axis": "step",
        "smooth": 0.5,
        "brush": {"b": ["sgd", "1~2"], "a": [1e-7, 0.5]},
    }
    steps = chromium.run("return history.length")
    chromium.run(f"report.store.set({say(view)})")
    assert chromium.run("return history.length") == steps
    address = chromium.run("return location.hash")
    assert "sort=-val/mAP," in address and "page=3" in address
    chromium.run("report.store.reset({}, {quiet: true})")
    assert chromium.run("return report.store.view.where") == ""
    chromium.run("report.address.read()")
    found = chromium.run("return report.store.view")
    assert {name: found[name] for name in view} == view
    # Another page is a step that Back goes to; the table is then as it was.
    chromium.run("report.store.set({trial: 'trial-0003'})")
    assert "trial=trial-0003" in chromium.run("return location.hash")
    chromium.run("history.back()")
    chromium.until("return report.store.view.trial === null")
    assert chromium.run("return report.store.view.where") == view["where"]
    # What nobody has written cannot break the page.
    hostile = (
        "#where=%",
        "#brush.a=x",
        "#sort=x,,-",
        "#page=-5&size=1e9&smooth=x",
        "#axis=<b>&trial=",
        "#constructor=1&__proto__=2",
    )
    for text in hostile:
        chromium.run(f"location.hash = {say(text)}; report.address.read()")
        assert chromium.run("return report.store.visible.length >= 0")
    chromium.run("location.hash = '#history'")
    assert chromium.messages() == []


def test_an_expression_may_name_a_parameter_by_its_alias(chromium: Page, tmp_path: Path) -> None:
    trials = [trial(n, {"SOLVER.BASE_LR": 10.0**-n, "margin": n}, 1.0) for n in range(4)]
    sweep = in_memory(trials, launch={"trainer": "reid", "cwd": str(tmp_path)})
    assert blob(Findings.of(sweep))["sweep"]["aliases"]["base_lr"] == "SOLVER.BASE_LR"
    (tmp_path / "page.html").write_text(page(Findings.of(sweep), "now"), encoding="utf-8")
    chromium.show(tmp_path / "page.html")
    chromium.until(START)
    chromium.run("report.store.set({where: 'base_lr <= 0.01', sort: [['base_lr', '+']]})")
    assert names(chromium) == [3, 2]
    assert "base_lr" not in chromium.run("return report.store.columns.map((column) => column.key)")
