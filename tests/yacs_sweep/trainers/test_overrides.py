"""Parameters of a sweep as overrides: names, types, collisions, and the configuration that trains with the best."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from yacs.config import CfgNode

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.trainers.load import load_profile
from yacs_sweep.trainers.overrides import Overrides
from yacs_sweep.trainers.profile import TrainerProfile
from yacs_sweep.trainers.schemas.convert_value import OpaqueDefault, convert_value
from yacs_sweep.trainers.schemas.schema import Schema

TREE: dict[str, Any] = {
    "SOLVER.BASE_LR": 0.00035,
    "SOLVER.WEIGHT_DECAY": 0.0005,
    "SOLVER.MAX_EPOCHS": 120,
    "SOLVER.IMS_PER_BATCH": 64,
    "SOLVER.STEPS": (40, 70),
    "MODEL.NAME": "resnet50",
    "MODEL.IF_LABELSMOOTH": "on",
    "MODEL.IF_WITH_CENTER": "no",
    "MODEL.PATH": "",
    "MODEL.MARGIN": None,
    "INPUT.PIXEL_MEAN": [0.485, 0.456, 0.406],
    "DATASETS.NAMES": ("market1501",),
    "WANDB.ENABLE": False,
    "OUTPUT_DIR": "",
}
SCHEMA = Schema(
    "defaults.py:_C",
    TREE,
    frozenset({"SOLVER", "MODEL", "INPUT", "DATASETS", "WANDB"}),
    renamed={"SOLVER.LR": "SOLVER.BASE_LR"},
    deprecated=frozenset({"SOLVER.OLD"}),
)


def profile(folder: Path, text: str = "") -> TrainerProfile:
    path = folder / "p.yaml"
    aliases = "{base_lr: SOLVER.BASE_LR, weight_decay: SOLVER.WEIGHT_DECAY}"
    base = f"command: [t]\noutput_dir_key: OUTPUT_DIR\naliases: {aliases}\n"
    path.write_text(text or base)
    return load_profile(path, project_root=folder)


@pytest.fixture
def overrides(tmp_path: Path) -> Overrides:
    return Overrides(profile(tmp_path), SCHEMA)


def tree() -> CfgNode:
    root = CfgNode()
    for key, value in TREE.items():
        *sections, leaf = key.split(".")
        node = root
        for section in sections:
            node = node.setdefault(section, CfgNode())
        node[leaf] = value
    return root


@pytest.mark.parametrize(
    ("default", "value", "expected"),
    [
        (0.5, 0, 0.0),
        (0.5, "1e-5", 1e-5),
        (0.5, math.inf, math.inf),
        (64, 32.0, 32),
        (64, "32", 32),
        (64, -1, -1),
        (True, False, False),
        (True, "False", False),
        ("on", False, "off"),
        ("no", True, "yes"),
        ("on", "anything", "anything"),
        ("x", "1e-5", "1e-5"),
        ("0", 3, "3"),
        ((40, 70), [30.0, 60, 90], (30, 60, 90)),
        ((40, 70), "[30, 60]", (30, 60)),
        ([1.0, 2.0], (1, 2.5), [1.0, 2.5]),
        (((32,), (64,)), [[1], [2.0]], ((1,), (2,))),
        ((1, "a"), [2.0, 3], (2.0, 3)),
        (("market1501",), "msmt17", ("msmt17",)),
        (None, 3, 3),
        (None, "3", 3),
        (None, "None", None),  # D5
        (None, "null", "null"),  # as YACS: a word of no literal is a text
        (None, "(20, 40)", (20, 40)),
        (None, "'3'", "3"),
        (None, "True", True),
        (0.3, "None", None),  # D5
        ("x", "None", None),
        ("x", "'None'", "None"),
        ("x", "'a b'", "a b"),
        ("x", "True", "True"),
        ((1, 2), "None", None),
        (OpaqueDefault("complex"), 3, 3),
        (OpaqueDefault("complex", frozenset({"NoneType"})), "None", None),
        (64, None, None),
    ],
)
def test_values_take_the_type_of_the_default(default: Any, value: Any, expected: Any) -> None:
    assert repr(convert_value(value, default)) == repr(expected)


@pytest.mark.parametrize(
    ("default", "value", "message"),
    [
        (64, 32.5, "32.5 is not a whole number (the default is 64)"),
        (64, math.inf, "is not a whole number"),
        (64, True, "true is not a whole number"),
        (64, "many", "'many' is not a whole number"),
        (0.5, True, "true is not a number"),
        (0.5, "abc", "'abc' is not a number (the default is 0.5)"),
        (0.5, [0.1], "[0.1] is not a number"),
        (0.5, "0,0001", "'0,0001' is not a number (the default is 0.5); write 0.0001"),
        (0.5, "0,5", "write 0.5"),
        (0.5, 10**400, "is not a number"),
        (True, 1, "1 is not true or false"),
        ("resnet50", True, "write 'True' in quotes"),
        ("resnet50", 1.5, "write '1.5' in quotes"),
        ((40, 70), 40, "40 is not a list, such as the default [40, 70]"),
        (0.5, {"a": 1}, "is a mapping"),
        (None, "{'a': 1}", "is a mapping"),
        (True, "true", "'true' is not true or false (the default is true); write True"),
        ((40, 70), "[market1501, msmt17]", """the shell takes quotes away: write "['market1501', 'msmt17']\""""),
        (("market1501",), "(msmt17)", """the shell takes quotes away: write "['msmt17']\""""),
        (
            OpaqueDefault("complex", frozenset({"NoneType"})),
            3,
            "3 does not fit the trainer's schema (the default is a complex)",
        ),
    ],
)
def test_values_of_another_type_are_refused(default: Any, value: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        convert_value(value, default)
    assert message in str(caught.value)


def test_names_are_aliases_or_keys(overrides: Overrides) -> None:
    assert overrides.key_for("base_lr") == "SOLVER.BASE_LR"
    assert overrides.key_for("SOLVER.MAX_EPOCHS") == "SOLVER.MAX_EPOCHS"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("base_Lr", "base_Lr: no such key in defaults.py:_C; did you mean base_lr?"),
        ("solver.base_lr", "did you mean SOLVER.BASE_LR?"),
        ("SOLVER.IMS_PERBATCH", "did you mean SOLVER.IMS_PER_BATCH?"),
        ("MODEL.MAX_EPOCHS", "did you mean SOLVER.MAX_EPOCHS?"),
        ("epochs", "did you mean SOLVER.MAX_EPOCHS?"),
        ("zzz", "zzz: no such key in defaults.py:_C"),
        ("SOLVER", "is a section; name one of its keys: SOLVER.BASE_LR"),
        ("SOLVER.LR", "was renamed to SOLVER.BASE_LR"),
        ("SOLVER.OLD", "deprecated"),
        ("OUTPUT_DIR", "is set by the launcher"),
        ("--config_file", "not a parameter name"),
    ],
)
def test_wrong_names_get_the_nearest_right_ones(overrides: Overrides, name: str, message: str) -> None:
    (problem,) = overrides.check(name)
    assert message in problem


