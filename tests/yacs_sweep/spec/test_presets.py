"""The presets in sweeps/ load without a doubt, say what they are for, and fit the trainer that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.defaults import _C, BOUNDS, CHOICES
from engine.config import load_config
from yacs_sweep.spec.parameter import Parameter
from yacs_sweep.spec.sweep import SweepSpec
from yacs_sweep.spec.sweep_files import find_sweep_file, load_spec, preset_folders, presets

SWEEPS = Path(__file__).parents[3] / "sweeps"
NAMES = [
    *(
        "ablation",
        "accuracy_and_cost",
        "base",
        "batch_size",
        "data_balancing",
        "full_optimization",
        "learning_rate",
        "lr_and_decay",
    ),
    *("quick_test", "recipes"),
    *("sweep_augmentation", "sweep_full", "sweep_images", "sweep_losses", "sweep_lr", "sweep_optimizer"),
    *("sweep_regularisation", "sweep_sampling", "sweep_schedule", "sweep_test"),
]


REID = yaml.safe_load((SWEEPS.parent / "configs" / "trainers" / "reid.yaml").read_text(encoding="utf-8"))


def preset(name: str) -> SweepSpec:
    """A preset as it is read beside the profile that ships, whose metric it has."""
    return load_spec(name, search_dirs=[SWEEPS], overrides={"metric": REID["metric"]})


def keys_of(spec: SweepSpec) -> list[Parameter]:
    """The parameters that set the trainer's keys; the configuration file does not."""
    return [parameter for parameter in spec.parameters if parameter.name != "config_file"]


def aliases() -> dict[str, str]:
    return dict(REID["aliases"])


def test_presets_are_the_documented_ones() -> None:
    assert presets([SWEEPS]) == NAMES


def test_sweep_files_of_a_project_are_found_from_the_folders_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = tmp_path / "a" / "b"
    for folder, text in ((tmp_path, "outer"), (tmp_path / "a", "nearer")):
        (folder / "sweeps").mkdir(parents=True)
        for name in ("mine", "base") if text == "nearer" else ("mine", "other"):
            (folder / "sweeps" / f"{name}.yaml").write_text(text)
    below.mkdir()
    monkeypatch.chdir(below)
    found = {name: find_sweep_file(name, preset_folders()) for name in ("mine", "other", "base", "sweep_lr")}
    assert [found[name].read_text() for name in ("mine", "other", "base")] == ["nearer", "outer", "nearer"]
    assert found["sweep_lr"].parent == SWEEPS
    monkeypatch.chdir(SWEEPS.parent / "docs")
    assert preset_folders().count(SWEEPS) == 1


@pytest.mark.parametrize("name", NAMES)
def test_preset_is_named_explained_and_undoubtful(name: str) -> None:
    spec = preset(name)
    assert spec.name == name
    assert spec.warnings == ()
    assert spec.metric is not None and (spec.metric.name, spec.metric.goal) == ("val/mAP", "maximize")
    assert spec.default_count == (spec.count or spec.grid_size)
    head = (SWEEPS / f"{name}.yaml").read_text(encoding="utf-8").split("\nname:")[0]
    assert all(line.startswith("# ") for line in head.splitlines())
    assert "trials" in head


@pytest.mark.parametrize("name", NAMES)
def test_preset_says_what_it_needs_of_a_profile(name: str) -> None:
    text = (SWEEPS / f"{name}.yaml").read_text(encoding="utf-8")
    assert "\nmetric:" not in text  # the profile's
    names = [parameter.name for parameter in preset(name).parameters]
    of_reid = "\n# For the trainer reid alone: it searches keys of that trainer's.\nname:" in text
    assert of_reid == any("." in parameter for parameter in names)
    if not of_reid:
        listed = " and ".join(sorted(names))
        assert (
            f"\n# Needs of the trainer's profile: the alias{'es' * (len(names) > 1)} {listed}, and a metric.\nname:"
            in text
        )


@pytest.mark.parametrize("name", NAMES)
def test_preset_fits_the_trainer(name: str) -> None:
    names = aliases()
    for parameter in keys_of(preset(name)):
        key = names.get(parameter.name, parameter.name)
        default: Any = _C
        for part in key.split("."):
            default = default[part]
        for value in parameter.type_samples():
            assert type(value) is type(default) or (type(default), type(value)) == (float, int), (key, value)
            assert value in CHOICES.get(key, [value]), (key, value)
            low, high = BOUNDS.get(key, (value, value))
            assert low <= value <= high, (key, value)


@pytest.mark.parametrize("name", NAMES)
def test_the_trainer_takes_each_value_of_a_preset(name: str) -> None:
    spec, names = preset(name), aliases()
    declared = {parameter.name: parameter for parameter in spec.parameters}
    for parameter in keys_of(spec):
        for value in parameter.type_samples():
            point = {parameter.name: value}
            if parameter.parent is not None:
                assert declared[parameter.parent].parent is None
                point[parameter.parent] = parameter.parent_values[0]
            words = [str(word) for key, set_to in point.items() for word in (names.get(key, key), set_to)]
            load_config(str(SWEEPS.parent / "configs" / "baseline.yml"), words, for_training=False)


@pytest.mark.parametrize("name", ["sweep_full", "full_optimization"])
def test_bands_fall_within_a_training(name: str) -> None:
    rule = preset(name).early_terminate
    assert rule is not None
    evaluations = _C.SOLVER.MAX_EPOCHS // _C.SOLVER.EVAL_PERIOD
    assert [band for band in rule.bands if band < evaluations] == [3, 9]


def test_ablation_takes_one_trick_away_at_a_time() -> None:
    spec = preset("ablation")
    full = spec.grid_point(0)
    changed = [sum(spec.grid_point(index)[key] != full[key] for key in full) for index in range(6)]
    assert spec.grid_size == 6
    assert sorted(changed) == [0, 1, 1, 1, 1, 1]


def test_recipes_are_files_that_the_trainer_takes_with_what_is_fixed_for_all() -> None:
    spec = preset("recipes")
    (files,) = (parameter.values for parameter in spec.parameters if parameter.name == "config_file")
    fixed = [str(word) for parameter in keys_of(spec) for word in (parameter.name, parameter.value)]
    recipes = [load_config(str(SWEEPS.parent / file), fixed, for_training=False) for file in files]
    assert {(cfg.SOLVER.MAX_EPOCHS, cfg.SOLVER.SCHEDULE) for cfg in recipes} == {(40, "cosine")}
    assert len({Path(file).parent for file in files}) == len(files) == spec.grid_size


def test_smoke_sweep_is_three_learning_rates() -> None:
    spec = preset("sweep_test")
    assert [list(spec.grid_point(index)) for index in range(spec.default_count)] == [["base_lr"]] * 3
