from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from yacs.config import CfgNode

from data.settings import data_problems


def test_good_settings_have_no_problems(make_cfg: Callable[..., CfgNode]) -> None:
    assert data_problems(make_cfg()) == []
    names = ("market1501", "market1501:other", "folder:mine", "msmt17_v1")
    assert data_problems(make_cfg("DATASETS.NAMES", names, "DATASETS.TEST_NAMES", ("veri, dukemtmc",))) == []
    # A shuffled epoch has no identities per batch to divide into.
    assert data_problems(make_cfg("DATALOADER.SAMPLER", "softmax", "SOLVER.IMS_PER_BATCH", 5)) == []


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("DATASETS.NAMES", ("sinthetic",), ["'sinthetic'", "market1501", "did you mean 'synthetic'?"]),
        ("DATASETS.NAMES", ("",), ["empty"]),
        ("DATASETS.NAMES", ("veri", "synthetic", "veri"), ["twice", "veri"]),
        ("DATASETS.TEST_NAMES", ("dukemtm",), ["'dukemtm'", ":FOLDER", "did you mean 'dukemtmc'?"]),
        ("DATASETS.NAMES", ("folder",), ["folder:mine"]),
        ("DATASETS.NAMES", ("synthetic:there",), ["write synthetic"]),
        ("DATASETS.FOLDER_PATTERN", "(?P<pid>", ["no regular expression"]),
        ("DATASETS.FOLDER_PATTERN", "_c(?P<camid>.)", ["group pid"]),
        ("DATALOADER.NUM_INSTANCE", 0, ["0", "1 or more"]),
        ("SOLVER.IMS_PER_BATCH", 7, ["7", "multiple", "2"]),
    ],
)
def test_a_bad_setting_is_one_line(make_cfg: Callable[..., CfgNode], key: str, value: object, words: list[str]) -> None:
    problems = data_problems(make_cfg(key, value))
    assert len(problems) == 1
    assert problems[0].startswith(f"{key}: ") and "\n" not in problems[0]
    assert all(word in problems[0] for word in words)


def test_all_problems_are_found_at_once(make_cfg: Callable[..., CfgNode]) -> None:
    cfg = make_cfg("DATASETS.NAMES", ("x", "market1501", "y"), "SOLVER.IMS_PER_BATCH", 7)
    assert [problem.split(": ")[0] for problem in data_problems(cfg)] == [
        "DATASETS.NAMES", "DATASETS.NAMES", "SOLVER.IMS_PER_BATCH",
    ]  # fmt: skip


def test_checking_imports_nothing_heavy() -> None:
    code = "import sys, data.settings; print([m for m in ('torch', 'numpy', 'PIL') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("sampling", "weights", "problem"),
    [
        ("sets", [1.0, 2.0, 3.0], "[1.0, 2.0, 3.0] has 3 weights for 2 data sets; give one for each of DATASETS.NAMES"),
        ("images", [1.0, 2.0], "[1.0, 2.0] has no effect, since DATALOADER.SAMPLING is images; choose sets"),
        ("sets", [0.0, 0.0], "[0.0, 0.0] leaves nothing to draw; give a weight above 0"),
    ],
)
def test_sampling_is_checked(
    make_cfg: Callable[..., CfgNode], sampling: str, weights: list[float], problem: str
) -> None:
    cfg = make_cfg("DATASETS.NAMES", ("market1501", "dukemtmc"), "DATALOADER.SAMPLING", sampling)
    cfg.DATALOADER.SET_WEIGHTS = tuple(weights)
    (found,) = data_problems(cfg)
    assert problem in found


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["INPUT.TRANSFORMS", ("affine,jitter",)], "'jitter' is not allowed; choose random_patch, autoaugment, "),
        (["INPUT.TRANSFORMS", ("affine", "affine")], "['affine', 'affine'] has a transform twice"),
        (["INPUT.TRANSFORMS", ("none.py:fade",)], "none.py: cannot be read"),
        (["INPUT.TRANSFORMS", ("affine",), "INPUT.CJ_PROB", 0.5], "INPUT.CJ_PROB: 0.5 has no effect, since "),
    ],
)
def test_transforms_are_checked(make_cfg: Callable[..., CfgNode], overrides: list[object], problem: str) -> None:
    (found,) = data_problems(make_cfg(*overrides))
    assert problem in found and found.startswith("INPUT.")


def test_the_smaller_end_of_a_range_comes_first(make_cfg: Callable[..., CfgNode]) -> None:
    (problem,) = data_problems(make_cfg("INPUT.RE_AREA", [0.4, 0.02]))
    assert problem == "INPUT.RE_AREA: [0.4, 0.02] is not allowed; give the smaller number first"
