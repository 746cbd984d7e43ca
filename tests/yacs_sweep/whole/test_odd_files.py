"""What a trainer leaves in its folder, and an agent that can open no more files, cost a trial at most, never a sweep."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import GRID, Ran, start, sweep, write_sweep
from tests.toy_trainer.odd import BESIDE, INSTEAD

ALL = ",".join(BESIDE)
TWO: dict[str, Any] = {**GRID, "parameters": {"base_lr": {"values": [0.0001, 0.00035]}}}


def states(ran: Ran) -> list[tuple[str, str]]:
    return [(row["name"], row["state"]) for row in ran.summary["trials"]]


def test_a_sweep_of_trials_that_leave_every_odd_file(tmp_path: Path) -> None:
    ran = sweep(
        tmp_path,
        "--sweep-config",
        write_sweep(tmp_path, GRID),
        "--wandb-mode",
        "disabled",
        "--keep",
        "best",
        *("TOY.ODD", ALL, "TOY.CHECKPOINT", "10"),
    )
    assert ran.code == 0, ran.out + ran.err
    assert states(ran) == [(f"trial-{number:04d}", "finished") for number in range(3)]
    best = ran.summary["best"]["name"]
    assert best == "trial-0001" and (ran.dir / "best" / "model_2.pth").is_file()
    for number in range(3):
        folder = ran.dir / f"trial-{number:04d}"
        assert (folder / "latest.pth").is_symlink() and (folder / "system").is_symlink()
        # What is missing in best/ is told, and kept with the trial; of the others all checkpoints go.
        assert (folder / "model_2.pth").exists() == (folder.name == best)
    assert "files of trial-0001 are not in best/" in ran.out and "File name too long" in ran.out


def test_a_sweep_goes_on_from_a_trial_that_left_every_odd_file(tmp_path: Path) -> None:
    words = ["TOY.ODD", ALL, "TOY.CHECKPOINT", "10", "TOY.SECONDS", "0.4", "SOLVER.MAX_EPOCHS", "3"]
    first = start(
        tmp_path, "--sweep-config", write_sweep(tmp_path, TWO), "--wandb-mode", "disabled", "--grace", "1", *words
    )
    assert first.stdout is not None
    for line in first.stdout:
        if "CMC curve, Rank-10" in line:
            break
    first.send_signal(signal.SIGINT)
    said = first.communicate(timeout=180)[0]
    assert first.returncode == 130, said
    (folder,) = tmp_path.glob("log/sweep/sweep/*/")
    ran = sweep(tmp_path, "--sweep_id", folder.name, "TOY.ODD", "", "TOY.SECONDS", "0")
    assert ran.code == 0, ran.out + ran.err
    assert states(ran) == [("trial-0000", "killed"), ("trial-0001", "finished"), ("trial-0002", "finished")]
    again = next(row for row in ran.summary["trials"] if row["retry_of"])
    new = folder / again["name"]
    assert os.readlink(new / "latest.pth") == "model_9.pth" and os.readlink(new / "self") == "."
    assert not os.path.lexists(new / "queue.pth") and not os.path.lexists(new / "server.pth")
    assert "died" not in ran.out and "starts without files of trial-0000" in ran.out


@pytest.mark.parametrize("kind", INSTEAD)
def test_a_trainer_that_puts_something_in_place_of_the_launchers_files(kind: str, tmp_path: Path) -> None:
    ran = sweep(
        tmp_path,
        "--sweep-config",
        write_sweep(tmp_path, TWO),
        "--wandb-mode",
        "disabled",
        *("TOY.ODD", kind, "TOY.SECONDS", "0.1"),
    )
    assert ran.code == 0, ran.out + ran.err
    assert states(ran) == [("trial-0000", "finished"), ("trial-0001", "finished")]
    assert ran.summary["best"]["name"] == "trial-0001" and ran.summary["best"]["value"] == pytest.approx(80)
    for number in range(2):
        name = f"trial-{number:04d}"
        assert ran.trial(name)["state"] == "finished"
        assert [row["step"] for row in ran.rows(name)] == list(range(8))
        assert (ran.dir / name / "stdout.log").read_text().count("mAP") == 2
    status = sweep(tmp_path, "--status", "--sweep_id", ran.dir.name, trainer=None, config=None, verbose=False)
    assert "trial-0001" in status.out, status.out + status.err


FILES = """
import json, os, sys, time
words = dict(word.lstrip("-").split("=") for word in sys.argv[1:])
print("begins", flush=True)
if os.path.islink(words["out"] + "/run.jsonl"): os.remove(words["out"] + "/run.jsonl")
with open(words["out"] + "/run.jsonl", "a") as file:
    for step in range(int(words["rows"])):
        file.write(json.dumps({"loss": float(words["lr"]) / (step + 1)}) + "\\n")
        file.flush()
        time.sleep(0.2)
