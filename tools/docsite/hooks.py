"""Hooks with which mkdocs makes the site of the documents as they are (`make site`; mkdocs.yml).

- The map, docs/index.md, is the navigation: its sections, its rows in their order. A page that the map leaves out stands
  below the page that links to it; one that nothing links to is an error.
- A link that leaves docs/ leads to a copy in the site: a document is a page, a text file a page that shows it, a folder a
  list of its files.
- The reference of the code is made from docstrings (`reference.py`).
"""

from __future__ import annotations

import logging
import posixpath
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from tools.docsite.reference import REFERENCE

MAP = "docs/index.md"
PICTURES = (".png", ".svg", ".gif", ".jpg")
LANGUAGES = {".py": "python", ".sh": "bash", ".yml": "yaml", ".yaml": "yaml", ".json": "json", ".toml": "toml"}
log = logging.getLogger("mkdocs.hooks.docsite")

# Code is stepped over: what looks like a link in it is none.
_CODE_OR_LINK = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,}).*?^(?P=indent)(?P=fence)$|(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)"
    r"|(?P<before>(?<!\\)\]\(|<(?:img|source|a)\s[^>]*?(?:src|srcset|href)=\")(?P<target>[^)\s\"]+)",
    re.MULTILINE | re.DOTALL,
)
_ITEM = re.compile(r"([-*+]|\d+[.)]) +(?=\S)")
_LISTED = re.compile(r" *([-*+]|\d+[.)]) |    ")  # a line of a list, as it is written
_FENCE = re.compile(r"`{3,}")
_CODE = re.compile(r"`[^`]+`")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_ROW = re.compile(r"^(?:\||[-*]|\d+\.) *\[(?P<title>[^\]]+)\]\((?P<target>[^)\s]+)\)")


def each_link(text: str, change: Callable[[str], str]) -> str:
    """Replaces the target of each link and picture of a document by what `change` returns for it."""

    def replaced(found: re.Match[str]) -> str:
        return found["before"] + change(found["target"]) if found["target"] else found[0]

    return _CODE_OR_LINK.sub(replaced, text)


def resolve(document: str, target: str) -> str | None:
    """Returns the path, in the repository, of what a link of a document leads to; None: another host, or the same page."""
    path = target.partition("#")[0]
    if not path or re.match(r"[a-z]+:", target):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(document), path))


def place(path: str) -> str:
    """Returns where the site has a path of the repository: pages and pictures of docs/ as they are, others in project/."""
    real = ROOT / path
    if real.is_dir():
        return f"project/{path}/README.md"
    as_it_is = real.suffix == ".md" or real.suffix in PICTURES
    if path.startswith("docs/") and as_it_is:
        return path.removeprefix("docs/")
    return f"project/{path}" + ("" if as_it_is else ".md")


def linked(document: str, text: str) -> Iterator[str]:
    """Yields the paths, in the repository, that a document links to, in order."""
    targets: list[str] = []
    each_link(text, lambda target: targets.append(target) or target)  # type: ignore[func-returns-value]
    yield from (path for target in targets if (path := resolve(document, target)))


def text_of(path: str) -> str:
    """Returns the Markdown of the page for a path of the repository: the document, or a view of the file or folder."""
    real = ROOT / path
    if real.is_dir():
        readme = real / "README.md"
        if readme.is_file():
            return readme.read_text(encoding="utf-8")
        names = sorted(each.name for each in real.iterdir() if each.is_file() and each.suffix in (*LANGUAGES, ".md"))
        return f"# {path}/\n\n" + "".join(f"- [{name}]({name})\n" for name in names)
    text = real.read_text(encoding="utf-8")
    if real.suffix == ".md":
        return with_reference(text) if path == MAP else text
    return f"# {path}\n\n````{LANGUAGES.get(real.suffix, 'text')}\n{text.rstrip()}\n````\n"


def with_reference(text: str) -> str:
    """Adds to the map what the site alone has."""
    rows = "".join(f"| [{title}](reference/{name}.md) | {what} |\n" for name, (title, what, _) in REFERENCE.items())
    return f"{text.rstrip()}\n\n## Read the code's reference\n\n| page | whose docstrings |\n|---|---|\n{rows}"


def reference_page(name: str) -> str:
    """Returns the Markdown of a page of the reference."""
    title, what, parts = REFERENCE[name]
    return f"# {title}\n\nFrom the docstrings of {what}.\n\n" + "\n".join(f"::: {part}\n" for part in parts)


