from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from data.synthetic.dataset import SyntheticSpec, write_synthetic

TOOL = Path(__file__).resolve().parents[2] / "tools" / "make_synthetic.py"
SMALL = ["--train-ids", "2", "--test_ids", "2", "--shots", "1", "--distractors", "0", "--junk", "0"]


def run(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, cwd=cwd, check=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_it_writes_the_set_the_library_writes(tmp_path: Path) -> None:
    done = run("--out", "some/set", *SMALL, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path / 'some/set'}: complete\n", "")
    spec = SyntheticSpec(train_ids=2, test_ids=2, shots=1, distractors=0, junk=0)
    assert contents(tmp_path / "some/set") == contents(write_synthetic(tmp_path / "library", spec))
    assert run("--out", tmp_path / "some/set", *SMALL).returncode == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--train-ids", "0", "--cameras", "1"], ["train_ids", "cameras must be at least 2"]),
        (["--seed", "-1"], ["seed must be at least 0, not -1"]),
        (["--seed", "x"], ["--seed", "'x'"]),
        (["--sead", "1"], ["--sead"]),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(tmp_path: Path, words: list[str], expected: list[str]) -> None:
    done = run("--out", tmp_path / "set", *words)
    assert done.returncode == 2 and done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("make_synthetic.py: ") and all(word in last for word in expected)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "set").exists()


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    done = run("--out", tmp_path, *SMALL)
    assert done.returncode == 2 and str(tmp_path) in done.stderr and len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_help_needs_no_torch() -> None:
    code = f"import runpy, sys; runpy.run_path({str(TOOL)!r}, run_name='tool'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=True)
    assert done.stdout.strip() == "False"
    assert "--cameras-per-id" in run("--help").stdout
