"""`tools/report.py` as a user runs it: sweeps in folders and on the W&B server, every format, mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from tests.report_sweeps import HOSTILE, write_sweep
from tests.sweeping import ROOT, environment
from tests.wandb_server import start_server
from tests.wandb_server.launching import environment as logged_in
from tests.wandb_server.launching import grid, new_sweep, sweep


def report(
    cwd: Path, *words: str | Path, env: dict[str, str] | None = None, stdout: int | IO[str] = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "report.py"), *map(str, words)]
    env = env or environment(cwd)
    return subprocess.run(
        command, cwd=cwd, env=env, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=120, check=False
    )


def test_a_sweep_in_a_folder_of_its_own_in_every_format(tmp_path: Path) -> None:
    paths = write_sweep(tmp_path / "elsewhere", "abcd1234", 12, 40)
    words = ("--sweep_id", "abcd1234", "--results_dir", tmp_path / "elsewhere")
    done = report(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(paths.dir / "report.html")
    assert (paths.dir / "report.html").read_text().startswith("<!doctype html>")
    assert len((paths.dir / "trials.csv").read_text().splitlines()) == 13
    printed = report(tmp_path, *words, "--format", "json")
    assert json.loads(printed.stdout)["sweep_id"] == "abcd1234"
    assert report(tmp_path, *words, "--format", "md").stdout.startswith("# toy")
    assert report(tmp_path, *words, "--format", "csv").stdout.startswith("rank,trial")
    with open("/dev/full", "w") as full:
        printed = report(tmp_path, *words, "--format", "md", stdout=full)
    assert (printed.returncode, printed.stderr) == (1, "error: cannot write the report: No space left on device\n")
    done = report(tmp_path, *words, "--output", "out/mine.html")
    assert (
        done.returncode == 0
        and (tmp_path / "out" / "mine.html").is_file()
        and (tmp_path / "out" / "mine-trials.csv").is_file()
    )


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--sweep_id", "nosuch12"), 2, "--sweep_id nosuch12: no such sweep (looked in"),
        (("--sweep_id", "../etc"), 2, "not a sweep id"),
        ((), 2, "required: --sweep_id"),
        (
            ("--sweep_id", "abcd1234", "--format", "pdf"),
            2,
            "--format: 'pdf' is not allowed; allowed: html, md, json, csv",
        ),
        (("--sweep_id", "abcd1234", "--output", "/dev/null/x.html"), 2, "cannot write /dev/null/x.html"),
        (("--sweep_id", "nosuch12", "--output", "/proc/x/y.html"), 2, "cannot write /proc/x/y.html"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path: Path, words: tuple[str, ...], code: int, message: str) -> None:
    write_sweep(tmp_path / "log" / "sweep", "abcd1234", 1, 20)
    done = report(tmp_path, *words)
    assert done.returncode == code and message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_sweep_of_the_wandb_server_here_and_from_another_machine(tmp_path: Path) -> None:
    with start_server() as server:
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, grid()))
        assert ran.code == 0, ran.out + ran.err
        name, env = ran.dir.name, logged_in(server, tmp_path)
        here = json.loads(report(tmp_path, "--sweep_id", name, "--format", "json", env=env).stdout)
        values = sorted(trial["value"] for trial in here["trials"])
        assert here["source"].endswith(f"/tester/p/sweeps/{name}") and len(values) == 3
        assert all(trial["host"] for trial in here["trials"])  # what its folder knows as well
        # Another machine has no folder; a colleague has given a run a nasty name.
        other = tmp_path / "other"
        other.mkdir()
        next(iter(server.state.runs.values())).attributes["displayName"] = HOSTILE
        env = logged_in(server, other)
        done = report(other, "--sweep_id", f"tester/p/{name}", "--format", "json", env=env)
        assert done.returncode == 0, done.stderr
        there = json.loads(done.stdout)
        assert sorted(trial["value"] for trial in there["trials"]) == values
        assert there["best"]["param:base_lr"] == 0.00035 and there["counts"] == {"finished": 3}
        assert there["best"]["last:train/loss"] == here["best"]["last:train/loss"]
        assert HOSTILE in [trial["trial"] for trial in there["trials"]]
        done = report(other, "--sweep_id", f"tester/p/{name}", env=env)
        assert done.returncode == 0, done.stderr
        text = (other / f"report-{name}.html").read_text()
        assert "<img" not in text and (other / f"trials-{name}.csv").is_file()
        # Without the server the folder will do, and the page says what may be missing.
        server.close()
        env = logged_in(server, tmp_path)
        local = report(tmp_path, "--sweep_id", name, "--source", "local", "--format", "json", env=env)
        assert "trials that other machines ran are missing" in json.loads(local.stdout)["notes"][0]
        gone = report(other, "--sweep_id", f"tester/p/{name}", env=logged_in(server, other))
        assert gone.returncode == 2 and "cannot be used" in gone.stderr and "Traceback" not in gone.stderr
        server.reopen()


def test_a_failed_and_an_unfinished_run_of_the_server(tmp_path: Path) -> None:
    with start_server() as server:
        ran = sweep(server, tmp_path, *new_sweep(tmp_path, grid(0.001)), "TOY.MODE", "crash")
        name = ran.dir.name
        other = tmp_path / "other"
        other.mkdir()
        env = logged_in(server, other)
        found = json.loads(report(other, "--sweep_id", f"tester/p/{name}", "--format", "json", env=env).stdout)
        assert found["counts"] == {"failed": 1} and found["best"] is None
        (group,) = found["failures"]
        assert "toy crash" in group["reason"] + "".join(group["last_lines"])
