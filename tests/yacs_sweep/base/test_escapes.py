"""Escape sequences are removed from text and from bytes alike, and what stands around them stays."""

from __future__ import annotations

import pytest

from yacs_sweep.base.escapes import has_escape_bytes, without_escape_bytes, without_escapes


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("loss: 0.5", "loss: 0.5"),
        ("\x1b[1;31mred\x1b[0m \x1b[?25lx\x1b[K", "red x"),
        ("\x1b]0;epoch 3\x07loss", "loss"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\.", "link."),
        ("\x1bPdevice\x1b\\a\x1b_app\x1b\\b", "ab"),
        ("\x1b(Ba\x1b#8b", "ab"),  # character set, alignment
        ("\x1b7a\x1b8b\x1bMc\x1b=d\x1bce", "abcde"),
        ("a\x9b2Jb\x9b1;31mc", "abc"),
        ("\x1b]0;no end\nloss\x07", "0;no end\nloss\x07"),  # never beyond its line
        ("\x1b]0;no end\rloss\x07", "0;no end\rloss\x07"),
        ("a\x1b", "a"),
        ("a\x1b[12", "a"),
        ("a\x1b\nb", "a\nb"),
        ("a\x1bé", "aé"),
        ("\x1b\x1b[1mx", "x"),
    ],
)
def test_sequences_are_removed(text: str, left: str) -> None:
    assert without_escapes(text) == left
    assert without_escape_bytes(text.encode()) == left.encode()
    assert has_escape_bytes(text.encode()) == (text != left)
