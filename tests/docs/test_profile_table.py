"""The table of the profiles in docs/trainers.md says what the profiles say, and what the tests' logs give."""

from __future__ import annotations

from tests.docs.profile_table import DOCUMENT, profile_table, with_table


def test_the_document_has_the_table() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_table(text) == text, "out of date: python -m tests.docs.profile_table"


def test_all_is_read_and_nothing_is_wrong() -> None:
    lines = profile_table().splitlines()[2:]
    assert len(lines) >= 21
    for line in lines:
        read, wrong, *_ = line.split(" | ")[3].split(", ")
        found, of = read.split(" of ")
        assert (found, wrong) == (of, "0"), line
        assert int(of) >= 10
