"""The report by keyboard, with a screen reader, on a phone, in the dark and on paper."""

from __future__ import annotations

import re
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.axe import faults
from tests.browser import Page
from tests.report_sweeps import odd_sweeps, sweep_of_several
from yacs_sweep.show.report.findings import Findings
from yacs_sweep.show.report.page.html import page

READY = "return Boolean(document.getElementById('where'))"
PACKAGE = "yacs_sweep.show.report.page"
TEXTS = ("--ink", "--soft", "--accent", "--good", "--warn", "--bad")
PAPERS = ("--paper", "--raised", "--mark")
# What is cut at the window's side: elements beyond it that no box of their own scrolls to.
CUT = """
const root = document.documentElement;
function scrolls(element) {
  for (let box = element; box && box !== root; box = box.parentElement) {
    if (["auto", "scroll"].includes(getComputedStyle(box).overflowX)) return true;
  }
  return false;
}
return [...document.querySelectorAll("body *")].filter((element) => {
  const box = element.getBoundingClientRect(), beyond = box.right > root.clientWidth + 1 || box.left < -1;
  return box.width > 1 && beyond && !scrolls(element) && element.checkVisibility();
}).map((element) => element.outerHTML.slice(0, 80));
"""
# Names of what the Tab key reaches, in its order.
TAB = """
return [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
  .filter((element) => element.checkVisibility() && !element.disabled && element.tabIndex >= 0)
  .map((element) => (element.getAttribute("aria-label") || element.textContent || element.id).trim().slice(0, 30));
"""
UNNAMED = """
return [...document.querySelectorAll("table")].filter((table) => !table.caption || !table.caption.textContent).length;
"""
HEADS_SHOWN = """
return [...document.querySelectorAll("#table thead th button")].map((button) => button.checkVisibility());
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two objectives with seeds, which has most of the sections."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page(Findings.of(sweep_of_several(16, repeats=2)), "now"), encoding="utf-8")
    return path


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_axe_finds_nothing_serious(chromium: Page, file: Path, width: int, dark: bool) -> None:
    chromium.show(file, width=width, dark=dark)
    chromium.until(READY)
    for menu in ("Columns", "Download"):  # open at last is the second one
        chromium.run(f"[...document.querySelectorAll('summary')].find((each) => each.textContent === '{menu}').click()")
    assert faults(chromium) == []
    assert chromium.run(CUT) == []
    wide, window = chromium.run("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= window
    assert chromium.messages() == []
    chromium.run("document.documentElement.removeAttribute('lang')")
    assert faults(chromium) == [["html-has-lang", "html"]]  # it does find what is wrong


def test_the_keyboard_reaches_everything_in_the_order_of_the_page(chromium: Page, file: Path) -> None:
    chromium.show(file)
    chromium.until(READY)
    names: list[str] = chromium.run(TAB)
    order = [names.index(name) for name in ("Skip to the trials", "Best points", "Dark", "where", "Columns", "Table")]
    assert order == sorted(order) and order[0] == 0
    # The first link leads past the navigation: the next Tab goes to the filter line.
    chromium.run("document.querySelector('.skip').focus(); document.querySelector('.skip').click()")
    assert chromium.run("return document.activeElement.id") == "trials"
    press(chromium, "Tab")
    assert chromium.run("return document.activeElement.id") == "where"
    assert chromium.run("return location.hash") == ""
    # Order by the keyboard, told by aria-sort; the focus stays.
    chromium.run("document.querySelector('th[data-key=ms] button').focus()")
    press(chromium, "Enter")
    assert chromium.run("return document.activeElement.closest('th').getAttribute('aria-sort')") == "ascending"
    outline = chromium.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_tables_have_names_and_headers(chromium: Page, file: Path) -> None:
    chromium.show(file)
    chromium.until(READY)
    assert chromium.run(UNNAMED) == 0
    assert chromium.run("return document.querySelectorAll('th:not([scope])').length") == 0
    levels = chromium.run("return [...document.querySelectorAll('h1, h2, h3, h4')].map((each) => +each.tagName[1])")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    # On paper too: a button to sort by is the text of its head.
    chromium.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        shown = chromium.run(HEADS_SHOWN)
        assert len(shown) > 5 and all(shown)
        assert not chromium.run("return document.getElementById('theme').checkVisibility()")
    finally:
        chromium.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


@pytest.mark.slow
def test_axe_finds_nothing_serious_in_odd_sweeps(chromium: Page, tmp_path: Path) -> None:
    for number, (name, sweep) in enumerate(odd_sweeps(tmp_path).items()):
        path = tmp_path / f"{name}.html"
        path.write_text(page(Findings.of(sweep), "now"), encoding="utf-8")
        width, dark = ((1280, True), (390, False))[number % 2]
        chromium.show(path, width=width, dark=dark)
        chromium.until("return document.readyState === 'complete'")
        assert faults(chromium) == [], (name, width)


def press(chromium: Page, key: str) -> None:
    """Presses a key where the focus is."""
    more: dict[str, Any] = (
        {"text": "\r", "windowsVirtualKeyCode": 13} if key == "Enter" else {"windowsVirtualKeyCode": 9}
    )
    chromium.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyDown", "key": key, "code": key, **more})
    chromium.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyUp", "key": key, "code": key})


# -- colours, without a browser --------------------------------------------------------------------------------------
def brightness(colour: str) -> float:
    """Relative luminance of #rrggbb, from 0 to 1 (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    light = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2]


def contrast(one: str, two: str) -> float:
    """Contrast of two colours, from 1 to 21 (WCAG 2.2)."""
    low, high = sorted((brightness(one), brightness(two)))
    return (high + 0.05) / (low + 0.05)


def themes() -> dict[str, dict[str, str]]:
    """The colours by name, light and dark."""
    style = resources.files(PACKAGE).joinpath("css/page.css").read_text(encoding="utf-8")
    found = {}
    for name, begin in (("light", ":root {"), ("dark", ':root[data-theme="dark"] {')):
        block = style[style.index(begin) :].split("}", 1)[0]
        found[name] = dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", block))
    return found


def test_every_colour_of_a_text_can_be_read() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for theme, colours in themes().items():
        assert {*TEXTS, *PAPERS, "--faint"} <= set(colours), theme
        for text in TEXTS:
            for paper in PAPERS:
                assert contrast(colours[text], colours[paper]) >= 4.5, (theme, text, paper)
        # Marks in plots: 3 (WCAG 1.4.11).
        assert contrast(colours["--faint"], colours["--paper"]) >= 3, theme


def test_the_colours_of_values_stand_out_from_the_paper() -> None:
    base = resources.files(PACKAGE).joinpath("js/plots/base.js").read_text(encoding="utf-8")
    found = re.search(r"scale: dark\s*\? (\[\[.*\]\])\s*: (\[\[.*\]\])", base)
    assert found is not None
    papers = {theme: colours["--paper"] for theme, colours in themes().items()}
    for theme, scale in (("dark", found[1]), ("light", found[2])):
        steps = [contrast(colour, papers[theme]) for colour in re.findall("#[0-9a-f]{6}", scale)]
        assert len(steps) == 5 and min(steps) >= 3 and steps == sorted(steps), (theme, steps)


def test_no_text_is_written_in_the_colour_of_lines() -> None:
    for style in resources.files(PACKAGE).joinpath("css").iterdir():
        assert not re.search(r"(?<![\w-])color: var\(--(faint|line)\)", style.read_text(encoding="utf-8")), style.name