def sections(text: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yields the sections of the map that have rows: the title, and title and target of each row's first link."""
    title, rows = "", list[tuple[str, str]]()
    for line in text.splitlines():
        if found := _HEADING.match(line):
            if rows:
                yield title, rows
            title, rows = found[1], []
        elif row := _ROW.match(line):
            rows.append((row["title"], row["target"]))
    if rows:
        yield title, rows


def all_pages() -> dict[str, str | None]:
    """Finds everything that is reached from the map by links: a path of the repository to the page that reaches it first."""
    reached: dict[str, str | None] = {MAP: None}
    waiting = [MAP]
    while waiting:
        document = waiting.pop(0)
        for path in linked(f"{document}/README.md" if (ROOT / document).is_dir() else document, text_of(document)):
            if path in reached or path.startswith("docs/reference/"):
                continue
            if not (ROOT / path).exists():
                log.warning("%s: links to %s, which is not there", document, path)
                continue
            reached[path] = document
            if not path.endswith(PICTURES):
                waiting.append(path)
    return reached


def navigation(reached: dict[str, str | None]) -> list[Any]:
    """Makes the navigation of the map, as mkdocs takes it."""
    found: list[Any] = [{"Home": place(MAP)}]
    text = text_of(MAP)
    listed = {resolve(MAP, target) for _, rows in sections(text) for _, target in rows}
    children: dict[str, list[str]] = {}
    for path, parent in reached.items():
        if path != MAP and path not in listed and path.startswith("docs/") and path.endswith(".md"):
            while parent and parent not in listed and parent != MAP:
                parent = reached[parent]
            children.setdefault(parent or MAP, []).append(path)
    for title, rows in sections(text):
        entries: list[Any] = []
        for name, target in rows:
            path = resolve(MAP, target) or ""
            page = path.removeprefix("docs/") if path.startswith("docs/reference/") else place(path)
            below = [place(each) for each in children.get(path, [])]
            entries.append({name: [page, *below] if below else page})
        found.append({title: entries})
    return found + [place(each) for each in children.get(MAP, [])]


# -- what mkdocs calls ------------------------------------------------------------------------------------------------


def on_files(files: Any, config: Any) -> Any:
    """Adds what is not in docs/, and sets the navigation."""
    from mkdocs.structure.files import File

    reached = all_pages()
    for path in reached:
        if (where := place(path)).startswith("project/"):
            given: dict[str, Any] = {"abs_src_path": str(ROOT / path)}
            if not path.endswith(PICTURES):
                given = {"content": text_of(path)}
            files.append(File.generated(config, where, **given))
    for name in REFERENCE:
        files.append(File.generated(config, f"reference/{name}.md", content=reference_page(name)))
    config.nav = navigation(reached)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Makes links lead to where the site has what they name, and tables what the forge makes of them."""
    here = page.file.src_uri
    path = source_of(here)
    if path == MAP:
        markdown = with_reference(markdown)

    def moved(target: str) -> str:
        to = resolve(path, target)
        if to is None or to.startswith("docs/reference/"):
            return target
        anchor = target.partition("#")[1:]
        return posixpath.relpath(place(to), posixpath.dirname(here) or ".") + "".join(anchor)

    return each_link(as_the_forge_reads_it(markdown), moved)


def source_of(uri: str) -> str:
    """Returns the path, in the repository, that the links of a page are relative to."""
    return uri.removeprefix("project/") if uri.startswith("project/") else f"docs/{uri}"


def as_the_forge_reads_it(markdown: str) -> str:
    """Writes Markdown as Python-Markdown must have it to show the same as a forge does.

    A pipe in code in a table has no backslash; what belongs to an item of a list is indented by four spaces, not by the width
    of the item's mark; a list that follows a paragraph needs an empty line.
    """
    lines: list[str] = []
    columns: list[int] = []  # where the text of each open list item begins
    fence = ""
    for line in markdown.split("\n"):
        rest = line.lstrip(" ")
        indent = len(line) - len(rest)
        if not rest:
            lines.append("")
            continue
        while columns and indent < columns[-1] and not fence:
            columns.pop()
        deeper = max(0, indent - (columns[-1] if columns else 0))  # four spaces: code
        outer = " " * 4 * len(columns)
        mark = None if fence or deeper >= 4 else _ITEM.match(rest)
        if found := _FENCE.match(rest):
            fence = "" if fence and rest.strip() == fence else fence or found[0]
        if mark:
            if not columns and lines and lines[-1] and not _LISTED.match(lines[-1]):
                lines.append("")
            lines.append(outer + mark[1].ljust(4) + rest[mark.end() :])
            columns.append(indent + mark.end())
        else:
            lines.append(outer + " " * deeper + rest)
        if rest.startswith("|") and not fence:
            lines[-1] = _CODE.sub(lambda code: code[0].replace("\\|", "|"), lines[-1])
    return "\n".join(lines)


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Names the language of a Korean page, by which browsers break its lines and screen readers read it."""
    if not page.file.src_uri.startswith("ko/"):
        return output
    return output.replace('<html lang="en"', '<html lang="ko"', 1)
