"""The pictures of the page in a browser: they follow the filter, keep ranges, draw curves over any axis, and can be saved."""

from __future__ import annotations

import csv
import io
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Page
from tests.report_sweeps import METRIC, in_memory, spec_of, trial
from yacs_sweep.show.report.data import Curve, Sweep, Trial
from yacs_sweep.show.report.findings import Findings
from yacs_sweep.show.report.page.blob import blob
from yacs_sweep.show.report.page.html import page

COUNT = 300
POINTS = "return document.querySelectorAll('[data-plot={}] .scatterlayer .point').length"


def with_curve(found: Trial, epochs: int, at: float, **more: Any) -> Trial:
    """The trial with a curve that ends at its value, logged every ten steps."""
    x = [float(epoch + 1) for epoch in range(epochs)]
    y = [at - 2 * math.cos(epoch) / (epoch + 1) for epoch in range(epochs)]
    found.curves[METRIC] = Curve(x, y, [10 * one for one in x])
    found.epochs = True
    for name, item in more.items():
        setattr(found.record, name, item)
    return found


def usual() -> Sweep:
    """300 trials over a, b and "=c"; the last one has no value."""
    trials = [
        with_curve(
            trial(n, {"a": 10.0 ** (-n / 100), "b": ["sgd", "adam", "lion"][n % 3], "=c": n % 2}, n / 10), 4, n / 10
        )
        for n in range(COUNT)
    ]
    trials[-1].record.value, trials[-1].record.state = None, "failed"
    return in_memory(trials)


def halving() -> Sweep:
    """Nine trials that pause at 1 and 3 of 9 iterations: three were resumed at 1, one of these at 3."""
    rule = {"type": "asha", "mode": "promotion", "min_iter": 1, "eta": 3, "max_iter": 9}
    spec = spec_of({"a": {"min": 0.0, "max": 9.0}}, early_terminate=rule)
    trials = []
    for n in range(9):
        came, starts = (9, [10, 30]) if n == 8 else (3, [10]) if n > 5 else (1, [])
        more = {"iterations": came, "starts": starts, "until": None if n == 8 else came}
        state = "finished" if n == 8 else "paused"
        trials.append(with_curve(trial(n, {"a": float(n)}, float(n)), came, float(n), state=state, **more))
    return in_memory(trials, spec)


def population() -> Sweep:
    """Two members of four iterations; the better one is copied once, in the place of the other."""
    first = with_curve(trial(0, {"a": 0.1}, 5.0), 4, 5.0, iterations=4)
    second = with_curve(trial(1, {"a": 0.2}, 1.0), 2, 1.0, iterations=2, state="stopped")
    third = with_curve(
        trial(2, {"a": 0.3}, 6.0), 4, 6.0, iterations=4, parent_trial="trial-0000", begun_at=2, replaces="trial-0001"
    )
    return in_memory([first, second, third])


def mixed() -> Sweep:
    """Nine trials over a parameter that is a number or a text."""
    return in_memory([trial(n, {"m": [1, "auto", "off"][n % 3]}, n / 10) for n in range(9)])


def levels() -> Sweep:
    """Twelve trials over a number of four values."""
    return in_memory([trial(n, {"k": [8, 16, 32, 64][n % 4]}, n / 10) for n in range(12)])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, found = tmp_path_factory.mktemp("pages"), {}
    for name, sweep in (
        ("usual", usual()),
        ("halving", halving()),
        ("population", population()),
        ("mixed", mixed()),
        ("levels", levels()),
    ):
        found[name] = folder / f"{name}.html"
        found[name].write_text(page(Findings.of(sweep), "now"), encoding="utf-8")
    return found


def draw(chromium: Page, file: Path, address: str = "") -> None:
    """Opens a page and draws all of its pictures."""
    chromium.show(file)
    if address:
        chromium.run(f"location.hash = {json.dumps(address)}")
    chromium.run("report.drawAll()")
    chromium.until("return report.done")


def wait(chromium: Page) -> None:
    """Draws what has changed, in view or not."""
    chromium.run("report.drawAll()")
    chromium.until("return report.done")


def kept(chromium: Page) -> str:
    found: str = chromium.run("return document.getElementById('parallel-kept').textContent")
    return found


