"""`--train-best`: full epochs, fresh seeds, mean and standard deviation; gone on with like every sweep."""

from __future__ import annotations

import json
import re
import shlex
import signal
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import GRID, TOY, Ran, start, sweep, write_sweep
from yacs_sweep.launch.plan.train_best import _small_sweep
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.show.report.data import read_local
from yacs_sweep.show.report.repeat import commands as report_commands
from yacs_sweep.spec.read_sweep import sweep_from_dict

QUIET = ("--wandb-mode", "disabled", "--controller", "local")


def searched(folder: Path, *words: str, **changes: Any) -> tuple[Ran, str]:
    """A sweep of the toy trainer that has ended, and its id."""
    ran = sweep(folder, "--sweep-config", write_sweep(folder, {**GRID, **changes}), *QUIET, *words)
    assert ran.code == 0, ran.out + ran.err
    return ran, ran.dir.name


def seeds(folder: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "log/sweep/sweep" / name / "seeds.json").read_text())
    return content


def commands(folder: Path, name: str) -> list[list[str]]:
    return [
        json.loads(path.read_text())["command"]
        for path in sorted((folder / "log/sweep/sweep" / name).glob("trial-*/trial.json"))
    ]


def line_after(ran: Ran, words: str) -> str:
    """What stands behind some words of a line of the launcher."""
    (line,) = [line for line in ran.out.splitlines() if line.startswith(f"[sweep] {words}: ")]
    return line.split(": ", 1)[1]


def test_the_best_is_trained_for_all_epochs_with_seeds_the_search_did_not_use(tmp_path: Path) -> None:
    found_by, name = searched(tmp_path, "SOLVER.MAX_EPOCHS", "1", "TOY.NOISE", "1.0", "SOLVER.SEED", "7")
    assert line_after(found_by, "train the best with 3 seeds").endswith(f"sweep.py --train-best {name}")
    best = found_by.summary["best"]
    ran = sweep(tmp_path, "--train-best", name, "--seeds", "4", config=None, trainer=None)
    assert ran.code == 0, ran.out + ran.err
    assert "SOLVER.MAX_EPOCHS: as in the configuration, not 1 as in the search" in ran.out
    # The report says the same beside its command.
    said = [
        what
        for what, line in report_commands(read_local(SweepPaths(tmp_path / "log/sweep", name)))
        if "--train-best" in line
    ]
    assert said[0].startswith("The best configuration with several seeds; SOLVER.MAX_EPOCHS: as in")
    assert said[0].split("; ", 1)[1] in ran.out
    environment = json.loads((tmp_path / "log/sweep/sweep" / name / "environment.json").read_text())
    assert environment["packages"]["optuna"] and environment["Python"].startswith("3.")
    content = seeds(tmp_path, f"{name}-best")
    assert [trial["seed"] for trial in content["trials"]] == [8, 9, 10, 11]
    for words in commands(tmp_path, f"{name}-best"):
        given = dict(zip(words[3::2], words[4::2], strict=False))
        assert given["SOLVER.BASE_LR"] == "0.00035" and given["TOY.NOISE"] == "1.0" and "SOLVER.MAX_EPOCHS" not in given
    values = [trial["value"] for trial in content["trials"]]
    found = content["metrics"]["val/mAP"]
    assert found["values"] == values and len(set(values)) == 4
    assert found["mean"] == pytest.approx(sum(values) / 4)
    assert found["std"] == pytest.approx(statistics.stdev(values))  # n - 1
    assert next(iter(content["metrics"])) == "val/mAP" and "epoch" not in content["metrics"]
    assert content["search"] == {"name": best["name"], "value": best["value"]}
    beside = (
        f"val/mAP {found['mean']:.4g} ± {found['std']:.4g} with 4 seeds; the search's best trial, {best['name']}, had "
    )
    assert f"{beside}{best['value']:.4g}\n" in ran.out and "train the best" not in ran.out
    apart = "last epoch is 2 with the seeds, and 1 in the search: the values are not of equal trainings"
    assert content["epochs"] == {"search": 1, "seeds": [2, 2, 2, 2]} and f"the {apart}" in ran.out
    done = subprocess.run(
        [*shlex.split(line_after(ran, "report")), "--format", "md"], cwd=tmp_path, capture_output=True
    )
    said = done.stdout.decode()
    assert done.returncode == 0 and f"Sweep `{name}`" in said and "| in the search |" in said  # the search's report
    assert f"The {apart}." in said
    # No seed is the best of them: the one nearest to the mean stands for all.
    assert "[sweep] best: " not in ran.out and "[sweep] train with it" not in ran.out
    small = json.loads((tmp_path / "log/sweep/sweep" / f"{name}-best" / "summary.json").read_text())["best"]
    assert (small["mean"], small["sd"], small["n"]) == (pytest.approx(found["mean"]), pytest.approx(found["std"]), 4)
    assert "point" not in small and small["value"] == min(values, key=lambda value: abs(value - found["mean"]))
    listed = re.findall(r"^(trial-\d+) ", ran.out, re.MULTILINE)
    assert listed == [f"trial-000{number}" for number in range(4)]
    status = sweep(tmp_path, "--status", "--sweep_id", f"{name}-best", config=None, trainer=None)
    assert f"mean  val/mAP {found['mean']:.5g} ± {found['std']:.2g} (sd, 4 seeds)" in status.out
    assert re.findall(r"^(trial-\d+) ", status.out, re.MULTILINE) == listed
    # The second epoch was trained: the toy's mAP is the share of epochs done.
    rows = (tmp_path / "log/sweep/sweep" / f"{name}-best" / "trial-0000" / "metrics.jsonl").read_text()
    assert '"epoch": 2' in rows
    # Again: there is nothing to do, and the same answer.
    again = sweep(tmp_path, "--train-best", name, "--seeds", "4", config=None, trainer=None)
    assert again.code == 0, again.out + again.err
    assert seeds(tmp_path, f"{name}-best") == content and "already in" not in again.out
    # Other seeds: the folder that has some of them is named, before they are trained again.
    more = sweep(tmp_path, "--train-best", name, "--seeds", "5", "--dry-run", config=None, trainer=None)
    assert f"seeds 8, 9, 10, 11: already in log/sweep/sweep/{name}-best; trained again" in more.out, more.out + more.err


