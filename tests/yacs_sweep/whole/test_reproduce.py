"""What the launcher prints to train with the best trial's parameters gives the trainer exactly what the trial got."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sweeping import SWEEP, Ran, environment, sweep
from tests.wandb_programs import PROGRAMS, check_printed_line

QUIET = ("--controller", "local", "--wandb-mode", "disabled", "--quiet", "--seed", "1")
# Notes what the trainer got, in its output folder, and refuses a folder that another training has used.
TRAINER = """\
import ast, json, os, sys, yaml
def literal(text):
    try: return ast.literal_eval(text)
    except Exception: return text
words = sys.argv[1:]
def load(path):
    config = yaml.safe_load(open(path)) or {}
    base = config.pop("_BASE_", None)
    return {**(load(os.path.join(os.path.dirname(path), base)) if base else {}), **config}
got = {"words": words, "env": os.environ.get("MODE"), "wandb": os.environ["WANDB_MODE"], "config": {}}
if words and words[0].startswith("{"):
    got["config"] = json.loads(words[0])
elif words and words[0].endswith((".yml", ".json")):
    got["config"] = load(words[0])
got["variables"] = {name: text for name, text in os.environ.items() if name.startswith("HP_")}
folder = literal(got["config"].get("OUTPUT_DIR") or got["variables"].get("HP_OUT"))
for name, value in zip(words, words[1:]):
    if name == "OUTPUT_DIR": folder = literal(value)
    if name == "--output": folder = value
for word in words:
    if word.startswith(("--output_dir=", "out=")): folder = word.partition("=")[2].strip("'")
if "MACRO" in os.environ:
    folder = "."
    got["file"] = yaml.safe_load(open(os.environ["WANDB_SWEEP_PARAM_PATH"]))
path = os.path.join(folder, "got.json")
if folder != ".":
    if os.path.exists(path): sys.exit("Already trained to the end")
    json.dump(got, open(path, "w"))
