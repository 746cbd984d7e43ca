from __future__ import annotations

import runpy
from pathlib import Path

from configs.defaults import _C
from engine.config import flatten

TOOL = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "config_reference.py"))


def test_the_document_is_up_to_date() -> None:
    assert TOOL["main"](["--check"]) == 0


def test_every_setting_has_a_row_and_a_comment() -> None:
    rows = [line for line in TOOL["reference"]().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == list(flatten(_C))
    assert all(len(row.rsplit(" | ", 1)[1].split()) >= 2 for row in rows)
    by_key = {row.split("`")[1]: row for row in rows}
    assert "`after`, `before`" in by_key["TEST.NECK_FEAT"]
    assert "| `[0.485, 0.456, 0.406]` | list of numbers, 3 of them, 0 to 1 |" in by_key["INPUT.PIXEL_MEAN"]
    assert "whole number, at least 1 |" in by_key["SOLVER.LOG_PERIOD"]
    assert "| number, more than 0 |" in by_key["SOLVER.MARGIN"]


def test_a_comment_belongs_to_the_key_right_below_it() -> None:
    source = "# Of\n# nothing.\n\n# Two\n# lines.\n_C.A.X = 1\n_C.A.Y = 2\n# Another.\n_C.A.Z = 3\n_C.B = CN()\n"
    assert TOOL["comments"](source) == {"A.X": "Two lines.", "A.Y": "", "A.Z": "Another."}
