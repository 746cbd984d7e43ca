"""The site, built (`make test-site`): it shows the documents as a forge does, and asks no other machine for anything."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.browser import Page, browser
from tests.docs.checkout import Checkout
from tests.docs.documents import DOCUMENTS, ROOT

pytestmark = pytest.mark.site
PYTHON = ROOT / ".venv-docs" / "bin" / "python"
BLOCKS = {"h1", "h2", "h3", "h4", "h5", "h6", "p", "li", "td", "th", "pre", "blockquote"}
PAGES = [path for path in DOCUMENTS if path.is_relative_to(ROOT / "docs") and path != ROOT / "docs" / "index.md"]


def build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Builds the site of a checkout, without a network where the machine lets us take it away."""
    if not PYTHON.exists():
        pytest.skip("no .venv-docs: make site")
    alone = ["unshare", "--map-root-user", "--net"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        alone = []
    return subprocess.run(
        [*alone, str(PYTHON), "-m", "mkdocs", "build", "--site-dir", str(site)],
        cwd=folder,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


class Blocks(HTMLParser):
    """The blocks of a page: tag and text of each, without the marks that links to headings have."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[list[str]] = []
        self._open: list[int] = []
        self._marks = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._marks = "headerlink" in (dict(attrs).get("class") or "")
        if tag in BLOCKS:
            self.found.append([tag, ""])
            self._open.append(len(self.found) - 1)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._marks = False
        if tag in BLOCKS:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and not self._marks:
            self.found[self._open[-1]][1] += re.sub(r"\s", "", data)


def blocks_of(html: str) -> list[tuple[str, str]]:
    parser = Blocks()
    parser.feed(html)
    # Whether the text of an item is a paragraph depends on empty lines, in two ways.
    return [("text" if tag in ("p", "li") else tag, text) for tag, text in parser.found if text]


@pytest.mark.parametrize("document", PAGES, ids=lambda path: str(path.relative_to(ROOT / "docs")))
def test_a_page_shows_what_a_forge_shows(document: Path, site: Path) -> None:
    wanted = blocks_of(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(document.read_text("utf-8")))
    html = (site / document.relative_to(ROOT / "docs")).with_suffix(".html").read_text(encoding="utf-8")
    article = re.search(r"<article.*?>(.*)</article>", html, re.DOTALL)
    assert article and blocks_of(article[1]) == wanted


def test_no_page_names_a_host_to_load_something_from(site: Path) -> None:
    loads = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc(?:set)?=\"?(https?:)?//|<link\b[^>]*\bhref=\"?(https?:)?//"
    )
    pages = [*site.rglob("*.html")]
    assert len(pages) > len(PAGES)
    assert [str(page) for page in pages if loads.search(page.read_text(encoding="utf-8"))] == []


def test_korean_pages_say_their_language(site: Path) -> None:
    for name, language in (("ko/wandb", "ko"), ("wandb", "en")):
        assert f'<html lang="{language}"' in (site / f"{name}.html").read_text(encoding="utf-8")


def test_the_reference_has_the_python_interface(site: Path) -> None:
    import yacs_sweep

    html = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for name in [name for name in yacs_sweep.__all__ if name[0] != "_"]:
        assert re.search(rf'id="yacs_sweep\.[\w.]+\.{name}"', html), name
    for word in ("set_workers", "early_terminate", "retry_failed", "with every mistake found"):
        assert word in html, word


def test_a_broken_link_and_a_page_outside_the_map_fail(tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path).folder
    with (checkout / "docs" / "cli.md").open("a", encoding="utf-8") as page:
        page.write("\n[a](nothing.md) [b](../no/file.yaml) [c](wandb.md#no-such-heading)\n")
    (checkout / "docs" / "alone.md").write_text("# Alone\n")
    done = build(checkout, tmp_path / "site")
    assert done.returncode == 1
    for said in ("nothing.md", "no/file.yaml", "no-such-heading", "alone.md"):
        assert said in done.stderr, said


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser that reaches no machine, so that the console tells of every request that is tried."""
    flags = ("--proxy-server=127.0.0.1:9", "--proxy-bypass-list=<-loopback>")
    with browser(tmp_path_factory.mktemp("browser"), *flags) as page:
        yield page


def search(page: Page, words: str) -> list[str]:
    """Titles of the pages that the search finds."""
    page.driver.find_element("css selector", ".md-search__input").send_keys(words)
    page.until("return /\\d|No match/.test(document.querySelector('.md-search-result__meta').textContent)", 30)
    titles = "document.querySelectorAll('.md-search-result__item > .md-search-result__link h1')"
    found: list[str] = page.run(f"return [...{titles}].map(title => title.textContent.trim())")
    return found


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("retry-failed", "Command lines"),
        ("--retry-failed", "Command lines"),
        ("스윕", "시작하기"),
        ("add_points", "The Python interface"),
    ],
)
def test_search_from_the_disk(words: str, title: str, page: Page, site: Path) -> None:
    page.show(site / "index.html")
    found = search(page, words)
    assert any(title in each for each in found), found
    assert page.messages() == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1300])
def test_pages_fit_and_ask_nobody(width: int, dark: bool, page: Page, site: Path) -> None:
    for name in ("index", "getting-started", "messages/start", "reference/trainer", "ko/trainers"):
        page.show(site / f"{name}.html", width=width, dark=dark)
        assert page.run("return document.documentElement.scrollWidth") <= width, name
        ground = page.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert (max(ground) < 80) is dark, (name, ground)
        broken = "return [...document.images].filter(image => !image.naturalWidth).map(image => image.src)"
        assert page.run(broken) == [], name
    assert page.messages() == []


def test_a_request_would_be_noticed(page: Page, site: Path) -> None:
    page.show(site / "index.html")
    page.run(
        "window.failed = 0; const image = new Image(); image.onerror = () => { failed = 1 }; image.src = 'https://example.org/x.png'"
    )
    page.until("return failed", 30)
    assert "example.org" in " ".join(page.messages())
