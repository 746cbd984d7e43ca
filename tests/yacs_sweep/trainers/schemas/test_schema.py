"""The trainer's tree, read by a subprocess; configuration files checked against it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.overrides import Overrides
from yacs_sweep.trainers.profile import TrainerProfile
from yacs_sweep.trainers.schemas.read import read_schema
from yacs_sweep.trainers.schemas.schema import Schema

ROOT = Path(__file__).resolve().parents[4]
READER = ROOT / "yacs_sweep" / "trainers" / "inside" / "print_schema.py"
DEFAULTS = """\
from yacs.config import CfgNode as CN
_C = CN()
_C.train = CN()
_C.train.lr = 0.1
_C.train.BATCH_SIZE_PER_GPU = 32
_C.train.steps = (1, 2)
_C.train.names = ["a"]
_C.train.none = None
_C.MODEL = CN(new_allowed=True)
_C.MODEL.NAME = "net"
_C.OUT = ""
_C.register_renamed_key("train.rate", "train.lr")
_C.register_deprecated_key("train.old")
"""


def trainer(folder: Path, defaults: str = DEFAULTS, schema: str = "defaults.py:_C") -> TrainerProfile:
    (folder / "defaults.py").write_text(defaults)
    path = folder / "p.yaml"
    path.write_text(f"command: [python, t.py]\ncwd: .\nschema: {schema}\n")
    return load_profile(path, project_root=folder)


def read(profile: TrainerProfile, config: str | None = None, **options: float) -> Schema:
    path = None
    if config is not None:
        path = profile.cwd / "config.yml"
        path.write_text(config)
    schema = read_schema(profile, config_file=path, **options)
    assert schema is not None
    return schema


def problems(profile: TrainerProfile, config: str | None = None, **options: float) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(profile, config, **options)
    return [problem.replace(f"{profile.cwd}/", "") for problem in caught.value.problems]


def test_the_shipped_trainers_tree() -> None:
    profile = load_profile("reid", project_root=ROOT)
    schema = read_schema(profile)
    assert schema is not None
    overrides = Overrides(profile, schema)
    assert not [problem for alias in profile.aliases for problem in overrides.check(alias)]
    assert overrides.same_key_problems(profile.aliases) == []
    assert isinstance(schema.values["SOLVER.BASE_LR"], float)
    assert isinstance(schema.values["SOLVER.STEPS"], tuple)
    assert profile.output_dir_key in schema.values


def test_leaves_keep_their_types(tmp_path: Path) -> None:
    schema = read(trainer(tmp_path))
    assert repr(dict(schema.values)) == repr(
        {
            "train.lr": 0.1,
            "train.BATCH_SIZE_PER_GPU": 32,
            "train.steps": (1, 2),
            "train.names": ["a"],
            "train.none": None,
            "MODEL.NAME": "net",
            "OUT": "",
        }
    )
    assert schema.sections == {"train", "MODEL"}
    assert "renamed to train.lr" in (schema.key_problem("train.rate") or "")
    assert "deprecated" in (schema.key_problem("train.old") or "")


def test_a_schema_comes_out_of_its_text_as_it_went_in(tmp_path: Path) -> None:
    odd = "_C.train.odd = float('nan')\n"
    schema = read_schema(trainer(tmp_path, DEFAULTS + odd))
    assert schema is not None
    again = Schema.unpack(schema.packed())
    assert repr(again.values) == repr(schema.values)  # nan is no nan's equal
    assert replace(again, values={}) == replace(schema, values={})
    assert again.convert("train.steps", [3]) == (3,)


def test_a_configuration_file_is_merged_by_the_tree_itself(tmp_path: Path) -> None:
    schema = read(trainer(tmp_path), "train: {lr: 1e-3, steps: [5], none: 3.5}\nMODEL: {EXTRA: 1}\n")
    assert (schema.values["train.lr"], schema.values["train.steps"]) == (0.001, (5,))
    assert schema.values["train.none"] == 3.5
    assert schema.values["MODEL.EXTRA"] == 1


def test_every_mistake_of_a_configuration_file_has_its_line(tmp_path: Path) -> None:
    found = problems(
        trainer(tmp_path), "train:\n  lrr: 1\n  BATCH_SIZE_PER_GPU: 1.5\n  steps: 3\n  rate: 1\nMODEL: 5\nOUT: {a: 1}\n"
    )
    starts = [
        "config.yml:2:3: train.lrr: no such key in defaults.py:_C; did you mean train.lr?",
        "config.yml:3:3: train.BATCH_SIZE_PER_GPU: 1.5 is not a whole number (the default is 32)",
        "config.yml:4:3: train.steps: 3 is not a list, such as the default [1, 2]",
        "config.yml:5:3: train.rate: was renamed to train.lr",
        "config.yml:6:1: MODEL: is a section; write its keys below it, not 5",
        "config.yml:7:1: OUT: {a: 1} is a mapping",
    ]
    assert len(found) == len(starts)
    assert all(problem.startswith(start) for problem, start in zip(found, starts, strict=True)), found


def test_what_only_a_lenient_trainer_takes_is_refused_unless_the_trainer_is_lenient(tmp_path: Path) -> None:
    config = "train: {lr: 1, BATCH_SIZE_PER_GPU: 8.0, names: b}\nMODEL:\nOUT: 3\n"
    strict = trainer(tmp_path)
    assert problems(strict, config) == [
        "config.yml:1:9: train.lr: 1 does not fit the trainer's schema; write 1.0 (Type mismatch (<class 'float'> vs. "
        "<class 'int'>) with values (0.1 vs. 1) for config key: train.lr)",
        "config.yml:1:16: train.BATCH_SIZE_PER_GPU: 8.0 does not fit the trainer's schema; write 8",
        "config.yml:1:41: train.names: 'b' does not fit the trainer's schema; write ['b']",
        "config.yml:2:1: MODEL: is an empty section, which the trainer's schema does not take; leave the line out",
        "config.yml:3:1: OUT: 3 does not fit the trainer's schema; write \"'3'\"",
    ]
    mended = "train: {lr: 1.0, BATCH_SIZE_PER_GPU: 8, names: ['b']}\nOUT: \"'3'\"\n"
    values = read(strict, mended).values
    assert repr([values[f"train.{name}"] for name in ("lr", "BATCH_SIZE_PER_GPU", "names")]) == "[1.0, 8, ['b']]"
    assert values["OUT"] == "3"
    assert read(replace(strict, lenient=True), config).values == values


@pytest.mark.parametrize(
    ("config", "told", "mended"),
    [
        ("train: {lr: 0,1}", "train.lr: a comma ends a value here; write `lr: 0.1`", "train: {lr: 0.1}"),
        ("train: {lr: -0,5}", "train.lr: a comma ends a value here; write `lr: -0.5`", "train: {lr: -0.5}"),
        (
            "train: {steps: 3, 4}",
            "train.steps: a comma ends a value here; write `steps: [3, 4]`",
            "train: {steps: [3, 4]}",
        ),
        ("train: {lr:0.1}", "train.lr:0.1: a key needs a blank after its `:`; write `lr: 0.1`", "train: {lr: 0.1}"),
        ("train:\n  lr:0.1", "train: a key needs a blank after its `:`; write `train: {lr: 0.1}`", "train: {lr: 0.1}"),
        ("train:\n  lr: 0,1", "train.lr: '0,1' is not a number (the default is 0.1); write 0.1", "train: {lr: 0.1}"),
        (
            "MODEL: {NAME: yes}",
            "MODEL.NAME: true is not a text (the default is 'net'); write 'yes'",
            "MODEL: {NAME: 'yes'}",
        ),
        ("OUT: 1e5", "OUT: 100000.0 is not a text (the default is ''); write \"'1e5'\"", "OUT: \"'1e5'\""),
        ("OUT: 010", "OUT: 010 does not fit the trainer's schema; write \"'010'\"", "OUT: \"'010'\""),
        ("OUT: 'True'", "OUT: true does not fit the trainer's schema; write \"'True'\"", "OUT: \"'True'\""),
        ("train: {BATCH_SIZE_PER_GPU: 1,000}", "write `BATCH_SIZE_PER_GPU: 1000`", "train: {BATCH_SIZE_PER_GPU: 1000}"),
        ("train:\n  BATCH_SIZE_PER_GPU: 1 000", "write 1000", "train: {BATCH_SIZE_PER_GPU: 1000}"),
    ],
)
def test_a_slip_in_a_configuration_file_is_one_line_and_its_advice_is_taken(
    tmp_path: Path, config: str, told: str, mended: str
) -> None:
    profile = trainer(tmp_path)
    (found,) = problems(profile, config)
    assert told in found and "\n" not in found
    read(profile, mended)


def test_a_refusal_of_something_else_stands_beside_values_of_another_type(tmp_path: Path) -> None:
    tree = DEFAULTS + "def refuse(path): raise ValueError('steps of two')\n_C.__dict__['merge_from_file'] = refuse\n"
    assert problems(trainer(tmp_path, tree), "train: {lr: 1}") == [
        "config.yml:1:9: train.lr: 1 does not fit the trainer's schema; write 1.0",
        "config.yml: does not fit the trainer's schema: ValueError: steps of two (defaults.py:14)",
    ]


def test_a_lenient_trainer_may_read_the_files_below_its_own(tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "root.yml").write_text("_BASE_: config.yml\ntrain: {lr: 1, names: b}\nOUT: 'x'\n")
    (tmp_path / "sets/base.yml").write_text("_BASE_: ../root.yml\ntrain: {lr: 2, BATCH_SIZE_PER_GPU: 8.0}\n")
    config = "_BASE_: sets/base.yml\ntrain: {lr: 3}\n"
    strict = trainer(tmp_path)
    lenient = replace(strict, lenient=True)
    found = read(lenient, config).values
    assert [found[f"train.{name}"] for name in ("lr", "BATCH_SIZE_PER_GPU", "names")] == [3.0, 8, ["b"]]
    assert (found["OUT"], "_BASE_" in found) == ("x", False)
    (told, *_) = problems(strict, config)
    assert told == "config.yml: _BASE_: the trainer's schema takes no other files' values; write them here"
    assert read(lenient, "_BASE_: []\n").values["train.lr"] == 0.1
    (tmp_path / "root.yml").write_text("train: {lrr: 1}\n")
    assert problems(lenient, config) == [
        "root.yml:1:9: train.lrr: no such key in defaults.py:_C; did you mean train.lr?"
    ]


READS_BASE = """
class T(CN):
    def merge_from_file(self, path):
        raise ValueError("Type mismatch (float vs. int) for config key: train.lr")
