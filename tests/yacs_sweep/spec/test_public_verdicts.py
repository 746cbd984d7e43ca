"""Sweep files of public repositories: here they are taken and refused as by W&B's schema and engine (`sweeps` 0.3.0).

`data/public_verdicts.tsv` lists the files, and what `official_verdicts.py` says of each; no file is copied. With the files in a
folder, under any names, `YACS_SWEEP_PUBLIC_SWEEPS=FOLDER` compares what is read with the list. Every kind of file in the list
has an example of our own below.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.spec.sweep_files import load_spec
from yacs_sweep.trainers import own_command
from yacs_sweep.trainers.own_command import has_own_command, own_command_profile

FOLDER = os.environ.get("YACS_SWEEP_PUBLIC_SWEEPS")
LR = "parameters: {lr: {values: [1, 2]}}\n"


class Row(NamedTuple):
    """One file of the list: where it is, its content's hash, the verdicts, and why it is not an ordinary one."""

    repository: str
    path: str
    commit: str
    sha256: str
    schema: str
    engine: str
    here: str
    kind: str


class Example(NamedTuple):
    """A file of a kind: its text, the verdict, and a part of the message that comes with it; "": there is none."""

    text: str
    here: str
    says: str


with (Path(__file__).parent / "data" / "public_verdicts.tsv").open(encoding="utf-8") as _file:
    ROWS = [Row(*row) for row in csv.reader(_file, delimiter="\t")][1:]

# What the engine cannot run is run here (docs/sweep-keys.md): the list's kinds, and the reason.
ADDITIONS = {
    "bare values": "`lr: [1, 2]` and `lr: 1`",
    "under sweep:": "the sweep stands under a key of the file",
    "metric as a text": "`metric: loss` is its name",
    "min_iter and max_iter": "the engine fails without `s`; the bands start at min_iter",
    "bayes of constants": "the engine has nothing to search; here its one point is tried",
}
# The schema refuses these, and so does this reader, although the engine would run them: not as their author meant them.
MISTAKES = {"misspelt goal", "misspelt key", "parameter not indented"}

EXAMPLES = {
    "": Example(
        "method: bayes\nmetric: {name: loss, goal: minimize}\nparameters: {lr: {min: 0.1, max: 1}}\n", "taken", ""
    ),
    "Launch keys": Example("job: a/b:v1\nmethod: grid\n" + LR, "taken", "W&B Launch"),
    "bare values": Example("method: grid\nparameters: {lr: [1, 2], name: x}\n", "taken", ""),
    "bayes of constants": Example("method: bayes\nmetric: {name: loss}\nparameters: {lr: {value: 1}}\n", "taken", ""),
    "exponents": Example("method: random\nparameters: {lr: {min: 1e-6, max: 1e-3}}\n", "taken", ""),
    "grid of a range": Example("method: grid\nparameters: {lr: {min: 0.1, max: 1.0}}\n", "refused", "cannot list lr"),
    "group without parameters": Example(
        "method: grid\nparameters: {opt: {lr: {values: [1]}}}\n", "refused", "nested ones go under `parameters:`"
    ),
    "hyperband without bands": Example(
        "method: random\nmetric: {name: loss}\nearly_terminate: {type: hyperband, s: 2, eta: 2}\n" + LR,
        "refused",
        "hyperband needs `min_iter`, or `max_iter` and `s`",
    ),
    "key twice, one value": Example("method: grid\nparameters:\n  lr: {value: 1}\n  lr: {value: 1}\n", "taken", ""),
    "key twice, values differ": Example(
        "method: grid\nparameters:\n  lr: {value: 1}\n  lr: {value: 2}\n", "taken", "the last counts"
    ),
    "log_uniform": Example(
        "method: random\nparameters: {lr: {distribution: log_uniform, min: -9, max: -2}}\n", "taken", ""
    ),
    "logarithm of a negative bound": Example(
        "method: random\nparameters: {lr: {distribution: log_uniform_values, min: -0.1, max: 1}}\n",
        "refused",
        "-0.1 is not greater than 0",
    ),
    "metric as a text": Example("method: grid\nmetric: avg.loss\n" + LR, "taken", ""),
    "min_iter and max_iter": Example(
        "method: random\nmetric: {name: loss}\nearly_terminate: {type: hyperband, min_iter: 3, max_iter: 9}\n" + LR,
        "taken",
        "from min_iter",
    ),
    "misspelt goal": Example("method: grid\nmetric: {name: a, goal: maximum}\n" + LR, "refused", "mean maximize?"),
    "misspelt key": Example("method: grid\nrun_caps: 3\n" + LR, "refused", "did you mean run_cap?"),
    "module": Example("method: grid\nprogram: a.b\ncommand: [python, -m, '${program}']\n" + LR, "taken", ""),
    "no YAML": Example("method: grid\nname: {{name}}\n" + LR, "refused", "a key must be a plain word"),
    "no method": Example(LR, "refused", "`method` is missing"),
    "other key at the top": Example("method: grid\nn_folds: 5\n" + LR, "taken", "n_folds"),
    "our keys": Example("method: random\ncount: 3\nresults_dir_base: ./runs\n" + LR, "taken", ""),
    "parameter not indented": Example("method: grid\nwd: {values: [1]}\n" + LR, "refused", "looks like a parameter"),
    "under sweep:": Example("sweep:\n  method: grid\n  parameters: {lr: {values: [1]}}\n", "taken", ""),
    "unknown distribution": Example(
        "method: random\nparameters: {lr: {distribution: exponential, min: 1, max: 2}}\n",
        "refused",
        "'exponential' is not",
    ),
    "unknown key of a parameter": Example(
        "method: grid\nparameters: {lr: {desc: x, values: [1]}}\n", "refused", "lr.desc"
    ),
    "unknown macro": Example("method: grid\ncommand: [python, t.py, '${lr}', '${args}']\n" + LR, "taken", "${lr}"),
    "unknown method": Example("method: hyperband\n" + LR, "refused", "'hyperband' is not allowed"),
    "values is no list": Example("method: grid\nparameters: {lr: {values: 3}}\n", "refused", "3 is not a list"),
    "values of a range": Example(
        "method: random\nparameters: {lr: {distribution: uniform, values: [1]}}\n", "refused", "does not belong to"
    ),
}


