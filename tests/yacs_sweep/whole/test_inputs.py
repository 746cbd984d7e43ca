"""A sweep's inputs are taken once: whatever becomes of the originals, its trials read what it began with."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sweeping import TOY, Ran, sweep

QUIET = ("--controller", "local", "--wandb-mode", "disabled", "--quiet")
PROFILE = """\
command: [python, t.py, "{config_file}"]
cwd: .
overrides: yacs
output_dir_key: OUTPUT_DIR
metrics:
  - pattern: 'score (?P<value>{number})'
    log: {score: value}
"""
# Prints the value of `RATE` in the configuration, and edits what the test wants edited after its first trial.
TRAINER = """\
import os, sys, yaml
def load(path):
    config = yaml.safe_load(open(path))
    base = config.pop("_BASE_", None)
    return {**(load(os.path.join(os.path.dirname(path), base)) if base else {}), **config}
config = load(sys.argv[1]) if sys.argv[1].endswith("yml") else {"RATE": open(sys.argv[1]).read().count("x")}
print("score", config["RATE"])
exec(open("after_first.py").read()) if os.path.exists("after_first.py") else None
if os.path.exists("after_first.py"): os.remove("after_first.py")
"""


def project(folder: Path, config: str = "RATE: 1\n", name: str = "c.yml") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "t.py").write_text(TRAINER)
    (folder / "p.yaml").write_text(PROFILE)
    (folder / "s.yaml").write_text("method: grid\nmetric: {name: score}\nparameters: {LR: {values: [0.1, 0.2]}}\n")
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(config)
    return folder


def run(folder: Path, *words: str | Path, config: str = "c.yml") -> Ran:
    return sweep(folder, "--sweep-config", "s.yaml", *QUIET, *words, trainer=folder / "p.yaml", config=folder / config)


def scores(ran: Ran) -> list[float]:
    return [trial["value"] for trial in sorted(ran.summary["trials"], key=lambda trial: str(trial["name"]))]


CHANGES = {
    "edited": "open('c.yml', 'w').write('RATE: 9\\n')",
    "half-saved": "open('c.yml', 'w').write('RATE: [')",
    "deleted": "os.remove('c.yml')",
    "moved": "os.rename('c.yml', 'other.yml')",
}


@pytest.mark.parametrize("change", CHANGES)
def test_later_trials_and_best_use_the_copy(tmp_path: Path, change: str) -> None:
    folder = project(tmp_path / "project")
    (folder / "after_first.py").write_text(CHANGES[change])
    ran = run(folder)
    assert (ran.code, scores(ran)) == (0, [1, 1])
    gone = change in ("deleted", "moved")
    text = "c.yml no longer exists; the sweep uses its copy" if gone else "has changed since the sweep began"
    said = [line for line in ran.out.splitlines() if text in line]
    assert len(said) == 1
    assert "c.yml" in said[0]
    assert yaml.safe_load((ran.dir / "best.yml").read_text())["RATE"] == 1
    again = sweep(folder, "--sweep_id", ran.dir.name, "--count", "1", *QUIET, trainer=None, config=None)
    assert again.code == 0, again.err


def test_profile_and_sweep_file_are_taken_once(tmp_path: Path) -> None:
    folder = project(tmp_path / "project")
    (folder / "after_first.py").write_text("open('p.yaml', 'w').write('[')\nopen('s.yaml', 'w').write('[')")
    ran = run(folder)
    assert (ran.code, scores(ran)) == (0, [1, 1])
    (ran.dir / "trial-0001" / "trial.json").unlink()
    again = sweep(folder, "--sweep_id", ran.dir.name, *QUIET, trainer=None, config=None)
    assert again.code == 0, again.err
    kept = {entry["kind"]: entry for entry in json.loads((ran.dir / "inputs/inputs.json").read_text())["inputs"]}
    assert set(kept) == {"config", "profile", "sweep"}
    assert (ran.dir / kept["sweep"]["copy"]).read_text().startswith("method: grid")
    assert (ran.dir / kept["profile"]["copy"]).read_text() == PROFILE


def test_an_option_given_on_resuming_wins(tmp_path: Path) -> None:
    folder = project(tmp_path / "project")
    ran = run(folder, "--count", "1")
    (folder / "c.yml").write_text("RATE: 5\n")
    (folder / "p.yaml").write_text(PROFILE.replace("score (?P", "score (?:x)?(?P"))
    again = sweep(folder, "--sweep_id", ran.dir.name, *QUIET, trainer=folder / "p.yaml", config=folder / "c.yml")
    assert (again.code, scores(ran)) == (0, [1, 5])
    assert "the sweep uses its copy" not in again.out  # these files are taken as they are now
    read = [Path(ran.trial(name)["command"][2]).read_text() for name in ("trial-0000", "trial-0001")]
    assert read == ["RATE: 1\n", "RATE: 5\n"]  # what a trial has read stays
    assert "(?:x)?" in (ran.dir / "inputs/trainer/p.yaml").read_text()


def test_included_files_come_along(tmp_path: Path) -> None:
    folder = project(tmp_path / "project", "_BASE_: ../base.yml\nX: 1\n", "configs/a/c.yml")
    (folder / "configs/base.yml").write_text("RATE: 3\n")
    (folder / "after_first.py").write_text("open('configs/base.yml', 'w').write('RATE: 8')")
    ran = run(folder, config="configs/a/c.yml")
    assert (ran.code, scores(ran)) == (0, [3, 3])


def test_what_cannot_be_copied_apart_is_watched(tmp_path: Path) -> None:
    folder = project(tmp_path / "project", "x = 'x'\n", "c.py")
    (folder / "after_first.py").write_text(
        "import time; time.sleep(1)\nopen('c.py', 'a').write('#xx')\nopen('t.py', 'a').write('#')"
    )
    ran = run(folder, config="c.py")
    assert (ran.code, scores(ran)) == (0, [2, 4])
    assert ran.trial("trial-0000")["changed"] == []
    assert ran.trial("trial-0001")["changed"][:2] == ["c.py", "t.py"]
    assert ran.out.count("changed since the sweep began") == 1


def move(folder: Path, to: Path) -> Path:
    shutil.move(folder, to)
    return to


def test_a_moved_project_is_resumed(tmp_path: Path) -> None:
    """Its old place may even hold another project by now."""
    folder = project(tmp_path / "project")
    run(folder, "--count", "1")
    moved = move(folder, tmp_path / "moved")
    project(tmp_path / "project", "RATE: 7\n")
    again = sweep(moved, "--sweep_id", _only(moved), *QUIET, trainer=None, config=None)
    assert (again.code, scores(again)) == (0, [1, 1])
    text = (again.dir / "launch.json").read_text()
    assert str(tmp_path) not in text
    best = sweep(moved, "--train-best", again.dir.name, "--seeds", "1", *QUIET, trainer=None, config=None)
    assert best.code == 0, best.err


def _only(folder: Path) -> str:
    (path,) = (folder / "log/sweep/sweep").iterdir()
    return path.name


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)


def test_a_snapshot_freezes_the_code(tmp_path: Path) -> None:
    folder = project(tmp_path / "project")
    (folder / "data").mkdir()
    (folder / "data" / "n").write_text("4")
    (folder / ".gitignore").write_text("data\nlog\n")
    (folder / "part.py").write_text("value = 10\n")
    (folder / "t.py").write_text("from part import value\nprint('score', value + int(open('data/n').read()))\n" + EDIT)
    git(folder, "init")
    git(folder, "add", ".")
    (folder / "part.py").write_text("value = 20\n")  # not committed
    ran = run(folder, "--snapshot")
    assert (ran.code, scores(ran)) == (0, [24, 24]), ran.err
    assert (folder / "part.py").read_text() == "value = 99\n"
    assert "snapshot: 6 files of the trainer's code" in ran.out
    (ran.dir / "trial-0001" / "trial.json").unlink()
    again = sweep(folder, "--sweep_id", ran.dir.name, *QUIET, trainer=None, config=None)
    assert (again.code, scores(again)[-1]) == (0, 24)


EDIT = "import os\np = os.path.realpath('data') + '/../part.py'\nopen(p, 'w').write('value = 99\\n')\n"


def test_a_snapshot_outside_a_repository_is_refused(tmp_path: Path) -> None:
    folder = project(tmp_path / "project")
    ran = run(folder, "--snapshot")
    assert (ran.code, ran.sweeps) == (2, [])
    assert "is not in a git repository" in ran.err


def test_a_sweep_of_an_earlier_version_is_resumed(tmp_path: Path) -> None:
    """Its launch.json has absolute paths and there are no inputs: they are taken now."""
    ran = sweep(tmp_path, "--lr_values", "0.001,0.0003", "--count", "1", *QUIET)
    launch: dict[str, Any] = json.loads((ran.dir / "launch.json").read_text())
    launch |= {"config_file": str(TOY / "toy.yml"), "trainer": str(TOY / "toy.yaml"), "cwd": str(tmp_path)}
    del launch["code"]
    (ran.dir / "launch.json").write_text(json.dumps(launch))
    shutil.rmtree(ran.dir / "inputs")
    again = sweep(tmp_path, "--sweep_id", ran.dir.name, *QUIET, trainer=None, config=None)
    assert (again.code, len(again.summary["trials"])) == (0, 2), again.err
    assert (ran.dir / "inputs/config/toy.yml").is_file()
