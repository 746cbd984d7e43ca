"""The version: of a checkout, of a copy without history, and of an installed package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import yacs_sweep
from tests.sweeping import ROOT, environment
from yacs_sweep.base.shipped import installed, version, version_with_commit

# The start alone, so that a copy of one module answers as the whole package would.
ASK = "import sys; from yacs_sweep.base.shipped import version_lines; print(*version_lines(), sep='\\n')"


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    done = subprocess.run(["git", "-C", folder, *who, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def package(folder: Path) -> Path:
    """A package of the module alone, below `folder`."""
    base = folder / "yacs_sweep" / "base"
    base.mkdir(parents=True)
    for name in ("yacs_sweep/__init__.py", "yacs_sweep/base/__init__.py", "yacs_sweep/base/shipped.py"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def told(folder: Path, **variables: str) -> list[str]:
    """What `--version` prints with the package in `folder`."""
    env = environment(folder, PYTHONPATH=str(folder), **variables)
    done = subprocess.run([sys.executable, "-c", ASK], env=env, cwd=folder.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_checkout_says_its_commit_and_whether_it_was_changed(tmp_path: Path) -> None:
    folder = package(tmp_path / "checkout")
    (folder / "pyproject.toml").write_text('[project]\nname = "yacs-sweep"\nversion = "3.2.1"\n')
    assert told(folder)[0] == "yacs-sweep 3.2.1 (checkout)"  # an archive without history
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "of somebody's project around it")
    assert told(folder)[0] == "yacs-sweep 3.2.1 (checkout)"
    git(folder, "init", "--quiet")
    assert told(folder)[0] == "yacs-sweep 3.2.1 (checkout)"  # no commit yet
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "one")
    git(folder, "tag", "-a", "v9", "-m", "a tag is not the version")
    commit = git(folder, "rev-parse", "--short", "HEAD")
    (folder / "new.txt").touch()
    assert told(folder)[0] == f"yacs-sweep 3.2.1 (checkout {commit})"
    (folder / "pyproject.toml").write_text('[project]\nname = "yacs-sweep"\nversion = "3.2.2"\n')
    changed = f"yacs-sweep 3.2.2 (checkout {commit}, changed)"
    assert told(folder)[0] == changed
    assert told(folder, GIT_DIR=str(tmp_path / ".git"), GIT_WORK_TREE=str(tmp_path))[0] == changed  # as hooks have them
    assert told(folder, PATH=str(tmp_path / "empty"))[0] == "yacs-sweep 3.2.2 (checkout)"  # without git


def test_an_installed_package_says_the_version_of_its_metadata(tmp_path: Path) -> None:
    folder = package(tmp_path / "site")
    (folder / "yacs_sweep" / "share").mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "yacs-sweep"\nversion = "3.2.1"\n')  # somebody else's
    assert told(folder)[0] == "yacs-sweep unknown"
    (folder / "yacs_sweep-4.5.6rc1.dist-info").mkdir()
    assert told(folder)[0] == "yacs-sweep 4.5.6rc1"


def test_this_checkout() -> None:
    """Read with a regular expression, since Python 3.10 has no reader of TOML."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    number = re.findall(r'^version = "(.*)"$', text, re.MULTILINE)
    assert [version()] == number == [yacs_sweep.__version__]
    assert version_with_commit().startswith(f"{version()} (checkout")


@pytest.mark.parametrize("program", ["sweep", "report"])
def test_both_programs_say_it_and_import_nothing_heavy(program: str, tmp_path: Path) -> None:
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{program + '.py'!r}, '--version']\n"
        f"try: runpy.run_path({str(ROOT / 'tools' / f'{program}.py')!r}, run_name='__main__')\n"
        "except SystemExit as end: print(end.code, sorted({'torch', 'wandb', 'optuna', 'numpy', 'rich'} & set(sys.modules)))"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True, env={**os.environ})
    there = installed()
    python = ".".join(map(str, sys.version_info[:3]))
    assert done.stdout.splitlines() == [
        f"yacs-sweep {version_with_commit()}",
        f"Python {python}, wandb {there['wandb']}, optuna {there['optuna']}",
        "0 []",
    ]
    assert list(tmp_path.iterdir()) == []
