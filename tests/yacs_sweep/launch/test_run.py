from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.sweeping import GRID, TOY, environment, sweep, write_sweep
from yacs_sweep.base.command_line import SCRIPT, launcher_command
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.launch.keywords import from_keywords
from yacs_sweep.launch.options.read import contradictions, parse
from yacs_sweep.launch.plan.checks import log_model_problems
from yacs_sweep.launch.plan.controller import choose_controller
from yacs_sweep.launch.plan.make import make_plan, remaining
from yacs_sweep.launch.resuming import Resuming
from yacs_sweep.launch.run import make_job
from yacs_sweep.launch.workers.agent import load_launch, make_controller
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.records.known_sweeps import find, find_sweep, new_sweep_id, remember
from yacs_sweep.records.launch_file import LaunchFile, load_spec_of, save_spec
from yacs_sweep.records.summary import known_records
from yacs_sweep.show.report.data import read_local
from yacs_sweep.spec.from_options import spec_from_options
from yacs_sweep.wandb.login import base_url, is_logged_in


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepPaths:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    paths = SweepPaths(tmp_path / "results", "abc12345")
    paths.dir.mkdir(parents=True)
    save_spec(paths, spec_from_options(lr_values="0.1,0.2", metric="val/mAP"))
    launch = LaunchFile("local", None, "reid.yaml", None, ("A.B", "1"), 7, None, "offline", None, None, "/", 5)
    launch.save(paths)
    return paths


def test_launch_and_spec_survive_the_disk(paths: SweepPaths) -> None:
    launch = LaunchFile.load(paths)
    assert (launch.trailing, launch.seed, launch.target) == (("A.B", "1"), 7, 5)
    spec = load_spec_of(paths)
    assert spec.method == "grid"
    assert spec.metric is not None and spec.metric.goal == "maximize"
    assert [spec.grid_point(i) for i in range(2)] == [{"base_lr": 0.1}, {"base_lr": 0.2}]


def test_a_sweep_is_found_where_it_was_remembered(paths: SweepPaths, tmp_path: Path) -> None:
    assert find_sweep("abc12345", [tmp_path / "other"]) is None
    remember(paths)
    assert find_sweep("abc12345", [tmp_path / "other"]) == paths
    assert find_sweep("team/project/abc12345", []) == paths
    assert find_sweep("abc12345", [paths.base]) == paths


@pytest.mark.parametrize("name", ["", "..", "../x", "a/../b", "a//b", "a/b/c/d", "x y", "-x", "a\n"])
def test_what_is_no_sweep_id(name: str) -> None:
    with pytest.raises(ConfigError, match="not a sweep id"):
        find_sweep(name, [])


