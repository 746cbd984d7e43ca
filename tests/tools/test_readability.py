"""tools/readability.py, on texts whose words were counted by hand."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

TOOL: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "readability.py"))
LONG = "word " * 30 + "end.\n"  # 31 words


def counted(markdown: str) -> list[tuple[int, int]]:
    """Line and words of each sentence."""
    return [(sentence.line, sentence.words) for sentence in TOOL["measure"](markdown).sentences]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("It runs trials. Each has a folder!\nIs it done yet?\n", [(1, 3), (1, 4), (2, 4)]),
        ("A sentence may\nhave three\nlines. The next one begins there.\n", [(1, 6), (3, 5)]),
        ("# A heading of many words\n\nThe text below it.\n", [(3, 4)]),
        ("Before the block:\n\n```bash\nmake test and much more of it\n```\n\nAfter the block.\n", [(1, 3), (7, 3)]),
        ("    indented code is left out\n\nThe text is not.\n", [(3, 4)]),
        ("| a | b |\n|---|---|\n| many words in a cell | of a table |\n\nBelow the table.\n", [(5, 3)]),
        ("See [the page of results](results.md#the-best) for the rest.\n", [(1, 8)]),
        ("![A sweep on a terminal](live.svg) Two pictures are here. <img src='a b.png' alt='c d'>\n", [(1, 4)]),
        ("Write `python tools/sweep.py --count 3. Then` into it.\n", [(1, 4)]),
        ("It is written there. `best.yml` has the parameters.\n", [(1, 4), (1, 4)]),
        ("- the first of two items\n- the second one, which\n  is longer\n", [(1, 5), (2, 6)]),
        ("> A quoted line counts.\n", [(1, 4)]),
        ("It stops: nothing was created; the message says why.\n", [(1, 3), (1, 4)]),
        ("Version 3.5 of it, e.g. the newest one, is there.\n", [(1, 10)]),
        ("Take train.py, not test.py. (That tests only.) Done is done.\n", [(1, 4), (1, 3), (1, 3)]),
        ("Four → five, that is – in words – six.\n", [(1, 7)]),
        ("A figure **in bold words** is one sentence.\n", [(1, 8)]),
        ("<!-- a comment with words in it -->\n\nText after the comment.\n", [(3, 4)]),
        ("---\nname: A bug\nabout: something with many words\n---\n\nWhat went wrong there?\n", [(6, 4)]),
        ("Yes. No.\n", []),
    ],
)
def test_words_of_sentences(markdown: str, expected: list[tuple[int, int]]) -> None:
    assert counted(markdown) == expected


def test_the_mean_is_over_sentences_not_paragraphs() -> None:
    document = TOOL["measure"]("One two three. One two three four five.\n\nOne two three four five six seven.\n")
    assert (document.words, document.mean) == (15, 5.0)
    assert document.readable


def test_one_long_sentence_is_too_long() -> None:
    document = TOOL["measure"]("Short ones before it. " * 20 + "\n\n" + LONG)
    assert document.mean < 20 and not document.readable
    assert [(sentence.line, sentence.words) for sentence in document.too_long] == [(3, 31)]
    assert TOOL["measure"](LONG.replace("word ", "", 1) + "\nA few more words.\n").readable  # 30 words, mean 17


def test_many_middling_sentences_are_too_long_on_average() -> None:
    document = TOOL["measure"](("word " * 20 + "end.\n\n") * 3)
    assert (document.mean, document.too_long, document.readable) == (21.0, [], False)


def test_a_document_without_text_is_readable() -> None:
    assert TOOL["measure"]("# Title\n").readable


def test_korean_pages_have_limits_of_their_own(tmp_path: Path) -> None:
    text = "가 " * 23 + "끝이다.\n"  # 24 words
    for name, readable in (("ko/a.md", False), ("a.ko.md", False), ("a.md", False), ("b.md", True)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + ("\n짧은 글 하나다.\n" if name == "b.md" else ""), encoding="utf-8")
        assert TOOL["read"](path).readable is readable
    (tmp_path / "ko" / "a.md").write_text("가 " * 12 + "끝이다. 다음 글은 짧다.\n", encoding="utf-8")
    assert [s.words for s in TOOL["read"](tmp_path / "ko" / "a.md").sentences] == [13, 3]


def test_the_command_says_where_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.md", tmp_path / "bad.md"
    good.write_text("A few words. A few more words.\n")
    bad.write_text("A few words.\n\n" + LONG)
    assert TOOL["main"]([str(good)]) == 0
    assert capsys.readouterr().out == f"{good}: 7 words, 2 sentences, 3.5 words a sentence\n"
    assert TOOL["main"]([str(good), str(bad)]) == 1
    assert "\n  line 3: 31 words: word word" in capsys.readouterr().out


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert TOOL["main"](["no-such.md"]) == 2
    assert capsys.readouterr().err == "error: no-such.md: no such file\n"


def test_all_documents_are_read_by_default() -> None:
    names = {str(path.relative_to(TOOL["ROOT"])) for path in TOOL["tracked"]()}
    assert {"README.md", "README.ko.md", "CONTRIBUTING.md", "docs/house.md", "docs/ko/trainers.md"} <= names