def test_epochs_that_were_searched_are_kept_and_words_given_count_more(tmp_path: Path) -> None:
    parameters = {"base_lr": {"values": [0.0001, 0.001]}, "max_epochs": {"values": [1, 3]}, "margin": {"value": 0.5}}
    _, name = searched(tmp_path, parameters=parameters)
    ran = sweep(tmp_path, "--train-best", name, "--seeds", "1", "SOLVER.MARGIN", "0.7", config=None, trainer=None)
    assert ran.code == 0, ran.out + ran.err
    assert "was searched, and is kept" in ran.out
    (words,) = commands(tmp_path, f"{name}-best")
    assert words[words.index("SOLVER.MARGIN") + 1] == "0.7" and words.count("SOLVER.MARGIN") == 1
    assert words[words.index("SOLVER.MAX_EPOCHS") + 1] in ("1", "3")
    assert seeds(tmp_path, f"{name}-best")["metrics"]["val/mAP"]["std"] is None  # of one value there is none
    # Another configuration is another folder.
    other = sweep(tmp_path, "--train-best", name, "--seeds", "1", "SOLVER.MAX_EPOCHS", "2", config=None, trainer=None)
    assert other.code == 0, other.out + other.err
    (words,) = commands(tmp_path, f"{name}-best-2")
    assert words[words.index("SOLVER.MAX_EPOCHS") + 1] == "2"


def test_notes_of_the_sweep_file_are_not_repeated() -> None:
    parameters = {"steps": {"value": [20, 40]}, "lr": {"values": [0.1, 0.2]}}
    spec = sweep_from_dict({"method": "grid", "metric": {"name": "m"}, "parameters": parameters}, "y.yaml")
    assert "one single value" in spec.warnings[0]
    small = _small_sweep(spec, {"steps": {"value": [20, 40]}, "lr": {"value": 0.1}}, Path("log"))
    assert small.warnings == ()


def test_seeds_that_were_interrupted_are_gone_on_with(tmp_path: Path) -> None:
    _, name = searched(tmp_path)
    words = ("--train-best", name, "--seeds", "2", "TOY.SECONDS", "0.3")
    launcher = start(tmp_path, *words, config=None, trainer=None)
    folder = tmp_path / "log/sweep/sweep" / f"{name}-best"
    deadline = time.monotonic() + 120
    while not list(folder.glob("trial-0001/trial.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    launcher.send_signal(signal.SIGINT)
    assert launcher.wait(60) == 130
    assert launcher.stdout is not None
    launcher.stdout.close()
    assert len(seeds(tmp_path, f"{name}-best")["metrics"]["val/mAP"]["values"]) == 1
    again = sweep(tmp_path, *words, config=None, trainer=None)
    assert again.code == 0, again.out + again.err
    assert len(seeds(tmp_path, f"{name}-best")["metrics"]["val/mAP"]["values"]) == 2


def test_mistakes_are_told_before_anything_starts(tmp_path: Path) -> None:
    refused = sweep(tmp_path, "--train-best", "nosuch12", config=None, trainer=None)
    assert refused.code == 2 and "--train-best nosuch12: no such sweep" in refused.err
    failing = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), *QUIET, "TOY.MODE", "crash")
    name = failing.dir.name
    refused = sweep(tmp_path, "--train-best", name, config=None, trainer=None)
    assert refused.code == 2 and "no trial of it has finished with a value" in refused.err
    refused = sweep(tmp_path, "--train-best", name, "--sweep_id", name, config=None, trainer=None)
    assert refused.code == 2 and "--sweep_id: --train-best trains what a sweep has found" in refused.err
    assert [path.name for path in (tmp_path / "log/sweep/sweep").iterdir()] == [name]


