"""What a trainer lacks is a problem before the sweep exists where its start has shown it; else it is a doubt."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.sweeping import sweep, write_sweep
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.start import try_start
from yacs_sweep.trainers.start.missing_modules import Imports, Program
from yacs_sweep.trainers.start.try_start import fails_at_every_start, start_problems

QUIET_WORDS = ("--controller", "local", "--wandb-mode", "disabled")
GUARD = "if __name__ == '__main__':\n    open('trained', 'a').write('x')\n"


def problems(
    folder: Path, code: str, *, profile: str = "", env: dict[str, str] | None = None
) -> tuple[list[str], list[str]]:
    (folder / "train.py").write_text(code)
    (folder / "p.yaml").write_text(f"command: [python, train.py]\ncwd: .\n{profile}")
    loaded = load_profile(folder / "p.yaml", project_root=folder)
    return start_problems(loaded, None, {**os.environ, **(env or {})})


def test_a_start_confirms_what_the_files_say(tmp_path: Path) -> None:
    (told,), doubts = problems(tmp_path, f"import no_such_module, another_one\n{GUARD}")
    assert "lacks no_such_module (train.py:1), another_one (train.py:1); " in told
    assert "-m pip install no_such_module another_one, or --python PATH names the interpreter that has it" in told
    assert doubts == []
    assert not (tmp_path / "trained").exists(), "the work below the guard is not done"


def test_a_start_that_works_in_spite_of_the_files_is_believed(tmp_path: Path) -> None:
    """A library that provides modules of other names, which no file tells."""
    library = tmp_path / "library"
    library.mkdir()
    (library / "provider.py").write_text("import sys, types\nsys.modules['provided'] = types.ModuleType('provided')\n")
    env = {"PYTHONPATH": str(library)}
    assert problems(tmp_path, f"import provider\nimport provided\n{GUARD}", env=env) == ([], [])


def test_a_program_that_cannot_be_started_without_its_work_is_a_doubt(tmp_path: Path) -> None:
    told, (doubt,) = problems(tmp_path, "import no_such_module\nopen('trained', 'w')\n")
    assert told == [] and "lacks no_such_module (train.py:1)" in doubt
    assert not (tmp_path / "trained").exists()


def test_nothing_is_started_where_nothing_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yacs_sweep.trainers.start.try_start.try_process", lambda *_, **__: pytest.fail("started"))
    assert problems(tmp_path, f"import json\n{GUARD}") == ([], [])
    assert problems(tmp_path, f"import no_such_module\n{GUARD}", profile="wrap: [sh, -c]") == ([], [])


def test_an_old_interpreter(tmp_path: Path) -> None:
    old = tmp_path / "python2"
    old.write_text('#!/bin/sh\necho \'{"version": [2, 7, 18], "prefix": "/", "base": "/", "path": "/"}\'\n')
    old.chmod(0o755)
    (told,), _ = problems(tmp_path, GUARD, profile=f"python: {old}")
    assert told.startswith(f"trainer p: {old} is Python 2.7.18, and a trainer's is 3.7 or newer; --python PATH")


NO_LOST = "ModuleNotFoundError: No module named 'lost'"
TRACE = 'Traceback (most recent call last):\n  File "{file}", line {line}, in {name}\n    code\n' + NO_LOST


@pytest.mark.parametrize(
    ("code", "text", "told"),
    [
        ("import lost", TRACE.format(file="train.py", line=1, name="<module>"), True),
        ("import lost", NO_LOST, True),  # a long traceback, of which the end is kept
        ("import json", TRACE.format(file="train.py", line=1, name="<module>"), True),  # a library of json's lacks it
        ("import json", TRACE.format(file="{cwd}/train.py", line=1, name="<module>"), True),
        ("if 1:\n    import lost", TRACE.format(file="train.py", line=2, name="<module>"), False),
        ("def f():\n    import lost\nf()", TRACE.format(file="train.py", line=2, name="f"), False),
        ("import lost", "ValueError: x", False),
    ],
)
def test_whether_every_start_fails_so(code: str, text: str, told: bool, tmp_path: Path) -> None:
    problems(tmp_path, code)
    profile = load_profile(tmp_path / "p.yaml", project_root=tmp_path)
    assert fails_at_every_start(text.replace("{cwd}", str(tmp_path)), profile, None, os.environ) is told


# -- sweeps -----------------------------------------------------------------------------------------------------------
def run(folder: Path, code: str, *words: str) -> tuple[int, str, list[Path]]:
    """A sweep of three trials of a trainer without a schema."""
    (folder / "train.py").write_text(code)
    (folder / "p.yaml").write_text("command: [python, train.py]\ncwd: .\noverrides: argparse\n")
    spec = write_sweep(
        folder, {"method": "grid", "metric": {"name": "m"}, "parameters": {"lr": {"values": [0.1, 0.2, 0.3, 0.4]}}}
    )
    ran = sweep(folder, "--sweep-config", spec, *QUIET_WORDS, *words, trainer=folder / "p.yaml", config=None)
    return ran.code, ran.out + ran.err, [path for each in ran.sweeps for path in sorted(each.glob("trial-*"))]


def test_a_missing_library_is_told_before_a_sweep_exists(tmp_path: Path) -> None:
    code, said, trials = run(tmp_path, f"from no_such_yacs.config import CfgNode\nimport argparse\n{GUARD}")
    assert code == 2 and trials == []
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "lacks no_such_yacs (train.py:1)" in line and "--python PATH names the interpreter" in line
    assert not (tmp_path / "log").exists()


def test_where_only_the_first_trial_can_tell_it_ends_the_sweep(tmp_path: Path) -> None:
    code, said, trials = run(tmp_path, "import no_such_yacs\nprint('m: 1')\n")
    assert code == 1 and len(trials) == 1
    assert "warning: trainer p: " in said
    assert "ended after trial-0000, since every start of the trainer needs no_such_yacs (--max-failures N" in said
    assert "-m pip install no_such_yacs, or --python PATH names the interpreter that has it" in said


@pytest.mark.parametrize(
    ("source", "words", "count"),
    [
        ("import no_such_yacs\nprint('m: 1')\n", ("--max-failures", "2"), 2),
        ("import sys\nif '0.1' in sys.argv[1]:\n    import no_such_yacs\nprint('m: 1')\n", (), 4),
        ("import sys\nif sys.argv:\n    import no_such_yacs\nprint('m: 1')\n", (), 3),
    ],
)
def test_other_failures_end_it_as_before(source: str, words: tuple[str, ...], count: int, tmp_path: Path) -> None:
    code, _, trials = run(tmp_path, source, *words)
    assert (code, len(trials)) == (1, count)


def test_paths_that_do_not_exist_are_told_before_the_first_trial(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text("DATASETS: {ROOT_DIR: ../../no-data}\nOUT_DIR: nowhere\n")
    (tmp_path / "train.py").write_text("print('m: 1')\n")
    (tmp_path / "p.yaml").write_text("command: [python, train.py, '{config_file}']\ncwd: .\noverrides: argparse\n")
    words = ("--custom_params", '{"lr": [0.1]}', "--metric", "m", *QUIET_WORDS)
    ran = sweep(tmp_path, *words, trainer=tmp_path / "p.yaml", config=tmp_path / "c.yml")
    assert ran.code == 0
    told = [line for line in (ran.out + ran.err).splitlines() if "there is no" in line]
    assert len(told) == 1 and f"warning: DATASETS.ROOT_DIR: there is no ../../no-data in {tmp_path}" in told[0]


def test_that_a_start_is_waited_for_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notices: list[str] = []

    def answer(words: object, *, notice: tuple[float, str], **_: object) -> tuple[int, str]:
        notices.append(notice[1])
        return 0, ""

    monkeypatch.setattr(try_start, "try_process", answer)
    program, imports = Program(("python",), False, "train.py"), Imports((), "", parser=True, guard=True)
    for _ in range(3):
        try_start.try_start(program, imports, tmp_path, {})
    assert notices == ["waiting for train.py --help, 90 s at most", "", ""]
