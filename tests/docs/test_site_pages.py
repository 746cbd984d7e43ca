"""The site has every document where the map says, and its links lead to what the documents' links lead to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.documents import DOCUMENTS, ROOT
from tools.docsite import hooks


def pages(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        for each in entry.values() if isinstance(entry, dict) else [entry]:
            if isinstance(each, str):
                yield each
            else:
                yield from pages(each)


def test_every_document_is_in_the_navigation_once() -> None:
    found = list(pages(hooks.navigation(hooks.all_pages())))
    inside = [str(path.relative_to(ROOT / "docs")) for path in DOCUMENTS if path.is_relative_to(ROOT / "docs")]
    assert sorted(page for page in found if not page.startswith(("project/", "reference/"))) == sorted(inside)
    assert len(found) == len(set(found))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project with its own map."""
    monkeypatch.setattr(hooks, "ROOT", tmp_path)
    monkeypatch.setattr(hooks, "REFERENCE", {})
    for name, text in {
        "README.md": "see [the map](docs/index.md) and [an example](examples/)",
        "examples/README.md": "# Examples\n",
        "settings/a.yaml": "x: 1\n",
        "docs/index.md": "# Map\n\n## Learn\n\n| page | what |\n|---|---|\n| [One](one.md) | [not a row](two.md) |\n"
        "\n## Look\n\n- [Files](../README.md)\n",
        "docs/one.md": "[below](deep/three.md) ![picture](p.png) `[no](link.md)`\n\n```text\n[nor](this.md)\n```\n",
        "docs/two.md": "[the settings](../settings/a.yaml#L1) [all](../settings)\n",
        "docs/deep/three.md": '[one](../one.md#top) <img src="../p.png"> [elsewhere](https://example.org/x.md)\n',
        "docs/p.png": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_rows_are_entries_and_other_pages_stand_below_the_page_that_links_to_them(project: Path) -> None:
    assert hooks.navigation(hooks.all_pages()) == [
        {"Home": "index.md"},
        {"Learn": [{"One": ["one.md", "deep/three.md"]}]},
        {"Look": [{"Files": "project/README.md"}]},
        "two.md",
    ]


def test_what_is_outside_docs_gets_a_page(project: Path) -> None:
    reached = hooks.all_pages()
    outside = {path: hooks.place(path) for path in reached if not path.startswith("docs/")}
    assert outside == {
        "README.md": "project/README.md",
        "examples": "project/examples/README.md",
        "settings/a.yaml": "project/settings/a.yaml.md",
        "settings": "project/settings/README.md",
    }
    assert hooks.text_of("settings/a.yaml") == "# settings/a.yaml\n\n````yaml\nx: 1\n````\n"
    assert "[a.yaml](a.yaml)" in hooks.text_of("settings")
    assert hooks.text_of("examples") == "# Examples\n"


def test_a_link_to_nothing_is_a_warning(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    (project / "docs" / "two.md").write_text("[gone](../no/such.yaml)")
    hooks.all_pages()
    assert [record.getMessage() for record in caplog.records] == [
        "docs/two.md: links to no/such.yaml, which is not there"
    ]


def test_code_has_no_links() -> None:
    text = "`[a](b)` [`x`](y) ``[c`](d)``\n\n  ```yaml\n  [g](h)\n  ```\n[i](j#k)\n"
    found: list[str] = []
    assert hooks.each_link(text, lambda target: found.append(target) or "NEW") == text.replace("(y)", "(NEW)").replace(
        "(j#k)", "(NEW)"
    )
    assert found == ["y", "j#k"]


@pytest.mark.parametrize(
    ("forge", "python_markdown"),
    [
        ("- a\n  - b\n    c\n- d", "-   a\n    -   b\n        c\n-   d"),
        ("1. a\n\n   ```bash\n   x\n     y\n   ```\n\nz", "1.  a\n\n    ```bash\n    x\n      y\n    ```\n\nz"),
        ("- a\n\n      - code\n\n  b", "-   a\n\n        - code\n\n    b"),
        ("```text\n- a\n  - b\n| `x\\|y` |\n```\n- c", "```text\n- a\n  - b\n| `x\\|y` |\n```\n\n-   c"),
        ("| `x\\|y` | a\\|b |", "| `x|y` | a\\|b |"),
        ("a\n- b\n- c", "a\n\n-   b\n-   c"),
    ],
)
def test_what_a_forge_reads_differently(forge: str, python_markdown: str) -> None:
    assert hooks.as_the_forge_reads_it(forge) == python_markdown
