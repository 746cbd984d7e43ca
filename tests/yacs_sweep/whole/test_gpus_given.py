"""A trainer that sets CUDA_VISIBLE_DEVICES from a key of its own computes on the GPUs that the launcher gives out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sweeping import Ran, environment, sweep, write_sweep

TREE = """
from yacs.config import CfgNode as CN
_C = CN()
_C.OUTPUT_DIR = ""
_C.MODEL = CN()
_C.MODEL.DEVICE_ID = "7"
_C.SOLVER = CN()
_C.SOLVER.BASE_LR = 0.1
"""
TRAINER = """
import os, sys
from tree import _C
_C.merge_from_file(sys.argv[1])
_C.merge_from_list(sys.argv[2:])
os.environ["CUDA_VISIBLE_DEVICES"] = _C.MODEL.DEVICE_ID
with open(os.path.join(_C.OUTPUT_DIR, "gpus"), "w") as file:
    file.write(os.environ["CUDA_VISIBLE_DEVICES"])
print(f"mAP: {100 * _C.SOLVER.BASE_LR}%")
"""
PROFILE = {
    "command": ["python", "train.py", "{config_file}"],
    "output_dir_key": "OUTPUT_DIR",
    "gpu_key": "MODEL.DEVICE_ID",
    "schema": "tree.py:_C",
    "metrics": [{"pattern": "mAP: (?P<value>{number})%", "log": {"val/mAP": "value"}}],
}
SEARCH: dict[str, Any] = {
    "method": "grid",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"SOLVER.BASE_LR": {"values": [0.1, 0.2, 0.3, 0.4]}},
}


def run(folder: Path, *words: str, visible: str | None = "4,5", **more: str) -> Ran:
    (folder / "tree.py").write_text(TREE)
    (folder / "train.py").write_text(TRAINER)
    (folder / "t.yaml").write_text(yaml.safe_dump(PROFILE))
    (folder / "c.yml").write_text("MODEL:\n  DEVICE_ID: ('6')\n")
    env = environment(folder, **({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}), **more)
    file = write_sweep(folder, SEARCH)
    return sweep(folder, "--sweep-config", file, *words, trainer=folder / "t.yaml", config=folder / "c.yml", env=env)


def used(ran: Ran) -> dict[str, str]:
    return {path.parent.name: path.read_text() for path in ran.dir.glob("*/gpus")}


def test_two_workers_on_two_gpus_of_eight(tmp_path: Path) -> None:  # F1
    ran = run(tmp_path, "--gpus", "4,5", "--workers", "2")
    assert ran.code == 0, ran.out + ran.err
    gpus = used(ran)
    assert set(gpus.values()) == {"4", "5"}
    assert gpus == {name: ",".join(ran.trial(name)["gpu_ids"]) for name in gpus}
    best = yaml.safe_load((ran.dir / "best.yml").read_text())
    assert best["SOLVER"]["BASE_LR"] == 0.4
    assert best["MODEL"]["DEVICE_ID"] == "('6')"  # as in the user's file: no trial's
    after = ran.out[ran.out.index("train with it") :]
    assert "DEVICE_ID" not in after.partition("report")[0]
    again = sweep(
        tmp_path,
        *("--train-best", ran.dir.name, "--seeds", "1", "--gpus", "5", "--dry-run"),
        trainer=None,
        config=None,
        verbose=False,
        env=environment(tmp_path, CUDA_VISIBLE_DEVICES="4,5"),
    )
    assert again.code == 0, again.out + again.err
    (command,) = [line for line in again.out.splitlines() if "train.py" in line and "OUTPUT_DIR" in line]
    assert command.count("DEVICE_ID") == 1 and "'5'" in command.replace('"\'"', "'")


@pytest.mark.parametrize(
    ("words", "variables", "expected"),
    [
        ((), {"visible": "4"}, "6"),  # nobody gives a GPU out: the configuration's, as without the launcher
        (("MODEL.DEVICE_ID", "3"), {"visible": "4"}, "3"),
        ((), {"visible": "4,5", "SLURM_JOB_ID": "7"}, "4,5"),  # the scheduler does
        ((), {"visible": "4", "RAY_JOB_ID": "01"}, "4"),
        (("--gpus", "5", "--trials-per-gpu", "2"), {"visible": "4,5"}, "5"),
        (("--gpus", "4,5", "--gpus-per-trial", "2"), {"visible": "4,5"}, "4,5"),
    ],
)
def test_who_gives_a_gpu_out(tmp_path: Path, words: tuple[str, ...], variables: dict[str, str], expected: str) -> None:
    ran = run(tmp_path, *_apart(words), **variables)
    assert ran.code == 0, ran.out + ran.err
    assert set(used(ran).values()) == {expected}


def _apart(words: tuple[str, ...]) -> tuple[str, ...]:
    """Puts the number of trials before words that are given to every trial."""
    return (*words, "--count", "2") if words[:1] and words[0].startswith("-") else ("--count", "2", *words)


def test_words_that_choose_a_gpu_count_for_nothing_where_gpus_are_given(tmp_path: Path) -> None:
    ran = run(tmp_path, "--gpus", "5", "--count", "1", "MODEL.DEVICE_ID", "3")
    assert ran.code == 0, ran.out + ran.err
    assert "warning: MODEL.DEVICE_ID '3' has no effect: each trial is given its own GPUs" in ran.out + ran.err
    assert set(used(ran).values()) == {"5"}


def test_a_search_over_gpus_is_refused(tmp_path: Path) -> None:
    search = {**SEARCH, "parameters": {"MODEL.DEVICE_ID": {"values": ["0", "1"]}}}
    ran = run(tmp_path, "--sweep-config", str(write_sweep(tmp_path, search, "z.yaml")))
    assert ran.code == 2
    assert (
        "MODEL.DEVICE_ID: is set by the launcher itself, to each trial's GPUs (gpu_key), and cannot be a parameter"
        in ran.err
    )
