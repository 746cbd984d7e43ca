"""Several objectives, repeats and `method: custom` in a plan: what is refused, what is shown, who searches."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sweeping import TOY
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.launch.options.read import parse
from yacs_sweep.launch.plan import controller as controller_module
from yacs_sweep.launch.plan.dry_run import describe
from yacs_sweep.launch.plan.make import make_plan, remaining
from yacs_sweep.launch.plan.plan import Plan, new_paths, trials_text
from yacs_sweep.launch.run import create_folder
from yacs_sweep.records.folder import TrialRecord
from yacs_sweep.spec.read_sweep import sweep_from_dict

RANDOM = "method: random\nmetric: {name: val/mAP, goal: maximize}\nparameters: {base_lr: {min: 0.001, max: 0.1}}\n"
GRID = "method: grid\nmetric: {name: val/mAP, goal: maximize}\nparameters: {base_lr: [0.1, 0.2]}\n"
SEVERAL = """\
method: custom
metrics:
  - {name: val/mAP, goal: maximize, threshold: 50, target: 90}
  - {name: ms, target: 3}
metric_constraints: [params_m <= 30, gpu_memory_mb < 8000]
parameters: {base_lr: {min: 0.001, max: 0.1}}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def plan(text: str, *words: str, trainer: str | None = None, controller: str = "local") -> Plan:
    Path("s.yaml").write_text(text)
    files = ["--trainer", trainer or str(TOY / "toy.yaml"), "--config_file", str(TOY / "toy.yml")]
    mode = ["--wandb-mode", "disabled"] if controller == "local" else []
    options = ["--sweep-config", "s.yaml", "--controller", controller, *mode]
    return make_plan(parse([*files, *options, *words]))


def problem(text: str, *words: str, trainer: str | None = None, controller: str = "local") -> str:
    with pytest.raises(ConfigError) as caught:
        plan(text, *words, trainer=trainer, controller=controller)
    return "\n".join(caught.value.problems)


def test_repeats_multiply_the_trials_of_a_grid_and_of_ten_points() -> None:
    assert plan(RANDOM + "repeats: 3\n").count == 30
    assert plan(GRID + "repeats: 3\n").count == 6
    assert plan(GRID, "--repeats", "4").count == 8
    cut = plan(GRID + "repeats: 3\n", "--count", "9")
    assert cut.count == 6
    assert "--count 9: the grid has 6 trials left" in cut.notes
    assert plan(RANDOM + "repeats: 3\nrun_cap: 7\n").count == 7


def test_a_resumed_grid_has_the_rest_of_its_trials(tmp_path: Path) -> None:
    begun = plan(GRID + "repeats: 3\n", "--count", "2")
    paths = new_paths(begun.spec, "abcd1234")
    create_folder(begun, paths)
    for number in range(2):
        trial = paths.trial(f"trial-{number:04d}")
        trial.dir.mkdir()
        point = begun.spec.grid_point(0)
        record = TrialRecord(f"abcd1234-{number}", trial.dir.name, number, point, "finished", value=1.0)
        record.point, record.seed, record.dir = "point-0000", number + 1, str(trial.dir)
        record.save(trial)
    again = make_plan(parse(["--sweep_id", "abcd1234"]))
    assert (again.count, again.spec.repeats) == (4, begun.spec.repeats)
    assert again.notes[0] == "resuming sweep abcd1234: 2 trials done, 4 to go"
    assert remaining(2, 2, 6) == 4


@pytest.mark.parametrize(
    ("repeats", "words", "expected"),
    [
        ("{n: 2, key: SOLVER.NO_SUCH}", (), "repeats: SOLVER.NO_SUCH: "),
        ("{key: SOLVER.MAX_EPOCHS, values: [1, many]}", (), "repeats: SOLVER.MAX_EPOCHS: "),
        ("{n: 2, key: SOLVER.BASE_LR}", (), "repeats: base_lr and SOLVER.BASE_LR: are the same key, SOLVER.BASE_LR"),
        ("{n: 2, key: OUTPUT_DIR}", (), "repeats: OUTPUT_DIR: is set by the launcher itself"),
        ("2", ("--custom_params", '{"SOLVER.SEED": [1, 2]}'), "repeats: SOLVER.SEED and seed: are the same key"),
    ],
)
def test_seeds_are_checked_like_parameters(repeats: str, words: tuple[str, ...], expected: str) -> None:
    assert expected in problem(RANDOM + f"repeats: {repeats}\n", *words)