def saved(chromium: Page, plot: str, form: str) -> str:
    """The file of a picture, as latin-1."""
    chromium.run(
        f"""window.saved = null;
        const plot = document.querySelector('[data-plot={plot}]');
        const bytes = async (blob) => new Uint8Array(await blob.arrayBuffer());
        report.plots.file(plot, '{form}').then(bytes).then((found) => {{ window.saved = [...found]; }});"""
    )
    chromium.until("return window.saved")
    return bytes(chromium.run("return window.saved")).decode("latin-1")


def test_a_range_filters_the_table_and_every_picture(chromium: Page, files: dict[str, Path]) -> None:
    draw(chromium, files["usual"])
    assert chromium.run(POINTS.format("history")) == COUNT - 1
    # By keyboard: a form with from and to of each axis.
    form = "document.querySelector('#ranges details').open = true"
    chromium.run(form)
    chromium.until("return document.querySelector('#ranges input[aria-label=\"a, from\"]')")
    given = "const field = document.querySelector('#ranges input[aria-label=\"a, {}\"]');"
    given += "field.value = {}; field.dispatchEvent(new Event('change'));"
    chromium.run(given.format("from", 0.1))
    assert "brush.a=0.1~1" in chromium.run("return location.hash")
    assert chromium.run("return report.store.visible.length") == 101
    wait(chromium)
    assert kept(chromium).startswith(f"101 of {COUNT - 1} trials kept")
    assert [chromium.run(POINTS.format(name)) for name in ("history", "slice0")] == [101, 101]
    assert "101 of 300 trials" in chromium.run("return document.getElementById('where-shown').textContent")
    said = "return document.getElementById('says-{}').textContent"
    assert chromium.run(said.format("history")).endswith("on the first. The filter leaves 101 of 300 trials.")
    assert chromium.run(said.format("importance")).endswith("Of all trials, whatever the filter leaves.")
    # Of a category, values; a range and an expression hold together.
    box = "[...document.querySelectorAll('#ranges label')].find((label) => label.textContent.trim() === '{}').firstChild.click()"
    chromium.run(box.format("adam"))
    chromium.run("report.store.set({where: 'number < 90'})")
    wait(chromium)
    assert chromium.run(POINTS.format("history")) == 60
    address = chromium.run("return location.hash")
    chromium.run("location.hash = ''; report.store.reset()")
    draw(chromium, files["usual"], address)
    assert chromium.run(POINTS.format("history")) == 60
    words = chromium.run("return [...document.querySelectorAll('#ranges .chip')].map((chip) => chip.textContent)")
    assert words == ["a: 0.1 to 1 ×", "b: lion, sgd ×"] or words == ["a: 0.1 to 1 ×", "b: sgd, lion ×"]
    chromium.run("document.querySelector('#ranges .chip').click()")
    assert "brush.a" not in chromium.run("return location.hash")
    # A filter that leaves nothing says so, in place of empty axes.
    chromium.run("report.store.set({where: 'number > 1000', brush: {}})")
    wait(chromium)
    assert "No trial that the filter leaves" in chromium.run(
        "return document.querySelector('[data-plot=history]').textContent"
    )
    chromium.run("report.store.reset()")
    wait(chromium)
    assert chromium.run(POINTS.format("history")) == COUNT - 1 and kept(chromium) == ""
    # A click on a trial ticks it, and every picture rings it.
    chromium.run("report.plots.choose('trial-0007')")
    wait(chromium)
    assert chromium.run("return report.store.view.chosen") == ["trial-0007"]
    assert chromium.run(POINTS.format("history")) == COUNT
    assert chromium.messages() == []


def test_a_number_that_is_kept_beside_a_text_is_ticked(chromium: Page, files: dict[str, Path]) -> None:
    draw(chromium, files["mixed"])
    chromium.run("document.querySelector('#ranges details').open = true")
    chromium.until("return document.querySelector('#ranges label')")
    chromium.run("report.store.set({brush: {m: [1, 'auto']}})")
    assert chromium.run("return report.store.visible.length") == 6
    ticked = "[...document.querySelectorAll('#ranges label')].filter((label) => label.firstChild.checked)"
    assert sorted(chromium.run(f"return {ticked}.map((label) => label.textContent.trim())")) == ["1", "auto"]
    # The mark on the axis covers both: its levels are at 0, 0.5 and 1.
    (span,) = chromium.run("return report.plots.axes()[0].spans([1, 'auto'])")
    assert span == pytest.approx([-0.03, 0.53])