def test_an_alias_that_misses_the_trainer_is_named_with_its_key(tmp_path: Path) -> None:
    wrong = profile(tmp_path, "command: [t]\naliases: {lr: SOLVER.BASE_LRR}")
    assert Overrides(wrong, SCHEMA).check("lr") == [
        "lr (SOLVER.BASE_LRR): no such key in defaults.py:_C; did you mean SOLVER.BASE_LR?"
    ]


def test_defaults_are_named_as_the_parameters_are(overrides: Overrides, tmp_path: Path) -> None:
    assert overrides.schema is not None
    names = ["base_lr", "SOLVER.STEPS"]
    found = overrides.defaults([*names])
    assert found == {name: overrides.schema.values[overrides.key_for(name)] for name in names} and len(found) == 2
    assert Overrides(overrides.profile).defaults(names) == {}


def test_a_search_is_checked_as_a_whole(overrides: Overrides) -> None:
    parameters = {
        "base_lr": [0, 1e-3, "x", "x"],
        "SOLVER.BASE_LR": [1],
        "SOLVER.MAX_EPOCHS": [2.0, 2.5],
        "MODEL.MARGIN": [math.nan],
    }
    found = [problem for name, values in parameters.items() for problem in overrides.check(name, values)]
    found += overrides.same_key_problems(parameters)
    assert [problem.split(":")[0] for problem in found] == [
        "base_lr (SOLVER.BASE_LR)",
        "SOLVER.MAX_EPOCHS",
        "MODEL.MARGIN",
        "base_lr and SOLVER.BASE_LR",
    ]