"""


@pytest.mark.parametrize("source", ["output", "file"])
def test_an_agent_that_can_open_no_more_files_for_a_while(source: str, tmp_path: Path) -> None:
    """Case B4: `prlimit --nofile` on the agent, lifted after 4 s."""
    if source == "file":
        (tmp_path / "x.py").write_text(FILES)
        profile = tmp_path / "x.yaml"
        profile.write_text(
            "command: [python, x.py, '--out={output_dir}', --rows=5]\noverrides: argparse\ncwd: .\n"
            "files: [{path: '{output_dir}/run.jsonl'}]\n"
        )
        spec = {"method": "grid", "metric": {"name": "loss"}, "parameters": {"lr": {"values": [1.0, 2.0, 3.0]}}}
        launcher = start(
            tmp_path,
            *("--sweep-config", write_sweep(tmp_path, spec), "--wandb-mode", "disabled"),
            trainer=profile,
            config=None,
        )
    else:
        words = ["--sweep-config", write_sweep(tmp_path, GRID), "--wandb-mode", "disabled", "TOY.SECONDS", "0.2"]
        launcher = start(tmp_path, *words)
    assert launcher.stdout is not None
    said = ""
    for line in launcher.stdout:
        said += line
        if "begins" in line or "Epoch[1]" in line:
            break
    (folder,) = tmp_path.glob("log/sweep/sweep/*/")
    (lock,) = (path for path in folder.glob("agents/*.lock") if path.name[0].isdigit())
    agent = int(lock.read_text().split()[1])
    soft, hard = resource.prlimit(agent, resource.RLIMIT_NOFILE)
    resource.prlimit(agent, resource.RLIMIT_NOFILE, (3, hard))
    time.sleep(4.0)
    resource.prlimit(agent, resource.RLIMIT_NOFILE, (soft, hard))
    said += launcher.communicate(timeout=120)[0]
    assert launcher.returncode == 0, said
    summary = json.loads((folder / "summary.json").read_text())
    assert [row["state"] for row in summary["trials"]] == ["finished"] * 3, said
    assert "died" not in said
    if source == "file":
        assert sorted(row["value"] for row in summary["trials"]) == pytest.approx([0.2, 0.4, 0.6])
    else:
        assert summary["best"]["value"] == pytest.approx(80)


def test_a_metrics_file_that_cannot_be_read_is_tried_again_and_is_the_reason(tmp_path: Path) -> None:
    spoil = "os.remove(words['out'] + '/run.jsonl')\nos.symlink('run.jsonl', words['out'] + '/run.jsonl')\n"
    (tmp_path / "x.py").write_text(FILES + spoil)
    profile = tmp_path / "x.yaml"
    profile.write_text(
        "command: [python, x.py, '--out={output_dir}', --rows=8]\noverrides: argparse\ncwd: .\n"
        "files: [{path: '{output_dir}/run.jsonl'}]\n"
    )
    spec = {"method": "grid", "metric": {"name": "loss"}, "parameters": {"lr": {"values": [1.0]}}}
    file = write_sweep(tmp_path, spec)
    ran = sweep(tmp_path, "--sweep-config", file, "--wandb-mode", "disabled", trainer=profile, config=None)
    record = ran.trial("trial-0000")
    assert ran.code == 1, ran.out
    assert (record["state"], record["cause"], record["attempts"]) == ("failed", "io_error", 2), ran.out
    assert "Too many levels of symbolic links" in record["reason"] and "run.jsonl" in record["reason"]
    assert "died" not in ran.out