print("GOT " + json.dumps(got))
print("score 1")
"""
PATTERN = "metrics: [{pattern: 'score (?P<v>{number})', log: {score: v}}]\nenv: {MODE: 'a b'}\n"
STYLES = {
    "yacs": (
        'command: [python, t.py, "{config_file}"]\noverrides: yacs\noutput_dir_key: OUTPUT_DIR\n',
        ["A", "1", "NAME", "a 'b'"],
    ),
    "swin": (
        'command: [python, t.py, "{config_file}", --output, "{output_dir}"]\noverrides: yacs\n',
        ["A", "1"],
    ),
    "hydra": (
        "command: [python, t.py]\noverrides: hydra\noutput_dir_key: out\n",
        ["+a=[1,2]", "b='x y'"],
    ),
    "argparse": (
        'command: [python, t.py, "{config_file}"]\noverrides: argparse\noutput_dir_key: output_dir\n',
        ["--flag", "--rate=0.5"],
    ),
}
# Trainers that take no words.
OTHER_WAYS = {
    "file": 'command: [python, t.py, "{config_file}"]\noverrides: file\noutput_dir_key: OUTPUT_DIR\n',
    "env": "command: [python, t.py]\noverrides: env\nenv_prefix: HP_\noutput_dir_key: HP_OUT\n",
    "json": 'command: [python, t.py, "{params_json}"]\noverrides: json\noutput_dir_key: OUTPUT_DIR\n',
    "json file": 'command: [python, t.py, "{params_file}"]\noverrides: json\noutput_dir_key: OUTPUT_DIR\n',
}
SEARCH = {
    "method": "grid",
    "metric": {"name": "score", "goal": "maximize"},
    "parameters": {"LR": {"values": [0.25, 1e-05]}},
}


def project(folder: Path, profile: str, config: str = "RATE: 1\n", **search: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "t.py").write_text(TRAINER)
    (folder / "p.yaml").write_text(profile + PATTERN)
    (folder / "s.yaml").write_text(yaml.safe_dump({**SEARCH, **search}))
    (folder / "c.yml").write_text(config)
    return folder


def run(folder: Path, *words: str, trainer: str | None = "p.yaml", config: str | None = "c.yml") -> Ran:
    given = ["--sweep-config", "s.yaml", *QUIET, *words]
    return sweep(
        folder, *given, trainer=folder / trainer if trainer else None, config=folder / config if config else None
    )


def printed(ran: Ran) -> str:
    (line,) = [line for line in ran.out.splitlines() if "train with it: " in line]
    return line.split("train with it: ")[1]


def shell(line: str, cwd: Path) -> dict[str, Any]:
    """What the trainer gets by a line that is run in a shell."""
    done = subprocess.run(
        ["bash", "-c", line], cwd=cwd, env=environment(cwd), capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 0, line + done.stdout + done.stderr
    return got(done.stdout)


def got(text: str) -> dict[str, Any]:
    (line,) = [line for line in text.splitlines() if line.startswith("GOT ")]
    content: dict[str, Any] = json.loads(line[4:])
    return content


def trials(ran: Ran) -> dict[str, Any]:
    """What the best trial got."""
    return got((ran.dir / ran.summary["best"]["name"] / "stdout.log").read_text())


def reported(ran: Ran, cwd: Path) -> str:
    """The report's line."""
    report = [sys.executable, str(SWEEP.parent / "report.py"), "--sweep_id", ran.dir.name, "--format", "json"]
    done = subprocess.run(report, cwd=cwd, env=environment(cwd), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = [item["line"] for item in json.loads(done.stdout)["commands"] if "as it was run" in item["what"]]
    return str(line)


def elsewhere(content: dict[str, Any], ran: Ran) -> dict[str, Any]:
    """What a trainer got, with the output folder's name replaced: only that may differ."""
    text = json.dumps(content)
    for name in ("train-trial-0000-2", "train-trial-0000", "trial-0000"):
        text = text.replace(str(ran.dir / name), "FOLDER")
    again: dict[str, Any] = json.loads(text)
    return again


@pytest.mark.parametrize("style", STYLES)
def test_the_printed_lines_give_what_the_trial_got(tmp_path: Path, style: str) -> None:
    profile, words = STYLES[style]
    folder = project(tmp_path / "a project", profile)
    needs = "{config_file}" in profile
    ran = run(folder, "--", *words, config="c.yml" if needs else None)
    assert ran.code == 0, ran.out + ran.err
    before = trials(ran)
    assert before["env"] == "a b" and before["wandb"] == "disabled"
    line = printed(ran)
    again = shell(line, folder)
    assert (ran.dir / "train-trial-0000" / "got.json").is_file()
    if style in ("yacs", "swin"):  # the configuration has the overrides
        assert (ran.dir / "best.yml").is_file() and "best.yml" in line
        config = again.pop("config")
        assert (config["RATE"], config["LR"], config["A"]) == (1, 0.25, 1)
        if style == "yacs":
            assert config["NAME"] == repr("a 'b'")  # as YACS reads it, in a file and among words
            assert config["OUTPUT_DIR"].startswith("log/sweep/")
        assert again["env"] == "a b" and again["wandb"] == "disabled"
    else:
        assert elsewhere(again, ran) == elsewhere(before, ran)
        assert (ran.dir / "best.yml").is_file() == (not needs)
    # The report's has the overrides as words, and says where it is to be run.
    said = reported(ran, ran.cwd)
    assert "train-trial-0000-2" in said
    assert elsewhere(shell(said, tmp_path), ran) == elsewhere(before, ran)


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_trainers_without_words_get_the_same_again(tmp_path: Path, way: str) -> None:
    name = "a project whose path is longer than the lines that YAML is written in"
    folder = project(tmp_path / name, OTHER_WAYS[way], "RATE: 1\nA: 0\nNAME: x\nLR: 0.5\nOUTPUT_DIR: ''\n")
    ran = run(folder, "--", "A", "1", "NAME", "a 'b'", config="c.yml" if way == "file" else None)
    assert ran.code == 0, ran.out + ran.err
    before = trials(ran)
    if way == "env":
        expected = {"HP_A": "1", "HP_NAME": "a 'b'", "HP_LR": "0.25", "HP_OUT": str(ran.dir / "trial-0000")}
        assert before["variables"] == expected
    else:
        config = before["config"]
        assert (config["A"], config["NAME"], config["LR"]) == (1, "a 'b'", 0.25)
        assert config["OUTPUT_DIR"] == str(ran.dir / "trial-0000")
    again = shell(printed(ran), folder)
    assert (ran.dir / "train-trial-0000" / "got.json").is_file()
    if way == "file":
        assert "best.yml" in printed(ran)
        assert again["config"].pop("OUTPUT_DIR").endswith("train-trial-0000")
        assert again["config"] == {key: value for key, value in before["config"].items() if key != "OUTPUT_DIR"}
    else:
        assert elsewhere(again, ran) == elsewhere(before, ran)
    said = reported(ran, ran.cwd)
    assert "train-trial-0000-2" in said
    assert elsewhere(shell(said, tmp_path), ran) == elsewhere(before, ran)


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_train_best_gives_trainers_without_words_the_same(tmp_path: Path, way: str) -> None:
    config = "RATE: 1\nA: 0\nNAME: x\nLR: 0.5\nOUTPUT_DIR: ''\n"
    folder = project(tmp_path / "p", OTHER_WAYS[way], config)
    ran = run(folder, "--", "A", "1", config="c.yml" if way == "file" else None)
    name, one = ran.dir, trials(ran)
    # Words of a later launch are not the best trial's.
    (name / "trial-0001" / "trial.json").unlink()
    later = sweep(folder, "--sweep_id", name.name, *QUIET[:-2], "--", "A", "2", trainer=None, config=None)
    assert later.code == 0, later.err
    best = sweep(folder, "--train-best", name.name, "--seeds", "1", *QUIET[:-2], trainer=None, config=None)
    assert best.code == 0, best.out + best.err
    (log,) = (name.parent / f"{name.name}-best").glob("trial-*/stdout.log")
    two = got(log.read_text())
    for key in ("config", "variables"):
        for folder_key in ("OUTPUT_DIR", "HP_OUT"):
            one[key].pop(folder_key, None), two[key].pop(folder_key, None)
        assert two[key] == one[key]
    assert str(two["config"] or two["variables"]).replace("'1'", "1").count("A': 1") == 1


def test_a_merged_file_finds_what_its_base_includes(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", OTHER_WAYS["file"], "_BASE_: base/b.yml\nX: 1\nOUTPUT_DIR: ''\n")
    (folder / "base").mkdir()
    (folder / "base" / "b.yml").write_text("RATE: 3\nLR: 1\n")
    ran = run(folder)
    assert ran.code == 0, ran.out + ran.err
    before = trials(ran)
    assert (before["config"]["RATE"], before["config"]["LR"]) == (3, 0.25)
    record = json.loads((ran.dir / "trial-0000" / "trial.json").read_text())
    assert record["given"]["config_file"] == str(ran.dir / "inputs" / "config" / "c.yml")  # later edits change nothing
    shutil.move(tmp_path / "p", tmp_path / "q")  # the folder of the sweep moves with the project
    again = shell(
        f"cd {tmp_path / 'q'} && " + printed(ran).replace(str(tmp_path / "p"), str(tmp_path / "q")), tmp_path / "q"
    )
    assert (again["config"]["RATE"], again["config"]["LR"]) == (3, 0.25)


def test_a_trainer_that_knows_its_seed_from_a_placeholder_is_trained_with_several(tmp_path: Path) -> None:
    profile = (
        'command: [python, t.py, "{params_json}", "{seed}", "{gpu_ids}"]\noverrides: json\noutput_dir_key: OUTPUT_DIR\n'
    )
    folder = project(tmp_path / "p", profile)
    ran = run(folder, "--dry-run", config=None)
    assert re.search(r""" '\{"LR": 0.25, "OUTPUT_DIR": ".*/trial-0000"\}' 1 0\n""", ran.out), ran.out
    ran = run(folder, config=None)
    assert trials(ran)["words"][1:] == ["1", "0"]  # of --seed 1
    name = ran.dir
    best = sweep(folder, "--train-best", name.name, "--seeds", "2", *QUIET[:-2], trainer=None, config=None)
    assert best.code == 0, best.out + best.err
    logs = sorted((name.parent / f"{name.name}-best").glob("trial-*/stdout.log"))
    assert [got(log.read_text())["words"][1] for log in logs] == ["2", "3"]  # not the search's


def test_a_json_configuration_is_merged_at_every_attempt_and_for_the_best(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", OTHER_WAYS["file"] + "files: [{path: '{output_dir}/seed-{seed}.jsonl'}]\n")
    (folder / "c.json").write_text('{"LR": 1, "OUTPUT_DIR": ""}')
    spoils = "import os, sys\nif not os.path.exists('died'):\n"  # the first attempt leaves a broken file, and is killed
    spoils += "    open('died', 'w').close(); open(sys.argv[1], 'w').write('{'); os.kill(os.getpid(), 9)\n"
    (folder / "t.py").write_text(spoils + TRAINER.replace("score 1", "score 0"))
    seed = "open(os.path.join(folder, 'seed-1.jsonl'), 'w').write('{\"extra\": 2}\\n')\n"  # of --seed 1
    (folder / "t.py").write_text((folder / "t.py").read_text() + seed)
    ran = run(folder, "--retries", "1", config="c.json")
    assert ran.code == 0, ran.out + ran.err
    assert [trial["attempts"] for trial in ran.summary["trials"]] == [2, 1]
    assert trials(ran)["config"] == {"LR": 0.25, "OUTPUT_DIR": str(ran.dir / "trial-0000")}
    assert json.loads((ran.dir / "best.yml").read_text())["LR"] == 0.25
    assert shell(printed(ran), folder)["config"]["LR"] == 0.25
    logged = (ran.dir / "trial-0000" / "metrics.jsonl").read_text()
    assert '"extra": 2' in logged


def test_included_files_are_found_again(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", STYLES["yacs"][0], "_BASE_: base/b.yml\nX: 1\n")
    (folder / "base").mkdir()
    (folder / "base" / "b.yml").write_text("RATE: 3\n")
    ran = run(folder)
    assert ran.code == 0, ran.out + ran.err
    assert yaml.safe_load((ran.dir / "best.yml").read_text())["_BASE_"] == "inputs/config/base/b.yml"
    assert "best.yml" in printed(ran)
    again = shell(printed(ran), folder)
    assert again["config"].items() >= {"RATE": 3, "X": 1, "LR": 0.25}.items()


def test_a_configuration_that_is_no_mapping_costs_only_best_yml(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", STYLES["yacs"][0])
    (folder / "c.py").write_text("cfg = 1\n")
    ran = run(folder, config="c.py")
    assert (ran.code, [trial["state"] for trial in ran.summary["trials"]]) == (0, ["finished"] * 2), ran.out + ran.err
    assert not (ran.dir / "best.yml").exists()
    assert elsewhere(shell(printed(ran), folder), ran) == elsewhere(trials(ran), ran)


def test_a_program_of_the_sweep_file_gets_the_same(tmp_path: Path) -> None:
    command = ["${env}", "${interpreter}", "${program}", "--json", "${args_json_file}", "${args}"]
    nested = {"LR": {"values": [0.25, 1e-05]}, "group": {"parameters": {"a": {"value": "x y"}}}}
    folder = project(tmp_path / "p", "command: [x]\n", program="t.py", command=command, parameters=nested)
    (folder / "t.py").write_text("import os\nos.environ['MACRO'] = '1'\n" + TRAINER.replace("score 1", "score: 1"))
    ran = run(folder, trainer=None, config=None)
    assert ran.code == 0, ran.out + ran.err
    before, again = trials(ran), shell(printed(ran), folder)
    assert (before.pop("wandb"), again.pop("wandb")) == ("disabled", "offline")  # either sends nothing
    assert elsewhere(again, ran) == elsewhere(before, ran)
    assert again["file"]["group"]["value"] == {"a": "x y"}
    searched = ran.dir
    best = sweep(folder, "--train-best", searched.name, "--seeds", "1", *QUIET[:-2], trainer=None, config=None)
    assert best.code == 0, best.out + best.err
    (log,) = (searched.parent / f"{searched.name}-best").glob("trial-*/stdout.log")
    trained = got(log.read_text())
    assert trained["file"] == before["file"] and trained["words"][2:] == before["words"][2:]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_wandb_has_the_same_config(tmp_path: Path, program: str) -> None:
    check_printed_line(tmp_path, program)


@pytest.mark.parametrize("style", ["yacs", "hydra", "argparse"])
def test_train_best_gives_what_the_trial_got(tmp_path: Path, style: str) -> None:
    profile, words = STYLES[style]
    folder = project(tmp_path / "p", profile)
    ran = run(folder, "--", *words, config="c.yml" if "{config_file}" in profile else None)
    name = ran.dir
    # Words of a later launch are not the best trial's.
    (name / "trial-0001" / "trial.json").unlink()
    other = {"yacs": ["A", "2"], "hydra": ["+a=[3]"], "argparse": ["--rate=0.7"]}[style]
    later = sweep(folder, "--sweep_id", name.name, *QUIET[:-2], "--", *other, trainer=None, config=None)
    assert later.code == 0, later.err
    assert ran.summary["best"]["name"] == "trial-0000"
    best = sweep(folder, "--train-best", name.name, "--seeds", "1", *QUIET[:-2], trainer=None, config=None)
    assert best.code == 0, best.out + best.err
    (record,) = (name.parent / f"{name.name}-best").glob("trial-*/trial.json")
    one, two = json.loads((name / "trial-0000" / "trial.json").read_text()), json.loads(record.read_text())
    assert without_folder(one) == without_folder(two)


def without_folder(record: dict[str, Any]) -> list[str]:
    """A command's words after the program, with neither output nor inputs folder in them."""
    return [re.sub(".*/inputs/", "", word.replace(record["dir"], "")) for word in record["command"][2:]]


def test_a_function_is_called_with_the_same(tmp_path: Path) -> None:
    (tmp_path / "go.py").write_text(
        "from yacs_sweep import Sweep\n"
        "def train(params):\n    print('GOT', __import__('json').dumps(params))\n    return params['LR']\n"
        "made = Sweep({'method': 'grid', 'metric': {'name': 'score'}, 'parameters': {'LR': {'values': [0.25, 0.5]}, "
        "'group': {'parameters': {'a': {'value': 'x y'}}}}}, train=train, controller='local', wandb_mode='disabled')\n"
        "made.run()\n"
    )
    done = subprocess.run(
        [sys.executable, "go.py"],
        cwd=tmp_path,
        env=environment(tmp_path, PYTHONPATH=str(SWEEP.parent.parent)),
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    ran = Ran(0, done.stdout, done.stderr, tmp_path)
    assert shell(printed(ran), tmp_path) == {"LR": 0.25, "group": {"a": "x y"}} == trials(ran)
    assert shell(reported(ran, ran.cwd), tmp_path) == trials(ran)


def test_a_moved_project_is_trained_in_where_it_is(tmp_path: Path) -> None:
    folder = project(tmp_path / "old", STYLES["yacs"][0])
    ran = run(folder)
    assert ran.code == 0, ran.out + ran.err
    moved = tmp_path / "new" / "place"
    moved.parent.mkdir()
    name = ran.dir.name
    folder.rename(moved)
    again = sweep(moved, "--sweep_id", name, *QUIET[:-2], trainer=None, config=None)
    assert again.code == 0, again.out + again.err
    for make in (lambda: printed(again), lambda: reported(again, moved)):
        line = make()
        assert str(folder) not in line
        shell(line, moved)
    assert sorted(path.parent.name for path in again.dir.glob("train-*/got.json")) == [
        "train-trial-0000",
        "train-trial-0000-2",
    ]
    output = yaml.safe_load((again.dir / "best.yml").read_text())["OUTPUT_DIR"]
    assert not Path(output).is_absolute() and (moved / output).parent == again.dir
    shutil.rmtree(moved)


def test_a_trial_of_an_earlier_launch_is_repeated_with_its_own_words(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", STYLES["yacs"][0])
    ran = run(folder, "--count", "1", "A", "1")
    later = sweep(folder, "--sweep_id", ran.dir.name, *QUIET[:-2], "A", "2", trainer=None, config=None)
    assert later.code == 0, later.out + later.err
    assert later.summary["best"]["name"] == "trial-0000" and len(later.summary["trials"]) == 2
    assert yaml.safe_load((ran.dir / "best.yml").read_text())["A"] == 1
