"""Before a sweep that pauses trials its trainer is started twice for a moment: does it resume, and what is said otherwise."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.sweeping import TOY
from tests.trainers import write_trainer
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.launch.check import short_starts
from yacs_sweep.launch.check.resumes import remark, with_answer
from yacs_sweep.launch.options.table import Options
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
        "three short starts of one point, each until it has logged val/mAP, 15 min 00 s at most (--assume-resume"
        in said
    )
    assert "the trainer resumes: its second start began at epoch 2, the first at 1 (" in said


def test_one_that_starts_over_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        answer(tmp_path, "", "TOY.RESUMES", "told")
    (told,) = caught.value.problems
    assert told.startswith(
        "`mode: promotion` resumes trials, and the trainer p starts over: both starts began at epoch 1; "
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


# A trainer of 39 epochs; `out` is the trial's folder.
EPOCHS = """
import json, time

def save():
    part = file.with_suffix(".part")
    part.write_text(str(epoch))
    os.replace(part, file)

file = FILE
file.parent.mkdir(exist_ok=True)
FIRST
begun = json.loads(file.read_text()) if file.exists() else 0
for epoch in range(begun + 1, 40):
    time.sleep(0.2)
    print(f"epoch {epoch}", flush=True)
    print("mAP: 1.5%", flush=True)
    SAVE
"""
LOGS = "(out / 'log.txt').write_text('begins')"


def epochs(file: str, save: str = "save()", first: str = LOGS) -> str:
    return EPOCHS.replace("FILE", file).replace("SAVE", save).replace("FIRST", first)


def own_trainer(folder: Path, code: str, min_iter: int = 1) -> str | None:
    """How it is known that a trainer of these lines resumes."""
    profile = yaml.safe_load(write_trainer(folder, code).read_text())
    profile["metrics"].append({"pattern": r"epoch (?P<e>\d+)", "log": {"epoch": "e"}})
    (folder / "own.yaml").write_text(yaml.safe_dump(profile))
    rule = {"type": "asha", "mode": "promotion", "min_iter": min_iter, "max_iter": 39}
    (folder / "y.yaml").write_text(yaml.safe_dump({**SWEEP, "count": 2, "early_terminate": rule}))
    options = Options(
        trainer=str(folder / "own.yaml"),
        sweep_config=[str(folder / "y.yaml")],
        results_dir=str(folder / "results"),
        controller="local",
    )
    return with_answer(make_plan(options), options).launch.resumes


@pytest.mark.parametrize("first", [LOGS, ""])
def test_one_that_keeps_its_checkpoint_outside_is_refused(
    tmp_path: Path, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every trial would resume the training of the one before."""
    monkeypatch.setattr(short_starts, "SAVES", 1.0)
    for _ in range(2):  # the first start of the second time begins later already
        with pytest.raises(ConfigError) as caught:
            own_trainer(tmp_path, epochs("Path('shared/ckpt.json')", first=first))
        assert "own keeps its checkpoint outside the trial's folder (shared/ckpt.json was written" in str(caught.value)
        assert "; its command names that folder by {output_dir}, and the trainer must write there" in str(caught.value)


def test_a_program_is_told_where_it_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_starts, "SAVES", 1.0)
    code = epochs("Path('out/ckpt.json')", first="").replace('"mAP: 1.5%"', """'METRIC {"mAP": 1.5}'""")
    (tmp_path / "train.py").write_text("import os\nfrom pathlib import Path\n" + code)
    spec = {**SWEEP, "program": "train.py", "count": 2, "metric": {"name": "mAP", "goal": "maximize"}}
    (tmp_path / "y.yaml").write_text(yaml.safe_dump(spec))
    options = Options(sweep_config=[str(tmp_path / "y.yaml")], results_dir=str(tmp_path / "r"), controller="local")
    told = (
        r"\(out/ckpt.json was written meanwhile\).*let it write into wandb.run.dir, or into the folder of the file that"
    )
    with pytest.raises(ConfigError, match=told):
        with_answer(make_plan(options), options)


@pytest.mark.parametrize("first", [LOGS, ""])
@pytest.mark.parametrize(
    ("save", "min_iter", "earliest"),
    [("time.sleep(0.3); save()", 1, 2), ("epoch % 2 or save()", 1, 3), ("epoch % 2 or save()", 3, 3)],
)
def test_one_that_saves_late_or_seldom_resumes(
    tmp_path: Path, save: str, min_iter: int, earliest: int, first: str
) -> None:
    told = own_trainer(tmp_path, epochs("out / 'ckpt.json'", save, first), min_iter)
    found = re.fullmatch(r"its second start began at epoch (\d+), the first at 1", told or "")
    assert found is not None and int(found[1]) >= earliest


def test_one_without_a_checkpoint_is_not_said_to_start_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_starts, "SAVES", 1.0)
    with pytest.raises(ConfigError) as caught:
        own_trainer(tmp_path, epochs("out / 'ckpt.json'", "pass", ""))
    assert "its first start had left no checkpoint in its folder when it was ended at " in str(caught.value)
    assert "--assume-resume leaves this out" in str(caught.value)
    assert "starts over" not in str(caught.value)


def test_a_checkpoint_that_was_cut_is_tried_once_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = "file.exists() and not file.read_text() and Path('seen').touch()"
    code = epochs("out / 'ckpt.json'", "save() if Path('seen').exists() else file.write_text('')", seen)
    told = own_trainer(tmp_path, code)
    assert told is not None and told.endswith(", the first at 1")
    said = capsys.readouterr().out.replace("\n", " ")
    assert "warning: the second start failed at the first try: " in said
    assert "; its checkpoint may be cut where SIGTERM ends the trainer while it writes" in said


def test_one_whose_checkpoint_is_cut_each_time_is_refused_with_the_likely_cause(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the second start failed: .*JSONDecodeError.*; its checkpoint may be cut"):
        own_trainer(tmp_path, epochs("out / 'ckpt.json'", "file.write_text('')"))


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

    monkeypatch.setattr(short_starts, "try_starts", never)
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
        == "first, three short starts of one point try whether the trainer resumes (--assume-resume leaves this out)"
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
) -> short_starts.Start:
    made = short_starts.Start("m", "epoch", Path(), (), 0.0, places=places, at_values=values, counters=counters or {})
    made.record = short_starts.TrialRecord("t", "t", 0, {}, state=state)
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
def test_how_two_starts_are_compared(
    first: short_starts.Start, second: short_starts.Start, expected: bool | None
) -> None:
    assert short_starts.later(first, second) is expected


def test_a_checkpoint_is_as_new_as_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-1" / "deep").mkdir(parents=True)
    (tmp_path / "checkpoint-1" / "deep" / "state").touch()
    for path, changed in ((tmp_path / "checkpoint-1", 1e9), (tmp_path / "checkpoint-1" / "deep", 1e9)):
        os.utime(path, (changed, changed))
    os.utime(tmp_path / "checkpoint-1" / "deep" / "state", (2e9, 2e9))
    assert short_starts.last_change(tmp_path / "checkpoint-1") == 2e9
    assert short_starts.last_change(tmp_path / "none") == 0.0
