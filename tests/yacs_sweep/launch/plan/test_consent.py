"""What a sweep's description says beyond the search, where others can write it, is taken only with the user's yes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import ROOT
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.launch.options.table import Options
from yacs_sweep.launch.plan.consent import SHOWN, Description, agreed
from yacs_sweep.records.launch_file import LaunchFile
from yacs_sweep.spec.read_sweep import sweep_from_dict
from yacs_sweep.trainers.function import FUNCTION
from yacs_sweep.trainers.own_command import SWEEP_FILE

SEARCH: dict[str, Any] = {"method": "random", "parameters": {"lr": {"min": 0.1, "max": 0.9}}}
PLAIN = LaunchFile(
    "local", None, str(ROOT / "configs/trainers/reid.yaml"), None, (), 7, None, "offline", None, None, "", 9
)
# What a description may say beyond the search, and how it is shown: (of the sweep, of its launch, text)
CLAIMS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "command": ({"command": ["sh", "-c", "touch x"]}, {"trainer": SWEEP_FILE}, "sh -c 'touch x'"),
    "program": ({"program": "evil.py"}, {"trainer": SWEEP_FILE}, "evil.py"),
    "profile": ({}, {"trainer": "/tmp/evil.yaml"}, "trainer /tmp/evil.yaml"),
    "profile in front": ({}, {"trainer": "evil:/tmp/evil.yaml"}, "trainer evil:/tmp/evil.yaml"),
    "configuration": ({}, {"config_file": "evil.py"}, "--config_file evil.py"),
    "words": ({}, {"trailing": ("A.B", "x y")}, "words A.B 'x y'"),
    "results": ({"results_dir_base": "/evil"}, {}, "results in /evil"),
}


@pytest.fixture(autouse=True)
def in_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def description(spec: dict[str, Any], launch: dict[str, Any]) -> Description:
    return Description("in the database", sweep_from_dict({**SEARCH, **spec}, "test"), replace(PLAIN, **launch))


@pytest.mark.parametrize("claim", CLAIMS)
def test_it_is_refused_without_the_users_yes(claim: str) -> None:
    spec, launch, shown = CLAIMS[claim]
    with pytest.raises(ConfigError) as error:
        agreed("--sweep_id abc", description(spec, launch), Options())
    assert str(error.value) == (
        f"--sweep_id abc: the sweep's settings are stored in the database, where others can edit them ({shown}); "
        "--trainer '(sweep file)' accepts them, --trainer PROFILE runs another trainer"
    )


@pytest.mark.parametrize("trainer", [None, "mine"])
def test_code_that_chooses_points_needs_the_users_yes_whatever_the_trainer(trainer: str | None) -> None:
    scheduler = {"engine": "optuna", "source": "evil.py", "optimizer": "make"}
    spec = {"method": "custom", "metric": {"name": "v"}, "scheduler": scheduler}
    described = description(spec, {})
    with pytest.raises(ConfigError) as error:
        agreed("--sweep_id abc", described, Options(trainer=trainer))
    assert str(error.value) == (
        "--sweep_id abc: the sweep's points are chosen by Python code that is named in the database, where others can edit "
        "it (scheduler evil.py); --trainer '(sweep file)' accepts it, with the trainer that is named there"
    )
    _, taken, notes = agreed("--sweep_id abc", described, Options(trainer=SWEEP_FILE))
    assert taken.spec.scheduler == described.spec.scheduler
    assert notes == ("accepted settings stored in the database, where others can edit them: scheduler evil.py",)


@pytest.mark.parametrize("claim", CLAIMS)
def test_it_is_taken_with_the_users_yes_and_shown(claim: str) -> None:
    spec, launch, shown = CLAIMS[claim]
    described = description(spec, launch)
    options, taken, notes = agreed("--sweep_id abc", described, Options(trainer=SWEEP_FILE))
    assert taken == described and options.trainer is None  # the description's
    assert notes == (f"accepted settings stored in the database, where others can edit them: {shown}",)


@pytest.mark.parametrize("claim", CLAIMS)
def test_nothing_of_it_is_taken_where_the_user_names_a_trainer(claim: str) -> None:
    spec, launch, shown = CLAIMS[claim]
    options, taken, notes = agreed("--sweep_id abc", description(spec, launch), Options(trainer="mine"))
    assert taken.launch == replace(PLAIN, trainer="reid") and options.trainer == "mine"
    assert taken.spec.results_dir_base == "./log/sweep" and taken.spec.parameters == description({}, {}).spec.parameters
    left = f"ignored settings stored in the database, where others can edit them: {shown}"
    assert notes == (() if claim in ("command", "program", "profile", "profile in front") else (left,))


@pytest.mark.parametrize(
    ("claim", "given"),
    [
        ("configuration", {"config_file": "mine.yml"}),
        ("words", {"trailing": ["A.B", "1"]}),
        ("results", {"results_dir": "here"}),
    ],
)
def test_what_the_user_says_instead_needs_no_yes(claim: str, given: dict[str, Any]) -> None:
    spec, launch, _ = CLAIMS[claim]
    options, taken, notes = agreed("--sweep_id abc", description(spec, launch), Options(**given))
    assert options == Options(**given) and notes == ()
    assert taken.launch == replace(PLAIN, trainer="reid")


def test_a_search_alone_needs_no_yes() -> None:
    options, taken, notes = agreed("--sweep_id abc", description({}, {}), Options(seed=1))
    assert options == Options(seed=1) and notes == ()
    assert taken.launch is not None and (taken.launch.seed, taken.launch.target) == (7, 9)


def test_whom_wandb_tells_is_not_for_others_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    online = {"wandb_mode": "online", "entity": "evil", "project": "spy"}
    _, taken, notes = agreed("--sweep_id abc", description({"project": "spy", "entity": "evil"}, online), Options())
    assert taken.launch is not None
    assert (taken.launch.wandb_mode, taken.launch.entity, taken.launch.project) == ("offline", None, "mine")
    assert (taken.spec.entity, taken.spec.project) == (None, None)
    assert notes == (
        "ignored settings stored in the database, where others can edit them: W&B runs online in evil/spy",
    )
    _, taken, notes = agreed("--sweep_id abc", description({}, online), Options(trainer=SWEEP_FILE))
    assert taken.launch is not None and taken.launch.wandb_mode == "online"
    assert notes[0].endswith("W&B runs online in evil/spy")


def test_everything_is_shown_at_once_and_nothing_hides_behind_a_long_or_dirty_word() -> None:
    command = ["sh", "-c", "true " * SHOWN + "\n\x1b[2Jevil"]
    described = description(
        {"command": command, "results_dir_base": "/evil"}, {"trainer": SWEEP_FILE, "trailing": ("K", "V")}
    )
    with pytest.raises(ConfigError) as error:
        agreed("--sweep_id abc", described, Options())
    text = str(error.value)
    assert "\x1b" not in text and "\n" not in text
    assert f"… ({len('sh -c ') + 2 + len(command[2]) - SHOWN} characters more); words K V; results in /evil)" in text


def test_a_function_is_the_users_own() -> None:
    _, taken, notes = agreed("--sweep_id abc", description({}, {"trainer": FUNCTION}), Options())
    assert taken.launch is not None and taken.launch.trainer == FUNCTION and notes == ()


def test_a_description_of_the_wandb_server_follows_the_same_rule() -> None:
    described = Description("on the W&B server", sweep_from_dict({**SEARCH, "command": ["touch", "x"]}, "test"))
    with pytest.raises(
        ConfigError, match=r"stored on the W&B server, where others can edit them \(touch x\); --trainer"
    ):
        agreed("--sweep_id abc", described, Options())
    options, taken, notes = agreed("--sweep_id abc", described, Options(trainer=SWEEP_FILE))
    assert (options.trainer, taken) == (SWEEP_FILE, described)
    assert notes == ("accepted settings stored on the W&B server, where others can edit them: touch x",)
    assert agreed("--sweep_id abc", described, Options(trainer="mine"))[2] == ()


def test_the_default_profile_of_another_folder_is_not_the_users(tmp_path: Path) -> None:
    other = tmp_path / "configs" / "trainers" / "reid.yaml"
    other.parent.mkdir(parents=True)
    other.write_text("command: [evil]\noverrides: yacs\n")
    with pytest.raises(ConfigError, match=r"\(trainer /.*reid\.yaml\)"):
        agreed("--sweep_id abc", description({}, {"trainer": str(other)}), Options())
