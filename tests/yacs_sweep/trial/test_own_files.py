"""Tests that a trainer that clears its output folder deletes nothing of the launcher's."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from tests.sweeping import sweep, write_sweep
from yacs_sweep.base.growing_files import GrowingFile
from yacs_sweep.recorders.interface import Rows
from yacs_sweep.recorders.rows import RowCopier
from yacs_sweep.records.folder import TrialPaths
from yacs_sweep.records.metrics import MetricsFile, Objective
from yacs_sweep.trial.own_files import OwnFiles

CLEARING = """
import os, shutil, sys
words = dict(word.lstrip("-").split("=") for word in sys.argv[1:])
out = words["out"]
print("loss: 0.5", flush=True)
if words["how"] == "own":
    os.makedirs(out + "/trial.json.d"); os.remove(out + "/trial.json"); os.rename(out + "/trial.json.d", out + "/trial.json")
    os.remove(out + "/metrics.jsonl"); open(out + "/metrics.jsonl", "w").write('{"mine": 1}\\n')
else:
    shutil.rmtree(out)
if words["how"] == "anew": os.makedirs(out)
print("loss: 0.3", flush=True)
"""


def test_what_was_read_is_there_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text(CLEARING)
    profile = tmp_path / "x.yaml"
    profile.write_text("command: [python, x.py, '--out={output_dir}']\noverrides: argparse\ncwd: .\n")
    names = ["anew", "gone", "own"]
    spec = write_sweep(
        tmp_path, {"method": "grid", "metric": {"name": "loss"}, "parameters": {"how": {"values": names}}}
    )
    ran = sweep(tmp_path, "--sweep-config", spec, "--wandb-mode", "disabled", trainer=profile, config=None)
    assert ran.code == 0, ran.out
    for number in range(3):
        name = f"trial-{number:04d}"
        assert ran.rows(name) == [{"step": 0, "loss": 0.5}, {"step": 1, "loss": 0.3}]
        assert (ran.dir / name / "stdout.log").read_text() == "loss: 0.5\nloss: 0.3\n"
        assert (ran.trial(name)["state"], ran.trial(name)["value"]) == ("finished", 0.3)
    assert (ran.dir / "trial-0002" / "metrics.trainer.jsonl").read_text() == '{"mine": 1}\n'
    assert (ran.dir / "best" / "metrics.jsonl").is_file()
    assert ran.out.count("the trainer has deleted or replaced metrics.jsonl, stdout.log, trial.json") == 1


def test_a_folder_is_left_alone_while_it_is_being_cleared(tmp_path: Path) -> None:
    paths = TrialPaths(tmp_path / "trial-0000")
    paths.dir.mkdir()
    file = GrowingFile(paths.metrics)
    paths.record.touch()
    own_files = OwnFiles(paths, [file], paths.record.touch)
    os.write(file.descriptor, b"1")
    assert own_files.restore(ended=False) == ""
    shutil.rmtree(paths.dir)
    assert [own_files.restore(ended=False) for _ in range(3)] == [""] * 3  # nothing to put it into, and none is made
    paths.dir.mkdir()
    os.write(file.descriptor, b"2")
    assert own_files.restore(ended=False) == "metrics.jsonl, trial.json"
    os.write(file.descriptor, b"3")
    assert paths.metrics.read_bytes() == b"123"
    paths.metrics.unlink()
    assert own_files.restore(ended=False) == ""  # not at once
    assert own_files.restore(ended=False) == "metrics.jsonl"
    shutil.rmtree(paths.dir)
    assert own_files.restore(ended=True) == "metrics.jsonl, trial.json"
    assert paths.metrics.read_bytes() == b"123"
    file.close()


def test_recorders_get_every_row_once_whatever_file_is_there(tmp_path: Path) -> None:
    sent: list[int] = []
    path = tmp_path / "metrics.jsonl"
    file, rows = MetricsFile(path), RowCopier(path)
    objective = Objective("loss", "minimize", "last")

    def log(count: int) -> None:
        row: dict[str, Any] = {"loss": 0.5}
        for _ in range(count):
            file.append(row)
        rows.copy(take, objective)

    def take(new: Rows) -> None:
        sent.extend(step for step, _ in new)

    log(2)
    path.unlink()
    log(1)
    for own in ('{"epoch": 1}\n' * 50, '{"step": 1000, "acc": 0}\n' * 2):  # the trainer's, longer than ours or like it
        (tmp_path / "own").write_text(own)
        (tmp_path / "own").replace(path)
        log(1)
    file.file.restore()
    log(1)
    file.append({"loss": 0.5})
    file.close()
    rows.copy(take, objective)  # of a trial that has ended
    assert sent == [0, 1, 2, 3, 4, 5, 6]
    assert objective.last == 0.5
