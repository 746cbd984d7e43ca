"""A trainer that is told to resume: the profile's key `resume`, in every style, where the folder has a checkpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import ROOT, TOY
from tests.yacs_sweep.trainers.test_ways import mistakes, of, start, written
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.overrides import Overrides
from yacs_sweep.trainers.schemas.read import read_schema
from yacs_sweep.trainers.ways.resume import ResumeRule, newest_checkpoint

YACS = 'command: [t, "{config_file}"]\ncheckpoints: ["*.pth"]\noutput_dir_key: OUT\n'
LR = ("lr", "0.1")


def resumed(folder: Path, profile: str, params: dict[str, Any] | None = None) -> list[str]:
    """The words of a resumed start in a folder with two checkpoints; the folder's path is `F` in them."""
    trial = folder / "sweep" / "trial"
    (trial / "deep").mkdir(parents=True, exist_ok=True)
    for age, name in ((20, "deep/model_9.pth"), (10, "model_10.pth"), (0, "best.pth.tar")):
        (trial / name).touch()
        os.utime(trial / name, (1e9 - age, 1e9 - age))
    made = start(of(folder, profile), folder, params or {}, resume=True)
    return [word.replace(str(trial), "F") for word in made.words[2:]]


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (f"{YACS}resume: --resume", ["--resume", "lr", "0.1", "OUT", "F"]),
        (f"{YACS}resume: [--resume, '{{checkpoint}}']", ["--resume", "F/model_10.pth", "lr", "0.1", "OUT", "F"]),
        (f"{YACS}resume: [A.RESUME, true]", ["lr", "0.1", "A.RESUME", "True", "OUT", "F"]),
        (f"{YACS}resume: [A, self, B, '{{output_dir}}/x']", ["lr", "0.1", "A", "self", "B", "F/x", "OUT", "F"]),
        (f"{YACS}resume: {{words: [A, '{{checkpoint}}'], checkpoint: 'model_9*'}}", [*LR, "A", "F/deep/model_9.pth", "OUT", "F"]),
        (f"{YACS}resume: {{words: --go, checkpoint: [none_*]}}", ["lr", "0.1", "OUT", "F"]),
        (f"{YACS}resume: true", ["lr", "0.1", "OUT", "F"]),
        (f"{YACS}overrides_option: --opts\nresume: --resume", ["--resume", "--opts", "lr", "0.1", "OUT", "F"]),
        (f"{YACS}overrides: hydra\nresume: [ckpt, '{{checkpoint}}']", ["lr=0.1", "ckpt=F/model_10.pth", "OUT=F"]),
        (f"{YACS}overrides: argparse\nresume: [p, '{{checkpoint}}']", ["--lr=0.1", "--p=F/model_10.pth", "--OUT=F"]),
        (f"{YACS}overrides: mmengine\noverrides_option: --o\nresume: --resume", ["--resume", "--o", "lr=0.1", "OUT=F"]),
    ],
)  # fmt: skip
def test_the_words_stand_where_the_trainer_takes_them(tmp_path: Path, profile: str, words: list[str]) -> None:
    assert resumed(tmp_path, profile, {"lr": 0.1}) == words


def test_without_a_checkpoint_no_word_is_given(tmp_path: Path) -> None:
    overrides = of(tmp_path, f"{YACS}resume: --resume")
    plain = start(overrides, tmp_path, {"lr": 0.1})
    assert start(overrides, tmp_path, {"lr": 0.1}, resume=True) == plain
    (tmp_path / "sweep" / "trial" / "a.pth").touch()
    told = start(overrides, tmp_path, {"lr": 0.1}, resume=True)
    assert (told.told, plain.told) == (["--resume"], [])
    assert start(overrides, tmp_path, {"lr": 0.1}) == plain  # only where it is asked for


