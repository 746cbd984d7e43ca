"""Pytest plugin that prints a failure's traceback when the test ends, so that a run that is cut off has printed it."""

from __future__ import annotations

import pytest


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        print(f"\n--- {report.nodeid} ({report.when}, {report.duration:.1f} s)\n{report.longreprtext}", flush=True)
