"""Tables: widths in columns of the terminal, alignment, and which columns give way."""

from __future__ import annotations

from yacs_sweep.base.wording import cells
from yacs_sweep.show.table import column_widths, text_table

ROWS = [["name", "value"], ["학습", "1"], ["a", "12.5"]]


def test_columns_are_as_wide_as_their_longest_cell_whatever_its_letters() -> None:
    assert text_table(ROWS) == ["name  value", "────  ─────", "학습  1", "a     12.5"]
    assert text_table(ROWS, right=(1,), rule=False) == ["name  value", "학습      1", "a      12.5"]


def test_columns_give_way_in_their_order_and_keep_their_least_width() -> None:
    rows = [["a", "b", "c"], ["x" * 10, "y" * 30, "z" * 30]]
    assert column_widths(rows) == [10, 30, 30]
    assert column_widths(rows, 60, [(2, 20), (1, 20)]) == [10, 26, 20]
    assert column_widths(rows, 54, [(2, 20), (1, 20)]) == [10, 20, 20]
    assert column_widths(rows, 10, [(2, 20), (1, 20)]) == [10, 20, 20]  # no narrower: the terminal wraps
    lines = text_table(rows, width=54, shrink=[(2, 20), (1, 20)])
    assert max(map(cells, lines)) == 54 and lines[-1].endswith("z…")
