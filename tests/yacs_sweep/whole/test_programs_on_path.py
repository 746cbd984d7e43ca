"""A trainer finds the programs of its own interpreter first, however it is started."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from tests.sweeping import Ran, environment, sweep, write_sweep

TRAINER = """
import json, os, shutil, subprocess, sys
found = [shutil.which(name) for name in ("python3", "helper")]
inner = subprocess.run(["helper"], stdout=subprocess.PIPE, universal_newlines=True).stdout.strip()
print(json.dumps([*found, inner, os.environ.get("VIRTUAL_ENV"), os.environ.get("OWN")]))
print("mAP: 1.5%")
"""
SWEEP = {
    "method": "grid",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"lr": {"values": [0.1]}},
}


def made_environment(folder: Path) -> Path:
    """Makes an environment with a program of its own; returns its interpreter."""
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(f"home = {os.path.dirname(os.path.realpath(sys.executable))}\n")
    for name in ("python", "python3"):
        (folder / "bin" / name).symlink_to(os.path.realpath(sys.executable))
    helper = folder / "bin" / "helper"
    helper.write_text("#!/bin/sh\necho helped\n")
    helper.chmod(0o755)
    return folder / "bin" / "python"


def run(folder: Path, *words: str, **profile: object) -> Ran:
    (folder / "train.py").write_text(TRAINER)
    content = {"command": ["python", "train.py"], "overrides": "argparse", **profile}
    content["metrics"] = [{"pattern": "mAP: (?P<value>{number})%", "log": {"val/mAP": "value"}}]
    (folder / "t.yaml").write_text(yaml.safe_dump(content))
    file = write_sweep(folder, SWEEP)
    # Nobody has activated anything.
    env = {**environment(folder), "PATH": "/usr/local/bin:/usr/bin:/bin", "VIRTUAL_ENV": "/another"}
    return sweep(folder, "--sweep-config", file, *words, trainer=folder / "t.yaml", config=None, env=env)


@pytest.mark.parametrize("way", ["option", "profile", "preloaded"])
def test_programs_beside_the_interpreter_are_found(tmp_path: Path, way: str) -> None:  # F12
    python = made_environment(tmp_path / "venv")
    if way == "profile":
        ran = run(tmp_path, python=str(python))
    else:
        ran = run(tmp_path, "--python", str(python), **({"preload": ["json"]} if way == "preloaded" else {}))
    assert ran.code == 0, ran.out + ran.err
    assert "libraries may have read" not in ran.out  # the preload server had the trial's environment
    found = [str(python.with_name("python3")), str(python.with_name("helper")), "helped", str(tmp_path / "venv"), None]
    (line,) = [line for line in ran.out.splitlines() if "helped" in line]
    assert yaml.safe_load(line[line.index("[") :].split("] ", 1)[-1]) == found


def test_a_program_of_the_environment_starts_the_trainer(tmp_path: Path) -> None:
    python = made_environment(tmp_path / "venv")
    starter = python.with_name("starter")
    starter.write_text('#!/bin/sh\nexec python "$@"\n')
    starter.chmod(0o755)
    ran = run(tmp_path, "--python", str(python), command=["starter", "train.py"])
    assert ran.code == 0, ran.out + ran.err
    assert str(python.with_name("python3")) in ran.out


def test_another_program_without_a_named_interpreter_keeps_the_path(tmp_path: Path) -> None:
    shell = shutil.which("sh")
    assert shell is not None
    code = 'echo "path $PATH"; echo "mAP: 1.5%"'
    ran = run(tmp_path, command=[shell, "-c", code])
    assert ran.code == 0, ran.out + ran.err
    assert "path /usr/local/bin:/usr/bin:/bin" in ran.out


def test_the_profile_s_own_path_stands(tmp_path: Path) -> None:
    python = made_environment(tmp_path / "venv")
    path = f"/opt/mine:{python.parent}:/usr/bin:/bin"
    ran = run(tmp_path, "--python", str(python), env={"PATH": path, "OWN": "1"})
    assert ran.code == 0, ran.out + ran.err
    assert str(python.with_name("helper")) in ran.out
