"""Gives the tests of the report's page a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser import Page, browser


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One browser for all tests of a file."""
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found