"""


def test_a_tree_that_knows_files_below_its_own_is_not_told_of_them(tmp_path: Path) -> None:
    (tmp_path / "base.yml").write_text("train: {lr: 1}\n")
    tree = DEFAULTS.replace("_C = CN()", f"{READS_BASE}_C = T()", 1)
    assert problems(trainer(tmp_path, tree), "_BASE_: base.yml\n") == [
        "base.yml:1:9: train.lr: 1 does not fit the trainer's schema; write 1.0"
    ]


def test_texts_of_a_configuration_file_are_read_as_the_tree_reads_them(tmp_path: Path) -> None:
    config = "train: {lr: None, steps: '(5, 6)', none: 'None', names: \"['b', 'c']\"}\nOUT: \"'None'\"\n"
    found = read(trainer(tmp_path), config).values
    names = ("train.lr", "train.steps", "train.none", "train.names", "OUT")
    assert [found[name] for name in names] == [None, (5, 6), None, ["b", "c"], "None"]
    lenient = read(replace(trainer(tmp_path), lenient=True), f"{config}MODEL:\n").values  # the launcher's own reading
    assert [lenient[name] for name in names] == [found[name] for name in names]


ONLY_NONE = """
class T(CN):
    def merge_from_list(self, words):
        if words[0] == "train.odd" and words[1] != "None":
            raise ValueError("no number")
        super().merge_from_list(words if words[0] != "train.odd" else [])
