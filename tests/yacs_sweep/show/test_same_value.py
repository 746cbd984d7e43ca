"""Whether all trials end with one value, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.report_sweeps import write_rows
from tests.sweeping import sweep, write_sweep
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.show.report.data import read_local
from yacs_sweep.show.same_value import same_value_text, values_by_metric

ROWS = [{"loss": 0.5, "epoch": 1}, {"acc": 70.5, "epoch": 1}, {"loss": 0.25, "epoch": 2}, {"acc": 71.25, "epoch": 2}]
OTHER_LOSS = [{**row, **({"loss": 0.125} if "loss" in row else {})} for row in ROWS]
OTHER_TIME = [{**row, "train/time": 0.5 + n, "lr": 0.125 * n} for n, row in enumerate(ROWS)]
NO_EFFECT = (
    "3 trials with different parameters ended with the same acc, 71.25, and logged the same rows: the parameters do not "
    "reach the trainer, or change nothing beside its fixed seed; "
)
SHARED = (
    "3 trials with different parameters ended with the same acc, 71.25, and all but one logged only its last rows: they "
    "share a folder and resume its checkpoint; the profile's output_dir_key, or {output_dir} in its command, "
)


def written(folder: Path, *trials: tuple[Any, list[dict[str, Any]]], state: str = "finished") -> list[TrialRecord]:
    """Writes trials of a learning rate and rows; the last row with acc has the value."""
    records = []
    for number, (rate, rows) in enumerate(trials):
        value = next((row["acc"] for row in reversed(rows) if "acc" in row), None)
        record = TrialRecord(f"s-{number}", f"t{number}", number, {"lr": rate}, state=state, value=value)
        write_rows(SweepPaths(folder, "s").trial(record.name), rows)
        records.append(record)
    return records


@pytest.mark.parametrize(
    ("trials", "text"),
    [
        ([(0.1, ROWS), (0.2, ROWS), (0.3, ROWS)], NO_EFFECT),
        ([(0.1, ROWS), (0.2, OTHER_TIME), (0.3, OTHER_TIME[:1] + ROWS[1:])], NO_EFFECT),
        ([(0.1, ROWS), (0.2, ROWS[3:]), (0.3, ROWS[3:])], SHARED),  # F4: the first one's checkpoint is at its end
        ([(0.1, ROWS), (0.2, ROWS), (0.3, [{**ROWS[3], "acc": 71.5}])], None),
        ([(0.1, ROWS), (0.2, ROWS), (0.3, OTHER_LOSS)], None),  # they do reach it
        ([(0.1, ROWS), (0.2, ROWS), (0.2, ROWS), (1e-1, ROWS)], None),  # two points
        ([(0.1, ROWS), (0.2, ROWS)], None),
        ([(0.1, ROWS), (0.2, []), (0.3, [])], None),
    ],
)
def test_what_is_said_of_trials_with_one_value(
    tmp_path: Path, trials: list[tuple[float, list[dict[str, Any]]]], text: str | None
) -> None:
    found = same_value_text(written(tmp_path, *trials), "acc", SweepPaths(tmp_path, "s"))
    assert (found is None) is (text is None)
    assert found is None or (text is not None and found.startswith(text))


def test_of_other_states_and_of_no_metric_nothing_is_said(tmp_path: Path) -> None:
    trials = [(0.1, ROWS), (0.2, ROWS), (0.3, ROWS)]
    records = written(tmp_path, *trials, state="stopped")
    assert same_value_text(records, "acc", SweepPaths(tmp_path, "s")) is None
    for record in records:
        record.state = "finished"
    assert same_value_text(records, None, SweepPaths(tmp_path, "s")) is None
    assert same_value_text(records, "acc", SweepPaths(tmp_path / "elsewhere", "s")) is None
    assert same_value_text(records, "acc", SweepPaths(tmp_path, "s")) is not None


def test_metrics_of_the_run_itself_are_left_out() -> None:
    row = {
        "step": 3,
        "train/time": 1.0,
        "eta": 2.0,
        "train/max_mem": 3.0,
        "lr": 0.1,
        "time_ms": 4,
        "flr": 5.0,
        "timely": 6.0,
    }
    assert values_by_metric([row, row]) == {"flr": [5.0, 5.0], "timely": [6.0, 6.0]}


# Stand-ins: one ignores what it is given, the other, like Swin, resumes from a folder of its own choice.
IGNORES = "for epoch in (1, 2):\n    print(f'epoch: {epoch} acc: {70 + epoch}.5', flush=True)\n"
RESUMES = """
from pathlib import Path
done = Path("ckpt")
for epoch in (1, 2):
    if not done.exists() or epoch == 2:
        print(f'epoch: {epoch} acc: {70 + epoch}.5', flush=True)
done.touch()
"""


@pytest.mark.parametrize(("code", "part"), [(IGNORES, "logged the same rows"), (RESUMES, "they share a folder")])
def test_a_sweep_says_it_once_and_status_and_report_show_it(tmp_path: Path, code: str, part: str) -> None:
    (tmp_path / "t.py").write_text(code)
    (tmp_path / "t.yaml").write_text("command: [python, t.py]\noverrides: argparse\n")
    search = {
        "method": "grid",
        "metric": {"name": "acc", "goal": "maximize"},
        "parameters": {"lr": {"values": [1, 2, 3, 4]}},
    }
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, search), trainer=tmp_path / "t.yaml", config=None)
    assert ran.code == 0, ran.out + ran.err
    (line,) = [line for line in ran.out.splitlines() if "ended with the same acc, 72.5" in line]
    assert line.startswith("[sweep] warning: 3 trials with different parameters") and part in line
    shown = sweep(tmp_path, "--status", "--sweep_id", ran.dir.name, trainer=None, config=None, verbose=False)
    (line,) = [line for line in shown.out.splitlines() if part in line]
    assert line.startswith("warning  4 trials with different parameters ended with the same acc, 72.5, and ")
    (note,) = read_local(SweepPaths(tmp_path / "log" / "sweep", ran.dir.name)).notes
    assert note.startswith("4 trials with different parameters") and part in note
