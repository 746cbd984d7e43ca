"""The table as a reader uses it, in a browser: filter, order, columns, pages, downloads, and 10,000 trials."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Page
from tests.report_sweeps import in_memory, sweep_of_several, trial
from yacs_sweep.show.report.findings import Findings
from yacs_sweep.show.report.page.html import page
from yacs_sweep.show.report.text import _cell

EXPRESSIONS = Path(__file__).parents[2] / "query" / "expressions.json"
READY = "return document.querySelector('#table .filter') !== null"
FORMULAS = [
    "=1+1",
    "+1",
    "-cmd",
    "@sum",
    "\tx",
    "\r=1",
    'a "b", c',
    "a\nb",
    "plain",
    "-1.5",
    "\x1b[31mred",
    "\u202etxt",
    "",
]


def written(folder: Path, trials: list[Any]) -> Path:
    """Writes the page of some trials."""
    path = folder / "page.html"
    path.write_text(page(Findings.of(in_memory(trials)), "now"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = ["sgd", "=adam()", "<b>rmsprop"]
    trials = [trial(n, {"lr": 10.0 ** -(n % 5), "opt": names[n % 3]}, float(n)) for n in range(60)]
    trials[3].record.state, trials[3].record.value = "failed", None
    for number in (1, 2):
        trials[number].record.state = "stopped"
    return written(tmp_path_factory.mktemp("page"), trials)


def shown(chromium: Page) -> list[str]:
    """The names of the trials in the table's rows."""
    found: list[str] = chromium.run(
        "return [...document.querySelectorAll('#table tbody tr')].map((row) => row.dataset.trial)"
    )
    return found


def type_filter(chromium: Page, text: str) -> None:
    chromium.run(
        f"const f = document.getElementById('where'); f.value = {json.dumps(text)};"
        "f.dispatchEvent(new Event('input')); f.form.requestSubmit()"
    )


def test_the_language_of_the_filter_is_that_of_the_command_line(chromium: Page, file: Path) -> None:
    chromium.show(file)
    chromium.until(READY)
    cases = json.loads(EXPRESSIONS.read_text(encoding="utf-8"))
    values = json.dumps(cases["values"]).replace('"NaN"', "NaN")
    holds = f"const values = {values}, value = (name) => Object.hasOwn(values, name) ? values[name] : null;"
    wrong = "error instanceof report.filter.Misfit ? 'misfit' : error.message"
    told = f"return cases.map((text) => {{ try {{ return f(text); }} catch (error) {{ return {wrong}; }} }});"

    def of(texts: list[str]) -> list[Any]:
        run = f"{holds} const cases = {json.dumps(texts)}, f = (text) => report.filter.parse(text).holds(value); {told}"
        found: list[Any] = chromium.run(run)
        return found

    texts = [text for text, _ in cases["expressions"]]
    assert dict(zip(texts, of(texts), strict=True)) == dict(cases["expressions"])
    assert set(of(cases["wrong_kinds"])) == {"misfit"}
    for (text, expected), found in zip(cases["mistakes"], of([text for text, _ in cases["mistakes"]]), strict=True):
        assert expected in found, text
    known = json.dumps(["val/mAP", "base_lr", "val-loss", "state"])
    for name, text, expected in cases["misspelt"]:
        assert (
            chromium.run(f"return report.filter.misspelt({json.dumps(name)}, {json.dumps(text)}, {known})") == expected
        )


