"""Measures how long the sentences of documents are, and lists those that are too long.

    python tools/readability.py                    # every Markdown file that git tracks
    python tools/readability.py docs/search.md     # one document

The exit status is 1 when a document is above the limits: 20 words a sentence on average, 30 in any one. Text is read from
paragraphs and lists; headings, tables, code blocks and pictures are left out. A colon or a semicolon ends a sentence here,
as it does in Flesch's rules ("How to Write Plain English", 1979), and a piece of code in a line counts as one word.
Korean pages (`docs/ko/`, `*.ko.md`) have lower limits, since particles are written as part of their words.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parent.parent
CODE = "Code"  # stands for a piece of code: one word, with which a sentence may begin
FEWEST = 3  # words; less than that is a label, not a sentence

_END = re.compile(r"[.!?][\"')\]”’]*(?=\s+[^\sa-z])|[:;](?=\s)")
_ABBREVIATIONS = ("e.g.", "i.e.", "etc.", "vs.", "cf.", "al.")


@dataclass(frozen=True)
class Limits:
    """How many words a sentence of a document may have, on average and at most."""

    mean: float
    most: int


ENGLISH, KOREAN = Limits(20, 30), Limits(15, 23)  # Korean text has about three words where English has four


@dataclass(frozen=True)
class Sentence:
    """A sentence, its length in words, and the line on which it begins, from 1."""

    line: int
    words: int
    text: str


@dataclass(frozen=True)
class Document:
    """The sentences of a document, and what it is held to."""

    sentences: tuple[Sentence, ...]
    limits: Limits

    @property
    def words(self) -> int:
        """Counts the words of all sentences."""
        return sum(sentence.words for sentence in self.sentences)

    @property
    def mean(self) -> float:
        """Returns the words a sentence; 0 without a sentence."""
        return self.words / len(self.sentences) if self.sentences else 0.0

    @property
    def too_long(self) -> list[Sentence]:
        """Lists the sentences above the limit."""
        return [sentence for sentence in self.sentences if sentence.words > self.limits.most]

    @property
    def readable(self) -> bool:
        """Tells whether the document is within its limits."""
        return self.mean <= self.limits.mean and not self.too_long


def read(path: Path) -> Document:
    """Reads a Markdown file."""
    korean = path.name.endswith(".ko.md") or path.parent.name == "ko"
    return measure(path.read_text(encoding="utf-8"), KOREAN if korean else ENGLISH)


def measure(markdown: str, limits: Limits = ENGLISH) -> Document:
    """Measures a Markdown text."""
    found = [sentence for line, text in _paragraphs(_front_matter_out(markdown)) for sentence in _sentences(text, line)]
    return Document(tuple(found), limits)


def _front_matter_out(markdown: str) -> str:
    """Empties the lines of YAML between `---` at the start, as templates of issues have them."""
    return re.sub(r"\A---\n.*?^---$", lambda found: "\n" * found[0].count("\n"), markdown, flags=re.DOTALL | re.M)


def _paragraphs(markdown: str) -> Iterator[tuple[int, str]]:
    """Yields the text of each paragraph, also in lists and quotations, and its first line."""
    inside: list[str] = []
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        if token.nesting == 1:
            inside.append(token.type)
        elif token.nesting == -1:
            inside.pop()
        elif token.type == "inline" and token.map and inside[-1] == "paragraph_open":
            yield token.map[0] + 1, "".join(_text(child) for child in token.children or ())


def _text(token: Token) -> str:
    """Returns what a part of a paragraph adds to its text: of links their words, of code one word."""
    if token.type == "code_inline":
        return CODE
    if token.type in ("softbreak", "hardbreak"):
        return "\n"
    return token.content if token.type == "text" else ""


def _sentences(text: str, line: int) -> Iterator[Sentence]:
    """Cuts a paragraph into sentences; labels of one or two words are left out."""
    start = 0
    for end in [*(found.end() for found in _END.finditer(text)), len(text)]:
        piece = text[start:end]
        if piece.endswith(_ABBREVIATIONS) and end < len(text):
            continue
        words = sum(any(letter.isalnum() for letter in word) for word in piece.split())
        if words >= FEWEST:
            first = start + len(piece) - len(piece.lstrip())
            yield Sentence(line + text.count("\n", 0, first), words, " ".join(piece.split()))
        start = end


def tracked() -> list[Path]:
    """Lists the Markdown files that git tracks."""
    command = ["git", "ls-files", "-z", "*.md"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def make_parser() -> argparse.ArgumentParser:
    """Makes the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="Markdown files (default: all that git tracks)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv`; returns the exit status."""
    files: list[Path] = make_parser().parse_args(argv).files
    if missing := [path for path in files if not path.is_file()]:
        print("\n".join(f"error: {path}: no such file" for path in missing), file=sys.stderr)
        return 2
    readable = True
    for path in files or tracked():
        document = read(path)
        readable &= document.readable
        name = path.resolve().relative_to(ROOT) if path.resolve().is_relative_to(ROOT) else path
        mark = "" if document.mean <= document.limits.mean else f", above {document.limits.mean:g}"
        count = len(document.sentences)
        print(f"{name}: {document.words} words, {count} sentences, {document.mean:.1f} words a sentence{mark}")
        for sentence in document.too_long:
            print(f"  line {sentence.line}: {sentence.words} words: {sentence.text[:80]}")
    return 0 if readable else 1


if __name__ == "__main__":
    sys.exit(main())