def test_a_trainer_without_a_seed_is_trained_once_or_refused(tmp_path: Path) -> None:
    profile = tmp_path / "bare.yaml"
    text = (TOY / "toy.yaml").read_text().replace("  seed: SOLVER.SEED\n", "").replace("cwd: .", f"cwd: {TOY}")
    profile.write_text(text.replace("schema: defaults.py:_C\n", ""))
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), *QUIET, trainer=profile)
    assert ran.code == 0, ran.out + ran.err
    name = ran.dir.name
    refused = sweep(tmp_path, "--train-best", name, "--seeds", "3", config=None, trainer=None)
    assert refused.code == 2 and "--seeds 3: the trainer bare has no alias `seed`" in refused.err
    once = sweep(tmp_path, "--train-best", name, config=None, trainer=None)
    assert once.code == 0, once.out + once.err
    assert "one training: the trainer bare has no alias `seed`" in once.out


def test_a_program_of_a_sweep_file_has_no_profile_to_name_its_seed(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("print('METRIC {\"loss\": 1.0}')\n")
    body = {
        "method": "grid",
        "program": "p.py",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"a": [1]},
    }
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, body), *QUIET[:2], config=None, trainer=None)
    assert ran.code == 0, ran.out + ran.err
    name = ran.dir.name
    refused = sweep(tmp_path, "--train-best", name, "--seeds", "3", config=None, trainer=None)
    told = "--seeds 3: how the sweep file's program takes a seed is not known; give --seeds 1"
    assert refused.code == 2 and refused.err == f"error: {told}\n"
    for words in (["--seeds", "1"], []):
        once = sweep(tmp_path, "--train-best", name, *words, config=None, trainer=None)
        assert once.code == 0, once.out + once.err
        assert ("one training: no parameter of the sweep is the program's seed" in once.out) == (not words), once.out


@pytest.mark.parametrize(
    ("parameters", "name", "seeds"),
    [
        ({"seed": {"value": 3}}, "seed", [4, 5, 6]),
        ({"split_seed": {"value": 9}, "seed": {"values": [1, 2]}}, "seed", [3, 4, 5]),
        ({"data": {"parameters": {"seed": {"value": 0}}}}, "data.seed", [1, 2, 3]),
        ({"SEED": {"value": 7}}, "SEED", [8, 9, 10]),
    ],
)
def test_a_program_takes_its_seed_by_the_parameter_of_that_name(
    tmp_path: Path, parameters: dict[str, Any], name: str, seeds: list[int]
) -> None:
    (tmp_path / "p.py").write_text("import sys\nprint('GOT', sys.argv[1:])\nprint('METRIC {\"loss\": 1.0}')\n")
    body = {
        "method": "grid",
        "program": "p.py",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"a": {"values": [1, 2]}, **parameters},
    }
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, body), *QUIET[:2], config=None, trainer=None)
    assert ran.code == 0, ran.out + ran.err
    found = ran.dir
    assert f"--train-best {found.name}" in ran.out
    trained = sweep(tmp_path, "--train-best", found.name, config=None, trainer=None)
    assert trained.code == 0, trained.out + trained.err
    small = found.parent / f"{found.name}-best"
    records = [json.loads(path.read_text()) for path in sorted(small.glob("trial-*/trial.json"))]
    assert [record["params"][name] for record in records] == seeds
    assert [trial["seed"] for trial in json.loads((small / "seeds.json").read_text())["trials"]] == seeds
    said = [re.findall(r"(?i)\bseed\W+(\d+)", (small / item["name"] / "stdout.log").read_text()) for item in records]
    assert said == [[str(seed)] for seed in seeds]
    more = sweep(tmp_path, "--train-best", found.name, "--seeds", "4", "--dry-run", config=None, trainer=None)
    assert f"seeds {', '.join(map(str, seeds))}: already in " in more.out, more.out + more.err


def test_the_seed_of_repeats_is_that_of_a_program(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("import sys\nprint('METRIC {\"loss\": %f}' % len(sys.argv[1]))\n")
    body = {
        "method": "grid",
        "program": "p.py",
        "metric": {"name": "loss"},
        "parameters": {"data_seed": {"value": 7}, "a": {"values": [1, 2]}},
        "repeats": {"n": 2, "key": "rnd"},
    }
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, body), *QUIET[:2], config=None, trainer=None)
    assert ran.code == 0, ran.out + ran.err
    name = ran.dir.name
    assert line_after(ran, "train the best with 3 seeds").endswith(f"--train-best {name}")
    more = sweep(tmp_path, "--train-best", name, "--seeds", "2", "--dry-run", config=None, trainer=None)
    assert more.code == 0 and "seeds 3, 4: not used in the search" in more.out, more.out + more.err
    assert "p.py --data_seed=7 --a=1 --rnd=3\n" in more.out
