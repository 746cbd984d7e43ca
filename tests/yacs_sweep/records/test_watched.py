"""Watching the trainer's code, and freezing it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.records.code.snapshot import check_snapshot, take_snapshot
from yacs_sweep.records.code.watched import Watch, save_code
from yacs_sweep.records.folder import SweepPaths


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@x", *words], check=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "lib").mkdir(parents=True)
    (folder / "train.py").write_text("import lib.net\n")
    (folder / "lib" / "net.py").write_text("WIDTH = 1\n")
    (folder / "data").mkdir()
    (folder / "data" / "x.txt").write_text("picture\n")
    (folder / ".gitignore").write_text("data/\nlog/\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    return folder


def sweep(project: Path) -> SweepPaths:
    paths = SweepPaths(project / "log", "abc")
    paths.inputs.mkdir(parents=True)
    return paths


def test_an_edit_of_the_code_is_seen_and_a_new_time_is_not(project: Path) -> None:
    paths = sweep(project)
    save_code(paths, project)
    watch = Watch.load(paths, project)
    os.utime(project / "lib/net.py", (1, 1))
    assert watch.changed() == []
    (project / "lib/net.py").write_text("WIDTH = 2\n")
    (project / "train.py").unlink()
    (project / "data/x.txt").write_text("other\n")  # git does not know it: data
    assert watch.changed() == ["lib/net.py", "train.py"]
    (project / "lib/net.py").write_text("WIDTH = 1\n")
    assert watch.changed() == ["train.py"]


def test_without_git_the_python_files_of_the_folder_are_watched(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("1\n")
    paths = sweep(tmp_path)
    save_code(paths, tmp_path)
    (tmp_path / "train.py").write_text("2\n")
    assert Watch.load(paths, tmp_path).changed() == ["train.py"]


def test_a_snapshot_keeps_the_code_and_links_the_data(project: Path) -> None:
    paths = sweep(project)
    (project / "lib/net.py").write_text("WIDTH = 5\n")  # not committed, not even added
    (project / "lib/new.py").write_text("NEW = 1\n")  # which git does not know
    found = take_snapshot(paths, project)
    (project / "lib/net.py").write_text("WIDTH = 7\n")
    assert (found.project / "lib/net.py").read_text() == "WIDTH = 5\n"
    assert (found.project / "data/x.txt").read_text() == "picture\n"
    assert (found.project / "data").is_symlink()
    assert found.not_frozen == ("lib/new.py",)
    assert (found.project / "lib/new.py").read_text() == "NEW = 1\n"
    assert found.files == 3


def test_a_snapshot_starts_in_the_same_folder_of_the_repository(project: Path) -> None:
    found = take_snapshot(sweep(project), project / "lib")
    assert found.project == found.root / "lib"


def test_submodules_are_copied_and_named(project: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "part.py").write_text("1\n")
    git(inner, "init", "-q")
    git(inner, "add", ".")
    git(inner, "commit", "-qm", "x")
    git(project, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "part")
    found = take_snapshot(sweep(project), project)
    assert found.submodules == ("part",)
    assert (found.project / "part/part.py").read_text() == "1\n"


def test_outside_a_repository_there_is_nothing_to_freeze(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not in a git repository"):
        check_snapshot(tmp_path)