def test_a_merged_file_and_variables_hold_the_keys(tmp_path: Path) -> None:
    file = 'command: [t, "{config_file}"]\noverrides: file\nnew_keys: true\nresume: [again.from, "{output_dir}/x"]\n'
    overrides = of(tmp_path, file)
    trial = tmp_path / "sweep" / "trial"
    made = start(overrides, tmp_path, {"name": "y"}, resume=True)
    assert f"again:\n  from: {trial}/x\n" in written(overrides, tmp_path, made).read_text()
    env = of(tmp_path, "command: [t]\noverrides: env\nenv_prefix: HP_\nresume: [go, true]\n")
    assert start(env, tmp_path, {"lr": 1}, resume=True).variables == {"HP_lr": "1", "HP_go": "True"}
    assert start(env, tmp_path, {"lr": 1}).variables == {"HP_lr": "1"}


def test_the_newest_checkpoint_by_time_then_by_name(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path, ("*.pth",)) is None
    for name in ("model_9.pth", "model_10.pth", "z.txt", "stdout.log", ".hidden.pth"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1e9, 1e9))
    assert newest_checkpoint(tmp_path, ("*.pth",)) == tmp_path / "model_10.pth"
    os.utime(tmp_path / "model_9.pth", (2e9, 2e9))
    assert newest_checkpoint(tmp_path, ("*.pth",)) == tmp_path / "model_9.pth"
    (tmp_path / "checkpoint-7" / "deep").mkdir(parents=True)
    assert newest_checkpoint(tmp_path, ("checkpoint-*",)) == tmp_path / "checkpoint-7"
    assert newest_checkpoint(tmp_path, ("*.log",)) is None  # the launcher's own


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[A]", "'A' has no value; write [KEY, VALUE], or a word alone: `resume: --resume`"),
        ("--resume now", "'--resume now' is several words; write [--resume, now]"),
        ("[A b, c]", "'A b' is not a parameter name that yacs overrides can carry"),
        ("7", "7 is neither true, false, a word such as --resume, nor [KEY, VALUE]"),
        ("[--x, '{seed}']", "unknown placeholder {seed}; allowed: {output_dir}, {checkpoint}"),
        ("[A, '{checkpoint}']", "{checkpoint} needs a pattern: `checkpoints: ['*.pth']`, or {words: […], checkpoint: '*.pth'}"),
        ("{checkpoint: x}", "has no words; write {words: [--resume, '{checkpoint}'], checkpoint: '*.pth'}"),
        ("{words: --r, checkpoint: ../x}", "'../x' is not a pattern of files in a trial's folder, such as '*.pth'"),
        ("{word: --r, words: --r}", "unknown key; allowed: words, checkpoint; did you mean words?"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_line(tmp_path: Path, text: str, told: str) -> None:
    (problem,) = mistakes(tmp_path, f"command: [t]\nresume: {text}\n")
    assert problem.startswith("FILE:2:") and ": resume" in problem and problem.endswith(f": {told}")


def test_a_key_that_the_tree_lacks_is_a_doubt_and_is_not_given(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(f"extends: {TOY / 'toy.yaml'}\ncwd: {TOY}\nresume: [TOY.AGAIN, true]\n")
    profile = load_profile(tmp_path / "p.yaml", project_root=tmp_path)
    overrides = Overrides(profile, read_schema(profile))
    assert "TOY.AGAIN: no such key" in overrides.resume_problems()[0]
    (tmp_path / "x.pth").touch()
    assert start(overrides, tmp_path, {}, output_dir=str(tmp_path), config_file="c", resume=True).told == []


def test_the_shipped_profiles_say_how_their_trainers_resume() -> None:
    paths = [path for path in ROOT.glob("configs/trainers/*.yaml") if path.stem != "torchrun"]
    rules = {path.stem: load_profile(path, project_root=ROOT).resume for path in paths}
    itself = {"pycls", "swin", "slowfast", "maskrcnn_benchmark"}
    never = {"reid_strong_baseline", "transreid", "solider", "clip_reid", "clip_reid_baseline"}
    assert {name for name, rule in rules.items() if rule.itself} == itself
    assert {name for name, rule in rules.items() if rule.itself is False} == never
    assert {name for name, rule in rules.items() if rule.is_told} == set(rules) - itself - never - {
        "argparse",
        "generic",
        "hydra",
    }
    assert rules["torchreid"].filled("o", "o/m") == ([], {"model.resume": "o/m"})
    assert rules["fast_reid"] == ResumeRule(words=("--resume",), patterns=("*.pth",))
