"""Failed trials that are tried again (`--retry-failed`), what counts as done, and what is no trial."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import Ran, environment, sweep, write_sweep
from tests.trainers import kill_all, write_trainer
from tests.wandb_server import start_server
from tests.wandb_server.launching import PATH, runs
from tests.wandb_server.launching import environment as logged_in
from yacs_sweep import ConfigError, Sweep

QUIET = ("--wandb-mode", "disabled")
VALUES = [0.1, 0.2, 0.3, 0.4]
FOUR: dict[str, Any] = {
    "method": "grid",
    "metric": {"name": "val/mAP", "goal": "maximize"},
    "parameters": {"base_lr": {"values": VALUES}},
}
NEEDS_DATA = """
lr = sys.argv[2].split("=")[1]
(out / "left").write_text("by an earlier try" if (out / "left").exists() else "")
if not os.path.isdir("data"): sys.exit("no folder data")
print("mAP: %s%%" % lr)
"""


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    kill_all(tmp_path)


def failed_sweep(folder: Path, *words: str, code: str = NEEDS_DATA, **changes: Any) -> Ran:
    """A grid of four points, all of which have failed."""
    trainer, spec = write_trainer(folder, code), write_sweep(folder, {**FOUR, **changes})
    options = ("--max-failures", "9", *QUIET, *words)
    ran = sweep(folder, "--sweep-config", spec, *options, trainer=trainer.name, config=None, verbose=False)
    assert ran.code == 1 and ran.summary["counts"] == {"failed": 4}, ran.out + ran.err
    return ran


def again(folder: Path, ran: Ran, *words: str) -> Ran:
    return sweep(folder, "--sweep_id", ran.dir.name, *words, trainer=None, config=None, verbose=False)


def tried_again(ran: Ran) -> dict[str, float]:
    """The values of trials that tried a failed one's point again, by the failed one's name."""
    names = {trial["id"]: trial["name"] for trial in ran.summary["trials"]}
    return {names[trial["retry_of"]]: trial["value"] for trial in ran.summary["trials"] if trial["retry_of"]}


@pytest.mark.parametrize("storage", ["journal", "sqlite"])
def test_a_missing_data_folder_is_mended_and_every_point_is_tried_again(tmp_path: Path, storage: str) -> None:
    words = ("--storage", "sqlite:///trials.db") if storage == "sqlite" else ()
    ran = failed_sweep(tmp_path, *words)
    assert f"then retry with: python {tmp_path}" not in ran.out
    assert f"--sweep_id {ran.dir.name} --max-failures 9 --retry-failed" in ran.out
    (tmp_path / "data").mkdir()
    done = again(tmp_path, ran)  # not without being asked
    assert "every point of the grid is done (4)" in done.out and "4 trials have failed; --retry-failed runs" in done.out
    one = again(tmp_path, ran, "--retry-failed=trial-0002")
    assert one.code == 1 and "3 trials done, 1 to go" in one.out, one.out + one.err
    assert tried_again(one) == {"trial-0002": 0.3}
    rest = again(tmp_path, ran, "--retry-failed")
    assert rest.code == 0 and "1 trial done, 3 to go" in rest.out, rest.out + rest.err
    assert tried_again(rest) == dict(zip([f"trial-{number:04d}" for number in range(4)], VALUES, strict=True))
    assert rest.summary["settled"] == 4 and rest.summary["best"]["value"] == 0.4
    assert "4 finished (4 tried again); results in" in rest.out
    # It failed by itself: what it left is not taken over.
    assert {path.read_text() for path in ran.dir.glob("trial-*/left")} == {""}
    told = sweep(tmp_path, "--status", "--sweep_id", ran.dir.name, trainer=None, config=None, verbose=False)
    assert told.code == 0 and "4 finished  (4 tried again)" in told.out and "4/4" in told.out, told.out
    (listed,) = sweep(tmp_path, "--status", trainer=None, config=None, verbose=False).out.splitlines()[1:]
    assert listed.startswith("done") and "4/4" in listed and "(4 tried again)" in listed and "failed" not in listed
    last = again(tmp_path, ran, "--retry-failed")
    assert last.code == 0 and "no trial has failed, or each has been run again" in last.out
    assert len(last.summary["trials"]) == 8


def test_done_is_the_same_for_status_resuming_count_and_exit(tmp_path: Path) -> None:
    ran = failed_sweep(tmp_path)
    more = again(tmp_path, ran, "--count", "3")
    assert "--count 3: the grid has 0 points left" in more.out and "4 trials done, 0 to go" in more.out
    assert json.loads((ran.dir / "launch.json").read_text())["target"] == 4
    assert more.code == 1 and len(more.summary["trials"]) == 4
    status = again(tmp_path, ran, "--status")
    assert status.code == 1 and "every trial is done" in status.out and "to go" not in status.out
    (tmp_path / "data").mkdir()
    assert again(tmp_path, ran, "--retry-failed", "--count", "2").summary["counts"] == {"finished": 2, "failed": 4}
    listed = sweep(tmp_path, "--status", trainer=None, config=None, verbose=False).out
    assert "open" in listed and "2/4" in listed
    status = again(tmp_path, ran, "--status")
    assert status.code == 1 and "2 trials to go" in status.out
    # Those that were asked for and not reached are owed.
    rest = again(tmp_path, ran)
    assert rest.code == 0 and "2 trials done, 2 to go" in rest.out and len(tried_again(rest)) == 4
    status = again(tmp_path, ran, "--status")
    assert status.code == 0 and "every trial is done" in status.out
    listed = sweep(tmp_path, "--status", trainer=None, config=None, verbose=False).out
    assert "done" in listed and "4/4" in listed


def test_retrying_tries_no_new_points_and_status_names_the_grids_others(tmp_path: Path) -> None:
    trainer, spec = write_trainer(tmp_path, NEEDS_DATA), write_sweep(tmp_path, FOUR)
    ran = sweep(tmp_path, "--sweep-config", spec, "--count", "1", *QUIET, trainer=trainer.name, config=None)
    assert ran.code == 1 and ran.summary["counts"] == {"failed": 1}
    (tmp_path / "data").mkdir()
    retried = again(tmp_path, ran, "--retry-failed")  # its point alone
    assert "0 trials done, 1 to go" in retried.out and retried.summary["counts"] == {"failed": 1, "finished": 1}
    status = again(tmp_path, ran, "--status").out
    assert "every trial that was asked for is done; resume for the grid's other 3 points with: " in status
    more = again(tmp_path, ran)
    assert "1 trial done, 3 to go" in more.out and more.summary["counts"] == {"failed": 1, "finished": 4}
    assert "every trial is done" in again(tmp_path, ran, "--status").out


def test_a_new_grid_promises_no_more_than_it_has(tmp_path: Path) -> None:
    trainer, spec = write_trainer(tmp_path, "print('mAP: 1.0%')"), write_sweep(tmp_path, FOUR)
    words = ("--sweep-config", spec, "--count", "9", *QUIET)
    ran = sweep(tmp_path, *words, trainer=trainer.name, config=None, verbose=False)
    assert ran.code == 0 and "--count 9: the grid has 4 points left" in ran.out
    assert "grid, 4 of 4 points" in ran.out and ran.summary["counts"] == {"finished": 4}


NOT_TRIED_AGAIN = {
    "trial-001": "no such trial; did you mean trial-0001",
    "3": "has finished; only failed trials are tried again",
    "trial-0003": "has finished; only failed trials are tried again",
    "trial-0000": "was tried again as trial-0004; name that one",
}


def test_a_name_that_cannot_be_tried_again_is_refused(tmp_path: Path) -> None:
    code = "print('mAP: 1.0%') if '0.4' in sys.argv[2] or os.path.isdir('data') else sys.exit(1)"
    trainer, spec = write_trainer(tmp_path, code), write_sweep(tmp_path, FOUR)
    options = ("--max-failures", "9", *QUIET)
    ran = sweep(tmp_path, "--sweep-config", spec, *options, trainer=trainer.name, config=None, verbose=False)
    (tmp_path / "data").mkdir()
    assert tried_again(again(tmp_path, ran, "--retry-failed=trial-0000")) == {"trial-0000": 1.0}
    before = (ran.dir / "launch.json").read_bytes()
    for words, problem in NOT_TRIED_AGAIN.items():
        refused = again(tmp_path, ran, f"--retry-failed={words}")
        assert refused.code == 2 and f"--retry-failed={words}: {problem}" in refused.err
        assert (ran.dir / "launch.json").read_bytes() == before


def test_what_the_surroundings_lacked_is_named_when_the_sweep_is_resumed(tmp_path: Path) -> None:
    code = "import no_such_module" if False else "if '0.1' in sys.argv[2]: import no_such_module\nsys.exit('bug')"
    ran = failed_sweep(tmp_path, code=code)
    told = again(tmp_path, ran).out
    assert "failed because of their environment: trial-0000 (import error: ModuleNotFoundError: No module named" in told
    assert "; --retry-failed=trial-0000 runs them again" in told


def test_a_random_sweep_tries_failed_points_again_before_its_own(tmp_path: Path) -> None:
    changes = {"method": "random", "count": 4, "parameters": {"base_lr": {"min": 0.1, "max": 0.9}}}
    ran = failed_sweep(tmp_path, **changes)
    (tmp_path / "data").mkdir()
    done = again(tmp_path, ran, "--retry-failed", "--count", "5")
    trials = done.summary["trials"]
    assert [trial["params"] for trial in trials[4:8]] == [trial["params"] for trial in trials[:4]]
    assert trials[8]["retry_of"] is None and done.summary["settled"] == 5


def test_without_a_sweep_it_is_refused(tmp_path: Path) -> None:
    trainer, spec = write_trainer(tmp_path, NEEDS_DATA), write_sweep(tmp_path, FOUR)
    words = ("--sweep-config", spec, "--retry-failed", *QUIET)
    ran = sweep(tmp_path, *words, trainer=trainer.name, config=None, verbose=False)
    assert ran.code == 2 and "--retry-failed: needs --sweep_id" in ran.err and ran.sweeps == []


def test_a_batch_tries_the_failed_trials_of_each_sweep_again(tmp_path: Path) -> None:
    trainer = write_trainer(tmp_path, NEEDS_DATA)
    files = [write_sweep(tmp_path, FOUR, f"{name}.yaml") for name in "ab"]
    words = ("--sweep-config", *files, "--max-failures", "9", *QUIET)
    ran = sweep(tmp_path, *words, trainer=trainer.name, config=None, verbose=False)
    assert ran.code == 1, ran.out + ran.err
    (batch,) = [path.parent.name for path in tmp_path.glob("log/sweep/sweep/batch-*/summary.json")]
    (tmp_path / "data").mkdir()
    named = sweep(tmp_path, "--sweep_id", batch, "--retry-failed=trial-0000", trainer=None, config=None, verbose=False)
    assert named.code == 2 and f"{batch} has several sweeps; give the id" in named.err
    done = sweep(tmp_path, "--sweep_id", batch, "--retry-failed", trainer=None, config=None, verbose=False)
    assert done.code == 0, done.out + done.err
    counts = [json.loads((path / "summary.json").read_text())["counts"] for path in done.sweeps]
    assert counts == [{"finished": 4, "failed": 4}] * 2


def test_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    made = Sweep(FOUR, trainer=write_trainer(tmp_path, NEEDS_DATA), wandb_mode="disabled", max_failures=9)
    assert [row["state"] for row in made.run()] == ["failed"] * 4 and not made.ended_well
    (tmp_path / "data").mkdir()
    trials = made.run(retry_failed=["trial-0001"])
    assert [row["value"] for row in trials if row["state"] == "finished"] == [0.2]
    opened = Sweep.open(str(made.id), retry_failed=True)
    assert len(opened.run()) == 8 and opened.ended_well and opened.exit_status == 0
    assert len(opened.run()) == 8  # it held for one launch
    with pytest.raises(ConfigError, match="--retry-failed: needs --sweep_id"):
        Sweep(FOUR, trainer=write_trainer(tmp_path, NEEDS_DATA), retry_failed=True)


@pytest.mark.parametrize("ended", [False, True])
def test_on_the_wandb_server_the_point_is_run_again_as_a_run_of_the_sweep(tmp_path: Path, ended: bool) -> None:
    trainer, spec = write_trainer(tmp_path, NEEDS_DATA), write_sweep(tmp_path, FOUR)
    with start_server() as server:
        env = logged_in(server, tmp_path)
        words = ("--sweep-config", spec, *PATH, "--max-failures", "9" if ended else "3")
        ran = sweep(tmp_path, *words, trainer=trainer.name, config=None, verbose=False, env=env)
        count = 4 if ended else 3
        assert ran.code == 1 and ran.summary["counts"] == {"failed": count}, ran.out + ran.err
        (tmp_path / "data").mkdir()
        words = ("--sweep_id", f"tester/p/{ran.dir.name}", "--retry-failed", "--workers", "2")
        done = sweep(tmp_path, *words, trainer=None, config=None, verbose=False, env=env)
        assert done.code == 0, done.out + done.err
        found = runs(server)
        assert [run.state for run in found[:count]] == ["failed"] * count
        assert [run.state for run in found[count:]] == ["finished"] * 4
        assert {run.sweep for run in found} == {ran.dir.name}
        names = {trial["id"]: trial["params"] for trial in done.summary["trials"]}
        later = [trial for trial in done.summary["trials"] if trial["retry_of"]]
        assert {trial["retry_of"] for trial in later} == {run.name for run in found[:count]}
        assert all(names[trial["retry_of"]] == trial["params"] for trial in later)
        assert sorted(trial["value"] for trial in done.summary["trials"] if trial["value"]) == VALUES
        last = sweep(tmp_path, *words, trainer=None, config=None, verbose=False, env=env)
        assert len(runs(server)) == len(found), last.out + last.err


# -- what is no trial ---------------------------------------------------------------------------------------------------


def test_copies_of_trial_folders_count_nowhere(tmp_path: Path) -> None:
    trainer, spec = (
        write_trainer(tmp_path, "print('mAP: %s%%' % sys.argv[2].split('=')[1])"),
        write_sweep(tmp_path, FOUR),
    )
    words = ("--sweep-config", spec, "--count", "2", *QUIET)
    ran = sweep(tmp_path, *words, trainer=trainer.name, config=None, verbose=False)
    for name in ("trial-0000_bak1", "trial-0001 (copy)", "trial-0007"):
        shutil.copytree(ran.dir / "trial-0001", ran.dir / name)
    status = again(tmp_path, ran, "--status")
    assert "2 finished" in status.out and "copy" not in status.out
    report = ran.dir / "report.html"
    rest = again(tmp_path, ran)
    assert "2 trials done, 2 to go" in rest.out and rest.code == 0, rest.out + rest.err
    copies = "trial-0000_bak1, trial-0001 (copy), trial-0007"
    assert f"{ran.dir}: 3 folders are copies of trials, or renamed ones, and do not count: {copies}" in rest.out
    assert [trial["params"]["base_lr"] for trial in rest.summary["trials"]] == VALUES
    assert rest.summary["counts"] == {"finished": 4} and not report.exists()
    assert "every trial is done" in again(tmp_path, ran, "--status").out


# -- what is finished in spite of a stop --------------------------------------------------------------------------------

# The first point is good; the second is bad until its last epoch, and does as `on_sigterm` says.
LATE = """
import signal, time
{on_sigterm}
lr = float(sys.argv[2].split("=")[1])
for epoch in range(1, 5):
    print("mAP: %d%%" % (50 if lr < 0.2 else 90 if epoch == 4 else 1), flush=True)
    time.sleep(0.3 if lr > 0.1 else 0)