def test_filter_order_columns_and_pages(chromium: Page, file: Path) -> None:
    chromium.show(file)
    chromium.until(READY)
    assert shown(chromium)[:2] == ["trial-0059", "trial-0058"] and len(shown(chromium)) == 15
    says = "return document.getElementById('where-shown').textContent"
    wrong = "return document.getElementById('where-wrong').textContent"
    type_filter(chromium, "val/mAP > 30 and lr <= 1e-3")
    assert chromium.run(says) == "12 of 60 trials." and len(shown(chromium)) == 12
    assert "where=val/mAP" in chromium.run("return location.hash")
    # What cannot be read is told beside the field, and the rows stay as they are.
    for text, told in (
        ("val/mAP >", "ends too early"),
        ("val/map > 3", "did you mean val/mAP?"),
        ("state > 3", "different kinds"),
    ):
        type_filter(chromium, text)
        assert told in chromium.run(wrong) and len(shown(chromium)) == 12
        assert chromium.run("return document.getElementById('where').getAttribute('aria-invalid')") == "true"
        # The rows are still those of the filter before, and the count says so.
        assert chromium.run(says) == "12 of 60 trials, still by the filter val/mAP > 30 and lr <= 1e-3."
    chromium.run("document.querySelector('#table .filter button').click()")
    assert not chromium.run("return document.getElementById('where').hasAttribute('aria-invalid')")
    assert chromium.run(says) == "60 trials." and chromium.run(wrong) == ""
    type_filter(chromium, "")
    assert chromium.run(says) == "60 trials." and chromium.run(wrong) == ""
    # Order by head: the best first, then the other way, then as before; with Shift by several.
    event = "new MouseEvent('click', {bubbles: true, shiftKey: %s})"
    click = "document.querySelector('#table th[data-key=\"%s\"] button').dispatchEvent(" + event + ")"
    order = "return document.querySelector('#table th[data-key=\"%s\"]').getAttribute('aria-sort')"
    chromium.run(click % ("lr", "false"))
    assert (
        chromium.run(order % "lr") == "ascending"
        and chromium.run("return report.store.value(report.store.visible[0], 'lr')") == 1e-4
    )
    chromium.run(click % ("val/mAP", "true"))
    assert shown(chromium)[:2] == ["trial-0059", "trial-0054"]
    assert chromium.run("return report.store.view.sort") == [["lr", "+"], ["val/mAP", "-"]]
    chromium.run(click % ("lr", "false"))
    assert chromium.run(order % "lr") == "descending"
    chromium.run(click % ("lr", "false"))
    assert chromium.run(order % "lr") is None and shown(chromium)[0] == "trial-0059"
    # Pages: by 15, forth and to the end; focus stays on what was pressed.
    chromium.run("const b = document.querySelector('[data-to=\"next page\"]'); b.focus(); b.click()")
    assert shown(chromium)[0] == "trial-0044" and "page=2" in chromium.run("return location.hash")
    assert chromium.run("return document.activeElement.dataset.to") == "next page"
    chromium.run("document.querySelector('[data-to=\"last page\"]').click()")
    # Stopped ones by value, as in the terminal and the Markdown report; the failed one comes last.
    assert shown(chromium)[-4:] == ["trial-0000", "trial-0002", "trial-0001", "trial-0003"]
    # Columns: one more, one less.
    chromium.run("document.querySelector('.menu summary').click()")
    chromium.until("return document.querySelector('.choose label') !== null")
    label = "[...document.querySelectorAll('.choose label')].find((found) => found.textContent.trim() === '%s')"
    tick = label + ".querySelector('input').click()"
    heads = "return [...document.querySelectorAll('#table thead [data-key]')].map((th) => th.dataset.key)"
    assert chromium.run(heads) == ["rank", "name", "val/mAP", "state", "duration", "lr", "opt"]
    chromium.run(tick % "started")
    chromium.run(tick % "time")
    assert chromium.run(heads) == ["rank", "name", "val/mAP", "state", "lr", "opt", "started"]
    address = chromium.run("return location.href")
    chromium.driver.get("about:blank")
    chromium.driver.get(address)  # a view that was sent
    chromium.until(READY)
    assert chromium.run(heads)[-1] == "started" and shown(chromium)[-1] == "trial-0003"
    assert chromium.run("return document.querySelector('#table td b')") is None
    assert chromium.messages() == []


