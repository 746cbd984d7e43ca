"""A trial's own page and trials side by side, in a browser: what stands there, how it is left, and hostile names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.axe import faults
from tests.browser import Page
from tests.report_sweeps import HOSTILE, in_memory, sweep_of_several, trial
from tests.yacs_sweep.show.query.made import made_sweep, made_trial
from yacs_sweep.show.report.cli import main
from yacs_sweep.show.report.data import Curve, read_local
from yacs_sweep.show.report.findings import Findings
from yacs_sweep.show.report.page.html import page

# The files that the buttons of the first picture make.
SAVED = """
const answer = arguments[arguments.length - 1], files = [], known = report.download;
report.download = (name, content) => files.push(content);
const buttons = [...document.querySelectorAll("#view figure .save")[0].querySelectorAll("button")];
const letters = async (blob) => String.fromCharCode(...new Uint8Array(await blob.arrayBuffer()));
(async () => {
  for (const [place, form] of ["png", "svg", "csv"].entries()) {
    buttons[place].click();
    while (files.length <= place) await new Promise((then) => setTimeout(then, 5));
  }
  report.download = known;
  answer([await files[1].text(), (await letters(files[0])).slice(0, 8), await files[2].text()]);
})();
"""
READY = "return report.store && report.store.count > 0"
TEXT = "return document.getElementById('view').innerText"
ROWS = """
return [...document.querySelectorAll("#view table")].map((table) => [table.caption.textContent,
  ...[...table.rows].map((row) => [...row.cells].map((cell) => cell.innerText.trim()))]);
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sweeps of 30 trials, with logs, defaults and uncommitted changes; the first trial of one was tried again."""
    base = tmp_path_factory.mktemp("results")
    for sweep_id in ("one11111", "two22222"):
        paths = made_sweep(base, sweep_id)
        paths.inputs.mkdir()
        (paths.inputs / "defaults.json").write_text('{"base_lr": 0.02, "SOLVER.MARGIN": 0.3}')
        (paths.inputs / "code.diff").write_text("--- a/model.py\n+++ b/model.py\n-old\n+new\n")
        for number in range(30):
            value = 50.0 + number if number else None
            rows = [
                {"epoch": epoch, "val/mAP": 2.0 * epoch + number, "train/loss": 9.0 - epoch} for epoch in range(1, 6)
            ]
            rows[0]["model/ms"] = 7.0 + number
            params = {"base_lr": 0.01 * (number + 1), "SOLVER.MARGIN": [0.1, 0.3][number % 2]}
            record = made_trial(
                paths, number, value, params, rows if number else [], state="finished" if number else "failed",
                command=["python", "train.py", "SOLVER.BASE_LR", str(params["base_lr"]), "NAME", "a b"],
                git_commit=("a" if number % 2 else "b") * 40 + "+dirty", gpu_ids=["3"], changed=["model.py"],
                **({"retry_of": "t0"} if number == 1 else {}),
            )  # fmt: skip
            text = "".join(f"line {line} of {record.name}\n" for line in range(80))
            paths.trial(record.name).stdout.write_text(text + "\x1b[31mthe end\n")
    return base


def shown(chromium: Page, path: Path, width: int = 1200) -> None:
    """Opens a page and waits for its data."""
    chromium.driver.get("about:blank")  # an address that differs behind # alone is no new page
    chromium.show(path, width=width)
    chromium.until(READY)


def saved(chromium: Page) -> list[str]:
    """The svg, the beginning of the png, and the csv of the first picture."""
    found: list[str] = chromium.driver.execute_async_script(SAVED)
    return found


def tables(chromium: Page) -> dict[str, list[list[str]]]:
    """The tables of the page that is shown, by caption."""
    return {found[0]: found[1:] for found in chromium.run(ROWS)}


def test_a_trial_has_a_page_and_the_table_is_found_again_as_it_was(chromium: Page, base: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page(Findings.of(read_local(made_paths(base))), "now"), encoding="utf-8")
    shown(chromium, path)
    chromium.run("report.store.set({where: 'base_lr < 0.2', sort: [['number', '+']]})")
    link = "return [...document.querySelectorAll('#table a')].find((link) => link.textContent === 'trial-0007')"
    chromium.until(link)
    chromium.run(f"const link = (() => {{ {link} }})(); link.focus(); scrollTo(0, 300); link.click()")
    chromium.until("return !document.getElementById('view').hidden")
    text = chromium.run(TEXT)
    assert chromium.run("return [document.activeElement.textContent, scrollY]") == ["trial-0007", 0]
    assert chromium.run("return document.title.startsWith('trial-0007 ·')")
    assert "57 · place 23" in text and "8 min 00 s" in text and "line 79 of trial-0007" in text and "the end" in text
    assert "line 20 of" not in text and "The last 40 lines." in text and "\x1b" not in text
    assert "python train.py SOLVER.BASE_LR 0.08 NAME 'a b'" in text and "git diff" not in text
    assert "Changed since the sweep began: model.py" in text
    found = tables(chromium)
    head, *rows = found["1 of 2 differ from the best, trial-0029"]
    assert head == ["parameter", "default", "this", "best"]
    assert ["base_lr", "≠ 0.02, differs", "0.08", "≠ 0.3, differs"] in [
        [cell.replace("\n", "") for cell in row] for row in rows
    ]
    # What was logged once is no curve.
    assert found["Logged once"] == [["metric", "trial-0007", "trial-0029 (best)"], ["model/ms", "14", "36"]]
    assert ["GPU", "3"] in found["Where it ran; versions as the sweep began"]
    figures = "return [...document.querySelectorAll('#view figure svg')].map((svg) => svg.getAttribute('aria-label'))"
    assert "finished finished" not in text.replace("\n", " ")
    ticks = "return [...document.querySelectorAll('#view figure')[0].querySelectorAll('text[text-anchor=middle]')]"
    assert chromium.run(f"{ticks}.map((text) => text.textContent)") == ["1", "2", "3", "4", "5"]
    first = chromium.run(figures)[0]
    # A picture is saved with its names, as svg, png and csv.
    svg, png, rows = saved(chromium)
    assert svg.startswith("<svg") and svg.count("stroke-dasharray") > 2 and "trial-0029 (best)" in svg
    assert "val/mAP by epoch" in svg and "class=" not in svg and png.startswith("\x89PNG")
    assert rows.splitlines()[:2] == ["name,epoch,val/mAP", "trial-0007,1,9"] and len(rows.splitlines()) == 11
    # Over time: 480 s in 5 rows, step 0 at the start.
    chromium.run("report.store.set({axis: 'time'})")
    assert "val/mAP by minutes" in chromium.run(figures)[0] and "spread evenly" in chromium.run(TEXT)
    assert saved(chromium)[2].splitlines()[5] == "trial-0007,8,17"
    chromium.run("report.store.set({axis: null})")
    assert faults(chromium) == []
    assert first.startswith(
        "val/mAP by epoch, between 9 and 39. trial-0007: 17 at the end; trial-0029 (best): 39 at the end"
    )
    assert chromium.run("return document.querySelectorAll('#view details .added').length") == 1
    # The next one in the table's order, the one that it was tried again as, and back.
    chromium.run("document.querySelector('[data-key=next]').click()")
    chromium.until("return report.store.view.trial === 'trial-0008'")
    chromium.run("report.store.set({trial: 'trial-0000'})")
    assert "tried again as" in chromium.run(TEXT) and "No curve" in chromium.run(TEXT)
    chromium.run("[...document.querySelectorAll('#view .facts a')][0].click()")
    chromium.until("return report.store.view.trial === 'trial-0001'")
    assert "The best ran" not in chromium.run(TEXT)
    chromium.run("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape', bubbles: true}))")
    chromium.until("return document.getElementById('view').hidden")
    view = chromium.run(
        "return [report.store.view.where, report.store.view.sort, document.activeElement.textContent, scrollY]"
    )
    assert view == ["base_lr < 0.2", [["number", "+"]], "trial-0007", 300]
    # A page that is sent: the address alone says what is shown. One that is not there says so.
    chromium.driver.get(f"{path.as_uri()}#trial=trial-0005&axis=step&smooth=0.5")
    chromium.driver.refresh()
    chromium.until(
        "return report.store && report.store.view.trial === 'trial-0005' && !document.getElementById('view').hidden"
    )
    assert "val/mAP by step" in chromium.run(figures)[0]
    assert chromium.run("return document.querySelectorAll('#view .series.raw').length") == 4
    chromium.run("report.store.set({trial: 'no such'})")
    assert "no trial of this name" in chromium.run(TEXT)
    chromium.run("report.store.set({trial: null})")
    assert chromium.run("return [...document.querySelectorAll('main')].filter((main) => main.offsetParent).length") == 1
    assert chromium.messages() == []


def made_paths(base: Path, sweep_id: str = "one11111") -> Any:
    """The folder of a sweep."""
    from yacs_sweep.records.folder import SweepPaths

    return SweepPaths(base, sweep_id)


def test_trials_stand_side_by_side(chromium: Page, base: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page(Findings.of(read_local(made_paths(base))), "now"), encoding="utf-8")
    for width in (1200, 390):
        shown(chromium, path, width)
        names = ["trial-0004", "trial-0006", "trial-0008"]
        chromium.run(f"report.store.set({{chosen: {json.dumps(names)}, compare: {json.dumps(names)}}})")
        found = tables(chromium)
        assert found["1 of 2 differ"][0] == ["", *names]
        assert found["1 of 2 differ"][1][:2] == ["base_lr", "0.05"] and found["1 of 2 differ"][1][2].startswith(
            "≠ 0.07"
        )
        metrics = found["Last values, and the difference to the first; the best in bold"]
        assert metrics[1] == ["val/mAP", "54", "56 +2", "58 +4"]
        assert (
            chromium.run("return [...document.querySelectorAll('#view td b')].map((cell) => cell.textContent)")[0]
            == "58"
        )
        marks = "return [...document.querySelectorAll('#view mark')].map((mark) => mark.textContent)"
        assert chromium.run(marks) == ["0.05", "0.07", "0.09"]
        assert chromium.run("return document.querySelectorAll('#view figure').length") == 2
        wide, window = chromium.run(
            "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert wide <= window
        assert "git diff" not in chromium.run(TEXT)
        assert faults(chromium) == []
        chromium.run("document.documentElement.dataset.theme = 'dark'")
        assert faults(chromium) == []
    # Hidden words of wide tables do not widen a phone's page.
    chromium.run("document.head.append(report.element('style', {}, '#view table { min-width: 900px; }'))")
    chromium.run("report.store.set({trial: 'trial-0004'})")
    assert chromium.run("return document.querySelectorAll('#view table .unseen').length") > 0
    assert chromium.run("return document.documentElement.scrollWidth") == 390
    chromium.until("return document.querySelectorAll('#view .scroll[data-over][tabindex]').length > 1")
    assert faults(chromium) == []
    chromium.run("report.store.set({trial: null})")
    # Values of different epochs stand with their epochs, and are compared at the last common one.
    short = "{'trial-0006': {'train/loss': {x: [1, 2, 3], y: [8, 7, 4]}}}"
    chromium.run(f"report.store.merge({{curves: {short}}})")
    metrics = tables(chromium)["Last values, and the difference to the first; the best in bold"]
    assert ["train/loss", "4 epoch 5", "4 epoch 3", "4 epoch 5"] in metrics
    assert ["train/loss at epoch 3", "6", "4 −2", "6"] in metrics
    # On paper it stands alone, and the pictures of the table's page are not lost by it.
    chromium.run("dispatchEvent(new Event('beforeprint')); dispatchEvent(new Event('afterprint'))")
    assert "3 trials side by side" in chromium.run(TEXT)
    # One is added and one taken away; six at most.
    add = "const input = document.querySelector('#view form input'); input.value = '%s'; input.form.requestSubmit()"
    chromium.run(add % "trial-0009")
    chromium.until("return report.store.view.compare.length === 4")
    assert f"git diff {'b' * 40} {'a' * 40}" in chromium.run(TEXT)
    chromium.run(add % "nothing")
    assert "no trial of this name" in chromium.run(TEXT)
    chromium.run("document.querySelector('[aria-label=\"remove trial-0004\"]').click()")
    chromium.until("return report.store.view.compare.length === 3")
    many = [f"trial-{number:04d}" for number in range(10, 18)]
    chromium.run(f"report.store.set({{compare: {json.dumps(many)}}})")
    assert "The first 6 are shown." in chromium.run(TEXT) and "6 trials side by side" in chromium.run(TEXT)
    chromium.run("history.back()")
    chromium.until("return report.store.view.compare.length === 3")
    assert chromium.messages() == []


def test_seeds_of_a_point_and_hostile_trials_have_pages(chromium: Page, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page(Findings.of(sweep_of_several(4, repeats=3, more=0, constraints=())), "now"), encoding="utf-8")
    shown(chromium, path)
    chromium.run("report.store.set({trial: 'point-0001'})")
    rows = tables(chromium)["The seeds of point-0001"]
    assert [row[1] for row in rows] == ["seed", "1", "2", "3"] and rows[1][0] == "trial-0003"
    assert chromium.run("return document.querySelectorAll('#view .band').length") > 0
    chromium.run("document.querySelector('[data-key=\"trial trial-0003\"]').click()")
    chromium.until("return report.store.view.trial === 'trial-0003'")
    assert "The curves of its point are means" in chromium.run(TEXT) and "width" in chromium.run(TEXT)
    assert chromium.messages() == []
    trials = [
        trial(n, {HOSTILE: HOSTILE, "b": n}, float(n), name=f"{HOSTILE}{n}", reason=HOSTILE, host=HOSTILE,
              command=["x", HOSTILE], changed=[HOSTILE], git_commit=HOSTILE, given={"env": {HOSTILE: HOSTILE}})
        for n in range(3)
    ]  # fmt: skip
    for each in trials:
        each.curves, each.url = {HOSTILE: Curve([1.0, 2.0], [1.0, float("nan")])}, "javascript:alert(3)"
    path.write_text(page(Findings.of(in_memory(trials, environment={HOSTILE: HOSTILE})), "now"), encoding="utf-8")
    shown(chromium, path)
    for patch in ("{trial: report.store.name(1)}", "{trial: null, compare: [0, 1, 2].map(report.store.name)}"):
        chromium.run(f"report.store.set({patch})")
        assert "</script>" in chromium.run(TEXT)
        # What is in the address is what is shown.
        chromium.run("report.address.read()")
        assert "side by side" in chromium.run(TEXT) or "[a](javascript:x)" in chromium.run(
            "return report.store.view.trial"
        )
        bad = "return document.querySelectorAll('#view img, #view script, #view a[href^=javascript]').length"
        assert chromium.run(bad) == 0
    assert chromium.run("return report.store.view.compare.length") == 3
    assert chromium.messages() == []


def test_two_sweeps_are_drawn_on_the_same_axes(
    chromium: Page, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "two.html"
    words = ["--sweep_id", "one11111", "--compare", "two22222", "--results_dir", str(base), "--output", str(path)]
    assert main(words) == 0
    for width in (1200, 390):
        shown(chromium, path, width)
        chromium.until("return document.querySelectorAll('#beside-pictures figure').length >= 5")
        labels = chromium.run(
            "return [...document.querySelectorAll('#beside-pictures svg[role=img]')].map((svg) => svg.getAttribute('aria-label'))"
        )
        assert labels[0].startswith(
            "best val/mAP so far by trial, between 51 and 79. one11111: 79 at the end; two22222: 79"
        )
        assert any("val/mAP by base_lr" in label and "29 trials" in label for label in labels)
        told = "const note = document.querySelector('header .note'); return [note.textContent, note.querySelector('a').hash]"
        text, link = chromium.run(told)
        assert text.startswith("Beside two22222: ") and link == "#beside"
        # One training each says nothing of chance: what would tell is there to copy.
        section = chromium.run("return document.getElementById('beside').textContent")
        assert all(f"--train-best {name} --seeds 3" in section for name in ("one11111", "two22222"))
        assert "then compare one11111-best and two22222-best" in section
        wide, window = chromium.run(
            "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert wide <= window
    # Trials of both, side by side; one of the other sweep is named by its sweep, and has no page here.
    chromium.run("document.querySelector('#beside a').click()")
    chromium.until("return !document.getElementById('view').hidden")
    assert chromium.run("return location.hash") == "#compare=trial-0029,two22222/trial-0029"
    assert chromium.run("return document.querySelector('#view h1').textContent") == "2 trials side by side"
    form = "const field = document.querySelector('#view form input'); field.value = '{}'; field.form.requestSubmit()"
    chromium.run(form.format("two22222/nobody"))
    assert chromium.run("return document.querySelector('#view form .said').textContent") == "no trial of this name"
    chromium.run(form.format("two22222/trial-0005"))
    chromium.until("return document.querySelector('#view h1').textContent.startsWith('3')")
    found = tables(chromium)
    metrics = found["Last values, and the difference to the first; the best in bold"]
    assert ["val/mAP", "79", "79", "55 −24"] in metrics
    assert found["1 of 2 differ"][1] == ["base_lr", "0.3", "0.3", "≠ 0.06\n, differs from the first"]
    links = "return [...document.querySelectorAll('#view .chosen a:not([aria-label])')].map((link) => link.textContent)"
    assert chromium.run(links) == ["trial-0029"]
    curve = "return document.querySelector('#view figure svg').getAttribute('aria-label')"
    assert "two22222/trial-0005: 15 at the end" in chromium.run(curve)
    chromium.run("report.store.set({ trial: 'two22222/trial-0005', compare: [] })")
    assert "no trial of this name" in chromium.run("return document.getElementById('view').textContent")
    assert chromium.messages() == []
