"""Lines of a file that another process appends to: each once, whole, whatever the file becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from yacs_sweep.base.growing_files import READ_SIZE, GrowingLines, json_object


def test_each_line_is_read_once_and_whole(tmp_path: Path) -> None:
    path, lines = tmp_path / "f", GrowingLines()
    path.write_bytes(b"one\ntw")
    with path.open("rb") as file:
        assert list(lines.read(file)) == [b"one"] and lines.offset == 4
        with path.open("ab") as more:
            more.write(b"o\n\nthree")
        assert list(lines.read(file)) == [b"two", b""] and lines.offset == 9
        assert list(lines.read(file)) == []
    assert lines.unfinished() == b"three" and lines.unfinished() == b""
    lines.restart()
    with path.open("rb") as file:
        assert list(lines.read(file)) == [b"one", b"two", b""]


def test_lines_that_are_too_long_are_left_out_and_take_no_memory(tmp_path: Path) -> None:
    path, lines = tmp_path / "f", GrowingLines(limit=10)
    path.write_bytes(b"a\n" + b"x" * (3 * READ_SIZE) + b"\nb\n" + b"y" * READ_SIZE)
    with path.open("rb") as file:
        assert list(lines.read(file)) == [b"a", b"b"]
    assert lines.unfinished() == b""


@pytest.mark.parametrize(
    ("line", "content"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b' {"a": {}}\r\n', {"a": {}}),
        (b'{"a": 1', None),
        (b"[{}]", None),
        (b"1", None),
        (b"", None),
        (b"\xff{", None),
        (b'{"a": ' * 100_000, None),
    ],
)
def test_objects_are_parsed(line: bytes, content: object) -> None:
    assert json_object(line) == content
