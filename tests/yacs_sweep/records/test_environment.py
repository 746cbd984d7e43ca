"""What a sweep ran on."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path

from tests.sweeping import ROOT
from yacs_sweep.records.environment import PACKAGES, Commit, describe, installed


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    done = subprocess.run(["git", "-C", folder, *who, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_and_whether_tracked_files_differ(tmp_path: Path) -> None:
    assert Commit(tmp_path).get() is None  # no repository
    git(tmp_path, "init", "--quiet")
    assert Commit(tmp_path).get() is None  # without a commit
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    head = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "other").touch()
    commit = Commit(tmp_path)
    assert [commit.get(), commit.get()] == [head, head]
    (tmp_path / "a").write_text("2")
    assert Commit(tmp_path).get() == f"{head}+dirty"
    assert Commit(tmp_path / "nowhere").get() is None


def test_versions_are_those_of_the_metadata() -> None:
    # A build leaves metadata in the checkout, which is not installed.
    found = [dist for dist in metadata.distributions() if Path(str(dist.locate_file(""))).resolve() != ROOT]
    there = {dist.metadata["Name"].replace("_", "-").lower(): dist.version for dist in found}
    versions = installed()
    assert {name: versions[name] for name in PACKAGES if name in there} == {
        name: there[name] for name in PACKAGES if name in there
    }
    assert describe()["packages"]["optuna"] == metadata.version("optuna")
