"""Whole sweeps on the embedded controller, started as a user starts them, on a trainer without a model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.sweeping import GRID, ROOT, environment, processes_with, start, sweep, write_sweep

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
QUIET = ("--wandb-mode", "disabled")  # a run that is recorded costs seconds
PRINTED = {
    "train": {"step", "train/loss", "train/acc", "train/lr", "epoch"},
    "val": {"step", "epoch", "val/mAP", "val/cmc_rank_1", "val/cmc_rank_5", "val/cmc_rank_10"},
}


def test_example_sweep(tmp_path: Path) -> None:
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, EXAMPLE), "TOY.ITERATIONS", "4")
    assert ran.code == 0, ran.out + ran.err
    assert "controller: local" in ran.out
    summary = ran.summary
    assert summary["counts"] == {"finished": 3}
    assert [trial["state"] for trial in summary["trials"]] == ["finished"] * 3
    best = max(summary["trials"], key=lambda trial: trial["value"])
    assert summary["best"]["value"] == best["value"] > 0
    echoed = "".join(line for line in ran.out.splitlines(keepends=True) if not line.startswith("[sweep] "))
    for trial in summary["trials"]:
        rows = ran.rows(trial["name"])
        # 2 epochs × (4 training lines + 1 validation block): ten rows printed are ten rows logged.
        assert [set(row) for row in rows] == [*[PRINTED["train"]] * 4, PRINTED["val"]] * 2
        assert [row["step"] for row in rows] == list(range(10))
        assert [row["epoch"] for row in rows] == [1] * 5 + [2] * 5
        assert trial["value"] == rows[-1]["val/mAP"]
        log = (ran.dir / trial["name"] / "stdout.log").read_text()
        assert log in echoed  # as it came
        words = trial["command"]
        lr, decay = trial["params"]["base_lr"], trial["params"]["weight_decay"]
        assert words[words.index("SOLVER.BASE_LR") + 1] == repr(lr)
        assert words[words.index("SOLVER.WEIGHT_DECAY") + 1] == repr(float(decay))
        assert words[words.index("TOY.ITERATIONS") + 1] == "4"
    config = yaml.safe_load((ran.dir / "best.yml").read_text())
    assert config["SOLVER"]["BASE_LR"] == summary["best"]["params"]["base_lr"]
    assert config["TOY"]["ITERATIONS"] == 4
    assert "best.yml" in ran.out


def test_no_message_of_the_launcher_stands_inside_a_line_of_the_trainer(tmp_path: Path) -> None:
    # Python writes a line and its end apart when it does not buffer, so that output arrives in halves now and then.
    (tmp_path / "halves.py").write_text(
        "import time\nfor i in range(3):\n"
        "    print('mAP: 5%', flush=True)\n    print('half', end='', flush=True)\n    time.sleep(1.5)\n"
        "    print(' a line' if i < 2 else '', end='\\n' if i < 2 else '', flush=True)\n"
    )
    profile = tmp_path / "p.yaml"
    profile.write_text(
        "command: [python, halves.py]\nmetrics: [{pattern: 'mAP: (?P<v>{number})%', log: {val/mAP: v}}]\n"
    )
    config = write_sweep(tmp_path, {**GRID, "parameters": {"base_lr": {"value": 1}}})
    ran = sweep(tmp_path, "--sweep-config", config, *QUIET, trainer=profile, config=None)
    assert ran.code == 0, ran.out + ran.err
    lines = ran.out.splitlines()
    told = [line for line in lines if line.startswith("[sweep] · ")]
    assert len(told) >= 1 and not any("[sweep]" in line[1:] for line in lines), ran.out
    assert lines.count("half a line") == 2 and lines.count("half") == 1


def test_every_trial_is_an_offline_wandb_run(tmp_path: Path) -> None:
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), "--sweep_name", "seed")
    assert ran.code == 0, ran.out + ran.err
    runs = sorted((ran.dir / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(runs) == 3
    for path in runs:
        content = path.read_bytes()
        assert f"seed-{ran.dir.name}".encode() in content  # the group
        assert content.count(b"val/mAP") >= 2


def test_wandb_mode_disabled_writes_no_run(tmp_path: Path) -> None:
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), "--wandb-mode", "disabled", "--count", "1")
    assert ran.code == 0
    assert not (ran.dir / "wandb").exists()


def test_grid_is_tried_in_wandb_order_and_resumed_by_id_alone(tmp_path: Path) -> None:
    grid = {**GRID, "parameters": {"margin": {"values": [0.1, 0.2]}, **GRID["parameters"]}}
    first = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, grid), "--count", "2", *QUIET)
    assert first.code == 0
    again = sweep(tmp_path, "--sweep_id", first.dir.name)
    assert again.code == 0, again.out + again.err
    trials = again.summary["trials"]
    points = [(trial["params"]["base_lr"], trial["params"]["margin"]) for trial in trials]
    assert points == [(lr, margin) for lr in (0.0001, 0.00035, 0.001) for margin in (0.1, 0.2)]
    done = sweep(tmp_path, "--sweep_id", first.dir.name, "--count", "5")
    assert done.code == 0
    assert len(done.summary["trials"]) == 6


def test_resume_from_another_folder_needs_the_id_alone(tmp_path: Path) -> None:
    env = environment(tmp_path)
    config = write_sweep(tmp_path, {**GRID, "results_dir_base": str(tmp_path / "elsewhere")})
    first = sweep(tmp_path, "--sweep-config", config, "--count", "1", *QUIET, env=env)
    assert first.code == 0
    (folder,) = (tmp_path / "elsewhere" / "sweep").iterdir()
    other = tmp_path / "other"
    other.mkdir()
    again = sweep(other, "--sweep_id", folder.name, env=env)
    assert again.code == 0, again.out + again.err
    assert json.loads((folder / "summary.json").read_text())["counts"] == {"finished": 3}
    assert not (other / "log").exists()


def test_random_sweep_is_reproducible_and_resuming_draws_new_points(tmp_path: Path) -> None:
    spec = {
        "method": "random",
        "metric": {"name": "val/mAP", "goal": "maximize"},
        "parameters": {"base_lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2}},
    }
    points = []
    for place in ("a", "b"):
        folder = tmp_path / place
        folder.mkdir()
        options = ["--sweep-config", write_sweep(folder, spec), "--seed", "7", *QUIET]
        ran = sweep(folder, *options, "--count", "4" if place == "a" else "2", "TOY.ITERATIONS", "1")
        if place == "b":
            ran = sweep(folder, "--sweep_id", ran.dir.name, "--count", "2")
        points.append([trial["params"]["base_lr"] for trial in ran.summary["trials"]])
    assert points[0] == points[1]
    assert len(set(points[0])) == 4


def test_bayes_sweep(tmp_path: Path) -> None:
    spec = {
        "method": "bayes",
        "metric": {"name": "val/mAP", "goal": "maximize"},
        "parameters": {
            "base_lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2},
            "margin": {"distribution": "q_uniform", "min": 0.1, "max": 0.5, "q": 0.1},
            "ims_per_batch": {"values": [8, 16]},
        },
    }
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, spec), "--count", "6", "--wandb-mode", "disabled")
    assert ran.code == 0, ran.out + ran.err
    assert len({trial["params"]["base_lr"] for trial in ran.summary["trials"]}) == 6


def test_hyperband_stops_a_bad_trial_and_its_process(tmp_path: Path) -> None:
    spec = {
        **GRID,
        "parameters": {"base_lr": {"values": [0.00034, 0.00035, 0.01]}},
        "early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2},
    }
    ran = sweep(
        tmp_path,
        "--sweep-config",
        write_sweep(tmp_path, spec),
        *QUIET,
        "SOLVER.MAX_EPOCHS",
        "100",
        "TOY.SECONDS",
        "0.005",
    )
    assert ran.code in (0, 1)
    good, bad = ran.trial("trial-0001"), ran.trial("trial-0002")
    assert good["state"] == "finished"
    assert bad["state"] == "stopped"
    assert "hyperband" in bad["reason"]
    assert len(ran.rows("trial-0002")) < len(ran.rows("trial-0001")) / 4
    assert ran.code == 0
    assert ran.summary["best"]["name"] == "trial-0001"
    trained = sum(trial["iterations"] for trial in ran.summary["trials"])
    assert trained < 3 * 100 - 50
    assert f"trained {trained} of 300 iterations: " in ran.out


def test_curve_ends_trials_that_will_hardly_become_the_best(tmp_path: Path) -> None:
    rates = [1e-5, 1e-4, 1e-3, 0.01, 0.0011, 0.02, 0.00035]
    spec = {
        **GRID,
        "metric": {"name": "val/mAP", "goal": "maximize"},
        "parameters": {"base_lr": {"values": rates}},
        "early_terminate": {"type": "curve"},
    }
    words = ("SOLVER.MAX_EPOCHS", "60", "TOY.SECONDS", "0.01")
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, spec), *QUIET, *words)
    assert ran.code == 0, ran.out + ran.err
    states = {trial["params"]["base_lr"]: trial["state"] for trial in ran.summary["trials"]}
    assert [states[rate] for rate in rates[:5]] == ["finished"] * 5  # none is predicted before five have ended
    assert states[0.02] == "stopped" and states[0.00035] == "finished"
    worst = next(trial for trial in ran.summary["trials"] if trial["params"]["base_lr"] == 0.02)
    assert "will hardly become the best" in worst["reason"]
    assert len(ran.rows(worst["name"])) < len(ran.rows("trial-0000")) == len(ran.rows("trial-0006"))


@pytest.mark.parametrize(
    ("mode", "code", "words"),
    [
        ("crash", 1, "ValueError: toy crash"),
        ("exit3", 3, "exit code 3"),
        ("silent", 0, "never logged the sweep's metric val/mAP"),
        ("oom", 1, "CUDA out of memory"),
        ("kill", -9, "SIGKILL"),
    ],
)
def test_failed_trials_say_why(tmp_path: Path, mode: str, code: int, words: str) -> None:
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), *QUIET, "--count", "1", "TOY.MODE", mode)
    assert ran.code == 1
    trial = ran.trial("trial-0000")
    assert (trial["state"], trial["exit_code"]) == ("failed", code)
    assert words in trial["reason"]
    assert words in ran.out
    assert ran.summary["best"] is None


def test_three_failures_in_a_row_end_the_sweep(tmp_path: Path) -> None:
    grid = {**GRID, "parameters": {"base_lr": {"values": [1e-4, 2e-4, 3e-4, 4e-4, 5e-4]}}}
    ran = sweep(
        tmp_path, "--sweep-config", write_sweep(tmp_path, grid), "TOY.MODE", "crash", "--wandb-mode", "disabled"
    )
    assert ran.code == 1
    assert ran.summary["counts"] == {"failed": 3}
    assert "ValueError: toy crash" in ran.out
    more = sweep(tmp_path, "--sweep_id", ran.dir.name, "--max-failures", "10")
    assert more.summary["counts"] == {"failed": 5}


def test_timeout_is_a_failure_and_leaves_nothing(tmp_path: Path) -> None:
    marker = str(tmp_path)
    options = ["--count", "1", "--timeout", "1", "--grace", "0.5", "--wandb-mode", "disabled"]
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), *options, "TOY.MODE", "deaf")
    assert ran.code == 1
    assert ran.trial("trial-0000")["cause"] == "timeout"
    assert not processes_with(marker)


def test_the_trainer_sees_nothing_of_the_parents_wandb(tmp_path: Path) -> None:
    secrets = {
        f"WANDB_{name}": "s3cret" for name in ("RUN_ID", "SWEEP_ID", "SWEEP_PARAM_PATH", "SERVICE", "API_KEY", "ENTITY")
    }
    env = environment(tmp_path, **{**secrets, "HYDRA_FULL_ERROR": "1"})
    options = ["--controller", "local", "--count", "1", "--wandb-mode", "disabled"]
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), *options, "TOY.MODE", "environment", env=env)
    assert ran.code == 0, ran.out + ran.err
    log = (ran.dir / "trial-0000" / "stdout.log").read_text()
    assert "ENV WANDB_MODE=disabled" in log
    assert "ENV HYDRA_FULL_ERROR=1" in log
    assert log.count("ENV WANDB_") == 1
    assert "s3cret" not in log


def test_interrupt_ends_the_trial_and_resuming_tries_its_point_again(tmp_path: Path) -> None:
    launcher = start(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), *QUIET, "TOY.SECONDS", "0.5")
    assert launcher.stdout is not None
    for line in launcher.stdout:
        if "Epoch[1]" in line:
            launcher.send_signal(2)
            break
    rest = launcher.stdout.read()
    assert launcher.wait(timeout=180) == 130, rest
    (folder,) = (tmp_path / "log" / "sweep" / "sweep").iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["counts"] == {"killed": 1}
    assert folder.name in rest  # how to go on
    again = sweep(tmp_path, "--sweep_id", folder.name, "TOY.SECONDS", "0")
    assert again.code == 0, again.out + again.err
    assert again.summary["counts"] == {"finished": 3, "killed": 1}
    finished = sorted(t["params"]["base_lr"] for t in again.summary["trials"] if t["state"] == "finished")
    assert finished == [0.0001, 0.00035, 0.001]


def test_killed_launcher_loses_one_trial_which_is_tried_again(tmp_path: Path) -> None:
    launcher = start(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), *QUIET, "TOY.SECONDS", "0.5")
    assert launcher.stdout is not None
    for line in launcher.stdout:
        if "Epoch[1]" in line:
            launcher.kill()
            break
    launcher.wait()
    launcher.stdout.close()
    deadline = time.monotonic() + 60
    while processes_with(str(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes_with(str(tmp_path))
    (folder,) = (tmp_path / "log" / "sweep" / "sweep").iterdir()
    again = sweep(tmp_path, "--sweep_id", folder.name, "TOY.SECONDS", "0")
    assert again.code == 0, again.out + again.err
    assert again.summary["counts"] == {"finished": 3, "lost": 1}


def test_without_a_yaml(tmp_path: Path) -> None:
    ran = sweep(tmp_path, "--lr_values", "0.0001,0.00035", "--wd_values", "0,0.0005", "--wandb-mode", "disabled")
    assert ran.code == 0, ran.out + ran.err
    assert len(ran.summary["trials"]) == 4
    assert ran.summary["metric"] == {"name": "val/mAP", "goal": "maximize"}


def test_dry_run_creates_nothing(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, EXAMPLE)
    before = sorted(tmp_path.rglob("*"))
    ran = sweep(tmp_path, "--sweep-config", path, "--dry-run", env={**environment(tmp_path / "home")})
    assert ran.code == 0, ran.err
    assert sorted(tmp_path.rglob("*")) == before
    assert "SOLVER.BASE_LR" in ran.out
    assert ran.out.count("train.py --config_file=") == 3


def test_help_is_fast_and_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import runpy, sys; sys.argv = ['sweep.py', '--help']\n"
        "try: runpy.run_path(sys.argv.pop(0) and {path!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(sorted(set(sys.modules) & {{'torch', 'wandb', 'optuna', 'numpy', 'torchvision'}}))"
    ).format(path=str(ROOT / "tools" / "sweep.py"))
    code = code.replace("sys.argv = ['sweep.py', '--help']", "sys.argv = ['sweep.py', 'sweep.py', '--help']")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--sweep-config" in done.stdout and "--sweep_config" in done.stdout


def test_relative_python_and_any_folder(tmp_path: Path) -> None:
    python = os.path.relpath(sys.executable, tmp_path)
    ran = sweep(tmp_path, "--lr_values", "0.001", "--python", python, "--wandb-mode", "disabled")
    assert ran.code == 0, ran.out + ran.err
    assert ran.trial("trial-0000")["command"][0] == sys.executable


def test_the_command_for_the_best_runs(tmp_path: Path) -> None:
    ran = sweep(tmp_path, "--lr_values", "0.001", "--wandb-mode", "disabled")
    (line,) = [line for line in ran.out.splitlines() if "train with it:" in line]
    shell = line.split("train with it: ")[1]
    target = Path(yaml.safe_load((ran.dir / "best.yml").read_text())["OUTPUT_DIR"])
    target.mkdir()
    done = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, shell + done.stderr
    assert "mAP" in done.stdout
