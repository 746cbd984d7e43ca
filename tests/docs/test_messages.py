"""docs/troubleshooting.md quotes what the programs print, and leaves out nothing that the launcher says while it runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.docs.documents import ROOT

DOCUMENT = ROOT / "docs" / "troubleshooting.md"
ROOMS = ("yacs_sweep", "engine", "data", "modeling", "utils", "tools")
SAYS = {"say", "note", "_note", "SweepError", "ConfigError"}  # calls whose first argument people read
# What tells a sweep's ordinary course, what `--test-patterns` shows, and texts that consist of others.
COURSE = re.compile(
    r"(sweep (…|on the W&B)|best: |train with it|report$|train the best with|mean and standard|resume with"
    r"|…; summary in|…; results in|… in …$"
    r"|line …: |…: profile |\s|(\[sweep\] |warning: )?[…:; ]*$)"
)


def template(node: ast.AST) -> str | None:
    """A text of the source, with … for what is put into it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%[-.\d]*[sdfeg]", "…", node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return None


def trees() -> Iterator[ast.Module]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield ast.parse(path.read_text(encoding="utf-8"))


@cache
def texts() -> list[str]:
    """Every text of the source that is not a docstring."""
    found = []
    for tree in trees():
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if id(node) not in docstrings and (text := template(node)) is not None and len(text) > 3:
                found.append(text)
    return found


@cache
def said() -> list[str]:
    """What the launcher's own calls say, as far as it is a text."""
    found = []
    for path in sorted((ROOT / "yacs_sweep").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                text = template(node.args[0]) if name in SAYS else None
                if text is not None and not COURSE.match(text):
                    found.append(text)
    return found


def fits(quote: str, text: str) -> bool:
    """Whether the quote's pieces are in the text, in their order."""
    start = 0
    for piece in quote.split("…"):
        start = text.find(piece, start)
        if start < 0:
            return False
        start += len(piece)
    return True


def quotes() -> list[str]:
    """The left column of the document's tables."""
    rows = re.findall(r"^\| (`+)(.+?)\1 \| ", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    return [row.strip().replace("\\|", "|") for _, row in rows]


def test_what_is_quoted_is_in_the_source() -> None:
    assert len(quotes()) > 150
    gone = [quote for quote in quotes() if not any(fits(quote, text) for text in texts())]
    assert not gone


def test_every_row_is_read() -> None:
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert len(rows) == len(quotes())
    assert all(row.rsplit(" | ", 1)[1].strip(" |") for row in rows), "says what to do"


def test_what_the_launcher_says_is_quoted() -> None:
    known = [quote for quote in quotes() if len(quote.replace("…", "")) > 7]  # not those that fit everything
    missing = [text for text in said() if not any(fits(quote, text) for quote in known)]
    assert not missing, "not in docs/troubleshooting.md"


@pytest.mark.parametrize("text", ["no such words anywhere in it", "--gpus …: there is no CPU"])
def test_a_text_that_is_not_there_is_noticed(text: str) -> None:
    assert not any(fits(text, known) for known in texts())