def test_separate_values_of_a_discrete_number_are_kept(chromium: Page, files: dict[str, Path]) -> None:
    draw(chromium, files["levels"])
    chromium.run("document.querySelector('#ranges details').open = true")
    chromium.until("return document.querySelector('#ranges label')")
    box = "[...document.querySelectorAll('#ranges label')].find((label) => label.textContent.trim() === '{}').firstChild.click()"
    shown = "return [...new Set(report.store.visible.map((row) => report.store.value(row, 'k')))].sort((a, b) => a - b)"
    chip = "return document.querySelector('#ranges .chip').textContent"
    for level, left, words in (("16", [8, 32, 64], "k: 8, 32 to 64 ×"), ("64", [8, 32], "k: 8, 32 ×")):
        chromium.run(box.format(level))
        assert chromium.run(shown) == left
        assert chromium.run(chip) == words
    ticked = "[...document.querySelectorAll('#ranges label')].filter((label) => label.firstChild.checked)"
    assert chromium.run(f"return {ticked}.map((label) => label.textContent.trim())") == ["8", "32"]
    wait(chromium)
    # Two marks on the axis, at the first and the third of four levels; the address has both.
    spans = chromium.run("return report.plots.axes()[0].spans(report.store.view.brush.k)")
    assert [at for span in spans for at in span] == pytest.approx([-0.03, 0.03, 2 / 3 - 0.03, 2 / 3 + 0.03])
    address = chromium.run("return location.hash")
    assert address == "#brush.k=8~8~32~32"
    draw(chromium, files["levels"], address)
    assert chromium.run(shown) == [8, 32]
    # A drag over three levels, as the axis hears of it, is one range.
    assert chromium.run("return report.plots.axes()[0].range(0.3, 1)") == [16, 64]
    assert chromium.messages() == []


def test_curves_over_epochs_steps_and_time_as_logged_or_smoothed(chromium: Page, files: dict[str, Path]) -> None:
    draw(chromium, files["usual"])
    note = chromium.run("return document.getElementById('curves-note').textContent")
    assert note.startswith("240 of 300 trials are drawn, the best first.")
    options = "return [...document.getElementById('curve-axis').options].map((option) => option.text)"
    assert chromium.run(options) == ["epoch", "step", "time"]
    last = "const line = document.querySelector('[data-plot=curves] .inner').data.at(-1); return [line.x, line.y, line.name]"
    x, y, name = chromium.run(last)
    raw = [29.8 - 2 * math.cos(epoch) / (epoch + 1) for epoch in range(4)]
    assert (x, name) == ([1, 2, 3, 4], "trial-0298") and y == pytest.approx(raw, rel=1e-3)
    # The best five are told apart without colours, and named at their ends.
    inner = "document.querySelector('[data-plot=curves] .inner')"
    dashes = chromium.run(f"return {inner}.data.filter((line) => line.showlegend).map((line) => line.line.dash)")
    assert len(set(dashes)) == len(dashes) == 5 and dashes[-1] == "solid"
    ends = chromium.run(f"return {inner}.layout.annotations.map((end) => end.text)")
    assert ends == [f"trial-0{number}" for number in range(298, 293, -1)]
    heights = f"return [...{inner}.querySelectorAll('.annotation text')].map((end) => end.getBoundingClientRect().top)"
    tops = chromium.run(heights)
    assert min(after - before for before, after in pairwise(tops)) >= 11
    choose = "const field = document.getElementById('{}'); field.value = '{}'; field.dispatchEvent(new Event('{}'))"
    for which, axis, places in ((1, "step", [10, 20, 30, 40]), (2, "time", [22.5, 45, 67.5, 90])):
        chromium.run(choose.format("curve-axis", which, "change"))
        chromium.until(f"return (() => {{ {last} }})()[0][3] === {places[3]}")
        assert chromium.run(last)[0] == places and f"axis={axis}" in chromium.run("return location.hash")
    chromium.run(choose.format("curve-smooth", 0.5, "input"))
    chromium.run("document.getElementById('curve-smooth').dispatchEvent(new Event('change'))")
    assert "smooth=0.5" in chromium.run("return location.hash")
    # The moving average by its sum: weights 1, 0.5, 0.25 … from the last value back, divided by their sum.
    soft = [sum(0.5**k * raw[i - k] for k in range(i + 1)) / sum(0.5**k for k in range(i + 1)) for i in range(4)]
    chromium.until(f"return Math.abs((() => {{ {last} }})()[1][3] - {soft[3]}) < 0.01")
    assert chromium.run(last)[1] == pytest.approx(soft, rel=1e-3)
    rows = list(csv.reader(io.StringIO(saved(chromium, "curves", "csv"))))
    assert rows[0] == ["trial", "seconds", METRIC, "standard error", "smoothed"] and len(rows) == 1 + 240 * 4
    assert chromium.messages() == []


