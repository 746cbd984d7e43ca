"""Every example runs by the commands of its README, and finds what was put into its data."""

from __future__ import annotations

import json
import re
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.examples.running import EXAMPLES, README, Example, readme_commands, shown_rows
from tests.postgres import Postgres, programs
from yacs_sweep.search.storage.url import URL_VARIABLE

FOLDERS = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())


def finished(summary: dict[str, Any]) -> list[dict[str, Any]]:
    trials: list[dict[str, Any]] = summary["trials"]
    assert {trial["state"] for trial in trials} == {"finished"}
    return trials


@pytest.mark.parametrize("name", FOLDERS)
def test_an_example_is_short_and_says_how_it_is_run(name: str) -> None:
    files = [path for path in (EXAMPLES / name).iterdir() if path.suffix in (".py", ".yaml", ".ipynb")]
    assert files
    for path in files:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            cells = json.loads(text)["cells"]
            assert not any(cell.get("outputs") for cell in cells)
            text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        assert len(text.splitlines()) <= 60, path.name
    if (EXAMPLES / name / "sweep.yaml").exists():
        head = (EXAMPLES / name / "sweep.yaml").read_text(encoding="utf-8").replace("\\\n#", "")
        typed = re.findall(r"^# {3}(yacs-sweep .*)$", head, re.MULTILINE)
        plain = [re.sub(r"\s+", " ", words).replace("k3v9x2ab", "ID") for words in typed]
        assert plain == [words.replace("k3v9x2ab", "ID") for words in readme_commands(name)]
    assert f"({name}" in README.read_text(encoding="utf-8")


def test_a_script_with_argparse(tmp_path: Path) -> None:
    example = Example.copy("argparse", tmp_path)
    defaults = float(re.findall(r"accuracy ([\d.]+)", example.run("python train.py"))[-1])
    (command,) = readme_commands("argparse")
    output = example.run(command)
    trials = finished(example.summary)
    values = {trial["name"]: example.last_printed(trial["name"], "accuracy") for trial in trials}
    assert len(values) == 10 and {trial["name"]: trial["value"] for trial in trials} == values
    assert example.summary["best"]["value"] == max(values.values()) > defaults + 0.05
    for name, value, params in shown_rows("argparse"):
        assert values[name] == pytest.approx(float(value), abs=0.02)  # other processors round otherwise
        assert re.search(rf"^{name} .*{params}$", output, re.MULTILINE)


def test_a_script_for_wandb(tmp_path: Path) -> None:
    example = Example.copy("wandb_script", tmp_path)
    (command,) = readme_commands("wandb_script")
    example.run(command)
    best = example.summary["best"]
    assert best["params"]["rank"] == 4  # what the ratings were drawn with
    assert 0.3 < best["value"] < 0.6  # the noise of the ratings is 0.3
    assert len(list((example.sweep_dir / "wandb").glob("offline-run-*"))) == 8
    rows = [json.loads(line) for line in (Path(best["dir"]) / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(12)) and rows[-1]["val_rmse"] == best["value"]


def test_a_trainer_on_yacs(tmp_path: Path) -> None:
    example = Example.copy("yacs", tmp_path)
    init, search = readme_commands("yacs")
    example.run(init)
    output = example.run(search)
    values = {trial["name"]: trial["value"] for trial in finished(example.summary)}
    for name, value, params in shown_rows("yacs"):
        assert values[name] == pytest.approx(float(value), abs=0.02)
        assert re.search(rf"^{name} .*{params}$", output, re.MULTILINE)
    again = example.run(f"python train.py --cfg {example.sweep_dir / 'best.yml'} OUTPUT_DIR again")
    assert float(re.findall(r"test_accuracy ([\d.]+)", again)[-1]) == max(values.values())
    wrong = example.start(f"{search} TRAIN.LRR 0.1")
    assert "TRAIN.LR" in wrong.communicate(timeout=120)[0] and wrong.returncode == 2


def test_several_objectives(tmp_path: Path) -> None:
    example = Example.copy("objectives", tmp_path)
    search, train = readme_commands("objectives")
    example.run(search)
    summary, folder = example.summary, example.sweep_dir
    measured = {
        trial["name"]: (trial["values"]["test_accuracy"], trial["values"]["us_per_image"])
        for trial in finished(summary)
    }
    front = {
        name
        for name, (accuracy, time) in measured.items()
        if not any(a >= accuracy and t <= time and (a, t) != (accuracy, time) for a, t in measured.values())
    }
    assert set(summary["pareto"]) == front and len(front) > 1
    fast = min((name for name in front if measured[name][0] >= 85), key=lambda name: measured[name][1])
    assert f"chosen of sweep {folder.name} by --prefer: {fast}," in example.run(train.replace("k3v9x2ab", folder.name))


def test_noise(tmp_path: Path) -> None:
    example = Example.copy("repeats", tmp_path)
    (command,) = readme_commands("repeats")
    example.run(command)
    values = defaultdict(list)
    for trial in finished(example.summary):
        values[trial["point"]].append(example.last_printed(trial["name"], "val_accuracy"))
    assert sum(map(len, values.values())) == 30 and max(map(len, values.values())) <= 5
    enough = {point: statistics.mean(seeds) for point, seeds in values.items() if len(seeds) >= 3}
    best = example.summary["best"]
    assert best["point"] == max(enough, key=lambda point: enough[point])
    assert best["mean"] == pytest.approx(enough[best["point"]])
    assert best["sd"] == pytest.approx(statistics.stdev(values[best["point"]])) != 0


def test_the_state_of_the_job_on_slurm_is_taken_up(tmp_path: Path) -> None:
    example = Example.copy("slurm", tmp_path)  # on a cluster: test_slurm.py
    whole = example.run("python train.py --l1 0.02").splitlines()
    first = example.run("python train.py --l1 0.02 --epochs 100 --output-dir a").splitlines()
    rest = example.run("python train.py --l1 0.02 --resume --output-dir a").splitlines()
    assert first + rest == whole and len(first) == len(rest) == 5


@pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed (`make postgres` installs it where it may)")
def test_two_machines_share_a_sweep(tmp_path: Path) -> None:
    first, second = readme_commands("postgres")
    with Postgres(["fsync=off"]) as server:
        example = Example.copy("postgres", tmp_path, **{URL_VARIABLE: server.url})
        one = example.start(first)
        assert one.stdout is not None
        told = ""
        while not (found := re.search(r"sweep (\w{8}) \(", told)):
            line = one.stdout.readline()
            assert line, told
            told += line
        other = example.run(second.replace("k3v9x2ab", found[1]))
        told += one.communicate(timeout=240)[0]
    assert one.returncode == 0, told
    trials = finished(example.summary)
    assert len(trials) == 40 == len({json.dumps(trial["params"]) for trial in trials})
    assert told.count("✓") + other.count("✓") == 40 and other.count("✓") > 0
