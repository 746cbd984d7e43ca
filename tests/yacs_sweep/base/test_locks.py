"""A file is locked before anybody sees it, and is seen locked while its process has the lock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from yacs_sweep.base.locks import create_locked, is_locked


def test_a_file_is_locked_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    assert not is_locked(path)
    descriptor = create_locked(path, b"content\n")
    assert path.read_bytes() == b"content\n" and os.listdir(tmp_path) == ["a.lock"]
    assert is_locked(path) and is_locked(path)  # two that ask do not see each other
    os.close(descriptor)
    assert not is_locked(path)


def test_a_folder_is_not_locked_and_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        is_locked(tmp_path / "file" / "below")