def test_downloads_are_what_is_visible_and_no_formula(chromium: Page, file: Path) -> None:
    chromium.show(file)
    chromium.until(READY)
    type_filter(chromium, "val/mAP >= 56")
    places = "report.store.visible, report.table.shown()"
    rows = list(csv.DictReader(io.StringIO(chromium.run(f"return report.table.csvOf({places})"))))
    assert [row["trial"] for row in rows] == ["trial-0059", "trial-0058", "trial-0057", "trial-0056"]
    assert (
        rows[0]["param:opt"] == "<b>rmsprop" and rows[1]["param:opt"] == "'=adam()" and rows[0]["last:val/mAP"] == "59"
    )
    content = json.loads(chromium.run(f"return report.table.jsonOf({places})"))
    assert content["where"] == "val/mAP >= 56" and content["trials"][1]["params"]["opt"] == "=adam()"
    assert content["trials"][0]["values"] == {"val/mAP": 59}
    # One rule for cells on the page and in trials.csv.
    ours = io.StringIO()
    csv.writer(ours, lineterminator="\n").writerows([["head"], *([_cell(text), 1] for text in FORMULAS)])
    from yacs_sweep.base.wording import printable

    heads = json.dumps([[text, 1] for text in FORMULAS])
    theirs = chromium.run(f"return report.format.csv(['head'], {heads})")
    assert list(csv.reader(io.StringIO(theirs))) == list(csv.reader(io.StringIO(printable(ours.getvalue()))))
    # The buttons make files.
    chromium.run("window.saved = []; report.download = (name, text, type) => saved.push([name, text.length, type])")
    chromium.run("document.querySelectorAll('.menu summary')[1].click()")
    chromium.until("return document.querySelectorAll('.menu[open] [role=group] button').length === 4")
    chromium.run("document.querySelectorAll('.menu[open] [role=group] button').forEach((button) => button.click())")
    saved = chromium.run("return saved")
    assert [name for name, _, _ in saved] == ["abcd1234-trials.csv", "abcd1234-trials.json"] * 2
    assert saved[2][1] > 5 * saved[0][1]
    assert chromium.messages() == []


def test_points_with_repeats_have_means_errors_and_the_front(chromium: Page, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page(Findings.of(sweep_of_several(24, repeats=3)), "now"), encoding="utf-8")
    chromium.show(path)
    chromium.until(READY)
    heads = chromium.run("return [...document.querySelectorAll('#table thead [data-key]')].map((th) => th.textContent)")
    assert heads[:7] == ["# ↑", "point", "val/mAP", "± error", "seeds", "ms", "front"]
    assert "●" in chromium.run("return document.querySelector('#table tbody').textContent")
    type_filter(chromium, "front and error < 1")
    assert 0 < len(shown(chromium)) < 15
    assert chromium.messages() == []


def test_ten_thousand_trials_filter_and_sort_at_once(chromium: Page, tmp_path: Path) -> None:
    """Measures the table alone: the statistics behind a page of that size are timed by benchmarks/report.py."""
    source = random.Random(1)
    few = [trial(n, {"lr": 0.1, "opt": "sgd"}, 1.0) for n in range(2)]
    chromium.show(written(tmp_path, few))
    chromium.until(READY)
    many = 10_000
    rows = {
        "name": [f"trial-{n:05d}" for n in range(many)],
        "number": list(range(many)),
        "state": [["finished", "stopped"][n % 2] for n in range(many)],
        "value": [source.random() for _ in range(many)],
        "params": {
            "lr": [10 ** -source.random() for _ in range(many)],
            "opt": [["sgd", "adam"][n % 2] for n in range(many)],
        },
    }
    rows["values"] = {"val/mAP": rows["value"]}
    chromium.run(f"report.store.load({{...report.store.blob, trials: {json.dumps(rows)}}})")
    time = "const t = performance.now(); %s; return performance.now() - t"
    filtered = chromium.run(time % "report.store.set({where: \"val/mAP > 0.3 and opt == 'adam' and lr < 0.5\"})")
    assert 0 < chromium.run("return report.store.visible.length") < many
    ordered = chromium.run(time % "report.store.set({where: '', sort: [['val/mAP', '-'], ['opt', '+']]})")
    turned = chromium.run(time % "report.store.set({page: 400})")
    assert len(shown(chromium)) == 15
    assert max(filtered, ordered, turned) < 1000, (filtered, ordered, turned)  # 100 ms on a quiet machine
    assert chromium.messages() == []
