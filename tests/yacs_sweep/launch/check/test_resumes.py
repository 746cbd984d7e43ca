"""Before a sweep that pauses trials its trainer is started twice for a moment: does it resume, and what is said otherwise."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.sweeping import TOY
from tests.trainers import write_trainer
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.launch.check import two_starts
from yacs_sweep.launch.check.resumes import remark, with_answer
from yacs_sweep.launch.options import Options
from yacs_sweep.launch.plan.make import make_plan
from yacs_sweep.launch.plan.plan import Plan

SWEEP = {
    "method": "random",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "early_terminate": {"type": "asha", "mode": "promotion", "max_iter": 50},
    "parameters": {"base_lr": {"min": 1e-4, "max": 1e-2, "distribution": "log_uniform_values"}},
}


@pytest.fixture(autouse=True)
def _pausing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def planned(folder: Path, profile: str, *words: str, **more: object) -> tuple[Plan, Options]:
    """Plans a sweep of the toy trainer, whose profile has these lines."""
    (folder / "p.yaml").write_text(f"extends: {TOY / 'toy.yaml'}\ncwd: {TOY}\n{profile}\n")
    (folder / "y.yaml").write_text(yaml.safe_dump({**SWEEP, "count": 2}))
    options = Options(
        trainer=str(folder / "p.yaml"),
        config_file=str(TOY / "toy.yml"),
        sweep_config=[str(folder / "y.yaml")],
        results_dir=str(folder / "results" / "deep"),
        controller="local",
        trailing=["SOLVER.MAX_EPOCHS", "50", "TOY.SECONDS", "0.05", *words],
        **more,  # type: ignore[arg-type]
    )
    return make_plan(options), options


def answer(folder: Path, profile: str, *words: str, **more: object) -> str | None:
    """How it is known that the trainer resumes. Nothing may be left of finding out."""
    before = sorted(path.name for path in folder.iterdir())
    plan, options = planned(folder, profile, *words, **more)
    try:
        return with_answer(plan, options).launch.resumes
    finally:
        assert sorted(path.name for path in folder.iterdir()) == sorted({*before, "p.yaml", "y.yaml"})


@pytest.mark.parametrize(
    ("how", "profile"),
    [("itself", ""), ("told", "resume: --resume"), ("told", "resume: [TOY.FROM, '{checkpoint}']")],
)
def test_a_trainer_that_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str, profile: str) -> None:
    assert answer(tmp_path, profile, "TOY.RESUMES", how) == "its second start began at epoch 2, the first at 1"
    said = capsys.readouterr().out
    assert (
        "two short starts of one point, each until it has logged val/mAP, 15 min 00 s at most (--assume-resume" in said
    )
    assert "the trainer resumes: its second start began at epoch 2, the first at 1 (" in said


def test_one_that_starts_over_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        answer(tmp_path, "", "TOY.RESUMES", "told")
    (told,) = caught.value.problems
    assert told.startswith(
        "`mode: promotion`: resumes trials, and the trainer p starts over: both starts began at epoch 1; "
    )
    assert (
        "the key `resume` in its profile says what makes it resume (KEY and VALUE, or a word such as --resume)" in told
    )


def test_one_that_is_not_told_for_want_of_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it was not told `--resume`, since it had left no file that matches none_"):
        answer(tmp_path, "resume: {words: --resume, checkpoint: none_*}", "TOY.RESUMES", "told")


def test_one_that_saves_after_its_metric_and_takes_no_sigterm_has_the_time_to(tmp_path: Path) -> None:
    code = """
import time
start = int((out / "at.pth").read_text()) if (out / "at.pth").exists() else 0
for epoch in range(start + 1, 30):
    print(f"epoch {epoch}", flush=True)
    print("mAP: 1.5%", flush=True)
    time.sleep(0.7)
    (out / "at.pth").write_text(str(epoch))