"""


def test_a_default_that_json_lacks_takes_what_the_tree_takes(tmp_path: Path) -> None:
    defaults = DEFAULTS.replace("_C = CN()", f"{ONLY_NONE}_C = T()", 1)
    profile = trainer(tmp_path, f"{defaults}dict.__setitem__(_C.train, 'odd', 1 + 2j)\n")
    overrides = Overrides(profile, read(profile))
    assert overrides.check("train.odd", [None]) == []
    assert overrides.check("train.odd", [3]) == [
        "train.odd: 3 does not fit the trainer's schema (the default is a complex)"
    ]


def test_the_key_of_the_output_folder_is_checked(tmp_path: Path) -> None:
    profile = trainer(tmp_path)
    schema = read(profile)

    def found(key: str) -> list[str]:
        return Overrides(replace(profile, output_dir_key=key), schema).profile_problems()

    assert found("OUT") == found("train.none") == []
    (missing,), (number,) = found("OUTPUT"), found("train.lr")
    assert missing.startswith(f"{profile.path}: output_dir_key: OUTPUT: no such key in defaults.py:_C")
    assert number == f"{profile.path}: output_dir_key: train.lr: '/folder' is not a number (the default is 0.1)"


@pytest.mark.parametrize(
    ("config", "message"),
    [("a: b: c", "config.yml:1:5: not valid YAML"), ("[1]", "is not a mapping"), ("train:\n\t lr: 1", "tab")],
)
def test_a_broken_configuration_file(tmp_path: Path, config: str, message: str) -> None:
    assert message in problems(trainer(tmp_path), config)[0]


def test_a_missing_configuration_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--config_file none\.yml: no such file"):
        read_schema(trainer(tmp_path), config_file="none.yml")


def test_a_refusal_that_is_only_the_trees_own_is_shown(tmp_path: Path) -> None:
    strict = DEFAULTS.replace(
        "_C = CN()", "class T(CN):\n    def merge_from_file(self, f):\n        raise OSError('not today')\n_C = T()", 1
    )
    (problem,) = problems(trainer(tmp_path, strict), "OUT: x")
    assert problem == "config.yml: does not fit the trainer's schema: OSError: not today (defaults.py:4)"


@pytest.mark.parametrize(
    ("defaults", "message"),
    [
        (
            "import nothing_like_this",
            "ModuleNotFoundError: No module named 'nothing_like_this' (defaults.py:1); --python",
        ),
        ("x = 1\n_C = (", "SyntaxError"),
        ("_C = 3", "TypeError: _C is a int, not a YACS tree"),
        ("x = 1", "has no attribute '_C'"),
        ("\nraise RuntimeError('two\\nlines')", "RuntimeError: two lines (defaults.py:2)"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import os; os._exit(3)", "exit status 3"),
    ],
)
def test_a_tree_that_cannot_be_loaded(tmp_path: Path, defaults: str, message: str) -> None:
    (problem,) = problems(trainer(tmp_path, defaults))
    assert message in problem
    assert "p.yaml: schema: defaults.py:_C" in problem
    assert "\n" not in problem


def test_an_interpreter_that_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No such file or directory: .*/none/python"):
        read_schema(trainer(tmp_path), python="/none/python")


def test_a_tree_that_never_loads_is_given_up_and_leaves_nothing_behind(tmp_path: Path) -> None:
    hang = (
        "import os, subprocess, time\n"
        "subprocess.Popen(['sleep', '600'])\n"
        "open('pid', 'w').write(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    start = time.monotonic()
    (problem,) = problems(trainer(tmp_path, hang), timeout=1.0)
    assert time.monotonic() - start < 10
    assert "within 1 s" in problem
    group = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 60
    while _alive(group) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _alive(group)


def _alive(group: int) -> bool:
    """Whether a process group has a member that is not merely waiting to be reaped."""
    listing = subprocess.run(["ps", "-A", "-o", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    return any(int(pgid) == group and not stat.startswith("Z") for pgid, stat in map(str.split, listing.splitlines()))


def test_what_the_trainers_code_prints_does_not_disturb(tmp_path: Path) -> None:
    noisy = "import os\nprint('{\"values\": {}}')\nos.system('echo noise')\n" + DEFAULTS + "print('bye')\n"
    assert read(trainer(tmp_path, noisy)).values["train.lr"] == 0.1


def test_the_launchers_modules_are_not_in_the_trainers_way(tmp_path: Path) -> None:
    (tmp_path / "trainer.py").write_text("LR = 0.25\n")
    own = "from trainer import LR\n" + DEFAULTS.replace("_C.train.lr = 0.1", "_C.train.lr = LR")
    assert read(trainer(tmp_path, own)).values["train.lr"] == 0.25


def test_a_tree_inside_a_package_may_import_relatively(tmp_path: Path) -> None:
    package = tmp_path / "lib" / "config"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("")
    (package / "node.py").write_text("from yacs.config import CfgNode as CN\n")
    (package / "defaults.py").write_text("from .node import CN\n_C = CN({'lr': 0.5})\n")
    schema = read(trainer(tmp_path, schema="lib/config/defaults.py:_C"))
    assert dict(schema.values) == {"lr": 0.5}


def test_the_launcher_imports_none_of_the_trainers_code(tmp_path: Path) -> None:
    profile = trainer(tmp_path, DEFAULTS + "open('imported-by', 'a').write(str(__import__('os').getpid()))\n")
    read(profile)
    assert int((tmp_path / "imported-by").read_text()) != os.getpid()


def test_the_reader_runs_on_python_3_7_with_the_standard_library_alone() -> None:
    parsed = ast.parse(READER.read_text(), feature_version=(3, 7))
    imported = {alias.name for node in ast.walk(parsed) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "." for node in ast.walk(parsed) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


OWN_NODE = """
class Node(dict):
    def __init__(self, *given, **items):
        super().__init__(*given, **items)

    def merge_from_list(self, words):
        for key, word in zip(words[::2], words[1::2]):
            *above, leaf = key.split(".")
            node = self
            for name in above:
                node = node[name]
            if leaf not in node and node is not self.get("extra"):
                raise KeyError(key)
            node[leaf] = word