def test_pictures_are_saved_as_png_svg_and_csv(chromium: Page, files: dict[str, Path]) -> None:
    draw(chromium, files["usual"])
    assert saved(chromium, "history", "png").startswith("\x89PNG")
    svg = saved(chromium, "history", "svg")
    assert svg.startswith("<svg") and svg.count('<path class="point') == COUNT - 1
    assert "History" in svg  # its title, which the page has around it
    # A picture that is just being drawn again is tried once more; one that cannot be made says so.
    bar = (
        "report.saveBar('x', async () => {{ if (++window.tries < {}) throw new Error('not yet'); return new Blob(); }})"
    )
    for enough, told in ((2, ["x.svg"]), (9, ["The svg could not be made: not yet"])):
        chromium.run(
            f"window.tries = 0; window.told = []; const bar = {bar.format(enough)}, known = report.download;"
            "report.download = (name) => told.push(name.slice(-5)); bar.querySelectorAll('button')[1].click();"
            "new MutationObserver(() => told.push(bar.lastChild.textContent)).observe(bar.lastChild, {childList: true});"
            "setTimeout(() => { report.download = known; window.over = true; }, 600); window.over = false;"
        )
        chromium.until("return window.over")
        assert chromium.run("return told") == told
    rows = list(csv.reader(io.StringIO(saved(chromium, "parallel", "csv"))))
    assert len(rows) == COUNT and set(rows[0]) == {"trial", "a", "b", "'=c", METRIC}
    buttons = (
        "return document.querySelectorAll('.plot .save button').length / document.querySelectorAll('.plot').length"
    )
    assert chromium.run(buttons) == 3
    assert chromium.messages() == []


def test_rungs_and_copies(chromium: Page, files: dict[str, Path]) -> None:
    draw(chromium, files["halving"])
    found = chromium.run(
        "return document.querySelector('[data-plot=rungs] .inner').data.map((trace) => [trace.type, trace.x])"
    )
    assert found[0] == ["bar", [9, 3, 3, 1, 1, 1, 1, 1, 1]]
    assert sorted(found[2][1]) == [1, 1, 1, 3]
    said = "return document.getElementById('says-{}').textContent"
    text = "Iterations of 9 trials (8 paused, 1 finished): 9 reached 1, 3 reached 3, 1 reached 9; 3 paused and were resumed."
    assert chromium.run(said.format("rungs")) == text
    draw(chromium, files["population"])
    rows = list(csv.reader(io.StringIO(saved(chromium, "family", "csv"))))[1:]
    assert [row[:5] for row in rows] == [
        ["trial-0000", "0", "0", "4", ""],
        ["trial-0001", "1", "0", "2", ""],
        ["trial-0002", "1", "2", "4", "trial-0000"],
    ]
    link = chromium.run("return document.querySelector('[data-plot=family] .inner').data[0]")
    assert (link["x"], link["y"]) == ([2, 2, None], [0, 1, None])
    text = "1 trial of 3 began from the checkpoint of another; most often, 1 time, from trial-0000."
    assert chromium.run(said.format("family")) == text
    assert chromium.messages() == []


