"""Every document is within the limits of tools/readability.py."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.docs.documents import ROOT

TOOL: dict[str, Any] = runpy.run_path(str(ROOT / "tools" / "readability.py"))


@pytest.mark.parametrize("document", TOOL["tracked"](), ids=lambda path: str(path.relative_to(ROOT)))
def test_sentences_are_short(document: Path) -> None:
    measured = TOOL["read"](document)
    assert [(sentence.line, sentence.text) for sentence in measured.too_long] == []
    assert measured.mean <= measured.limits.mean
