"""Values as argv words: what a real YACS, or a real argparse, reads back is the same value of the same type."""

from __future__ import annotations

import argparse
import math
import random
import subprocess
import sys
from typing import Any

import pytest
import yaml
from yacs.config import CfgNode

from yacs_sweep.trainers.styles import override_arguments, yacs_text

TEXTS = [
    *("", "a", "resnet50", "./log/a-b_c", "a b", "it's", 'say "x"', "back\\slash", "end\\", "tab\tnew\nline"),
    *("123", "-1", "1e-5", ".5", "True", "None", "nan", "inf", "[1, 2]", "(1,)", "{1: 2}", "{}[]", "1_000", "0x10"),
    *("--flag", "-x", "$HOME", "$(id)", "`id`", "a;b", "a&&b", "*", "é ü", "\u4e2d", "#", "on", "r'x'", "b'x'", "'q'"),
    *(" 5", "5 ", "1+2j", "\ud800", "(" * 300, "a=b", "x" * 5000),
]
NUMBERS = [0, 1, -1, 10**30, 0.0, -0.0, 1.0, 1e-05, -2.5e-300, 1e22, 0.1 + 0.2, math.inf, -math.inf, True, False, None]
LISTS: list[Any] = [[], (), [1], (1,), (40, 70), [1.0, 2], [["a b", "1"], (None, True)], [1e-5, math.inf], ["it's", ""]]


def read_by_yacs(value: Any, default: Any) -> Any:
    node = CfgNode({"A": CfgNode({"B": default})})
    node.merge_from_list(override_arguments("yacs", "A.B", value))
    return node.A.B


@pytest.mark.parametrize("value", [*TEXTS, *NUMBERS, *LISTS], ids=lambda value: repr(value)[:20])
def test_yacs_reads_back_the_same_value_and_type(value: Any) -> None:
    assert repr(read_by_yacs(value, value)) == repr(value)
    assert repr(read_by_yacs(value, None)) == repr(value)


def test_yacs_reads_back_random_texts() -> None:
    draw = random.Random(0)
    for _ in range(3000):
        text = "".join(draw.choice("ab'\"\\ ,=[](){}:#1.-+e\n") for _ in range(draw.randint(0, 8)))
        assert read_by_yacs(text, "x") == text


@pytest.mark.parametrize("text", [t for t in TEXTS if t != "\ud800"], ids=lambda value: repr(value)[:20])
def test_yacs_reads_back_a_text_from_a_file(text: str) -> None:
    node = CfgNode({"A": "default"})
    node.merge_from_other_cfg(CfgNode(yaml.safe_load(yaml.safe_dump({"A": yacs_text(text)}))))
    assert text == node.A


def test_plain_words_stay_readable() -> None:
    for text in ("resnet50", "log/a-b", "on", "softmax_triplet", "/data/x.yml"):
        assert override_arguments("yacs", "A", text) == ["A", text]


@pytest.mark.parametrize("style", ["yacs", "hydra", "argparse"])
def test_words_reach_a_program_as_they_are(style: str) -> None:
    texts = [text for text in TEXTS if text != "\ud800"]
    words = [word for text in texts for word in override_arguments(style, "k", text)]
    command = [sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))", *words]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == ascii(words)


@pytest.mark.parametrize("value", [t for t in TEXTS if t != "\ud800"], ids=lambda value: repr(value)[:20])
def test_argparse_reads_back_texts(value: str) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name")
    assert parser.parse_args(override_arguments("argparse", "name", value)).name == value


def test_argparse_reads_back_numbers() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float)
    for value in (1e-05, -2.5e-300, 0.1 + 0.2, math.inf):
        assert parser.parse_args(override_arguments("argparse", "lr", value)).lr == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("adam", "adam"),
        ("a/b.c-d", "a/b.c-d"),
        ("", "''"),
        ("a b", "'a b'"),
        ("it's", r"'it\'s'"),
        ("\\'", r"'\\\''"),
        ("end\\", r"'end\\'"),
        ("mid\\dle", r"'mid\dle'"),
        ("123", "'123'"),
        (".5", "'.5'"),
        ("True", "'True'"),
        ("null", "'null'"),
        ("choice(1,2)", "'choice(1,2)'"),
        (1, "1"),
        (1.0, "1.0"),
        (1e-05, "1e-05"),
        (math.nan, "nan"),
        (True, "true"),
        (None, "null"),
        ([1, "a b", None], "[1,'a b',null]"),
        ((1, 2.5), "[1,2.5]"),
    ],
)
def test_hydra_grammar(value: Any, text: str) -> None:
    """Expected words were checked against hydra-core 1.3's own override parser."""
    assert override_arguments("hydra", "a.b", value) == [f"a.b={text}"]