def test_sweep_ids_differ() -> None:
    assert len({new_sweep_id() for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("target", "settled", "grid", "left"),
    [(30, 12, None, 18), (2, 2, 6, 4), (2, 1, 6, 1), (10, 10, None, 0), (10, 13, None, 0), (6, 6, 6, 0)],
)
def test_what_remains_of_a_resumed_sweep(target: int, settled: int, grid: int | None, left: int) -> None:
    assert remaining(target, settled, grid) == left


def test_login_is_a_key_or_a_netrc_entry_of_the_server(tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine wandb.example.org login user password secret\n")
    environment = {"WANDB_CONFIG_DIR": str(tmp_path), "NETRC": str(netrc)}
    assert base_url(environment) == "https://api.wandb.ai"
    assert not is_logged_in({**environment, "WANDB_BASE_URL": "https://other.example.org"})
    assert is_logged_in({**environment, "WANDB_BASE_URL": "https://wandb.example.org:8080"})
    assert is_logged_in({**environment, "WANDB_API_KEY": "k" * 40})
    assert not is_logged_in({**environment, "WANDB_API_KEY": "k" * 40, "WANDB_MODE": "offline"})
    (tmp_path / "settings").write_text("[default]\nbase_url = https://wandb.example.org\n")
    assert is_logged_in(environment)


BAD_ADDRESSES = ["http://[bad", "wandb.example.org", "ftp://example.org", "http://host:port", "http://", "http://ho st"]


@pytest.mark.parametrize("url", BAD_ADDRESSES)
def test_what_is_no_address_of_a_server_is_told(url: str, tmp_path: Path) -> None:
    told = f"{url}: not the address of a server; write https://HOST"
    for key in ({}, {"WANDB_API_KEY": "k" * 40}):
        with pytest.raises(ConfigError, match=f"^{re.escape('WANDB_BASE_URL=' + told)}$"):
            is_logged_in({"WANDB_BASE_URL": url, **key})
    (tmp_path / "settings").write_text(f"[default]\nbase_url = {url}\n")
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path / 'settings'}: base_url {told}")):
        base_url({"WANDB_CONFIG_DIR": str(tmp_path)})


def test_a_password_in_what_is_no_address_is_not_shown() -> None:
    with pytest.raises(ConfigError, match=re.escape("WANDB_BASE_URL=…@[x: not the address")) as told:
        base_url({"WANDB_BASE_URL": "http://alice:s3cret@[x"})
    assert "s3cret" not in str(told.value) and "alice" not in str(told.value)


@pytest.mark.parametrize("words", [(), ("--controller", "local"), ("--controller", "wandb"), ("--sweep_id", "a1b2c3")])
def test_a_launch_with_a_wrong_server_ends_with_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    path = () if "--sweep_id" in words else ("--sweep-config", write_sweep(tmp_path, GRID))
    ran = sweep(tmp_path, *path, *words, env=environment(tmp_path, WANDB_BASE_URL="http://[bad"))
    assert ran.code == 2 and ran.sweeps == [] and ran.out == "", ran.out
    assert ran.err.strip() == "error: WANDB_BASE_URL=http://[bad: not the address of a server; write https://HOST"


def test_a_wrong_server_is_nothing_to_a_sweep_without_runs(tmp_path: Path) -> None:
    env = environment(tmp_path, WANDB_BASE_URL="http://[bad")
    words = ("--controller", "local", "--wandb-mode", "disabled", "--count", "1")
    assert sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), *words, env=env).code == 0


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_a_login_that_is_turned_off_is_the_reason(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("WANDB_MODE", mode)
    controller, (note,) = choose_controller(parse([]))
    assert controller == "local" and f"because WANDB_MODE={mode} is set" in note


def test_disabled_in_the_environment_is_disabled_unless_an_option_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert parse([]).wandb_off and from_keywords({}).wandb_off
    assert not parse(["--wandb-mode", "offline"]).wandb_off
    assert not parse(["--controller", "wandb"]).wandb_off
    assert contradictions(parse(["--status"])) == []
    words = ["--config_file", str(TOY / "toy.yml"), "--trainer", str(TOY / "toy.yaml"), "--lr_values", "0.1"]
    assert make_plan(parse(words)).launch.wandb_mode == "disabled"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert not parse([]).wandb_off
    assert make_plan(parse(words)).launch.wandb_mode == "offline"


def test_disabled_in_the_environment_holds_for_one_launch(paths: SweepPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = replace(
        LaunchFile.load(paths), trainer=str(TOY / "toy.yaml"), config_file=str(TOY / "toy.yml"), trailing=()
    )
    launch.save(paths)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    options = parse(["--sweep_id", "abc12345", "--results_dir", str(paths.base), "--log-model"])
    with pytest.raises(ConfigError, match="--log-model: WANDB_MODE=disabled is set"):
        make_plan(options)
    plan = make_plan(replace(options, log_model=False))
    assert plan.launch.wandb_mode == "offline"
    (refused,) = log_model_problems(options, plan.launch)
    assert "WANDB_MODE=disabled is set" in refused
    results: Any = SimpleNamespace(plan=plan, paths=paths, summary=SimpleNamespace(records={}))
    job = make_job(results, options, "", None)
    monkeypatch.setattr("yacs_sweep.search.local.LocalController", lambda *_, recorder, **settings: recorder)
    monkeypatch.setattr("yacs_sweep.wandb.recorder.Recorder", lambda *_: "recorder")
    runner = SimpleNamespace(launch=load_launch(paths, job.limits), commit=SimpleNamespace(get=lambda: None))
    agent: Any = SimpleNamespace(runner=runner, note=print)
    lock: Any = SimpleNamespace(name="")
    assert make_controller(job, agent, lock) is None
    assert make_controller(replace(job, wandb_off=False), agent, lock) == "recorder"


def test_a_folder_the_user_names_is_the_only_one_looked_in(paths: SweepPaths, tmp_path: Path) -> None:
    remember(paths)
    options = parse(["--sweep_id", "abc12345", "--results_dir", str(tmp_path / "other")])
    assert find("abc12345", options.results_dir) is None
    assert find("abc12345", None) == paths


@pytest.mark.parametrize("text", ["", "{", "x: [", "[1]", "null"])
@pytest.mark.parametrize("name", ["launch.json", "sweep.yaml"])
def test_a_damaged_file_is_told_in_one_line(paths: SweepPaths, name: str, text: str) -> None:
    (paths.dir / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        make_plan(parse(["--sweep_id", "abc12345", "--results_dir", str(paths.base)]))
    (problem,) = caught.value.problems
    assert problem.startswith(str(paths.dir / name)) and "\n" not in problem


def test_what_goes_on_keeps_the_limits_and_nothing_that_is_usual() -> None:
    words = ["--workers", "2", "--timeout", "90", "--retries", "1", "--grace", "15", "--parallel-sweeps"]
    shown = Resuming("abc12345", parse(words)).command
    assert shown[-8:] == ["--sweep_id", "abc12345", "--workers", "2", "--timeout", "90", "--retries", "1"]
    assert Resuming("batch-abc12345", parse(words)).command[-1] == "--parallel-sweeps"


def test_trials_of_other_machines_are_known_from_the_summary(paths: SweepPaths) -> None:
    mine = TrialRecord("s-0", "trial-0000", 0, {"base_lr": 0.1}, "finished", value=1.0)
    paths.trial("trial-0000").dir.mkdir()
    mine.save(paths.trial("trial-0000"))
    there = TrialRecord("s-1", "trial-0001", 1, {"base_lr": 0.2}, "finished", value=2.0, host="other", rows=3)
    stale = {**mine.row(), "state": "running", "value": None}
    paths.summary.write_text(json.dumps({"trials": [stale, there.row()]}))
    assert {record.id: record.value for record in known_records(paths)} == {"s-0": 1.0, "s-1": 2.0}
    read = read_local(paths)
    assert read.best is not None and read.best.name == "trial-0001"
    assert read.notes == ["1 of 2 trials ran elsewhere (other): their curves and last lines are not here."]


def test_the_command_is_told_as_it_can_be_typed_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(SCRIPT).parent.parent)
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable))
    for started in ("tools/sweep.py", SCRIPT, "tools/report.py", "/usr/bin/pytest", "-c", ""):
        assert launcher_command(started) == ("python", "tools/sweep.py")
    monkeypatch.chdir(tmp_path)
    assert launcher_command(SCRIPT) == launcher_command("my_search.py") == ("python", SCRIPT)
    monkeypatch.setenv("PATH", str(tmp_path))  # where `python` is another one, or none
    assert launcher_command(SCRIPT) == (sys.executable, SCRIPT)


def test_an_installed_command_is_told_by_its_name_where_that_is_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "yacs-sweep").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "a"))
    assert (
        launcher_command(str(tmp_path / "a" / "yacs-sweep"))
        == launcher_command(str(tmp_path / "a" / "yacs-sweep-report"))
        == ("yacs-sweep",)
    )
    assert launcher_command("b/yacs-sweep") == ("b/yacs-sweep",)
    monkeypatch.chdir(tmp_path / "a")
    assert launcher_command("../b/yacs-sweep") == (str(tmp_path / "b" / "yacs-sweep"),)