def test_a_trainer_without_a_seed_says_how_to_name_one(tmp_path: Path) -> None:
    profile = tmp_path / "t.yaml"
    profile.write_text(
        "command: [python, train.py]\noverrides: yacs\nmetrics: [{pattern: 'a (?P<v>{number})', log: {a: v}}]\n"
    )
    (tmp_path / "train.py").touch()
    text = problem(RANDOM + "repeats: 2\n", trainer=str(profile))
    assert text == (
        "repeats: the trainer t has no alias `seed`; name the key that takes the seed, `repeats: {n: 2, key: KEY}`, or add "
        "`aliases: {seed: KEY}` to its profile"
    )
    assert plan(RANDOM + "repeats: {n: 2, key: X}\n", trainer=str(profile)).count == 20


def test_a_seed_among_the_words_has_no_effect_and_is_told() -> None:
    found = plan(RANDOM + "repeats: 2\n", "SOLVER.SEED", "5")
    assert "warning: SOLVER.SEED 5 has no effect: `repeats` sets SOLVER.SEED; leave one of the two out" in found.notes


@pytest.mark.parametrize("words", [["--seed=9"], ["--seed", "9"], ["seed=9"], ["--amp", "--seed", "9"]])
def test_words_for_a_program_without_a_schema_are_compared_with_repeats(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "train.py").touch()
    text = "program: train.py\nmethod: grid\nmetric: {name: a}\nparameters: {lr: [0.1, 0.2]}\nrepeats: 2\n"
    path = tmp_path / "own.yaml"
    path.write_text(text)
    found = make_plan(parse(["--sweep-config", str(path), "--controller", "local", "--", *words, "--lr", "3", "--x=1"]))
    assert [note for note in found.notes if "has no effect" in note] == [
        "warning: seed 9 has no effect: `repeats` sets seed; leave one of the two out",
        "warning: lr 3 has no effect: the sweep searches lr; leave one of the two out",
    ]


def test_method_custom_is_searched_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problem(SEVERAL, controller="wandb").startswith(
        "method custom: W&B's server does not search so; use --controller local, or a method of the server's: grid"
    )
    monkeypatch.setattr(controller_module, "is_logged_in", lambda: True)
    found = plan(SEVERAL, controller="auto")
    assert found.launch.controller == "local"
    assert "controller: local, because W&B's server has no method custom" in found.notes
    assert not any("you are logged in" in note for note in found.notes)
    assert plan(SEVERAL.replace("custom", "random"), controller="auto").launch.controller == "wandb"


@pytest.mark.parametrize(
    ("repeats", "count", "text"),
    [
        (3, 30, "30 trials: 10 points with 3 seeds each"),
        (3, 31, "31 trials: 10 points with 3 seeds each and one with 1 seed"),
        (3, 2, "2 trials: one with 2 seeds"),
        (3, 3, "3 trials: 1 point with 3 seeds each"),
        ({"n": 5, "race": True}, 30, "30 trials: points with up to 5 seeds each"),
        (None, 30, "30 trials"),
    ],
)
def test_number_of_trials_in_words(repeats: object, count: int, text: str) -> None:
    described = {"method": "random", "metric": "loss", "parameters": {"a": [1, 2]}, "repeats": repeats}
    assert trials_text(sweep_from_dict(described), count) == text


def test_number_of_trials_of_a_resumed_sweep_promises_no_whole_points() -> None:
    described = {"method": "random", "metric": "loss", "parameters": {"a": [1, 2]}, "repeats": 3}
    text = trials_text(sweep_from_dict(described), 3, resumed=True)
    assert text == "3 trials: points with up to 3 seeds each"


def test_repeats_of_a_cross_validation_are_called_folds() -> None:
    described = {"method": "random", "metric": "loss", "parameters": {"a": [1, 2]}}
    folds = {**described, "repeats": {"key": "DATASETS.FOLD", "values": [0, 1]}}
    assert trials_text(sweep_from_dict(folds), 4) == "4 trials: 2 points with 2 folds each"
    seeds = {**described, "repeats": {"n": 2, "key": "SEED_OF_FOLDS"}}
    assert trials_text(sweep_from_dict(seeds), 4) == "4 trials: 2 points with 2 seeds each"