cfg = Node(optim=Node(lr=0.1, name="sgd"), extra=Node(), epochs=3)
"""


def test_a_node_that_takes_new_keys_and_other_types(tmp_path: Path) -> None:
    profile = trainer(tmp_path, OWN_NODE, "defaults.py:cfg")
    schema = read(profile)
    assert (schema.open, schema.loose) == (frozenset({"extra"}), True)
    overrides = Overrides(profile, schema)
    assert overrides.arguments({"extra.new": 5, "optim.lr": "auto", "epochs": 2}) == [
        *("extra.new", "5", "optim.lr", "auto", "epochs", "2"),
    ]
    assert overrides.check("optim.lrr") == ["optim.lrr: no such key in defaults.py:cfg; did you mean optim.lr?"]


def test_yacs_refuses_new_keys_and_other_types_and_so_do_we(tmp_path: Path) -> None:
    # `new_allowed` is for files: merge_from_list refuses what is not there yet.
    profile = trainer(tmp_path)
    schema = read(profile, "MODEL: {FROM_FILE: 1}")
    assert (schema.open, schema.loose) == (frozenset(), False)
    overrides = Overrides(profile, schema)
    assert overrides.arguments({"MODEL.FROM_FILE": 2, "train.lr": 1}) == ["MODEL.FROM_FILE", "2", "train.lr", "1.0"]
    assert overrides.check("MODEL.NEW", [1])
    assert overrides.check("train.lr", ["auto"])


def test_without_a_schema_values_are_passed_as_written(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("command: [python, t.py]\n")
    overrides = Overrides(load_profile(tmp_path / "p.yaml", project_root=tmp_path))
    assert overrides.arguments({"any.key": 1, "b": "x"}) == ["any.key", "1", "b", "x"]


def test_an_import_that_takes_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("yacs_sweep.trainers.schemas.read.SILENT_WAIT", 0.2)
    read_schema(trainer(tmp_path, f"import time\ntime.sleep(2)\n{DEFAULTS}"))
    said = capsys.readouterr().err
    assert said.startswith("waiting for ") and said.endswith("to import defaults.py:_C, 120 s at most\n")
