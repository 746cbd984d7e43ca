"""Whatever a trainer leaves in its folder is walked, taken over, kept and deleted without an error that reaches others."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.toy_trainer.odd import BESIDE
from tests.users import as_user
from yacs_sweep.base.files import ensure_folder
from yacs_sweep.base.growing_files import GrowingFile
from yacs_sweep.records.checkpoints import delete_checkpoints, gather_best
from yacs_sweep.records.folder import SweepPaths, TrialPaths, TrialRecord
from yacs_sweep.records.metrics import MetricsFile
from yacs_sweep.records.trial_files import Problems, inherit_files, walk

PTH = ("*.pth",)
GIVES_PROBLEMS = {"shut_file", "shut_folder", "deep"}  # for who is not root; root's are `deep` alone


def trial_of(paths: SweepPaths, number: int) -> tuple[TrialRecord, TrialPaths]:
    record = TrialRecord(f"s-{number}", f"trial-{number:04d}", number, {"lr": number}, "finished", value=1.0)
    trial = paths.trial(record.name)
    trial.dir.mkdir(parents=True)
    record.save(trial)
    trial.metrics.write_text('{"step": 0, "val/mAP": 1.0}\n')
    (trial.dir / "model.pth").write_bytes(b"x" * (2 << 20))
    return record, trial


@pytest.mark.parametrize("user", ["root", "nobody"])
@pytest.mark.parametrize("kind", BESIDE)
def test_odd_files_beside_a_checkpoint(kind: str, user: str, tmp_path: Path) -> None:
    def check() -> None:
        paths = SweepPaths(tmp_path / user, "s")
        record, old = trial_of(paths, 0)
        BESIDE[kind](str(old.dir))
        problems = Problems()
        assert "model.pth" in [entry.path for entry in walk(old.dir, problems) if entry.is_file]
        new = paths.trial("trial-0001")
        ensure_folder(new.dir)
        taken = inherit_files(old, new)
        # Everything that can be read is there, links as links, and nothing that is no file or link.
        assert (new.dir / "model.pth").stat().st_nlink == 2
        for entry in walk(new.dir, Problems()):
            assert entry.is_file or entry.is_link or entry.is_folder
            if entry.is_link:
                assert os.readlink(new.dir / entry.path) == os.readlink(old.dir / entry.path)
        odd = kind == "deep" or (user == "nobody" and kind in GIVES_PROBLEMS)
        assert bool(taken) == odd, str(taken)
        assert len(str(taken).splitlines()) <= 1 and str(taken).isprintable()
        assert inherit_files(old, new) is not None  # again: nothing is in the way
        unread = Problems()
        best = gather_best(paths, record, PTH, {}, unread)
        assert (best / "model.pth").stat().st_ino == (old.dir / "model.pth").stat().st_ino
        assert all(not path.is_symlink() for path in best.iterdir())
        assert bool(unread) == (odd and kind != "shut_file"), str(unread)  # its owner may link what he may not read
        assert gather_best(paths, record, PTH, {}) == best  # and once more, over the former one
        left = delete_checkpoints(paths, record, PTH)
        assert left >= 1 and not (old.dir / "model.pth").exists() and old.record.exists()

    if user == "root":
        if os.getuid() != 0:
            pytest.skip("needs root")
        check()
    else:
        as_user(tmp_path, check)


def test_a_link_into_the_other_trials_folder_leads_into_the_new_one(tmp_path: Path) -> None:
    old, new = TrialPaths(tmp_path / "trial-0000"), TrialPaths(tmp_path / "trial-0001")
    old.dir.mkdir()
    new.dir.mkdir()
    (old.dir / "model_1.pth").write_text("weights")
    (old.dir / "latest.pth").symlink_to(old.dir / "model_1.pth")
    (old.dir / "here.pth").symlink_to("model_1.pth")
    (old.dir / "data").symlink_to(tmp_path)
    assert not inherit_files(old, new)
    assert os.readlink(new.dir / "latest.pth") == str(new.dir / "model_1.pth")
    assert os.readlink(new.dir / "here.pth") == "model_1.pth"
    assert os.readlink(new.dir / "data") == str(tmp_path)


def test_a_folder_that_is_a_link_is_not_walked(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.pth").write_text("x")
    (tmp_path / "trial-0000").symlink_to("elsewhere")
    (tmp_path / "trial-0001").mkdir()
    problems = inherit_files(TrialPaths(tmp_path / "trial-0000"), TrialPaths(tmp_path / "trial-0001"))
    assert "a link, which is not followed" in str(problems)
    assert not list((tmp_path / "trial-0001").iterdir())


def test_a_retried_trial_gets_the_checkpoints_but_not_the_records_of_the_other(tmp_path: Path) -> None:
    old, new = TrialPaths(tmp_path / "old"), TrialPaths(tmp_path / "new")
    (old.dir / "sub").mkdir(parents=True)
    new.dir.mkdir()
    for name in ("trial.json", "metrics.jsonl", "stdout.log", ".x.part", "log.txt", "ran"):
        (old.dir / name).write_text("old")
    (old.dir / "sub" / "model.pth").write_bytes(b"x" * (2 << 20))
    inherit_files(old, new)
    assert sorted(path.name for path in new.dir.rglob("*") if path.is_file()) == ["log.txt", "model.pth", "ran"]
    (new.dir / "ran").write_text("new")  # what is written to is a copy
    assert (old.dir / "ran").read_text() == "old"
    assert (new.dir / "sub" / "model.pth").stat().st_nlink == 2  # what is large is not


@pytest.mark.parametrize("what", ["folder", "pipe", "loop", "broken link"])
def test_what_stands_in_the_launchers_files_place_is_put_aside(what: str, tmp_path: Path) -> None:
    trial = TrialPaths(tmp_path / "trial-0000")
    trial.dir.mkdir()
    for path in (trial.metrics, trial.stdout, trial.record):
        if what == "folder":
            (path / "x").mkdir(parents=True)
        elif what == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(path if what == "loop" else "nowhere")
    metrics = MetricsFile(trial.metrics)
    metrics.append({"loss": 1.0})
    metrics.close()
    GrowingFile(trial.stdout).close()
    TrialRecord("s-0", "trial-0000", 0, {}).save(trial)
    for path in (trial.metrics, trial.stdout, trial.record):
        assert stat.S_ISREG(path.lstat().st_mode)
    assert TrialRecord.load(trial.record).id == "s-0"
    if what == "folder":
        assert (trial.dir / "trial.trainer.json" / "x").is_dir()


@pytest.mark.parametrize("what", ["file", "broken link", "shut"])
def test_a_trials_folder_can_be_used_whatever_is_in_its_place(what: str, tmp_path: Path) -> None:
    def check() -> None:
        folder = tmp_path / "trial-0000"
        if what == "file":
            folder.write_text("mine")
        elif what == "broken link":
            folder.symlink_to("nowhere")
        else:
            folder.mkdir()
            (folder / "kept").write_text("x")
            folder.chmod(0)
        TrialRecord("s-0", "trial-0000", 0, {}).save(TrialPaths(folder))
        assert TrialRecord.load(folder / "trial.json").id == "s-0"
        if what == "shut":
            assert (folder / "kept").read_text() == "x"
        else:
            assert os.path.lexists(tmp_path / "trial-0000.trainer")

    as_user(tmp_path, check)
