"""Reading YAML as people write it, and saying where it is wrong."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.base.wording import show
from yacs_sweep.base.yaml_document import Document, read_yaml, read_yaml_file


def data(text: str) -> Any:
    document = read_yaml("f.yaml", text)
    assert document.problems == ()
    return document.data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1e-05", 1e-5),
        ("-1e-3", -1e-3),
        ("1E5", 1e5),
        ("1e+5", 1e5),
        ("1.e-5", 1e-5),
        ("1.0e4", 1e4),
        ("2.", 2.0),
        (".5", 0.5),
        (".5e-3", 0.5e-3),
        ("0.1e3", 100.0),
        ("1_000", 1000),
        ("-7", -7),
        ("0x1f", 31),
        ("0o17", 15),
        ("017", 17),
        ("yes", True),
        ("Off", False),
        ("True", True),
        ("null", None),
        ("~", None),
        ("None", "None"),
        ("inf", "inf"),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("70,80,90", "70,80,90"),
        ('"1e-5"', "1e-5"),
        ("'on'", "on"),
        ("!!float 1e-5", 1e-5),
        ("!!float 3", 3.0),
        ("!!str 1e-5", "1e-5"),
        ("1e", "1e"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_scalar(text: str, value: object) -> None:
    found = data(f"key: {text}")["key"]
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_float() -> None:
    assert math.isnan(data("key: .nan")["key"])


def test_places_of_keys_items_and_what_is_inside_them() -> None:
    document = read_yaml("f.yaml", "a:\n  b: 1\n  c:\n    - x\n    - y\n")
    assert document.place(("a",)) == "f.yaml:1:1"
    assert document.place(("a", "b")) == "f.yaml:2:3"
    assert document.place(("a", "c", 1)) == "f.yaml:5:7"
    assert document.place(("a", "c", 1, "deeper")) == "f.yaml:5:7"
    assert document.message(("a", "c", 1), "wrong") == "f.yaml:5:7: a.c[1]: wrong"
    assert document.inside("a").place(("b",)) == "f.yaml:2:3"
    assert Document("option", {}).message(("a",), "wrong") == "option: a: wrong"


def test_key_keeps_its_spelling_whatever_it_would_be_as_a_value() -> None:
    assert data("on: 1\n2: 3\nnull: 4\n") == {"on": 1, "2": 3, "null": 4}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: a: given twice, first on line 1; keep one"),
        ("a: !include x\n", "f.yaml:1:4: a: the tag !include is not supported; write the value plainly"),
        ("a: !!python/tuple [1]\n", "a: the tag tag:yaml.org,2002:python/tuple is not supported"),
        ("a: !!int x\n", "f.yaml:1:4: a: 'x' is not a int"),
        ("a: &x [*x]\n", "a[0]: refers to itself"),
        ("a: {<<: 3}\n", "a: `<<` takes another mapping"),
        ("? [1]\n: 2\n", "f.yaml:1:3: a key must be a plain word"),
    ],
)
def test_problem_is_collected(text: str, problem: str) -> None:
    problems = read_yaml("f.yaml", text).problems
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize(
    ("content", "start", "part"),
    [
        (b"a: [1, 2\nb: 3\n", "f.yaml:2:2: not valid YAML", "expected"),
        (b"a:\n\tb: 1\n", "f.yaml:2:1: not valid YAML", "tab"),
        (b"a: b: c\n", "f.yaml:1:5: not valid YAML", "indented like its neighbours"),
        (b"a:\n   b: 1\n  c: 2\n", "f.yaml:3:3: not valid YAML", "indented like its neighbours"),
        (b"a: 1\n---\nb: 2\n", "f.yaml:2:1: not valid YAML", "one document"),
        (b"a:\n  - 1\nb\n", "f.yaml:3:1: not valid YAML", "a key needs `:`"),
        (b"a: @x\n", "f.yaml:1:4: not valid YAML", "quote a text that begins with @"),
        (b"a: *missing\n", "f.yaml:1:4: not valid YAML", "undefined alias"),
        (b"a: 1\nb: \xe9\n", "f.yaml:2: not UTF-8", "save the file as UTF-8"),
        (b"a: 1\nb: \x07\n", "f.yaml:", "not allowed"),
    ],
)
def test_broken_file_is_one_line_with_the_place(content: bytes, start: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_yaml("f.yaml", content)
    (problem,) = caught.value.problems
    assert problem.startswith(start)
    assert part in problem
    assert problem.isprintable()


def test_crlf_bom_and_other_scripts() -> None:
    content = "\ufeff# 최적화\r\na: é\r\nb:\r\n  - 1\r\n".encode()
    document = read_yaml("f.yaml", content)
    assert document.data == {"a": "é", "b": [1]}
    assert document.place(("b", 0)) == "f.yaml:4:5"


def test_aliases_and_merges() -> None:
    text = "base: &b {x: 1, y: 2}\nother: {<<: *b, y: 3}\nlist: [*b, *b]\n"
    assert data(text)["other"] == {"x": 1, "y": 3}
    assert data(text)["list"] == [{"x": 1, "y": 2}] * 2


def test_aliases_that_explode_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(ConfigError, match="after expanding aliases"):
        read_yaml("f.yaml", "\n".join(lines))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"nested too deeply|not valid YAML"):
        read_yaml("f.yaml", "[" * 20000)


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        read_yaml_file(str(tmp_path / "none.yaml"))
    (tmp_path / "empty.yaml").write_bytes(b"# only a comment\n")
    assert read_yaml_file(str(tmp_path / "empty.yaml")).data is None


def test_show_writes_yaml_and_shortens() -> None:
    assert show([None, True, "x", 1e-05]) == "[null, true, 'x', 1e-05]"
    assert show({"a": [1]}) == "{a: [1]}"
    assert len(show("x" * 500)) < 100
