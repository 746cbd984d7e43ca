"""`Sweep` in a Jupyter notebook, run by a real kernel: `make test-notebook`, in an environment of its own."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import ROOT, processes_with
from tests.trainers import wait_until

pytestmark = pytest.mark.notebook

DEFINE = """
import numpy
from yacs_sweep import Sweep

SCALE = numpy.float64(2.0)

class Model:
    def loss(self, x):
        return SCALE * x**2

def train(params, report):
    print("a line of the trainer")
    for epoch in range(3):
        report(loss=Model().loss(params["x"]) / (epoch + 1), epoch=epoch)
    if params["x"] > 1:
        raise RuntimeError("<b>too far</b>")

space = {"method": "grid", "metric": {"name": "loss", "goal": "minimize"}, "parameters": {"x": [0.5, 0.25, 2.0]}}
sweep = Sweep(space, train=train, controller="local", wandb_mode="disabled")
"""
RUN = "sweep.run()"
FRAME = "sweep.results().frame()[['state', 'value', 'params.x']].to_dict('records')"
SLOW = """
def wait(params, report):
    import time
    report(loss=1.0)
    time.sleep(600)

slow = Sweep(space, train=wait, controller="local", wandb_mode="disabled", results_dir="slow")
slow.run()
"""
AFTER = "[row['state'] for row in slow.results()], slow.exit_status"
AGAIN = """
slow = Sweep.open(slow.id, train=lambda params: params["x"], results_dir="slow")
[(row["state"], row["value"]) for row in slow.run(count=1)]
"""


def interrupt(client: Any, folder: Path) -> None:
    """What the stop button does, once the slow trial has logged."""
    wait_until(lambda: any(path.stat().st_size for path in folder.glob("slow/sweep/*/*/metrics.jsonl")), 120)
    os.kill(client.km.provisioner.pid, signal.SIGINT)


def test_a_notebook_runs_shows_interrupts_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    for name in [name for name in os.environ if name.startswith(("WANDB_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    cells = [nbformat.v4.new_code_cell(source) for source in (DEFINE, RUN, FRAME, SLOW, AFTER, AGAIN)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    resources = {"metadata": {"path": str(tmp_path)}}
    client = nbclient.NotebookClient(
        notebook, timeout=240, kernel_name="python3", allow_errors=True, resources=resources
    )
    button = threading.Thread(target=interrupt, args=(client, tmp_path), daemon=True)
    button.start()
    client.execute()
    _, run, frame, slow, after, again = (cell.outputs for cell in notebook.cells)
    assert [output.output_type for output in notebook.cells[0].outputs] == []

    printed = "".join(output.text for output in run if output.output_type == "stream")
    assert printed.count("▶") == 3 and "✗ trial-0002 failed" in printed
    assert "a line of the trainer" not in printed and "\x1b" not in printed
    (shown,) = [output.data["text/html"] for output in run if output.output_type == "execute_result"]
    assert shown.startswith("<table>") and "RuntimeError: &lt;b&gt;too far&lt;/b&gt;" in shown
    assert result(frame) == repr(
        [
            {"state": "finished", "value": 0.125 / 3, "params.x": 0.25},
            {"state": "finished", "value": 0.5 / 3, "params.x": 0.5},
            {"state": "failed", "value": 8 / 3, "params.x": 2.0},
        ]
    )

    (error,) = [output for output in slow if output.output_type == "error"]
    assert error.ename == "KeyboardInterrupt" and "was interrupted" in error.evalue
    assert result(after) == "(['killed'], 130)"
    assert result(again) == "[('finished', 0.5), ('killed', 1.0)]"
    assert not processes_with(str(tmp_path / "slow"))


def result(outputs: list[Any]) -> str:
    """What a cell's last line is worth."""
    (text,) = [output.data["text/plain"] for output in outputs if output.output_type == "execute_result"]
    return (
        "".join(line.strip() if "\n" in text else line for line in text.split("\n"))
        .replace(",{", ", {")
        .replace(",(", ", (")
    )