"""
    profile = yaml.safe_load(write_trainer(tmp_path, code).read_text())
    profile |= {
        "checkpoints": ["*.pth"],
        "metrics": [*profile["metrics"], {"pattern": r"epoch (?P<e>\d+)", "log": {"epoch": "e"}}],
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(profile))
    _, options = planned(tmp_path, "")
    options = replace(options, trainer=str(tmp_path / "own.yaml"), config_file=None, trailing=[])
    assert (
        with_answer(make_plan(options), options).launch.resumes == "its second start began at epoch 2, the first at 1"
    )


@pytest.mark.parametrize(
    ("profile", "words", "more", "told"),
    [
        ("resume: false", (), {}, "the trainer p always starts over (`resume: false` in its profile)"),
        ("", ("TOY.MODE", "crash"), {}, "resumes: the first start failed: exit code 1: ValueError: toy crash"),
        ("", ("TOY.MODE", "hang"), {"timeout": 1.0}, "it has not logged val/mAP within 1.0 s; --assume-resume leaves this out"),
        ("", (), {"engine": "slurm", "storage": None}, "with --engine slurm the trainer cannot be tried here; add"),
    ],
)  # fmt: skip
def test_what_cannot_be_found_out_is_refused(
    tmp_path: Path, profile: str, words: tuple[str, ...], more: dict[str, object], told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        answer(tmp_path, profile, *words, **more)
    assert told in str(caught.value)


def test_it_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the trainer was started")

    monkeypatch.setattr(two_starts, "start_twice", never)
    assert answer(tmp_path, "", assume_resume=True) == "assumed (--assume-resume)"
    plan, options = planned(tmp_path, "")
    known = replace(plan, launch=replace(plan.launch, resumes="seen"))
    assert with_answer(known, options) is known
    assert with_answer(replace(plan, count=0), options).launch.resumes is None
    never_paused = replace(plan, spec=replace(plan.spec, early_terminate=None))
    assert with_answer(never_paused, options) is never_paused


def test_a_dry_run_says_that_the_trainer_will_be_tried(tmp_path: Path) -> None:
    plan, options = planned(tmp_path, "")
    assert (
        remark(plan, options)
        == "first, two short starts of one point try whether the trainer resumes (--assume-resume leaves this out)"
    )
    assert (
        remark(plan, replace(options, assume_resume=True))
        == "the trainer is taken to resume in its output folder (--assume-resume)"
    )
    assert remark(replace(plan, launch=replace(plan.launch, resumes="seen")), options) is None
    assert remark(replace(plan, spec=replace(plan.spec, early_terminate=None)), options) is None
    plan, options = planned(tmp_path, "resume: false")
    with pytest.raises(ConfigError, match="always starts over"):
        remark(plan, options)


def start(
    places: list[float], values: list[float | None], counters: dict[str, int] | None = None, state: str = "stopped"
) -> two_starts.Start:
    made = two_starts.Start("m", "epoch", Path(), (), 0.0, places=places, at_values=values, counters=counters or {})
    made.record = two_starts.TrialRecord("t", "t", 0, {}, state=state)
    return made


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (start([1, 1], [1]), start([2], []), True),
        (start([0, 0], [0]), start([0], [0]), False),
        (start([1, 1], [1]), start([1, 1, 2], [2]), True),  # in the middle of an epoch
        (start([1], [1], {"epoch": 1, "iteration": 2}), start([1], [1], {"epoch": 1, "iteration": 4}), True),
        (start([1], [1], {"epoch": 1, "iteration": 2}), start([1], [1], {"epoch": 1, "iteration": 2}), False),
        (start([], [None], {"step": 1}), start([], [None], {"step": 101}), True),
        (start([], [None]), start([], [None]), None),
        (start([], [None] * 5, state="finished"), start([], [None], state="finished"), True),  # at its end already
        (start([], [None] * 5, state="finished"), start([], [None] * 5, state="finished"), None),
    ],
)  # fmt: skip
def test_how_two_starts_are_compared(first: two_starts.Start, second: two_starts.Start, expected: bool | None) -> None:
    assert two_starts.later(first, second) is expected


def test_a_checkpoint_is_as_new_as_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-1" / "deep").mkdir(parents=True)
    (tmp_path / "checkpoint-1" / "deep" / "state").touch()
    for path, changed in ((tmp_path / "checkpoint-1", 1e9), (tmp_path / "checkpoint-1" / "deep", 1e9)):
        os.utime(path, (changed, changed))
    os.utime(tmp_path / "checkpoint-1" / "deep" / "state", (2e9, 2e9))
    assert two_starts.last_change(tmp_path / "checkpoint-1") == 2e9
    assert two_starts.last_change(tmp_path / "none") == 0.0