def test_words_are_what_the_tree_takes(overrides: Overrides) -> None:
    params = {
        "base_lr": 1,
        "weight_decay": 0,
        "SOLVER.IMS_PER_BATCH": 32.0,
        "SOLVER.STEPS": [10.0, 20],
        "MODEL.PATH": "123",
        "MODEL.IF_LABELSMOOTH": False,
        "MODEL.MARGIN": -1e-05,
        "INPUT.PIXEL_MEAN": [0, 1, 0.5],
        "DATASETS.NAMES": "msmt17",
        "WANDB.ENABLE": True,
    }
    node = tree()
    node.merge_from_list(overrides.arguments(params))
    read = [
        node.SOLVER.BASE_LR,
        node.SOLVER.WEIGHT_DECAY,
        node.SOLVER.IMS_PER_BATCH,
        node.SOLVER.STEPS,
        node.MODEL.PATH,
    ]
    assert repr(read) == repr([1.0, 0.0, 32, (10, 20), "123"])
    read = [node.MODEL.IF_LABELSMOOTH, node.MODEL.MARGIN, node.INPUT.PIXEL_MEAN, node.DATASETS.NAMES, node.WANDB.ENABLE]
    assert repr(read) == repr(["off", -1e-05, [0.0, 1.0, 0.5], ("msmt17",), True])


def test_words_tell_every_problem(overrides: Overrides) -> None:
    with pytest.raises(ConfigError) as caught:
        overrides.arguments({"base_lr": "x", "nope": 1, "SOLVER.BASE_LR": 0.1})
    assert len(caught.value.problems) == 3


def test_trailing_overrides_are_checked_and_typed(overrides: Overrides) -> None:
    words, params = overrides.parse_trailing(
        ["base_lr", "1", "MODEL.PATH", "10", "SOLVER.STEPS", "[1,2]", "MODEL.NAME", "'a b'", "MODEL.MARGIN", "None"]
    )
    assert params == {
        "SOLVER.BASE_LR": 1.0,
        "MODEL.PATH": "10",
        "SOLVER.STEPS": (1, 2),
        "MODEL.NAME": "a b",
        "MODEL.MARGIN": None,
    }
    node = tree()
    node.merge_from_list(words)
    assert (node.SOLVER.BASE_LR, node.MODEL.PATH, node.MODEL.NAME) == (1.0, "10", "a b")
    with pytest.raises(ConfigError) as caught:
        overrides.parse_trailing(["SOLVER.MAX_EPOCHS", "two", "nope", "1", "base_lr"])
    assert len(caught.value.problems) == 3
    assert "'base_lr' has no value" in caught.value.problems[0]


