"""The trainer's key that chooses GPUs: the form of its value, when it is set, and where it must not be carried to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.trainers.gpu_key import gpus_of_job, likely_key
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.overrides import Overrides
from yacs_sweep.trainers.profile import TrainerProfile
from yacs_sweep.trainers.reproduce import best_config, common_words, repeat_trial
from yacs_sweep.trainers.schemas.read import read_schema
from yacs_sweep.trainers.schemas.schema import Schema
from yacs_sweep.trainers.styles import WORD_STYLES, parse_literal
from yacs_sweep.trainers.ways.start import merged_config

ROOT = Path(__file__).parents[3]


def profile_of(tmp_path: Path, gpu_key: Any, style: str = "yacs") -> TrainerProfile:
    content = {"command": ["python", "t.py", "{config_file}"], "overrides": style, "gpu_key": gpu_key}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({**content, "output_dir_key": "OUT"}))
    return load_profile(file, project_root=tmp_path)


def tree(**values: Any) -> Schema:
    return Schema("config.py:_C", {"OUT": "", "LR": 0.1, **values})


@pytest.mark.parametrize(
    ("default", "ids", "words"),
    [
        ("0", ("4",), ["K", "'4'"]),
        ("0", ("4", "5"), ["K", "'4,5'"]),
        ("", ("GPU-4ab", "GPU-5cd"), ["K", "'GPU-4ab,GPU-5cd'"]),
        (0, ("4",), ["K", "0"]),
        (0, ("GPU-4ab",), ["K", "0"]),
        ([0], ("4",), ["K", "[0]"]),
        ((0,), ("4", "5"), ["K", "(0, 1)"]),
        (None, ("4",), ["K", "'4'"]),
    ],
)
def test_the_default_of_the_key_decides_the_form(
    tmp_path: Path, default: Any, ids: tuple[str, ...], words: list[str]
) -> None:
    overrides = Overrides(profile_of(tmp_path, "K"), tree(K=default))
    assert overrides.gpu_arguments(ids) == words
    assert overrides.gpu_arguments(()) == []  # the launcher gave none out
    assert overrides.profile_problems() == []


@pytest.mark.parametrize(
    ("form", "default", "words"),
    [
        ("{gpu_ids}", "", ["K", "'4,5'"]),
        ("[{gpu_ids}]", [0], ["K", "[4, 5]"]),  # it sets CUDA_VISIBLE_DEVICES from a list
        ("cuda:{visible_gpu_ids}", "cuda", ["K", "'cuda:0,1'"]),
        ("{gpu_count}", 1, ["K", "2"]),
    ],
)
def test_a_form_says_otherwise(tmp_path: Path, form: str, default: Any, words: list[str]) -> None:
    overrides = Overrides(profile_of(tmp_path, {"key": "K", "form": form}), tree(K=default))
    assert overrides.gpu_arguments(("4", "5")) == words


@pytest.mark.parametrize(
    ("style", "form", "words"),
    [
        ("yacs", None, ["K", "'4,5'"]),
        ("yacs", "[{visible_gpu_ids}]", ["K", "[0, 1]"]),
        ("yacs", "'{gpu_ids}'", ["K", "'4,5'"]),
        ("hydra", "[{visible_gpu_ids}]", ["K=[0,1]"]),
        ("hydra", None, ["K='4,5'"]),
        ("argparse", None, ["--K=4,5"]),
        ("argparse", "{gpu_count}", ["--K=2"]),
        ("lightning", "[{visible_gpu_ids}]", ["--K=[0,1]"]),
        ("mmengine", None, ["K=(4,5)"]),
        ("ultralytics", None, ["K=(4, 5)"]),
    ],
)
def test_without_a_tree_the_form_is_written_as_it_stands(
    tmp_path: Path, style: str, form: str | None, words: list[str]
) -> None:
    gpu_key = "K" if form is None else {"key": "K", "form": form}
    assert Overrides(profile_of(tmp_path, gpu_key, style)).gpu_arguments(("4", "5")) == words


def test_a_key_that_takes_one_gpu_refuses_two(tmp_path: Path) -> None:
    overrides = Overrides(profile_of(tmp_path, "K"), tree(K=0))
    assert overrides.gpu_problems(("4",)) == []
    (problem,) = overrides.gpu_problems(("4", "5"))
    assert problem.startswith(f"{tmp_path / 'mine.yaml'}: gpu_key: K: ")
    with pytest.raises(ConfigError, match="gpu_key: K: "):
        overrides.gpu_arguments(("4", "5"))


def test_a_key_that_the_tree_does_not_have_is_told(tmp_path: Path) -> None:
    (problem,) = Overrides(profile_of(tmp_path, "DEVICE"), tree(DEVICE_ID="0")).profile_problems()
    assert problem.endswith("gpu_key: DEVICE: no such key in config.py:_C; did you mean DEVICE_ID?")


@pytest.mark.parametrize(
    ("gpu_key", "text"),
    [
        ({"key": "K", "form": "{gpus}"}, "'{gpus}' needs one of these placeholders and no other: {gpu_ids}, "),
        ({"key": "K", "form": "0"}, "'0' needs one of these placeholders"),
        ({"key": "K", "from": "{gpu_ids}"}, "unknown key; allowed: key, form; did you mean form?"),
        ({"form": "{gpu_ids}"}, "has no key; write {key: NAME, form: TEXT}"),
        ({"key": "K", "form": 3}, "3 is not a text; write it in quotes"),
        (["K"], "['K'] is not a text"),
        ("a b", "'a b' is not a parameter name"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path: Path, gpu_key: Any, text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        profile_of(tmp_path, gpu_key)
    (problem,) = raised.value.problems
    assert problem.startswith(f"{tmp_path / 'mine.yaml'}:") and "gpu_key" in problem and text in problem


def test_the_key_is_no_parameter_of_a_search(tmp_path: Path) -> None:
    overrides = Overrides(profile_of(tmp_path, "K"), tree(K="0"))
    assert overrides.check("K", ["0", "1"]) == [
        "K: is set by the launcher itself, to each trial's GPUs (gpu_key), and cannot be a parameter"
    ]
    assert overrides.check("K", ["1"]) == []  # a constant is the user's own choice where no GPUs are given out
    assert overrides.parse_trailing(["K", "1"]) == (["K", "'1'"], {"K": "1"})


@pytest.mark.parametrize("name", ["reid_strong_baseline", "transreid", "clip_reid", "clip_reid_baseline", "solider"])
def test_profiles_whose_trainers_set_the_visible_devices_by_a_key_have_it(name: str) -> None:  # F1
    profile = load_profile(name, project_root=ROOT)
    assert profile.gpu_key is not None and profile.gpu_key.key == "MODEL.DEVICE_ID"
    assert Overrides(profile).gpu_arguments(("4",)) == ["MODEL.DEVICE_ID", "'4'"]


@pytest.mark.parametrize(
    ("name", "default", "words"),
    [("hrnet", (0,), ["GPUS", "(0, 1)"]), ("pycls", 1, ["NUM_GPUS", "2"]), ("slowfast", 1, ["NUM_GPUS", "2"])],
)
def test_profiles_whose_trainers_count_the_visible_gpus_have_their_key(
    name: str, default: Any, words: list[str]
) -> None:
    profile = load_profile(name, project_root=ROOT)
    assert profile.gpu_key is not None
    assert Overrides(profile, tree(**{profile.gpu_key.key: default})).gpu_arguments(("4", "5")) == words


@pytest.mark.parametrize(
    ("variables", "gpus"),
    [
        ({"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "4,5"}, ("4", "5")),
        ({"RAY_JOB_ID": "01", "CUDA_VISIBLE_DEVICES": "3"}, ("3",)),
        ({"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "NoDevFiles"}, ()),
        ({"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "-1"}, ()),
        ({"SLURM_JOB_ID": "7"}, ()),
        ({"CUDA_VISIBLE_DEVICES": "4"}, ()),  # the user's own: the trainer is left to choose
    ],
)
def test_a_scheduler_gives_gpus_to_its_job(variables: dict[str, str], gpus: tuple[str, ...]) -> None:
    assert gpus_of_job(variables) == gpus


@pytest.mark.parametrize(
    ("defaults", "key"),
    [
        ({"MODEL.DEVICE": "cuda", "MODEL.DEVICE_ID": "0"}, "MODEL.DEVICE_ID"),
        ({"GPUS": (0,), "WORKERS": 4}, "GPUS"),
        ({"gpu_ids": [0]}, "gpu_ids"),
        ({"NUM_GPUS": 1, "LAUNCH.NUM_GPUS": 1}, None),
        ({"use_gpu": True, "gpu": False}, None),
        ({"SOLVER.LR": 0.1}, None),
    ],
)
def test_a_tree_s_key_is_found_by_name_and_default(defaults: dict[str, Any], key: str | None) -> None:
    assert likely_key(defaults) == key


@pytest.mark.parametrize("style", WORD_STYLES)
def test_nothing_to_train_with_later_carries_the_trial_s_gpus(tmp_path: Path, style: str) -> None:
    profile = profile_of(tmp_path, "K", style)
    overrides = Overrides(profile)
    (tmp_path / "c.yml").write_text("{}\n")
    trailing, own = overrides.arguments({"WD": 0.5}), overrides.arguments({"LR": 0.25})
    words = [*trailing, *own, *overrides.gpu_arguments(("4",))]
    folder = tmp_path / "s" / "t0"
    command = profile.command_line(config_file=tmp_path / "c.yml", output_dir=folder, overrides=words)
    record = TrialRecord("i", "t0", 0, {"LR": 0.25}, command=command, gpu_ids=["4"], dir=str(folder))
    assert common_words(record, overrides) == trailing
    repeat = repeat_trial(record, profile, tmp_path / "s")
    assert repeat is not None
    kept = [word for word in repeat.words if word in words]
    assert kept == [*trailing, *own]
    if style == "yacs":
        assert best_config(record, overrides, tmp_path / "s") == {"WD": 0.5, "LR": 0.25, "OUT": "s/train-t0"}


def test_a_key_that_the_user_gave_stays(tmp_path: Path) -> None:
    profile = profile_of(tmp_path, "K")
    overrides = Overrides(profile)
    folder = tmp_path / "s" / "t0"
    command = profile.command_line(config_file="c.yml", output_dir=folder, overrides=["LR", "0.1", "K", "'1'"])
    record = TrialRecord("i", "t0", 0, {}, command=command, dir=str(folder))
    assert common_words(record, overrides) == ["LR", "0.1", "K", "'1'"]


@pytest.mark.parametrize("output", ["OUT", None])
def test_an_option_before_the_overrides_is_not_left_alone(tmp_path: Path, output: str | None) -> None:
    content = {"command": ["python", "t.py"], "overrides": "yacs", "overrides_option": "--opts", "gpu_key": "K"}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({**content, "output_dir_key": output}))
    profile = load_profile(file, project_root=tmp_path)
    folder = tmp_path / "s" / "t0"
    command = profile.command_line(output_dir=folder, overrides=Overrides(profile).gpu_arguments(("4",)))
    assert command[2:5] == ["--opts", "K", "'4'"]
    repeat = repeat_trial(
        TrialRecord("i", "t0", 0, {}, command=command, gpu_ids=["4"], dir=str(folder)), profile, tmp_path
    )
    assert repeat is not None
    assert repeat.words[2:] == ([] if output is None else ["--opts", "OUT", str(tmp_path / "train-t0")])


@pytest.mark.parametrize(
    ("written", "value"),
    [("(0,1,2,3)", [0, 1]), ("[0]", [0, 1]), ("0", "4,5"), ("'0'", "4,5")],
)
def test_a_configuration_file_s_own_value_decides_where_the_trainer_takes_a_file(
    tmp_path: Path, written: str, value: Any
) -> None:  # F5: HRNet-Image-Classification
    base = tmp_path / "c.yaml"
    base.write_text(f"GPUS: {written}\nLR: 0.1\n")
    content = {"command": ["python", "t.py", "{config_file}"], "overrides": "file", "gpu_key": {"key": "GPUS"}}
    if written in ("0", "'0'"):
        content["gpu_key"] = {"key": "GPUS", "form": "'{gpu_ids}'"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    profile = load_profile(tmp_path / "mine.yaml", project_root=tmp_path)
    overrides = Overrides(profile, read_schema(profile, config_file=base))
    config = merged_config(overrides, {"config_file": str(base), "overrides": ["LR", "0.5"]}, ("4", "5"), None)
    assert config["LR"] == 0.5
    assert (parse_literal(str(config["GPUS"])) if isinstance(value, list) else config["GPUS"]) == value
