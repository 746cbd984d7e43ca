"""The documents hold together: links, marks of blocks, the two languages, how they are reached, what they must not say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.documents import DOCUMENTS, LANGUAGES, ROOT, TRANSLATED, anchors, blocks, commands, links

EVERY = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def target(document: Path, link: str) -> tuple[Path, str]:
    path, _, anchor = link.partition("#")
    return (document.parent / path).resolve() if path else document, anchor


@EVERY
def test_links_lead_somewhere(document: Path) -> None:
    for link in links(document):
        if re.match(r"\w+:", link):
            assert link.startswith("https://"), link
            continue
        path, anchor = target(document, link)
        assert path.exists(), f"{link}: nothing there"
        assert not anchor or anchor in anchors(path), f"{link}: no such heading"


@EVERY
def test_blocks_say_what_they_are(document: Path) -> None:
    for line, mark, _ in blocks(document):
        assert mark in LANGUAGES, f"{document.name}:{line}: ```{mark} is none of {sorted(LANGUAGES)}"


def test_every_document_is_reached_from_the_readme() -> None:
    reached, left = {ROOT / "README.md"}, [ROOT / "README.md"]
    while left:
        document = left.pop()
        for link in links(document):
            path = target(document, link)[0]
            if path.suffix == ".md" and path not in reached and path.is_file():
                reached.add(path)
                left.append(path)
    assert set(DOCUMENTS) - reached == set()


@pytest.mark.parametrize(("korean", "english"), TRANSLATED.items())
def test_korean_documents_follow_the_english_ones(korean: Path, english: Path) -> None:
    assert _without_comments(korean) == _without_comments(english)
    assert _outline(korean) == _outline(english)
    assert [mark for _, mark, _ in blocks(korean)] == [mark for _, mark, _ in blocks(english)]
    text = re.sub(r"`[^`]*`", "", korean.read_text(encoding="utf-8"))
    assert len(re.findall("[가-힣]", text)) > 500


def _without_comments(document: Path) -> list[str]:
    """Commands, without the comments of a file that a command writes: these are translated."""
    return [re.sub(r"\s+# .*", "", command.text) for command in commands(document)]


def _outline(document: Path) -> list[int]:
    """Levels of the headings, in order."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]


@EVERY
def test_documents_name_no_machine(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert not re.search(r"/(?:work|root|home|tmp)/\w", text)


def test_pictures_are_small_and_used() -> None:
    pictures = {path for path in (ROOT / "docs" / "images").glob("*") if path.suffix in (".png", ".svg")}
    used = {target(document, link)[0] for document in DOCUMENTS for link in links(document)}
    assert pictures and pictures <= used
    assert all(path.stat().st_size < 200_000 for path in pictures)


def test_drawn_pictures_ask_no_network_for_anything() -> None:
    for path in (ROOT / "docs" / "images").glob("*.svg"):
        assert not re.search(r"(url\(|href=|@import)[\s\"']*https?:", path.read_text(encoding="utf-8")), path.name