@pytest.mark.parametrize("words", ["SOLVER.STEPS [1, 2]", "base_lr 1 SOLVER.STEPS (1, 2, 3) MODEL.NAME x"])
def test_a_list_that_the_shell_took_apart_is_told_with_what_to_write(overrides: Overrides, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        overrides.parse_trailing(words.split())
    (problem,) = caught.value.problems
    written = words[words.index("STEPS") + 6 :].partition(" MODEL")[0]
    assert problem == f"{written}: the shell takes a list with blanks apart; write '{written}', in quotes"


@pytest.mark.parametrize("text", ["None", "'None'", "'a b'", "10", "'10'", "(1, 2)", "\"'x'\"", "true", "1e-3", "x y"])
@pytest.mark.parametrize("key", ["MODEL.NAME", "MODEL.ANY"])
def test_every_way_to_give_a_text_has_one_reading_yacs_own(tmp_path: Path, key: str, text: str) -> None:  # D5
    root = CfgNode({"MODEL": {"NAME": "net", "ANY": None}})
    own = root.clone()
    try:
        own.merge_from_list([key, text])  # as the trainer is called by hand
        wanted = own.MODEL[key.partition(".")[2]]
    except ValueError:
        wanted = text  # a text is due: 10 is the text 10
    known = Overrides(profile(tmp_path), Schema("s", {"MODEL.NAME": "net", "MODEL.ANY": None}))
    passed, params = known.parse_trailing([key, text])
    for words in (known.arguments({key: text}), passed, known.arguments(params)):
        node = root.clone()
        node.merge_from_list(words)
        assert repr(node.MODEL[key.partition(".")[2]]) == repr(wanted)
    best = tmp_path / "best.yml"
    for values in ({key: text}, params):
        best.write_text(yaml.safe_dump(known.config_with(None, values)))
        node = root.clone()
        node.merge_from_file(str(best))
        assert repr(node.MODEL[key.partition(".")[2]]) == repr(wanted)
    free = root.clone()  # without a schema
    if key == "MODEL.ANY":
        free.merge_from_list(Overrides(profile(tmp_path)).arguments({key: text}))
        assert repr(free.MODEL.ANY) == repr(wanted)


def test_without_a_schema_values_are_passed_as_written(tmp_path: Path) -> None:
    free = Overrides(profile(tmp_path))
    assert free.arguments({"base_lr": 0, "ANY.KEY": "on"}) == ["SOLVER.BASE_LR", "0", "ANY.KEY", "on"]
    assert free.check("SOLVER.X", [1, "a", None, math.nan]) == ["SOLVER.X: nan cannot be passed as a YACS value"]


def test_other_styles(tmp_path: Path) -> None:
    hydra = Overrides(profile(tmp_path, "command: [t]\noverrides: hydra\naliases: {lr: optim.lr}"))
    assert hydra.arguments({"lr": 1e-05, "model": "a b"}) == ["optim.lr=1e-05", "model='a b'"]
    assert hydra.parse_trailing(["+x=1"]) == (["+x=1"], {})
    text = "command: [t, '--config={config_file}']\noverrides: argparse\noutput_dir_key: out"
    argparse_style = Overrides(profile(tmp_path, text))
    assert argparse_style.arguments({"lr": 1e-05, "tags": [1, "a"]}) == ["--lr=1e-05", '--tags=[1, "a"]']
    assert [bool(argparse_style.check(name)) for name in ("lr", "-lr", "config", "out")] == [False, True, True, True]


def test_the_best_configuration_is_the_base_with_the_parameters(tmp_path: Path, overrides: Overrides) -> None:
    base = tmp_path / "base.yml"
    base.write_text("SOLVER:\n  BASE_LR: 1e-3\n  MAX_EPOCHS: 5\nMODEL:\n  NAME: 'resnet18'\nDATASETS:\n")
    params = {
        "base_lr": 1e-05,
        "weight_decay": 0,
        "SOLVER.STEPS": [(3), 4.0],
        "MODEL.PATH": "123",
        "DATASETS.NAMES": ["a"],
    }
    config = overrides.config_with(base, params)
    assert list(config) == ["SOLVER", "MODEL", "DATASETS"]
    best = tmp_path / "best.yml"
    best.write_text(yaml.safe_dump(config))
    node = tree()
    node.merge_from_file(str(best))
    read = [node.SOLVER.BASE_LR, node.SOLVER.MAX_EPOCHS, node.SOLVER.WEIGHT_DECAY, node.SOLVER.STEPS]
    assert repr(read) == repr([1e-05, 5, 0.0, (3, 4)])
    assert (node.MODEL.NAME, node.MODEL.PATH, node.DATASETS.NAMES) == ("resnet18", "123", ("a",))


def test_a_base_file_that_cannot_hold_the_parameters(tmp_path: Path, overrides: Overrides) -> None:
    base = tmp_path / "base.yml"
    for text, message in [
        ("SOLVER: 3", "SOLVER: is not a section"),
        ("[1]", "is a mapping"),
        ("a: [", "not valid YAML"),
    ]:
        base.write_text(text)
        with pytest.raises(ConfigError, match=message):
            overrides.config_with(base, {"base_lr": 0.1})
    assert overrides.config_with(None, {"base_lr": 1}) == {"SOLVER": {"BASE_LR": 1.0}}