def verdict(path: Path) -> tuple[str, tuple[str, ...]]:
    """Reads a file; returns the verdict, and the mistakes or warnings."""
    try:
        return "taken", load_spec(path).warnings
    except ConfigError as error:
        return "refused", tuple(error.problems)


def test_the_list_is_long_enough() -> None:
    assert len(ROWS) >= 100 and len({row.repository for row in ROWS}) >= 20
    assert len({row.sha256 for row in ROWS}) == len(ROWS)
    assert {row.kind for row in ROWS} == set(EXAMPLES)


def is_wrong(row: Row) -> bool:
    """Tells whether the verdict here is another one than W&B's, without a reason."""
    if row.schema == "ok" and row.engine == "runs":
        return row.here != "taken"
    if row.engine == "runs":  # the schema's violations are warnings on the server
        return row.here != "taken" and row.kind not in MISTAKES
    return row.here == "taken" and row.kind not in ADDITIONS


def test_no_verdict_is_wrong() -> None:
    assert [row for row in ROWS if is_wrong(row)] == []
    assert Counter(row.here for row in ROWS if row.schema == "ok" and row.engine == "runs") == {"taken": 174}


@pytest.mark.parametrize(
    ("verdicts", "kind", "wrong"),
    [
        (("ok", "runs", "refused"), "misspelt key", True),
        (("violated", "runs", "refused"), "exponents", True),
        (("violated", "runs", "refused"), "misspelt key", False),
        (("violated", "fails", "taken"), "exponents", True),
        (("violated", "fails", "taken"), "bare values", False),
        (("-", "-", "taken"), "no YAML", True),
    ],
)
def test_a_wrong_verdict_is_noticed(verdicts: tuple[str, str, str], kind: str, wrong: bool) -> None:
    assert is_wrong(Row("a/b", "c.yaml", "0" * 40, "0" * 64, *verdicts, kind)) is wrong


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_example_of_each_kind(tmp_path: Path, kind: str) -> None:
    example = EXAMPLES[kind]
    (tmp_path / "s.yaml").write_text(example.text)
    here, said = verdict(tmp_path / "s.yaml")
    assert here == example.here == {row.here for row in ROWS if row.kind == kind}.pop(), said
    assert any(example.says in line for line in said) if example.says else not said, said


@pytest.fixture
def files() -> list[tuple[Row, Path]]:
    """Returns the files of the list that are in the folder; too few are no comparison."""
    if FOLDER is None:
        pytest.skip("YACS_SWEEP_PUBLIC_SWEEPS names no folder with the files")
    paths = [path for path in sorted(Path(FOLDER).rglob("*")) if path.suffix in (".yaml", ".yml")]
    found = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in paths}
    known = [(row, found[row.sha256]) for row in ROWS if row.sha256 in found]
    assert len(known) >= 100, f"{len(known)} of {len(ROWS)} files are in {FOLDER}"
    return known


def test_the_files_have_the_verdicts_of_the_list(files: list[tuple[Row, Path]]) -> None:
    assert [(row, said) for row, path in files for here, said in [verdict(path)] if here != row.here] == []


def agents_words(program: str, command: list[Any] | None, values: Mapping[str, Any]) -> list[str]:
    """Returns the words that W&B's agent starts for these parameters, by its own functions (wandb_agent.py)."""
    known = create_sweep_command_args({"args": {name: {"value": value} for name, value in values.items()}})
    known |= {
        "interpreter": ["python"],
        "program": [program],
        "env": ["/usr/bin/env"],
        "args_json_file": ["/o/args.json"],
    }
    words: list[str] = []
    for word in map(str, create_sweep_command(command)):
        words += (known.get(word[2:-1]) or []) if word.startswith("${") and word.endswith("}") else [word]
    return words


def as_number(word: str) -> str | float:
    """Parses a word that is a number: it may be written in another way."""
    try:
        return float(word)
    except ValueError:
        return word


def test_the_words_of_a_trial_are_those_of_wandbs_agent(
    files: list[tuple[Row, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_command, "program_problem", lambda *_: None)  # the programs are not here
    compared = 0
    for row, path in files:
        if row.here != "taken" or not has_own_command(spec := load_spec(path)):
            continue
        given = yaml.safe_load(path.read_bytes())
        params = spec.grid_point(0) if spec.method == "grid" else spec.random_point(0, 0)
        profile = own_command_profile(spec, Path.cwd())
        words = profile.command_line(python="python", output_dir="/o", params=params)
        theirs = agents_words(profile.program, given.get("sweep", given).get("command"), profile.wandb_config(params))
        assert list(map(as_number, words)) == list(map(as_number, theirs)), row
        compared += 1
    assert compared > len(files) / 2
