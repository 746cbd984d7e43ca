"""Whole sweeps on the W&B server: creation, what its runs hold, idle time, going on with a sweep."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweeping import SWEEP, TOY, Ran, write_sweep
from tests.wandb_server import start_server
from tests.wandb_server.launching import environment, grid, new_sweep, runs, steps, sweep
from yacs_sweep.launch.options.read import parse
from yacs_sweep.launch.plan.make import make_plan

EXAMPLE = {
    "method": "random",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {
        "base_lr": {"values": [0.0001, 0.00035, 0.001]},
        "weight_decay": {"values": [0, 0.0005]},
        "max_epochs": {"value": 2},
    },
    "count": 3,
}
TRAIN = {"train/loss", "train/acc", "train/lr", "epoch"}
VAL = {"epoch", "val/mAP", "val/cmc_rank_1", "val/cmc_rank_5", "val/cmc_rank_10"}


def own(row: dict[str, object]) -> set[str]:
    return {name for name in row if not name.startswith("_")}


def test_example_sweep_on_the_server(tmp_path: Path) -> None:
    with start_server() as server:
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, EXAMPLE, "TOY.ITERATIONS", "4"))
        assert ran.code == 0, ran.out + ran.err
        (created,) = server.state.sweeps.values()
        first = ran.out.splitlines()[0]
        assert f"/tester/p/sweeps/{created.name}" in first, first
        assert "controller: wandb" in ran.out
        assert ran.summary["counts"] == {"finished": 3}
        assert ran.dir.name == created.name
        for run in runs(server):
            trial = ran.trial(run.title)
            assert (run.state, run.exit_code, run.sweep) == ("finished", 0, created.name)
            # Two epochs of four training lines and one validation block: ten rows printed are ten rows logged.
            assert [own(row) for row in run.history()] == [*[TRAIN] * 4, VAL] * 2
            assert steps(run) == list(range(10))
            assert [row["epoch"] for row in run.history()] == [1] * 5 + [2] * 5
            assert {name: item["value"] for name, item in json.loads(run.config).items() if name[0] != "_"} == {
                name: int(value) if value == int(value) else value for name, value in trial["params"].items()
            }
            summary = json.loads(run.summary)
            assert summary["sweep/state"] == "finished"
            assert summary["val/mAP"] == summary["sweep/last"] == summary["sweep/best"] == trial["value"]
            # What define_metric told: epoch is an axis, and everything's axis.
            told = json.loads(run.config)["_wandb"]["value"]["m"]
            assert {item.get("1") for item in told} >= {"epoch", "iteration"}
            axis = 1 + [item.get("1") for item in told].index("epoch")
            assert [item["5"] for item in told if item.get("2") == "*"] == [axis]
            assert not (ran.dir / run.title / ".wandb-unsent").exists()


def test_the_iteration_is_an_axis_where_the_profile_logs_it(tmp_path: Path) -> None:
    trainer = tmp_path / "trainer"
    shutil.copytree(TOY, trainer)
    profile = trainer / "toy.yaml"
    text = profile.read_text().replace(r"Iteration\[\d+/", r"Iteration\[(?P<iteration>\d+)/")
    profile.write_text(text.replace("epoch: epoch}", "epoch: epoch, iteration: iteration}", 1))
    with start_server() as server:
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, grid(0.0001)), trainer=profile, config=trainer / "toy.yml")
        assert ran.code == 0, ran.out + ran.err
        (run,) = runs(server)
        assert [row.get("iteration") for row in run.history()] == [1, 2, 3, None] * 2
        assert steps(run) == list(range(8))
        told = json.loads(run.config)["_wandb"]["value"]["m"]
        assert [item for item in told if item.get("1") == "iteration" and "5" not in item]  # an axis has none itself


@pytest.mark.parametrize("optimize", ["last", "best"])
def test_summary_metric_is_the_value_the_sweep_optimises(tmp_path: Path, optimize: str) -> None:
    # The toy trainer's mAP grows from epoch to epoch: minimised, its best value is the first one.
    definition = grid(0.0001, metric={"name": "val/mAP", "goal": "minimize"})
    with start_server() as server:
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, definition, "--optimize", optimize))
        assert ran.code == 0, ran.out + ran.err
        (run,) = runs(server)
        first, last = run.metric("val/mAP")
        summary = json.loads(run.summary)
        assert first < last
        assert (summary["sweep/best"], summary["sweep/last"]) == (first, last)
        assert summary["val/mAP"] == (first if optimize == "best" else last)
        assert ran.summary["best"]["value"] == summary["val/mAP"]


def test_trials_that_take_no_time_start_a_second_apart_with_one_heartbeat_each(tmp_path: Path) -> None:
    lrs = [n / 1e4 for n in range(1, 9)]
    words = ("TOY.ITERATIONS", "1", "SOLVER.MAX_EPOCHS", "1")
    with start_server() as server:
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, grid(*lrs), *words))
        assert ran.code == 0, ran.out + ran.err
        beats = [request.time for request in server.record.requests("Heartbeat")]
        assert len({request.run for request in server.record.requests("file_stream")}) == 8
        gaps = [later - earlier for earlier, later in itertools.pairwise(beats)]
        assert (beats[-1] - beats[0]) / (len(beats) - 1) > 0.99  # not more than one a second on average
        # On a loaded machine a trial may take longer than a second; most must not wait for anything else.
        assert sorted(gaps)[len(gaps) // 2] < 1.05, gaps


def test_going_on_with_a_sweep_by_its_id(tmp_path: Path) -> None:
    with start_server() as server:
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, grid(), "--count", "1"))
        assert ran.code == 0, ran.out + ran.err
        name = ran.dir.name
        # Nothing but the id, from another folder.
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        words = [sys.executable, str(SWEEP), "--sweep_id", name, "--count", "1"]
        env = environment(server, tmp_path)
        done = subprocess.run(words, cwd=elsewhere, env=env, capture_output=True, text=True, timeout=180, check=False)
        again = Ran(done.returncode, done.stdout, done.stderr, tmp_path)
        assert again.code == 0, again.out + again.err
        assert not list(elsewhere.iterdir())
        assert f"/tester/p/sweeps/{name}" in again.out.splitlines()[0]
        assert again.summary["counts"] == {"finished": 2}
        # On another machine nothing but the server knows the sweep.
        shutil.rmtree(tmp_path / "log")
        other = sweep(server, tmp_path, "--sweep_id", f"tester/p/{name}")
        assert other.code == 0, other.out + other.err
        assert other.summary["counts"] == {"finished": 1}
        assert sorted(run.point["base_lr"] for run in runs(server)) == [0.0001, 0.00035, 0.001]
        assert len(server.state.sweeps) == 1
        # Now it has no point left.
        for path, state in ((name, "FINISHED"), (f"p/{name}", "CANCELED"), (f"tester/p/{name}", "FINISHED")):
            server.control.set_sweep_state(name, state)
            refused = sweep(server, tmp_path, "--sweep_id", path)
            assert refused.code == 2, refused.out + refused.err
            assert f"--sweep_id {path}: the sweep is {state.lower()} on the W&B server" in refused.err


def test_the_best_of_a_sweep_that_only_the_server_knows(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    with start_server() as server:
        for folder in (here, there):
            folder.mkdir()
        ran = sweep(server, here, *new_sweep(here, grid()))
        assert ran.code == 0, ran.out + ran.err
        name, found = ran.dir.name, ran.summary["best"]
        server.control.set_sweep_state(name, "FINISHED")  # which is no reason against it
        for run in server.state.runs.values():  # somebody has written to the runs
            more = {"OUTPUT_DIR": {"value": "/evil"}, "TOY.MODE": {"value": "x"}}
            run.config = json.dumps({**json.loads(run.config), **more})
        best = sweep(server, there, "--train-best", f"tester/p/{name}", "--seeds", "1", "TOY.NOISE", "0.5")
        assert best.code == 0, best.out + best.err
        assert best.dir.name == f"{name}-best" and best.summary["counts"] == {"finished": 1}
        command = json.loads((best.dir / "trial-0000" / "trial.json").read_text())["command"]
        assert command[command.index("SOLVER.BASE_LR") + 1] == str(found["params"]["base_lr"])
        assert command[command.index("TOY.NOISE") + 1] == "0.5"
        assert "/evil" not in command and "TOY.MODE" not in command
        assert "ignored, as the sweep does not search them: OUTPUT_DIR, TOY.MODE" in best.out
        refused = sweep(server, there, "--train-best", "tester/p/nosuch12")
        assert refused.code == 2
        assert refused.err.splitlines()[-1].startswith(
            "error: --train-best tester/p/nosuch12: no sweep tester/p/nosuch12 on the W&B"
        )


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a/b/c/d", "not a sweep id; write ID, PROJECT/ID or ENTITY/PROJECT/ID"),
        ("../etc", "not a sweep id"),
        ("tester/p/nosuch12", "no sweep tester/p/nosuch12 on the W&B server\n"),
        ("nosuch12", "no sweep tester/uncategorized/nosuch12 on the W&B server; of another project or entity: write"),
    ],
)
def test_a_sweep_id_that_leads_nowhere(tmp_path: Path, path: str, reason: str) -> None:
    with start_server() as server:
        refused = sweep(server, tmp_path, "--sweep_id", path)
        assert refused.code == 2, refused.out + refused.err
        assert reason in refused.err
        assert "Traceback" not in refused.err
        assert not (tmp_path / "log").exists()


def test_project_and_entity_come_from_the_option_then_the_environment_then_the_config_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = tmp_path / "trainer"
    shutil.copytree(TOY, trainer)
    tree = trainer / "defaults.py"
    tree.write_text(tree.read_text() + '_C.WANDB = CN()\n_C.WANDB.PROJECT = ""\n_C.WANDB.ENTITY = ""\n')
    config = tmp_path / "c.yml"
    config.write_text("WANDB: {PROJECT: config, ENTITY: group}\n")
    words = ["--controller", "wandb", "--config_file", config, "--trainer", trainer / "toy.yaml"]
    words += ["--sweep-config", write_sweep(tmp_path, grid())]

    def place(*more: str) -> tuple[str | None, str | None]:
        launch = make_plan(parse([*map(str, words), *more])).launch
        return launch.project, launch.entity

    for name in ("PROJECT", "ENTITY"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    assert place() == ("config", "group")
    monkeypatch.setenv("WANDB_PROJECT", "environment")
    assert place() == ("environment", "group")
    assert place("--project", "option", "--entity", "me") == ("option", "me")


def test_two_agents_of_one_sweep_get_other_points_and_keep_to_the_count(tmp_path: Path) -> None:
    lrs = [n / 1e4 for n in range(1, 31)]
    words = ("--workers", "2", "--count", "7", "--quiet", "TOY.ITERATIONS", "1", "SOLVER.MAX_EPOCHS", "1")
    with start_server() as server:
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, grid(*lrs), *words))
        assert ran.code == 0, ran.out + ran.err
        assert ran.summary["counts"] == {"finished": 7}
        assert len({run.point["base_lr"] for run in runs(server)}) == len(runs(server)) == 7
        assert {run.state for run in runs(server)} == {"finished"}
        trials = ran.summary["trials"]
        assert {trial["agent"].split("-")[0] for trial in trials} == {"0", "1"}
        assert len({trial["number"] for trial in trials}) == 7
