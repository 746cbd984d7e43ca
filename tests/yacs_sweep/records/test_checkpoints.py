"""What of the checkpoints stays, and `best/`: our own files alone, no link followed, never the best's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.sweeping import GRID, TOY, sweep, write_sweep
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.records.checkpoints import Keep, Keeper, checkpoint_files, delete_checkpoints, gather_best, left_model
from yacs_sweep.records.folder import SweepPaths, TrialRecord, folder_name
from yacs_sweep.trainers.load import load_profile

PTH = ("*.pth",)


def put(paths: SweepPaths, number: int, value: float | None, state: str = "finished", **more: str) -> TrialRecord:
    """A trial with a checkpoint."""
    record = TrialRecord(f"s-{number}", f"trial-{number:04d}", number, {"lr": number}, state, value=value, **more)  # type: ignore[arg-type]
    trial = paths.trial(record.name)
    trial.dir.mkdir(parents=True)
    record.save(trial)
    trial.metrics.write_text(f'{{"step": 0, "epoch": 1, "val/mAP": {value or 0}}}\n')
    (trial.dir / "model.pth").write_bytes(b"weights %d" % number)
    return record


def left(paths: SweepPaths) -> list[str]:
    return sorted(str(path.relative_to(paths.dir)) for path in paths.dir.rglob("*.pth"))


@pytest.mark.parametrize("text", ["top-0", "top-", "top-x", "some", "", "top--1"])
def test_a_policy_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not all, best, none or top-N"):
        Keep.parse(text)


def test_which_trials_may_lose_their_checkpoints(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    records = [put(paths, n, float(n)) for n in range(4)]
    records += [put(paths, 4, 9.0, "stopped"), put(paths, 5, None, "failed"), put(paths, 6, 8.0, "running")]
    records += [put(paths, 7, None, "killed"), put(paths, 8, None, "lost"), put(paths, 9, 1.5, retry_of="s-8")]

    def gone(text: str) -> list[int]:
        return [record.number for record in Keep.parse(text).superfluous(records, "maximize")]

    assert gone("all") == []
    # A running, an interrupted one and one that is yet to be tried again may go on from theirs; 8 has been.
    assert gone("best") == [0, 1, 2, 4, 5, 8, 9]
    assert gone("top-3") == [0, 1, 4, 5, 8]  # 3, 2 and the one with 1.5 are kept
    assert gone("none") == [0, 1, 2, 3, 4, 5, 8, 9]
    assert [record.number for record in Keep(1).superfluous(records, "minimize")] == [1, 2, 3, 4, 5, 8, 9]


def test_only_checkpoints_in_the_trials_own_folder_are_deleted(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    record = put(paths, 0, 1.0)
    folder = paths.trial(record.name).dir
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.pth").write_text("precious")
    (folder / "link.pth").symlink_to(outside / "mine.pth")
    (folder / "linked").symlink_to(outside, target_is_directory=True)
    (folder / "deep").mkdir()
    (folder / "deep" / "epoch.pth").write_text("x")
    (folder / "log.txt").write_text("x")
    os.mkfifo(folder / "pipe.pth")
    assert {relative for relative, _, _ in checkpoint_files(folder, PTH)} == {"model.pth", "deep/epoch.pth"}
    assert delete_checkpoints(paths, record, PTH) == 2
    assert (outside / "mine.pth").read_text() == "precious"
    assert (folder / "link.pth").is_symlink() and (folder / "log.txt").exists() and (folder / "pipe.pth").exists()
    # The launcher's own files are none, whatever a pattern says.
    assert delete_checkpoints(paths, record, ("*.json*", "*.log", "*.jsonl")) == 0
    assert paths.trial(record.name).record.exists() and paths.trial(record.name).metrics.exists()


def test_a_folder_that_is_not_the_trials_is_left_alone(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    record = put(paths, 0, 1.0)
    other = TrialRecord("other", record.name, 0, {}, "finished", value=1.0)
    assert delete_checkpoints(paths, other, PTH) == 0
    assert delete_checkpoints(paths, TrialRecord(record.id, "../s/trial-0000", 0, {}, "finished"), PTH) == 0
    (tmp_path / "elsewhere").mkdir()
    os.rename(paths.trial(record.name).dir, tmp_path / "elsewhere" / "t")
    paths.trial(record.name).dir.symlink_to(tmp_path / "elsewhere" / "t", target_is_directory=True)
    assert delete_checkpoints(paths, record, PTH) == 0
    assert (tmp_path / "elsewhere" / "t" / "model.pth").exists()


def test_best_holds_checkpoints_metrics_and_configuration(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    first, second = put(paths, 0, 1.0), put(paths, 1, 2.0)
    paths.best.write_text("SOLVER: {}\n")
    gather_best(paths, first, PTH, {"metric": "val/mAP"})
    folder = gather_best(paths, second, PTH, {"metric": "val/mAP"})
    assert sorted(path.name for path in folder.iterdir()) == ["best.json", "best.yml", "metrics.jsonl", "model.pth"]
    assert (folder / "model.pth").samefile(paths.trial(second.name).dir / "model.pth")  # costs no room
    content = json.loads((folder / "best.json").read_text())
    assert (content["trial"], content["value"], content["params"]) == ("trial-0001", 2.0, {"lr": 1})
    assert content["metrics"] == {"epoch": 1, "val/mAP": 2.0}
    assert [record.name for record in paths.records()] == ["trial-0000", "trial-0001"]  # best/ is no trial
    assert folder_name("best", "id1") != "best"  # and no trial is best/
    assert not list(paths.dir.glob(".best*"))


def test_the_best_is_safe_before_anything_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = SweepPaths(tmp_path, "s")
    records = [put(paths, n, float(n)) for n in range(3)]
    keeper = Keeper(paths, PTH, Keep.parse("none"), "maximize", {})
    (paths.dir / ".best.new").write_text("in the way")
    monkeypatch.setattr(
        "yacs_sweep.records.checkpoints.write_atomically", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "full"))
    )
    with pytest.raises(OSError):
        keeper.update(records[2], records)
    assert len(left(paths)) >= 3
    monkeypatch.undo()
    (paths.dir / ".best.new").unlink(missing_ok=True)
    keeper.update(records[2], records)
    assert left(paths) == ["best/model.pth"]
    assert (paths.dir / "best" / "model.pth").read_bytes() == b"weights 2"


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ("best", ["best/model_1.pth", "trial-0001/model_1.pth"]),
        ("top-2", ["best/model_1.pth", "trial-0001/model_1.pth", "trial-0002/model_1.pth"]),
        ("none", ["best/model_1.pth"]),
    ],
)
def test_a_sweep_keeps_what_it_is_told_to(tmp_path: Path, keep: str, kept: list[str]) -> None:
    words = ["--sweep-config", write_sweep(tmp_path, GRID), "--controller", "local", "--wandb-mode", "disabled"]
    ran = sweep(tmp_path, *words, "--keep", keep, "SOLVER.MAX_EPOCHS", "1", "TOY.CHECKPOINT", "1000")
    assert ran.code == 0, ran.out + ran.err
    assert sorted(str(path.relative_to(ran.dir)) for path in ran.dir.rglob("*.pth")) == kept
    best = json.loads((ran.dir / "best" / "best.json").read_text())
    assert best["trial"] == ran.summary["best"]["name"] == "trial-0001"
    assert (ran.dir / "best" / "best.yml").read_text() == (ran.dir / "best.yml").read_text()


def test_mistakes_in_what_to_keep_are_told_before_anything_starts(tmp_path: Path) -> None:
    profile = tmp_path / "bare.yaml"
    profile.write_text(
        (TOY / "toy.yaml").read_text().replace("checkpoints: ['*.pth']\n", "").replace("cwd: .", f"cwd: {TOY}")
    )
    words = ["--sweep-config", write_sweep(tmp_path, GRID), "--controller", "local", "--keep"]
    refused = sweep(tmp_path, *words, "best", trainer=profile)
    assert refused.code == 2 and "--keep best: the trainer bare has no `checkpoints:` in its profile" in refused.err
    refused = sweep(tmp_path, *words, "few")
    assert refused.code == 2 and "'few' is not all, best, none or top-N" in refused.err
    assert not (tmp_path / "log").exists()
    for pattern in ("/etc/*", "../*.pth", "*", ""):
        profile.write_text(f"command: [python, x.py]\ncheckpoints: ['{pattern}']\n")
        with pytest.raises(ConfigError, match="is not a pattern of files in a trial's folder"):
            load_profile(profile, project_root=tmp_path)


def test_what_best_holds_survives_the_next_launch(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    record = put(paths, 0, 1.0)
    for _ in range(2):  # two launches: the trial's own checkpoint is gone after the first
        Keeper(paths, PTH, Keep(0), "maximize", {}).update(record, [record])
        assert left(paths) == ["best/model.pth"]
    os.rename(paths.dir / "best", paths.dir / ".best.old")  # killed in the middle of making it anew
    Keeper(paths, PTH, Keep(0), "maximize", {}).update(record, [record])
    assert left(paths) == ["best/model.pth"]
    better = put(paths, 1, 2.0)
    Keeper(paths, PTH, Keep(0), "maximize", {}).update(better, [record, better])
    assert (paths.dir / "best" / "model.pth").read_bytes() == b"weights 1"


def test_a_best_trial_of_another_machine_is_named(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    record = put(paths, 0, 1.0)
    there = TrialRecord("s-1", "trial-0001", 1, {"lr": 1}, "finished", value=2.0, host="b", dir="/there/trial-0001")
    keeper = Keeper(paths, PTH, Keep(1), "maximize", {})
    keeper.update(record, [record])
    keeper.update(there, [record, there])
    told = json.loads((paths.dir / "best" / "elsewhere.json").read_text())
    assert (told["trial"], told["host"], told["dir"]) == ("trial-0001", "b", "/there/trial-0001")
    assert left(paths) == ["best/model.pth"]
    better = put(paths, 2, 3.0)
    keeper.update(better, [record, there, better])
    assert not (paths.dir / "best" / "elsewhere.json").exists()


def test_whether_a_trial_has_left_a_model(tmp_path: Path) -> None:
    paths = SweepPaths(tmp_path, "s")
    record = TrialRecord("id0", "trial-0000", 0, {}, "finished", value=1.0)
    assert left_model(paths, record, ["*.pth"])  # it is on another machine
    trial = paths.trial(record.name)
    trial.dir.mkdir(parents=True)
    record.save(trial)
    assert not left_model(paths, record, ["*.pth"])
    (trial.dir / "weights").mkdir()
    (trial.dir / "weights" / "last.pth").touch()
    assert left_model(paths, record, ["*.pth"]) and not left_model(paths, record, ["*.ckpt"])
    gather_best(paths, record, ["*.pth"], {})
    (trial.dir / "weights" / "last.pth").unlink()  # as `--keep none` does
    assert left_model(paths, record, ["*.pth"])
