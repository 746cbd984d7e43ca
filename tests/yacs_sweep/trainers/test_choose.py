"""Choosing the trainer's interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.trainers.choose import find_interpreter


def problem(given: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        find_interpreter(str(given))
    return str(caught.value)


def test_the_folder_of_an_environment_is_told_from_its_python(tmp_path: Path) -> None:
    assert problem(tmp_path) == f"--python {tmp_path}: is a folder"
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\n")
    assert problem(tmp_path) == f"--python {tmp_path}: is a folder; write {python}"
    assert problem(python) == f"--python {python}: is not a program that can be executed"
    assert problem(tmp_path / "none") == f"--python {tmp_path / 'none'}: no such interpreter"
    python.chmod(0o755)
    assert find_interpreter(str(python)) == str(python)
