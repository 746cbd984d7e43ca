"""Bytes that are no text are refused before anything is created: no file of a sweep could hold them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweeping import SWEEP, environment
from yacs_sweep import Sweep
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.base.wording import counted, did_you_mean, is_text, no_texts

BYTES = "a\udcff"  # as Python has b"a\xff"


@pytest.mark.parametrize(("value", "text"), [("", True), ("a", True), ("é▶𝄞", True), (BYTES, False), ("\ud800", False)])
def test_what_is_text(value: str, text: bool) -> None:
    assert is_text(value) is text


def test_the_beginning_of_a_part_of_a_name_is_near_to_it() -> None:
    names = ["SOLVER.MARGIN", "MODEL.MARGIN_OF_ALL", "base_lr"]
    assert did_you_mean("marg", names) == "; did you mean SOLVER.MARGIN?"
    assert did_you_mean("argin", ["x.of"]) == did_you_mean("zz", names) == ""


def test_every_option_is_looked_at() -> None:
    assert no_texts({"count": 1, "metric": None, "project": "é", "trailing": ["A.B", "1"]}) == []
    told = no_texts({"count": 1, "sweep_config": [{"a": [BYTES]}], "project": BYTES, "trailing": ["A.B", BYTES]})
    assert [line.split(":")[0] for line in told] == ["--sweep_config", "--project", "KEY VALUE"]


@pytest.mark.parametrize(
    ("folder", "words", "env", "told"),
    [
        (b"f\xff", [], {}, "this folder: "),
        (
            b"f",
            [b"A.B", b"\xff"],
            {},
            "KEY VALUE: '\\udcff' is not valid text in UTF-8; rename it, or write it in UTF-8",
        ),
        (b"f", [b"--results_dir", b"link"], {}, "results folder: "),
        (
            b"f",
            ["é"],
            {"LC_ALL": "C", "PYTHONUTF8": "0"},
            " is not valid text in ASCII; or set a locale of UTF-8: LC_ALL=C.UTF-8",
        ),
    ],
)
def test_nothing_is_created(tmp_path: Path, folder: bytes, words: list[bytes], env: dict[str, str], told: str) -> None:
    cwd = os.path.join(os.fsencode(tmp_path), folder)
    os.mkdir(cwd)
    (tmp_path / os.fsdecode(b"other\xff")).mkdir()
    os.symlink(b"../other\xff", os.path.join(cwd, b"link"))
    Path(os.fsdecode(cwd), "p.yaml").write_text("command: [sh]\ncwd: .\noverrides: argparse\n")
    command = [sys.executable, str(SWEEP), "--trainer", "p.yaml", "--lr_values", "1", "--dry-run", *words]
    done = subprocess.run(
        command, cwd=cwd, env=environment(tmp_path, **env), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and told in done.stderr and len(done.stderr.splitlines()) == 1


def test_nor_from_python() -> None:
    with pytest.raises(ConfigError, match="--project: 'a"):
        Sweep(lr_values="1", project=BYTES)


@pytest.mark.parametrize(
    ("number", "words", "text"),
    [
        (1, ("trial",), "1 trial"),
        (0, ("trial",), "0 trials"),
        (4, ("point",), "4 points"),
        (1, ("process", "processes"), "1 process"),
        (2, ("process", "processes"), "2 processes"),
    ],
)
def test_numbers_of_things(number: int, words: tuple[str, ...], text: str) -> None:
    assert counted(number, *words) == text
