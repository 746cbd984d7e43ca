"""The documents, as the tests read them: blocks of commands, commands in a line of text, links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PLACES = ("README*.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**/*.md", "examples/README.md")
DOCUMENTS = sorted(path for place in _PLACES for path in ROOT.glob(place))
TRANSLATED = {
    ROOT / "README.ko.md": ROOT / "README.md",
    ROOT / "docs/ko/getting-started.md": ROOT / "docs/getting-started.md",
    ROOT / "docs/ko/trainers.md": ROOT / "docs/trainers.md",
    ROOT / "docs/ko/wandb.md": ROOT / "docs/wandb.md",
}
LANGUAGES = {"bash", "yaml", "python", "json", "text"}  # what a fenced block may be marked as; `bash`: commands

_MESSAGES = re.compile(r"^\| (?:message|reason) \| what to do \|\n(?:\|.*\n)+", re.MULTILINE)
_FENCE = re.compile(r"^ *```(?P<mark>\S*)\n(?P<body>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"(?:^|\s+)# .*$")
_HEREDOC = re.compile(r"<<-?'?(\w+)'?")
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"(?<!\\)\[[^\]]*\]\((?P<target>[^)\s]+)\)|<(?:img|source)[^>]*\ssrc=\"(?P<image>[^\"]+)\"")
# What a command in a line of text begins with; SCRIPT.py and MODULE stand for any.
_PROGRAM = re.compile(
    r"(python (?!SCRIPT|-m MODULE)|(make|yacs-sweep|yacs-sweep-report|wandb|pip|optuna-dashboard|sweep\.py) |\./test)\S"
    r"|(tools|benchmarks)/\w+\.(py|sh)"
)


@dataclass(frozen=True)
class Command:
    """A command of a document, on one line unless it has a here-document."""

    document: Path
    line: int
    text: str

    @property
    def place(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks(document: Path) -> list[tuple[int, str, str]]:
    """Line of the first content line, mark, and content of each fenced block."""
    text = document.read_text(encoding="utf-8")
    return [(text.count("\n", 0, found.start()) + 2, found["mark"], found["body"]) for found in _FENCE.finditer(text)]


def commands(document: Path) -> list[Command]:
    """Every command of the document's bash blocks, without comments, in order."""
    found: list[Command] = []
    for first, mark, body in blocks(document):
        if mark != "bash":
            continue
        lines = iter(enumerate(body.splitlines(), first))
        for number, line in lines:
            text = _COMMENT.sub("", line).strip()
            while text.endswith("\\"):
                text = text[:-1].rstrip() + " " + _COMMENT.sub("", next(lines)[1]).strip()
            if end := _HEREDOC.search(text):
                for _, more in lines:
                    text += "\n" + more
                    if more == end[1]:
                        break
            if text:
                found.append(Command(document, number, text))
    return found


def inline_commands(document: Path) -> list[Command]:
    """Every command in a line of text: code that begins with one of the programs, variables before it left out.

    What a table of messages and what to do about them quotes first is no command, though it may begin like one.
    """
    text = _FENCE.sub(lambda found: "\n" * found[0].count("\n"), document.read_text(encoding="utf-8"))
    text = _MESSAGES.sub(lambda table: re.sub(r"^\| `[^`\n]*`", "|", table[0], flags=re.MULTILINE), text)
    found = []
    for code in _INLINE.finditer(text):
        words = re.sub(r"^(\w+=\S+ +)+", "", code[1])
        if _PROGRAM.match(words):
            found.append(Command(document, text.count("\n", 0, code.start()) + 1, words))
    return found


def links(document: Path) -> list[str]:
    """Targets of the document's links and pictures, in order."""
    text = _FENCE.sub("", document.read_text(encoding="utf-8"))
    return [found["target"] or found["image"] for found in _LINK.finditer(_INLINE.sub("", text))]


def anchors(document: Path) -> set[str]:
    """What a link may name behind `#`, as GitHub makes it from headings."""
    text = _FENCE.sub("", document.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ +(.*?) *$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)).lower().replace(" ", "-")
        for title in titles
    }
