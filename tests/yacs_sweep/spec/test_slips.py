"""Slips in YAML that make a text, or keys without values, of a mapping or a list: told with the line that is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.base.yaml_document import sexagesimal
from yacs_sweep.spec.sweep import SweepSpec
from yacs_sweep.spec.sweep_files import load_spec

BLANK = "a key needs a blank after its `:`; write"
COMMA = "a comma ends a value here; write"


def read(folder: Path, parameters: str, metric: str = "{name: loss, goal: minimize}", more: str = "") -> SweepSpec:
    path = folder / "s.yaml"
    path.write_text(f"method: random\nmetric: {metric}\n{more}parameters:\n  {parameters}\n", encoding="utf-8")
    return load_spec(path)


def problem(folder: Path, parameters: str, metric: str = "{name: loss, goal: minimize}", more: str = "") -> str:
    """The one line of a file that cannot be read."""
    with pytest.raises(ConfigError) as caught:
        read(folder, parameters, metric, more)
    assert len(caught.value.problems) == 1, caught.value.problems
    return caught.value.problems[0].removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lr: {min:0.1, max:0.9}", f"parameters.lr: {BLANK} `lr: {{min: 0.1, max: 0.9}}`"),
        ("lr: {min:0.1 max:0.9}", f"parameters.lr: {BLANK} `lr: {{min: 0.1, max: 0.9}}`"),
        ("lr: {min: 0.1, max:0.9}", f"parameters.lr: {BLANK} `lr: {{min: 0.1, max: 0.9}}`"),
        ("lr: min:0.1", f"parameters.lr: {BLANK} `lr: {{min: 0.1}}`"),
        ("lr:\n    min:0.1\n    max:0.9", f"parameters.lr: {BLANK} `lr: {{min: 0.1, max: 0.9}}`"),
        ("lr:\n    values:[1, 2]", f"parameters.lr: {BLANK} `lr: {{values: [1, 2]}}`"),
        ("lr:\n    values:1, 2", f"parameters.lr: {BLANK} `lr: {{values: [1, 2]}}`"),
        ("lr: {min = 0.1, max = 0.9}", f"parameters.lr: {BLANK} `lr: {{min: 0.1, max: 0.9}}`"),
        ("lr:{min: 1}", f"{BLANK} `lr: {{min: 1}}`"),
        ("lr:[1, 2]", f"parameters: {BLANK} `lr: [1, 2]`"),
        ("lr: {values:[1, 2]}", f"{BLANK} `lr: {{values: [1, 2]}}`"),
        ("lr: {values: [1]}\n  b: {values:[1, 2]}\n  c: {values:[3]}", f"s.yaml:5: not valid YAML: {{}}; {BLANK} `b: "),
        ("lr: {values: 0.1, 0.2}", f"parameters.lr: {COMMA} `lr: {{values: [0.1, 0.2]}}`"),
        ("lr: {values: adam, sgd}", f"parameters.lr: {COMMA} `lr: {{values: [adam, sgd]}}`"),
        ("lr: {value: 0.1, 0.2}", f"parameters.lr: {COMMA} `lr: {{values: [0.1, 0.2]}}`"),
        ("lr: {value: (0.5, 0.6)}", f"parameters.lr: {COMMA} `lr: {{value: '(0.5, 0.6)'}}`"),
        ("lr: {1, 2}", f"parameters.lr: {COMMA} `lr: [1, 2]`"),
        ("lr: {min: 0,1, max: 0,9}", f"parameters.lr: {COMMA} `lr: {{min: 0.1, max: 0.9}}`"),
        ("lr: {values: 0,0001}", "write `lr: {values: [0.0001]}`"),
        ("lr: {value: 0,0001}", "write `lr: {value: 0.0001}`"),
        ("lr: {values: [0,0001, 0,001]}", "a comma separates values, and 0,0001 are two; write 0.0001"),
        ("lr: [0,1, 0,5]", "lr: a comma separates values, and 0,1 are two; write 0.1"),
        ("lr: [-0,5, -0,25]", "lr: a comma separates values, and -0,5 are two; write -0.5"),
        ("lr: [1,05, 2]", "lr: a comma separates values, and 1,05 are two; write 1.05"),
        ("lr: [0,05]", "lr: a comma separates values, and 0,05 are two; write 0.05"),
        ("n: [1,000, 2,000]", "n: a comma separates values, and 1,000 are two; write 1000"),
        ("lr: {min: -0,5, max: 1,000}", f"parameters.lr: {COMMA} `lr: {{min: -0.5, max: 1000}}`"),
        ("n: {values: 01, 02}", f"parameters.n: {COMMA} `n: {{values: [01, 02]}}`"),
        ("lr:\n    values: 0.1, 0.2", "parameters.lr.values: '0.1, 0.2' is not a list; write [0.1, 0.2]"),
        ("lr:\n    values: adam, sgd", "parameters.lr.values: 'adam, sgd' is not a list; write [adam, sgd]"),
        ("lr:\n    values: (1, 2)", "parameters.lr.values: '(1, 2)' is not a list; write [1, 2]"),
        ("lr:\n    values: 0.1", "0.1 is not a list; write [0.1], or `value:` for a single value"),
        (
            "lr:\n    - 0.1\n    -0.2",
            "s.yaml:6: not valid YAML: {}; a list item needs a blank after its `-`; write `- 0.2`",
        ),
    ],
)
def test_the_line_that_is_meant_is_told(tmp_path: Path, text: str, told: str) -> None:
    found = problem(tmp_path, text)
    for part in told.split("{}") if told.count("{}") and "not valid" in told else [told]:
        assert part in found


@pytest.mark.parametrize("text", ["name:loss", "{name:loss}", "name=loss"])
def test_a_metric_without_its_blank_is_no_name(tmp_path: Path, text: str) -> None:
    assert problem(tmp_path, "lr: [1, 2]", text).endswith(f"metric: {BLANK} `metric: {{name: loss}}`")


def test_a_stopping_rule_without_its_blanks(tmp_path: Path) -> None:
    found = problem(tmp_path, "lr: [1, 2]", more="early_terminate: {type:hyperband, min_iter:3}\n")
    assert found.endswith(f"early_terminate: {BLANK} `early_terminate: {{type: hyperband, min_iter: 3}}`")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lr: 0.1, 0.2", "parameters.lr: '0.1, 0.2' is one text, not a list; write [0.1, 0.2]"),
        ("lr:\n    -0.1\n    -0.2", "parameters.lr: '-0.1 -0.2' is one text, not a list; write [-0.1, -0.2]"),
        ("lr: [0.1 0.2]", "parameters.lr[0]: '0.1 0.2' is one text, not a list; write [0.1, 0.2]"),
        ("lr: {values: [1; 2]}", "parameters.lr.values[0]: '1; 2' is one text, not a list; write [1, 2]"),
        ("lr: [010, 20]", "lr[0]: 010 is read as the number 10, by W&B's own reader as the number 8; write 10"),
        ("lr: [01, 2]", "lr[0]: 01 is read as the number 1; write 1, or '01' if a text is meant"),
        ("lr: [010, 20]", "write 10, or '010' as a text"),
        ("n: [1 000, 20]", "parameters.n[0]: '1 000' is read as a text; write 1000, or quote it if a text is meant"),
        ("n: [1 200 000, 20]", "'1 200 000' is read as a text; write 1200000"),
        (
            "lr: [0,1,0,5]",
            "lr: 0,1 is read as two values; write 0.1 if one number is meant, else a blank after each comma",
        ),
        (
            "lr: [1,5, 2]",
            "lr: 1,5 is read as two values; write 1.5 if one number is meant, else a blank after each comma",
        ),
        ("lr: {values: [08, 9]}", "values[0]: 08 is read as the number 8, by W&B's own reader as a text; write 8"),
        ("lr: [1:30, 2]", "lr[0]: 1:30 is read as a text, by W&B's own reader as the number 90; write 90, or '1:30'"),
        ("lr: [-190:20:30, 2]", "by W&B's own reader as the number -685230; write -685230, or '-190:20:30'"),
    ],
)
def test_a_doubtful_value_is_told_before_anything_starts(tmp_path: Path, text: str, told: str) -> None:
    warnings = read(tmp_path, text).warnings
    assert len(warnings) == 1 and told in warnings[0]


@pytest.mark.parametrize(
    "text",
    [
        "lr: '0.1, 0.2'",
        "lr: {value: '0.1 0.2'}",
        "lr:\n    value: 70,80,90",  # as public sweep files pass lists to a command line
        "lr:\n    value: (0.4914, 0.4822)",
        "lr: ['010', '1:30', 0, 10, 0.5, 0o17, 0x1F, 00:10:00]",
        "lr: {values: [http://x, c:/d, a:b]}",
        "lr: {value: 'min:0.1'}",
    ],
)
def test_what_is_meant_as_it_stands_raises_no_doubt(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text).warnings == ()


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("[010, 020]", (10, 20)),
        ("[1, 2, 010]", (1, 2, 10)),
        ("[01, 02]", (1, 2)),
        ("[1, 2, 3, 007]", (1, 2, 3, 7)),
        ("\n    - 010\n    - 020", (10, 20)),
        ("\n    - 0\n    - 01", (0, 1)),
        ("[1,2,010]", (1, 2, 10)),
        ("[00,01]", (0, 1)),
        ("[0, 01]", (0, 1)),
    ],
)
def test_a_zero_in_front_makes_no_decimal_comma(tmp_path: Path, text: str, values: tuple[int, ...]) -> None:
    spec = read(tmp_path, f"n: {text}")
    assert spec.parameters[0].values == values
    assert spec.warnings
    assert all("is read as the number" in warning for warning in spec.warnings)


@pytest.mark.parametrize("text", ["[0,1]", "[1,2,3]", "[16,32,64,128]", "[1.5,2.5, 3]", "['0','1', '0']", "[a,b, c]"])
def test_a_list_of_integers_without_blanks_raises_no_doubt(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, f"n: {text}").warnings == ()


def test_a_doubt_about_an_alias_is_told_once(tmp_path: Path) -> None:
    assert len(read(tmp_path, "a: &list [010, 2]\n  b: *list").warnings) == 1


@pytest.mark.parametrize(("text", "number"), [("1:30", 90), ("10:00:00", 36000), ("-1:30", -90), ("1:30.5", 90.5)])
def test_numbers_of_base_60(text: str, number: float) -> None:
    assert sexagesimal(text) == number


@pytest.mark.parametrize("text", ["00:10:00", "1:75", "12", "a:30", "1:30pm"])
def test_what_is_no_number_of_base_60(text: str) -> None:
    assert sexagesimal(text) is None