PARSERS = [
    ("mmengine", "adam", "adam"),
    ("mmengine", 1, "1"),
    ("mmengine", 1e-05, "1e-05"),
    ("mmengine", True, "True"),
    ("mmengine", None, "None"),
    ("mmengine", [1, 2.5], "[1,2.5]"),
    ("mmengine", (8, "a"), "(8,a)"),
    ("mmengine", (1,), "(1,)"),
    ("mmengine", [[1, (2, 3)], []], "[[1,(2,3)],[]]"),
    ("mmengine", math.inf, "inf"),
    ("ultralytics", "yolo11n.pt", "yolo11n.pt"),
    ("ultralytics", "SGD", "SGD"),
    ("ultralytics", "123", "'123'"),
    ("ultralytics", "none", "'none'"),
    ("ultralytics", "", "''"),
    ("ultralytics", " a ", "' a '"),
    ("ultralytics", "it's", "it's"),
    ("ultralytics", "math.PI", "'math.PI'"),
    ("ultralytics", 1, "1"),
    ("ultralytics", 1e-05, "1e-05"),
    ("ultralytics", True, "True"),
    ("ultralytics", None, "None"),
    ("ultralytics", [0, 1], "[0, 1]"),
    ("ultralytics", (1, "a b"), "(1, 'a b')"),
    ("ultralytics", math.inf, "1e999"),
    ("lightning", "adam", "adam"),
    ("lightning", "a b", "a b"),
    ("lightning", 1, "1"),
    ("lightning", 1e-05, "1e-05"),
    ("lightning", True, "true"),
    ("lightning", None, "null"),
    ("lightning", [1, "1", None], '[1, "1", null]'),
    ("lightning", math.inf, ".inf"),
    ("lightning", [-math.inf], "[-.inf]"),
    ("lightning", {"a": 1e-05, "b": [True]}, '{"a": 1e-05, "b": [true]}'),
]


@pytest.mark.parametrize(("style", "value", "text"), PARSERS)
def test_what_other_parsers_read(style: str, value: Any, text: str) -> None:
    """The words were read as these values by mmengine 0.10.7, Ultralytics 8.4.190 and jsonargparse 4.53 themselves."""
    assert override_arguments(style, "key", value) == [f"{'--' if style == 'lightning' else ''}key={text}"]


def test_ultralytics_takes_the_text_of_some_keys_as_it_stands() -> None:
    assert override_arguments("ultralytics", "project", "123") == ["project=123"]
    assert override_arguments("ultralytics", "name", "a b") == ["name=a b"]


@pytest.mark.parametrize(
    ("style", "key"),
    [
        ("ultralytics", "cfg"),
        ("ultralytics", "a.b"),
        ("ultralytics", "--lr0"),
        ("mmengine", "a=b"),
        ("mmengine", "--work-dir"),
        ("lightning", "config"),
        ("lightning", "-x"),
        ("argparse", "-x"),
        ("argparse", "--config"),
        ("argparse", "a=b"),
        ("argparse", "a b"),
        ("argparse", ""),
        ("argparse", "lr\n"),
        ("yacs", "--config_file"),
        ("yacs", "A B"),
        ("yacs", ".A"),
        ("yacs", "A\0"),
        ("hydra", "~db"),
        ("hydra", "--multirun"),
        ("hydra", "a=b"),
    ],
)
def test_names_that_would_act_as_something_else_are_refused(style: str, key: str) -> None:
    with pytest.raises(ValueError, match="not a parameter name"):
        override_arguments(style, key, 1)


@pytest.mark.parametrize(
    ("style", "value", "reason"),
    [
        ("yacs", math.nan, "nan"),
        ("mmengine", "123", "cannot carry '123': 123 would be read"),
        ("mmengine", "a b", "has a blank"),
        ("mmengine", "(a", "a bracket"),
        ("mmengine", "None", "would be read"),
        ("mmengine", ["1"], "would be read"),
        ("mmengine", "'a'", "'a' would be read"),
        ("mmengine", {"a": 1}, "dict"),
        ("ultralytics", "a]", "cannot carry"),
        ("ultralytics", math.nan, "nan"),
        ("lightning", b"bytes", "bytes"),
        ("yacs", {"a": 1}, "dict"),
        ("yacs", [1, object()], "object"),
        ("hydra", "${oc.env:HOME}", "interpolation"),
        ("hydra", {"a": 1}, "dict"),
        ("hydra", "a\0b", "NUL"),
        ("argparse", "a\0b", "NUL"),
        ("argparse", "\ud800", "is not a text"),
        ("argparse", b"bytes", "bytes"),
        ("argparse", "x" * 200_000, "longer"),
    ],
)
def test_values_that_no_word_can_carry_are_refused(style: str, value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        override_arguments(style, "key", value)
