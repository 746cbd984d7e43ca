"""The examples on Lightning and transformers, with these libraries: `make test-examples` installs and runs them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples.running import Example, readme_commands, shown_rows
from tests.sweeping import ROOT

pytestmark = [pytest.mark.libraries, pytest.mark.timeout(900)]
PYTHON = ROOT / ".venv-examples" / "bin" / "python"


@pytest.mark.parametrize(("name", "metric"), [("lightning", "val_loss"), ("huggingface", "eval/accuracy")])
def test_an_example_finds_what_its_readme_shows(name: str, metric: str, tmp_path: Path) -> None:
    assert PYTHON.exists(), "make test-examples makes it"
    example = Example.copy(name, tmp_path)
    (command,) = readme_commands(name)
    output = example.run(command.replace("yacs-sweep ", f"yacs-sweep --python {PYTHON} ", 1), timeout=800)
    summary = example.summary
    shown = shown_rows(name)
    assert [trial["name"] for trial in summary["trials"]] == sorted(row[0] for row in shown)
    assert summary["metric"]["name"] == metric and summary["best"]["name"] == shown[0][0]
    for trial, value, params in shown:
        assert re.search(rf"^{trial} .*{re.escape(params)}$", output, re.MULTILINE)
        found = next(item["value"] for item in summary["trials"] if item["name"] == trial)
        assert found == pytest.approx(float(value), rel=0.3)  # other versions and processors draw and round otherwise
    if name == "lightning":
        assert list((example.sweep_dir / "best").rglob("*.ckpt"))
