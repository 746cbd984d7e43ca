"""Finds what keeps people from using a page: axe-core in the tests' browser.

The package axe-playwright-python carries axe-core's one script; the rest of the package is not used.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Page

ASK = """
const answer = arguments[arguments.length - 1];
axe.run({ resultTypes: ["violations"] }).then(({ violations }) => answer(violations
  .filter(({ impact }) => IMPACTS.includes(impact))
  .map(({ id, nodes }) => [id, ...nodes.map((node) => node.target.join(" "))])));
"""
SERIOUS = ("critical", "serious")


def faults(page: Page, impacts: tuple[str, ...] = SERIOUS) -> list[list[str]]:
    """Returns the rules that the page breaks as it is now, each with the elements; skips the test without axe-core."""
    package = find_spec("axe_playwright_python")
    if package is None or not package.submodule_search_locations:
        pytest.skip("axe-playwright-python is not installed (make setup)")
    script = Path(package.submodule_search_locations[0]) / "axe.min.js"
    page.run(script.read_text(encoding="utf-8"))
    found: list[list[Any]] = page.driver.execute_async_script(ASK.replace("IMPACTS", json.dumps(impacts)))
    return found