"""
TWO = {
    **FOUR,
    "parameters": {"base_lr": {"values": VALUES[:2]}},
    "early_terminate": {"type": "median", "min_iter": 2, "min_trials": 1},
}


@pytest.mark.parametrize(
    ("on_sigterm", "state", "best"),
    [
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "finished", "trial-0001"),
        ("signal.signal(signal.SIGTERM, lambda *_: None)", "finished", "trial-0001"),
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))", "stopped", "trial-0000"),
        ("", "stopped", "trial-0000"),
    ],
)
def test_what_came_to_its_end_in_spite_of_a_stop_counts(tmp_path: Path, on_sigterm: str, state: str, best: str) -> None:
    trainer = write_trainer(tmp_path, LATE.format(on_sigterm=on_sigterm))
    words = ("--sweep-config", write_sweep(tmp_path, TWO), *QUIET)
    ran = sweep(tmp_path, *words, trainer=trainer.name, config=None, verbose=False)
    assert ran.code == 0, ran.out + ran.err
    trial = ran.trial("trial-0001")
    assert trial["state"] == state and ran.summary["best"]["name"] == best
    if state == "finished":
        assert trial["value"] == 90 and trial["reason"].startswith("finished in spite of a stop: ")
        assert "finished in spite of a stop" in ran.out


def test_a_metric_that_no_trial_logs_is_corrected_in_a_new_sweep(tmp_path: Path) -> None:
    trainer, spec = write_trainer(tmp_path, "print('mAP: 1.0%')"), {**FOUR, "metric": {"name": "val_mAP"}}
    words = ("--sweep-config", write_sweep(tmp_path, spec), "--count", "2", *QUIET)
    ran = sweep(tmp_path, *words, trainer=trainer.name, config=None, verbose=False)
    assert ran.code == 1 and ran.summary["counts"] == {"failed": 2}
    said = "no trial has logged val_mAP: correct `metric.name` in"
    line = next(line for line in ran.out.splitlines() if said in line)
    assert f"{tmp_path / 'y.yaml'}, then start a new sweep with: " in line and "--count 2" in line
    assert "fix the cause of the failures" not in ran.out and f"{ran.dir.name} --retry-failed" in ran.out
    resumed = again(tmp_path, ran, "--count", "1")
    assert "no trial has logged val_mAP: correct `metric.name` in a new sweep" in resumed.out
    write_sweep(tmp_path, {**spec, "metric": {"name": "val/mAP"}})
    env = environment(tmp_path)
    command = shlex.split(line.partition("a new sweep with: ")[2])
    mended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert mended.returncode == 0 and "2 finished" in mended.stdout, mended.stdout + mended.stderr
