"""Nothing that only adds to a sweep's results ends the sweep, or changes its exit status: a failure is one warning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sweeping import TOY, Ran, sweep
from yacs_sweep.launch.accessories import Accessories

QUIET = ("--controller", "local", "--wandb-mode", "disabled", "--quiet")
PROFILE = (
    "command: [python, t.py, \"{config_file}\"]\noverrides: yacs\noutput_dir_key: OUTPUT_DIR\ncheckpoints: ['*.pth']\n"
)
PATTERN = "metrics: [{pattern: 'score (?P<v>{number})', log: {score: v}}]\n"
SEARCH = {
    "method": "grid",
    "metric": {"name": "score", "goal": "maximize"},
    "parameters": {"LR": {"values": [1, 2, 3]}},
}
# Python code that the first trial runs, in the sweep's folder, and what the launcher then warns of.
FAULTS = {
    "best.yml is a folder": ("os.makedirs('best.yml/x')", "best.yml is not written"),
    "best/ cannot be made": ("os.symlink('/proc/1', '.best.new')", "best/ is not up to date"),
    "summary.json is a folder": ("os.remove('summary.json'); os.makedirs('summary.json/x')", "summary.json is not written"),
    "the configuration is gone": ("import shutil; shutil.rmtree('inputs/config')", "best.yml is not written"),
}  # fmt: skip


def project(folder: Path, fault: str = "", trainer: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    lines = ["import os, sys", "print('score', sys.argv[sys.argv.index('LR') + 1])", trainer]
    if fault:
        lines += [
            "out = sys.argv[-1]",
            "os.chdir(os.path.dirname(out))",
            f"if out.endswith('trial-0000'):\n    {fault}",
        ]
    (folder / "t.py").write_text("\n".join(lines))
    (folder / "p.yaml").write_text(PROFILE + PATTERN)
    (folder / "s.yaml").write_text(yaml.safe_dump(SEARCH))
    (folder / "c.yml").write_text("RATE: 1\n")
    return folder


def run(folder: Path, *words: str, **settings: Any) -> Ran:
    given = {"trainer": folder / "p.yaml", "config": folder / "c.yml", **settings}
    return sweep(folder, "--sweep-config", "s.yaml", *QUIET, *words, **given)


def states(ran: Ran) -> list[str]:
    return [line.split()[2] for line in ran.out.splitlines() if line.startswith("trial-")]


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("fails", [False, True])
def test_what_cannot_be_written_is_one_warning(tmp_path: Path, name: str, fails: bool) -> None:
    fault, warning = FAULTS[name]
    broken = "sys.exit(3) if 'trial-0001' in sys.argv[-1] else None" if fails else ""
    ran = run(project(tmp_path, fault, broken), "--keep", "best")
    assert ran.code == int(fails), ran.out + ran.err
    assert sorted(states(ran)) == [*["failed"] * fails, *["finished"] * (3 - fails)]
    assert ran.out.count(f"warning: {warning}") == 1, ran.out
    assert "Traceback" not in ran.out + ran.err
    assert "best: trial-0002, score 3" in ran.out and "train with it: " in ran.out
    assert ("best.yml" in ran.out.split("train with it: ")[1]) == (not name.startswith(("best.yml", "the conf")))


@pytest.mark.parametrize("program", ["false", "sh -c 'kill -9 $$'"])
def test_a_notice_that_fails_is_a_warning(tmp_path: Path, program: str) -> None:
    ran = run(project(tmp_path), "--notify", program)
    assert (ran.code, ran.out.count("warning: --notify")) == (0, 1), ran.out + ran.err


def test_a_notify_program_that_is_missing_is_told_before_the_first_trial(tmp_path: Path) -> None:
    ran = run(project(tmp_path), "--notify", "no-such-program {message}")
    assert ran.code == 2 and "command no-such-program not found" in ran.err
    assert not (tmp_path / "log").exists()


def test_an_output_folder_in_the_command_ends_well(tmp_path: Path) -> None:
    folder = project(tmp_path)
    (folder / "p.yaml").write_text(
        PROFILE.replace('"{config_file}"', '--cfg, "{config_file}", --output, "{output_dir}"') + PATTERN
    )
    ran = run(folder, "--notify", "sh -c 'echo $SWEEP_EXIT_STATUS > status'")
    assert ran.code == 0, ran.out + ran.err
    assert (folder / "status").read_text() == "0\n"


def test_seeds_are_reported_where_their_file_cannot_be_written(tmp_path: Path) -> None:
    search = {
        **SEARCH,
        "metric": {"name": "val/mAP", "goal": "maximize"},
        "parameters": {"base_lr": {"values": [0.001]}},
    }
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(search))
    ran = run(tmp_path, trainer=TOY / "toy.yaml", config=TOY / "toy.yml")
    folder = ran.dir.parent / f"{ran.dir.name}-best"
    (folder / "seeds.json" / "x").mkdir(parents=True)
    best = sweep(tmp_path, "--train-best", ran.dir.name, "--seeds", "2", *QUIET, trainer=None, config=None)
    assert best.code == 0, best.out + best.err
    assert best.out.count("warning: seeds.json is not written") == 1 and "± std" in best.out


class Unlucky(Exception):
    """An error that nobody expects."""


@pytest.mark.parametrize("error", [OSError(28, "No space left on device", "x"), Unlucky("bad\nluck"), RecursionError()])
def test_any_error_of_a_step_is_one_warning(error: Exception) -> None:
    said: list[str] = []
    accessories = Accessories(said.append)

    def step() -> None:
        raise error

    assert not accessories.attempt("the table is not shown", step)
    assert not accessories.attempt("the table is not shown", step)
    assert accessories.attempt("the table is not shown", lambda: None)
    (line,) = said
    assert line.startswith("warning: the table is not shown: ") and "\n" not in line


def test_an_interrupt_is_no_failure() -> None:
    def step() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Accessories(print).attempt("the table is not shown", step)
