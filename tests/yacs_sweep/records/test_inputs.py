"""The copies of a sweep's inputs: what is copied, where, and what counts as a difference."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.records.inputs import Inputs, save_inputs, take_config, take_files


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "configs" / "market").mkdir(parents=True)
    (folder / "configs" / "root.yml").write_text("A: 1\n")
    (folder / "configs" / "base.yml").write_text("_BASE_: root.yml\nB: 2\n")
    (folder / "configs" / "market" / "r50.yml").write_text("_BASE_: ../base.yml\nC: 3\n")
    (folder / "profile.yaml").write_text("command: [python, train.py]\n")
    return folder


def sweep(project: Path) -> SweepPaths:
    paths = SweepPaths(project / "log", "abc")
    paths.dir.mkdir(parents=True)
    return paths


def test_includes_come_along_with_their_relative_places(project: Path) -> None:
    paths = sweep(project)
    save_inputs(paths, project, take_config(str(project / "configs/market/r50.yml")))
    assert (paths.inputs / "config/market/r50.yml").read_text() == "_BASE_: ../base.yml\nC: 3\n"
    assert (paths.inputs / "config/base.yml").read_text() == "_BASE_: root.yml\nB: 2\n"
    assert (paths.inputs / "config/root.yml").read_text() == "A: 1\n"
    assert Inputs.load(paths, project).file("config") == paths.inputs / "config/market/r50.yml"


@pytest.mark.parametrize("text", ["_BASE_: [../base.yml, ../root.yml]\n", "BASE: ['../base.yml']\n"])
def test_lists_of_includes_are_followed(project: Path, text: str) -> None:
    paths = sweep(project)
    (project / "configs/market/r50.yml").write_text(text)
    save_inputs(paths, project, take_config(str(project / "configs/market/r50.yml")))
    assert (paths.inputs / "config/root.yml").read_text() == "A: 1\n"


def test_a_circle_of_includes_ends(project: Path) -> None:
    (project / "configs/root.yml").write_text("_BASE_: market/r50.yml\n")
    assert len(take_config(str(project / "configs/market/r50.yml"))) == 3


def test_a_missing_include_is_named(project: Path) -> None:
    (project / "configs/root.yml").unlink()
    with pytest.raises(ConfigError, match=r"base\.yml: includes root\.yml: no such file"):
        take_config(str(project / "configs/market/r50.yml"))


@pytest.mark.parametrize("value", ["['']", "2", "name", "{A: 1}"])
def test_a_key_base_that_names_no_file_is_no_include(project: Path, value: str) -> None:
    (project / "configs/root.yml").write_text(f"BASE: {value}\n")
    assert len(take_config(str(project / "configs/root.yml"))) == 1


def test_what_cannot_be_copied_apart_is_watched(project: Path) -> None:
    paths = sweep(project)
    absolute = project / "configs/root.yml"
    (project / "configs/market/r50.yml").write_text(f"_BASE_: {absolute}\n")
    (project / "c.py").write_text("cfg = 1\n")
    inputs = save_inputs(paths, project, take_config(str(project / "configs/market/r50.yml")))
    assert [(entry.kind, entry.copy) for entry in inputs.entries if entry.copy is None] == [("include", None)]
    inputs = save_inputs(paths, project, take_config(str(project / "c.py")))
    assert inputs.file("config") == project / "c.py"
    assert [entry.kind for entry in inputs.entries] == ["config"]  # the former configuration's include is gone


@pytest.mark.parametrize("change", ["edited", "deleted", "half-saved", "moved"])
def test_a_changed_original_differs_and_its_copy_stays(project: Path, change: str) -> None:
    paths = sweep(project)
    path = project / "configs/base.yml"
    save_inputs(paths, project, take_config(str(project / "configs/market/r50.yml")))
    assert not Inputs.load(paths, project).differing()
    os.utime(path, (1, 1))
    assert not Inputs.load(paths, project).differing()  # the same content at another time
    if change == "edited":
        path.write_text("_BASE_: root.yml\nB: 9\n")
    elif change == "half-saved":
        path.write_text("_BA")
    elif change == "deleted":
        path.unlink()
    else:
        path.rename(project / "configs/new.yml")
    assert [entry.path for entry in Inputs.load(paths, project).differing()] == ["configs/base.yml"]
    assert (paths.inputs / "config/base.yml").read_text() == "_BASE_: root.yml\nB: 2\n"


def test_a_moved_project_finds_its_inputs(project: Path, tmp_path: Path) -> None:
    paths = sweep(project)
    save_inputs(
        paths,
        project,
        [*take_config(str(project / "configs/base.yml")), *take_files("profile", [project / "profile.yaml"])],
    )
    moved = tmp_path / "elsewhere"
    shutil.move(project, moved)
    inputs = Inputs.load(SweepPaths(moved / "log", "abc"), moved)
    assert not inputs.differing()
    file = inputs.file("profile")
    assert file is not None and file.read_text() == "command: [python, train.py]\n"


def test_files_of_one_name_keep_their_content(project: Path) -> None:
    paths = sweep(project)
    other = project / "configs" / "profile.yaml"
    other.write_text("command: [other]\n")
    save_inputs(paths, project, take_files("profile", [project / "profile.yaml", other]))
    entries = json.loads((paths.inputs / "inputs.json").read_text())["inputs"]
    assert [(paths.dir / entry["copy"]).read_text() for entry in entries] == [
        "command: [python, train.py]\n",
        "command: [other]\n",
    ]


def test_a_sweep_of_an_earlier_version_has_no_inputs(project: Path) -> None:
    assert Inputs.load(sweep(project), project).file("config") is None