def test_dry_run_of_repeats() -> None:
    lines = describe(plan(RANDOM + "repeats: 3\n", "--seed", "1"), seeded=True).splitlines()
    assert lines[0].startswith(
        "s: random search, 30 trials: 10 points with 3 seeds each, maximize val/mAP (its last value),"
    )
    assert "  repeats: seed = 1, 2, 3" in lines
    assert "  first trials, each with its first seed (random points of --seed 1):" in lines
    commands = [line for line in lines if "train.py" in line]
    assert len(commands) == 5
    assert all("SOLVER.SEED 1 " in line for line in commands)
    assert [f"trial-{number:04d}" in line for number, line in zip((0, 3, 6, 9, 12), commands, strict=True)] == [
        True
    ] * 5
    # The points are those of a search without repeats.
    plain = [line for line in describe(plan(RANDOM, "--seed", "1")).splitlines() if "train.py" in line]
    rates = [[line.split("SOLVER.BASE_LR ")[1].split()[0] for line in found] for found in (commands, plain)]
    assert rates[0] == rates[1]


def test_dry_run_of_fresh_seeds_folds_and_a_race() -> None:
    fresh = describe(plan(RANDOM + "repeats: {n: 2, seeds: fresh, race: true}\n"))
    assert "  repeats: seed = 1, 2 for the first point, others for each further one\n" in fresh
    assert "  race: a point that is unlikely to become the best gets no further seed\n" in fresh
    # Each of the next points has one seed at first.
    lines = describe(plan(RANDOM + "repeats: {n: 5, race: true}\n", "--count", "20"), seeded=True).splitlines()
    assert "  race: points have one seed at first; the last 4 trials confirm the best ones" in lines
    commands = [line for line in lines if "train.py" in line]
    assert [line.rpartition("/")[2] for line in commands] == [f"trial-{number:04d}" for number in range(5)]
    grid = describe(
        plan("method: grid\nmetric: {name: val/mAP}\nparameters: {base_lr: [0.1, 0.2]}\nrepeats: {n: 2, race: true}\n")
    )
    assert "confirm the best" not in grid
    folds = describe(plan(RANDOM + "repeats: {key: TOY.NOISE, values: [0.0, 0.5]}\n"))
    assert "  repeats: TOY.NOISE = 0, 0.5\n" in folds


def test_dry_run_of_several_objectives() -> None:
    text = describe(plan(SEVERAL))
    assert text.startswith(
        "s: custom search, 10 trials, maximize val/mAP, minimize ms (their last values), controller local"
    )
    for line in (
        "  constraint params_m <= 30",
        "  constraint gpu_memory_mb < 8000",
        "  of interest: val/mAP at least 50",
        "  the sweep ends when a trial reaches val/mAP 90 and ms 3",
    ):
        assert f"\n{line}\n" in text


def test_dry_run_of_a_scheduler() -> None:
    Path("own.py").write_text("def space(trial):\n    return {'base_lr': trial.suggest_float('base_lr', 0.1, 0.2)}\n")
    text = "method: custom\nmetric: {name: val/mAP}\nscheduler: {engine: optuna, source: own.py, search_space: space}\n"
    found = describe(plan(text))
    assert "  points are chosen by optuna, source own.py, search_space space\n" in found
    assert "  first trials (drawn without any result):\n" in found
    commands = [line for line in found.splitlines() if "train.py" in line]
    assert len(commands) == 5 and all("SOLVER.BASE_LR 0.1" in line for line in commands)
    assert "nothing varies" not in found


def test_dry_run_of_one_metric_is_as_before() -> None:
    lines = describe(
        plan(RANDOM.replace("maximize}", "maximize, target: 90}"), "--seed", "1"), seeded=True
    ).splitlines()
    assert lines[0].startswith("s: random search, 10 trials, maximize val/mAP (its last value), controller local")
    assert "  the sweep ends when a trial reaches val/mAP 90" in lines
    assert "  first trials (random points of --seed 1):" in lines
