"""What a sweep ran on."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from tests.sweeping import ROOT
from yacs_sweep.base.shipped import installed, version_with_commit
from yacs_sweep.records import environment
from yacs_sweep.records.environment import PACKAGES, Commit, describe
from yacs_sweep.records.folder import SweepPaths


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


def test_what_is_not_committed_is_kept_up_to_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, project = SweepPaths(tmp_path, "abc"), tmp_path / "project"
    (project / "sub").mkdir(parents=True)
    kept = paths.inputs / environment.UNCOMMITTED
    git(project, "init", "--quiet")
    paths.inputs.mkdir(parents=True)
    environment.save_uncommitted(paths, project / "sub")
    (project / "sub" / "ä.py").write_text("1\n")
    (project / "outside.py").write_text("1\n")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "one")
    environment.save_uncommitted(paths, project / "sub")
    assert not kept.exists()
    (project / "sub" / "ä.py").write_text("2\n")
    (project / "outside.py").write_text("2\n")
    environment.save_uncommitted(paths, project / "sub")
    text = kept.read_text(encoding="utf-8")
    assert "a/sub/ä.py" in text and text.endswith("-1\n+2\n") and "outside" not in text
    monkeypatch.setattr(environment, "MOST", 30)
    environment.save_uncommitted(paths, project)
    assert len(kept.read_bytes()) == 30


def test_defaults_are_kept_once(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "abc")
    paths.dir.mkdir(parents=True)
    environment.save_defaults(paths, {})
    assert not paths.inputs.exists() and environment.read_defaults(paths.dir) == {}
    for value in (0.1, 0.2):
        environment.save_defaults(paths, {"base_lr": value})
    assert environment.read_defaults(paths.dir) == {"base_lr": 0.1}


def test_versions_are_those_of_the_metadata() -> None:
    # A build leaves metadata in the checkout, which is not installed.
    found = [dist for dist in metadata.distributions() if Path(str(dist.locate_file(""))).resolve() != ROOT]
    there = {dist.metadata["Name"].replace("_", "-").lower(): dist.version for dist in found}
    versions = installed()
    assert {name: versions[name] for name in PACKAGES if name in there} == {
        name: there[name] for name in PACKAGES if name in there
    }
    packages = describe()["packages"]
    assert packages["optuna"] == metadata.version("optuna") and packages["yacs-sweep"] == version_with_commit()
