"""The report in a real browser: nothing in its console, every plot drawn, light and dark, wide and on a phone."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.browser import FLAGS, Page
from tests.report_sweeps import in_memory, odd_sweeps, stamp, trial
from yacs_sweep.records.control.orders import new_order
from yacs_sweep.records.control.words import Given
from yacs_sweep.show.report.findings import Findings
from yacs_sweep.show.report.page.html import page

# For each plot: how many marks it holds and how large they are on the screen.
DRAWN = """
return [...document.querySelectorAll(".plot[data-plot]")].map((plot) => {
  const marks = [...plot.querySelectorAll(".trace path, .contourlayer path, .barlayer path, .hm image")];
  const area = marks.map((mark) => mark.getBoundingClientRect()).reduce((sum, box) => sum + box.width + box.height, 0);
  return { name: plot.dataset.plot, marks: marks.length, area, text: plot.textContent.slice(0, 200) };
});
"""
ALL = {"history", "parallel", "importance", "correlation", "slice0", "slice1", "surface", "curves", "rungs", "timeline"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for name, sweep in odd_sweeps(folder).items():
        found[name] = folder / f"{name}.html"
        found[name].write_text(page(Findings.of(sweep), "now"), encoding="utf-8")
    return found


def drawn(chromium: Page) -> list[dict[str, Any]]:
    """Draws everything; what there is to see."""
    chromium.run("report.drawAll()")
    chromium.until("return report.done || !document.querySelector('.plot[data-plot]')")
    found: list[dict[str, Any]] = chromium.run(DRAWN)
    return found


def test_the_usual_table_fits_a_window_of_1100_pixels(chromium: Page, files: dict[str, Path]) -> None:
    chromium.show(files["usual"], width=1100)
    chromium.until("return Boolean(document.getElementById('where'))")
    sizes = "const box = document.querySelector('#table .scroll'); return [box.scrollWidth, box.clientWidth]"
    wide, window = chromium.run(sizes)
    assert wide <= window
    # The command of the first screen breaks between words alone, and is copied as it is.
    words = (
        "return [...document.querySelectorAll('.answer pre.command span')].map((word) => word.getClientRects().length)"
    )
    assert len(chromium.run(words)) > 5 and set(chromium.run(words)) == {1}
    assert "--train-best" in chromium.run("return document.querySelector('.answer pre.command').textContent")
    assert chromium.run("return document.querySelector('.answer .copied button').textContent") == "Copy"


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (390, False), (390, True)])
def test_every_plot_is_drawn(chromium: Page, files: dict[str, Path], width: int, dark: bool, tmp_path: Path) -> None:
    chromium.show(files["usual"], width=width, dark=dark)
    plots = drawn(chromium)
    assert {plot["name"] for plot in plots} == ALL
    for plot in plots:
        assert plot["marks"] > 0 and plot["area"] > 50, plot
    assert chromium.messages() == []
    # Nothing hangs over the side: on a phone the page scrolls in one direction only.
    wide, window = chromium.run("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= window
    background = chromium.run("return getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(20, 23, 26)" if dark else "rgb(255, 255, 255)")
    chromium.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 50_000


@pytest.mark.slow
def test_odd_sweeps_draw_without_complaint(chromium: Page, files: dict[str, Path]) -> None:
    for name, path in files.items():
        chromium.show(path)
        for plot in drawn(chromium):
            # Of a metric that is always the same there is no correlation.
            assert plot["marks"] > 0 or (name, plot["name"]) == ("same_values", "correlation"), plot
            assert "could not be drawn" not in plot["text"], (name, plot)
        assert chromium.messages() == [], name
        assert chromium.run("return document.querySelectorAll('img, b > script').length") == 0
        keys = chromium.run("return report.store.columns.map((column) => column.key)")
        assert len(keys) == len(set(keys)) and (name == "empty" or "state" in keys), name


def test_the_timeline_marks_orders(chromium: Page, files: dict[str, Path], tmp_path: Path) -> None:
    lines = "return document.querySelectorAll('[data-plot=timeline] .shapelayer path').length"
    chromium.show(files["usual"])
    drawn(chromium)
    assert chromium.run(lines) == 0
    sweep = in_memory([trial(number, {"lr": 0.1}, 0.5) for number in range(3)])
    for seconds, act in enumerate(("pause", "resume")):
        sweep.orders.append(Given(replace(new_order("pause"), act=act, user="<b>", at=stamp(30 + 60 * seconds)), []))
    (tmp_path / "orders.html").write_text(page(Findings.of(sweep), "now"), encoding="utf-8")
    chromium.show(tmp_path / "orders.html")
    drawn(chromium)
    assert chromium.run(lines) == 2
    assert chromium.messages() == []


# Of a plot, how far its axis' title is below its lowest tick label.
BELOW_TICKS = """
const bottom = (found) => Math.max(...[...found].map((text) => text.getBoundingClientRect().bottom));
const plot = document.querySelector("[data-plot=timeline]");
return plot.querySelector(".xtitle").getBoundingClientRect().top - bottom(plot.querySelectorAll(".xtick text"));
"""


@pytest.mark.parametrize("width", [1200, 390])
def test_the_only_workers_axis_has_its_title_below_its_ticks(
    chromium: Page, files: dict[str, Path], width: int
) -> None:
    chromium.show(files["three"], width=width)
    drawn(chromium)
    assert chromium.run(BELOW_TICKS) >= 0


def test_an_odd_number_of_tiles_leaves_no_hole_on_a_phone(chromium: Page, files: dict[str, Path]) -> None:
    chromium.show(files["failures_only"], width=390)
    area = """
    const size = (box) => box.width * box.height, of = (element) => size(element.getBoundingClientRect());
    const tiles = [...document.querySelectorAll(".tile")];
    return [tiles.length, tiles.reduce((sum, tile) => sum + of(tile), 0) / of(document.querySelector(".tiles"))];
    """
    count, share = chromium.run(area)
    assert count == 3 and share > 0.95


def test_the_theme_can_be_turned_and_is_kept(chromium: Page, files: dict[str, Path]) -> None:
    chromium.show(files["usual"])
    drawn(chromium)
    colour = "return document.querySelector('[data-plot=history] .xtick text').style.fill"
    light = chromium.run(colour)
    chromium.run("document.getElementById('theme').click()")
    chromium.until(f"return (() => {{ {colour} }})() !== '{light}'")
    assert chromium.run("return document.documentElement.dataset.theme") == "dark"
    chromium.driver.refresh()
    assert chromium.run("return document.documentElement.dataset.theme") == "dark"
    chromium.run("document.getElementById('theme').click()")
    assert chromium.messages() == []


def test_a_drag_along_an_axis_keeps_the_trials_within(chromium: Page, files: dict[str, Path]) -> None:
    chromium.show(files["usual"])
    drawn(chromium)
    chromium.run("document.querySelector('[data-plot=parallel]').scrollIntoView({block: 'center'})")
    drag = """
    const inner = document.querySelector('[data-plot=parallel] .inner'), box = inner.getBoundingClientRect();
    const place = (y) => ({bubbles: true, clientX: box.left + 64, clientY: box.top + y});
    const at = (type, y) => inner.dispatchEvent(new PointerEvent(type, place(y)));
    at('pointerdown', 60); at('pointermove', 150); at('pointerup', 150);
    """
    chromium.run(drag)
    chromium.until("return document.getElementById('parallel-kept').textContent.includes('trials kept')")
    words = chromium.run("return document.getElementById('parallel-kept').textContent").split()
    assert 0 < int(words[0]) < int(words[2])
    chromium.run(drag.replace("150", "60"))
    chromium.until("return document.getElementById('parallel-kept').textContent === ''")


def test_other_metrics_and_the_rest_of_the_table_are_a_click_away(chromium: Page, files: dict[str, Path]) -> None:
    chromium.show(files["usual"])
    drawn(chromium)
    rows = "return [...document.querySelectorAll('#trials tbody tr')].filter((row) => row.offsetParent).length"
    assert chromium.run(rows) == 15
    chromium.run(
        "const s = document.querySelector('.pager select'); s.value = 50; s.dispatchEvent(new Event('change'))"
    )
    assert chromium.run(rows) == 40
    title = "return document.querySelector('[data-plot=curves] .ytitle').textContent"
    assert chromium.run(title) == "val/mAP"
    chromium.run("const s = document.getElementById('curve-metric'); s.value = 1; s.dispatchEvent(new Event('change'))")
    chromium.until("return (() => { " + title + " })() !== 'val/mAP'")
    assert chromium.messages() == []


MARKS = re.compile(rb"[\d.-]+ [\d.-]+ (?:l|[\d.-]+ [\d.-]+ re|(?:[\d.-]+ ){4}c)\s")


def test_a_printed_page_has_every_plot(files: dict[str, Path], tmp_path: Path) -> None:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no Chromium: apt-get install chromium")
    target = tmp_path / "report.pdf"
    words = [program, *FLAGS.split(), f"--user-data-dir={tmp_path}/profile", f"--print-to-pdf={target}"]
    subprocess.run([*words, files["usual"].as_uri()], check=True, capture_output=True, timeout=120)
    drawn_lines = 0
    for packed in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", target.read_bytes(), re.S):
        with contextlib.suppress(zlib.error):
            drawn_lines += len(MARKS.findall(zlib.decompress(packed)))
    assert drawn_lines > 5000, drawn_lines  # 14,780 with all plots, 1,051 without any
    pages = len(re.findall(rb"/Type\s*/Page\b", target.read_bytes()))
    assert 1 < pages <= 7, pages  # 6, of 40 trials with every picture


def test_printing_draws_everything_in_light_colours_and_the_papers_width(
    chromium: Page, files: dict[str, Path]
) -> None:
    chromium.show(files["usual"])
    chromium.run("localStorage.setItem('report-theme', 'dark')")
    chromium.show(files["usual"])
    drawn(chromium)
    theme = "return document.documentElement.dataset.theme"
    colour = "return document.querySelector('[data-plot=history] .xtick text').style.fill"
    widths = "return [...document.querySelectorAll('.plot .main-svg')].map((svg) => svg.getBoundingClientRect().width)"
    before, dark = chromium.run(widths), chromium.run(colour)
    assert chromium.run(theme) == "dark" and max(before) > 1000
    chromium.run("dispatchEvent(new Event('beforeprint'))")
    assert chromium.run(theme) == "light" and chromium.run(colour) != dark
    assert max(chromium.run(widths)) <= 700
    chromium.run("dispatchEvent(new Event('afterprint'))")
    chromium.until(f"return JSON.stringify((() => {{ {widths} }})()) === '{json.dumps(before, separators=(',', ':'))}'")
    assert chromium.run(theme) == "dark"
    chromium.until(f"return (() => {{ {colour} }})() === '{dark}'")
    chromium.run("localStorage.removeItem('report-theme')")
    assert chromium.messages() == []