def test_no_picture_is_blank(chromium: Page, files: dict[str, Path]) -> None:
    # A part of the page that was hidden is drawn when it is shown, in its width.
    chromium.show(files["usual"])
    chromium.run("document.getElementById('curves').hidden = true")
    draws = "return document.querySelectorAll('[data-plot=curves] .scatterlayer .trace').length"
    chromium.run("report.drawAll()")
    chromium.until("return report.done")
    chromium.run("dispatchEvent(new Event('beforeprint')); dispatchEvent(new Event('afterprint'))")
    chromium.until("return report.done")
    assert chromium.run(draws) == 0
    chromium.run("const part = document.getElementById('curves'); part.hidden = false; part.scrollIntoView()")
    chromium.until(draws + " > 5")
    assert chromium.run("return document.querySelector('[data-plot=curves] .main-svg').clientWidth") > 900
    # A trial that has come since the report was made, or has ended since, is in the pictures.
    row = {"name": ["trial-0299", "new"], "number": [299, 300], "state": ["finished", "finished"], "value": [1.0, 2.0]}
    row |= {"params": {"a": [0.001, 0.5], "b": ["sgd", "muon"], "=c": [1, 0]}, "values": {METRIC: [1.0, 2.0]}}
    chromium.run(f"report.store.merge({{trials: {json.dumps(row)}}})")
    wait(chromium)
    assert chromium.run(POINTS.format("history")) == COUNT + 1
    assert chromium.run("return report.plots.columns().find((column) => column.name === 'b').levels.includes('muon')")
    # Printed before it is drawn, a picture says so.
    chromium.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    note = "const plot = document.querySelector('[data-plot=history]'); delete plot.dataset.drawn;"
    note += "return getComputedStyle(plot.querySelector('.inner'), '::before').content"
    assert "was not drawn yet" in chromium.run(note)
    chromium.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    # Every picture says what it shows, to who does not see it as well.
    text_of = "(inner) => document.getElementById(inner.getAttribute('aria-labelledby')).textContent"
    named = f"return [...document.querySelectorAll('.plot .inner')].map({text_of})"
    assert all(len(text) > 20 and text.endswith(".") for text in chromium.run(named))
    assert chromium.messages() == []


def test_rungs_of_seeds_rows_of_one_epoch_and_long_curves(chromium: Page, tmp_path: Path) -> None:
    rule = {"type": "asha", "min_iter": 1, "eta": 3}
    spec = spec_of({"a": {"min": 0.0, "max": 9.0}}, early_terminate=rule, repeats={"n": 2})
    trials = []
    for n in range(8):
        came = 9 if n < 4 else 3
        more = {
            "iterations": came,
            "state": "finished" if n < 4 else "stopped",
            "point": f"point-{n // 2}",
            "seed": n % 2,
        }
        trials.append(with_curve(trial(n, {"a": float(n // 2)}, float(n)), came, float(n), **more))
        trials[-1].curves["loss"] = Curve([k + 1.0 for k in range(100)], [1.0 / (k + 1) for k in range(100)])
    path = tmp_path / "seeds.html"
    path.write_text(page(Findings.of(in_memory(trials, spec)), "now"), encoding="utf-8")
    draw(chromium, path)
    bars = "const all = document.querySelector('[data-plot=rungs] .inner').data[0]; return [all.x, all.customdata]"
    assert chromium.run(bars)[0] == [9] * 4 + [3] * 4
    said = chromium.run("return document.getElementById('says-rungs').textContent")
    assert said == "Iterations of 8 trials (4 finished, 4 stopped): 8 reached 1, 8 reached 3, 4 reached 9."
    numbers = "return [...document.querySelectorAll('[data-plot=rungs] .xtick text')].map((tick) => tick.textContent)"
    assert chromium.run(numbers) == [str(number) for number in range(10)]
    # A trial goes with its point.
    chromium.run("report.store.set({where: \"name == 'point-1'\"})")
    wait(chromium)
    assert chromium.run(bars)[0] == [9, 9]
    rows = list(csv.reader(io.StringIO(saved(chromium, "rungs", "csv"))))
    assert [row[0] for row in rows] == ["trial", "trial-0003", "trial-0002"]
    # Rows of one epoch are spread over it, and a curve that is not drawn whole says so.
    assert chromium.run("return report.curve.places({x: [1, 1, 2, 2, 2, 2]}, 'epoch')") == [1, 1.5, 2, 2.25, 2.5, 2.75]
    note = "return document.getElementById('curves-note').textContent"
    assert "thinned" not in chromium.run(note)
    chromium.run("report.store.set({where: '', metric: 'loss'})")
    wait(chromium)
    assert chromium.run(note) == "Long curves are thinned: some rows are not drawn."
    assert chromium.messages() == []


def test_captions_have_the_numbers() -> None:
    says = blob(Findings.of(usual()))["figures"]["says"]
    best = "the best, 29.8, is trial-0298, after 298 improvements on the first."
    assert says["history"] == f"{METRIC} of 299 trials: from 0 to 29.8; {best}"
    assert says["parallel"] == f"299 lines over 4 axes: a, b, =c, and {METRIC}."
    assert says["curves"].startswith(
        f"{METRIC} over the epoch of 300 trials; the best, trial-0298, goes from 27.8 at 1 to 30.29 at 4"
    )
