"""The example of a notebook, run by a real kernel: `make test-notebook`."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.examples.running import EXAMPLES, README
from tests.sweeping import ROOT


@pytest.mark.notebook
def test_the_notebook_runs_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    for name in [name for name in os.environ if name.startswith(("WANDB_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(EXAMPLES / "notebook" / "sweep.ipynb", as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3", resources=resources).execute()
    _, _, run, table, plot, best = (cell.get("outputs", []) for cell in notebook.cells)
    assert any("16 finished" in output.get("text", "") for output in run)
    assert "params.width" in table[-1].data["text/html"]
    assert "application/vnd.plotly.v1+json" in plot[-1].data
    shown = re.search(r"^best: ([\d.]+) with", README.read_text(encoding="utf-8"), re.MULTILINE)
    value = re.match(r"best: ([\d.]+) with", best[-1].text)
    assert shown and value and float(value[1]) < 1.2 * float(shown[1])  # the search's model rounds otherwise elsewhere
