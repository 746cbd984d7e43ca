"""`--trainer list` shows the profiles there are, from any folder, and what one of them says."""

from __future__ import annotations

from pathlib import Path

import pytest

from yacs_sweep.base.shipped import TRAINERS
from yacs_sweep.cli import _lists, main
from yacs_sweep.show import profiles
from yacs_sweep.show.profiles import describe_profile, list_profiles, purpose
from yacs_sweep.trainers.load import load_profile, profile_folders

MINE = """\
# yaml-language-server: $schema=schema.json
# The segmenter of our group, second version: a comment.
command: [python, seg.py, "{config_file}"]
aliases: {base_lr: TRAIN.LR}
metric: {name: val/IoU, goal: maximize}
axis: iter
axis_printed: after
metrics: []
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with profiles of its own, and a folder below it as the current one."""
    folder = tmp_path / "project" / "configs" / "trainers"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(MINE)
    below = tmp_path / "project" / "experiments" / "new"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    return tmp_path / "project"


def test_all_profiles_are_listed_with_the_folders(project: Path) -> None:
    lines = list(list_profiles(Path.cwd()))
    assert next(line for line in lines if line.startswith("mine ")).split(maxsplit=2) == [
        "mine",
        "val/IoU",
        "The segmenter of our group",
    ]
    assert next(line for line in lines if line.startswith("reid ")).startswith("reid (default)  ")
    shipped = {path.stem for path in TRAINERS.glob("*.yaml")}
    assert shipped <= {line.split()[0] for line in lines if line}
    assert lines[-3:] == [
        f"searched 1.: {project}/configs/trainers",
        f"searched 2.: {TRAINERS} (come with the launcher)",
        "one profile: --trainer list:NAME",
    ]


def test_one_profile_is_described(project: Path) -> None:
    lines = list(describe_profile(load_profile("mine", project_root=Path.cwd())))
    assert lines == [
        "mine",
        "  for           The segmenter of our group",
        f"  file          {project}/configs/trainers/mine.yaml",
        "  command       python seg.py '{config_file}'",
        f"  starts in     {project}",
        "  overrides     yacs",
        "  tree          none: keys are not checked",
        "  output folder the trainer is not told it",
        "  metric        maximize val/IoU",
        "  x-axis        iter (printed after its metrics)",
        "  aliases",
        "    base_lr  TRAIN.LR",
    ]
    swin = list(describe_profile(load_profile("swin", project_root=Path.cwd())))
    assert "  overrides     yacs, after --opts" in swin
    assert f"  extends       {TRAINERS}/torchrun.yaml" in swin
    assert "  read from     4 patterns" in swin


def test_the_command_line_shows_them_and_starts_nothing(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["--trainer", "list"]) == 0
    assert "\nmine " in capsys.readouterr().out
    assert main(["--trainer=list:mine"]) == 0
    assert capsys.readouterr().out.startswith("mine\n")
    assert main(["--trainer", "list:mien"]) == 2
    assert "--trainer mien: no such profile; did you mean mine?" in capsys.readouterr().err
    assert sorted(path.name for path in project.iterdir()) == ["configs", "experiments"]


@pytest.mark.parametrize(
    ("words", "lists"),
    [
        (["--trainer", "list"], True),
        (["--trainer=list:swin"], True),
        (["--trainer", "reid", "--sweep-config", "list"], False),
        (["--trainer", "./list.yaml"], False),
        ([], False),
    ],
)
def test_a_list_needs_no_agents(words: list[str], lists: bool) -> None:
    assert _lists(words) is lists


def test_the_nearest_project_comes_first_and_its_trials_start_there(project: Path) -> None:
    profile = load_profile("mine", project_root=Path.cwd())
    assert profile.cwd == project  # its folder, found from a folder below
    inner = Path.cwd() / "configs" / "trainers"
    inner.mkdir(parents=True)
    (inner / "mine.yaml").write_text("command: [other]\n")
    assert profile_folders(Path.cwd()) == [inner, project / "configs" / "trainers", TRAINERS]
    nearest = load_profile("mine", project_root=Path.cwd())
    assert (nearest.command, nearest.cwd) == (("other",), Path.cwd())
    assert load_profile("swin", project_root=Path.cwd()).cwd == Path.cwd()  # of no project
    by_file = load_profile(project / "configs" / "trainers" / "mine.yaml", project_root=Path.cwd())
    assert by_file.cwd == Path.cwd()  # where the launcher was started, as for every file


def test_the_purpose_is_the_first_clause_of_the_comment(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    for text, expected in (
        ("# a/b 1234567 (2024-07-15), main.py.\nx: 1\n", "a/b 1234567 (2024-07-15)"),
        ("# Trainers (A, B, …) on x: more\n", "Trainers (A, B, …) on x"),
        ("# Two\n# lines. More\n", "Two lines"),
        ("x: 1\n# late\n", ""),
    ):
        path.write_text(text)
        assert purpose(path) == expected


def test_lines_fit_a_narrow_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "is_terminal", lambda: True)
    monkeypatch.setattr(profiles, "output_width", lambda: 79)
    table = [line for line in profiles.list_profiles(tmp_path) if "/" not in line or "  " in line.strip()]
    assert len(table) > 10 and max(map(len, table)) <= 79
    said = list(profiles.describe_profile(load_profile("swin", project_root=tmp_path)))
    assert max(len(line) for line in said if "/" not in line) <= 79
