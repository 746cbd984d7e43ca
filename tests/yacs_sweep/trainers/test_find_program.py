"""A trainer that cannot be started is told of before there is a sweep; one that might be is not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.sweeping import GRID, sweep, write_sweep
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.own_command import own_command_profile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a trainer: `t.py`, `bin/tool`, which is a program, and `bin/text`, which is none."""
    (tmp_path / "bin").mkdir()
    for name in ("t.py", "bin/tool", "bin/text"):
        (tmp_path / name).touch()
    (tmp_path / "bin" / "tool").chmod(0o755)
    return tmp_path


def problems(folder: Path, profile: str, python: str | None = None, *, here: bool = True) -> list[str]:
    (folder / "p.yaml").write_text(f"{profile}\ncwd: .\n")
    return load_profile(folder / "p.yaml", project_root=folder).start_problems(python, here=here)


@pytest.mark.parametrize(
    ("profile", "why"),
    [
        ("command: [no-such-tool, launch, t.py]", "there is no program no-such-tool in PATH"),
        ("command: [bin/none]", "there is no program bin/none in "),
        ("command: [bin/text]", "cannot be executed; chmod +x changes that"),
        (
            "command: [python, t.py]\npython: /no/such/python",
            "there is no program /no/such/python; --python PATH names",
        ),
        ("command: [env, A=1, no-such-tool]", "there is no program no-such-tool in PATH"),
        ("command: [tool]", "there is no program tool in PATH"),
        ("command: [sh]\nenv: {PATH: bin}", "there is no program sh in PATH"),
        ("command: [python, absent.py]", "no file absent.py in "),
        ("command: [python, absent.py]\nwrap: [python, -m, torch.distributed.run]", "no file absent.py in "),
        ("command: [python, t.py]\nwrap: [no-such-tool]", "there is no program no-such-tool in PATH"),
    ],
)
def test_what_cannot_be_started(folder: Path, profile: str, why: str) -> None:
    (told,) = problems(folder, profile)
    assert told.startswith("trainer p: ") and why in told


@pytest.mark.parametrize(
    "profile",
    [
        "command: [python, t.py]",
        "command: [python, -m, absent]",
        "command: [python, '{config_file}.py']",
        "command: ['{config_file}', t.py]",
        "command: [bin/tool]",
        "command: [tool]\nenv: {PATH: 'no:bin'}",
        "command: [env, PATH=elsewhere, no-such-tool]",
        "command: [env, -i, no-such-tool]",
        "command: [env, A=1, sh]",
        # These run them elsewhere, perhaps: in a container, on another machine.
        "command: [python, absent.py]\npython: /no/such/python\nwrap: [env, ssh]\nenv: {PATH: '/usr/bin:bin'}",
    ],
)
def test_what_may_be_started(folder: Path, profile: str) -> None:
    (folder / "bin" / "ssh").touch(mode=0o755)
    assert problems(folder, profile) == []


def test_the_interpreter_of_the_command_line_counts(folder: Path) -> None:
    profile = "command: [python, t.py]\npython: /no/such/python"
    assert problems(folder, profile, sys.executable) == []
    assert problems(folder, "command: [python, t.py]", "/gone/python")[0].startswith(
        "trainer p: there is no program /gone"
    )


def test_other_machines_may_have_other_programs_but_the_same_files(folder: Path) -> None:
    assert problems(folder, "command: [no-such-tool]", here=False) == []
    assert len(problems(folder, "command: [python, absent.py]", here=False)) == 1


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["${interpreter}", "absent.py", "${args}"], "no file absent.py in "),
        (["${env}", "${interpreter}", "absent.py"], "no file absent.py in "),
        (["${env}", "no-such-tool", "${args}"], "there is no program no-such-tool in PATH"),
        (["no-such-tool"], "there is no program no-such-tool in PATH"),
        (["${interpreter}", "t.py"], None),
        (["${interpreter}", "-m", "absent"], None),
        (["${env}", "${args_no_hyphens}", "no-such-tool"], None),
        (["${args_json_file}"], None),
        (["${envvar:HERE}/bin/tool"], None),
        (["env", "${envvar:SETTING}", "sh"], None),
    ],
)
def test_the_command_of_a_sweep_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], why: str | None
) -> None:
    monkeypatch.setenv("HERE", str(folder))
    monkeypatch.setenv("SETTING", "A=1")
    spec = sweep_from_dict({"method": "random", "parameters": {"lr": {"values": [0.1]}}, "command": command})
    told = own_command_profile(spec, folder).start_problems()
    assert len(told) == bool(why) and (why is None or why in told[0])


def test_a_program_file_that_is_in_path_alone_is_started_by_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    spec = {"method": "random", "parameters": {"lr": {"values": [0.1]}}, "program": "tool", "command": ["${program}"]}
    assert own_command_profile(sweep_from_dict(spec), folder).start_problems() == []


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_nothing_is_created_for_it(tmp_path: Path, words: tuple[str, ...]) -> None:
    file = write_sweep(tmp_path, {**GRID, "command": ["accelerate-not-here", "launch", "any.py", "${args}"]})
    ran = sweep(tmp_path, "--sweep-config", file, *words, trainer=None, config=None)
    assert (ran.code, ran.sweeps, ran.out) == (2, [], "")
    assert ran.err.splitlines() == [
        "error: trainer the sweep file's command: there is no program accelerate-not-here in PATH"
    ]
