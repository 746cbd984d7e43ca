"""A sweep's files get the permissions that its folder and the umask give: a group can share a sweep."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.sweeping import GRID, Ran, command, environment, write_sweep
from tests.users import NOBODY, as_user
from yacs_sweep.base.files import write_atomically
from yacs_sweep.base.growing_files import GrowingFile
from yacs_sweep.base.locks import create_locked, exclusive, is_locked
from yacs_sweep.records.folder import SweepPaths, TrialRecord
from yacs_sweep.search.storage.journal import Journal, JournalLock

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become other users")
GROUP = 54321  # of both users


def shared_folder(place: Path) -> Path:
    """Makes a folder of the group, whose files are the group's as well."""
    folder = place / "shared"
    folder.mkdir()
    os.chown(folder, -1, GROUP)
    folder.chmod(0o2775)
    return folder


def test_every_file_of_a_sweep_is_the_groups(tmp_path: Path) -> None:
    folder = shared_folder(tmp_path)
    words = command("--sweep-config", write_sweep(folder, GRID), "--wandb-mode", "disabled", "TOY.CHECKPOINT", "10")
    done = subprocess.run(
        words,
        cwd=folder,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        umask=0o002,
    )
    ran = Ran(done.returncode, done.stdout, done.stderr, folder)
    assert ran.code == 0, ran.out + ran.err
    found = [path for path in ran.dir.rglob("*") if not path.is_symlink()]
    assert {path.name for path in found} >= {"summary.json", "best.yml", "trial.json", "metrics.jsonl", "ask.lock"}
    wrong = []
    for path in found:
        about = path.stat()
        wanted = stat.S_IRGRP | stat.S_IWGRP
        if about.st_gid != GROUP or about.st_mode & wanted != wanted:
            wrong.append((str(path.relative_to(ran.dir)), oct(about.st_mode), about.st_gid))
    assert not wrong


def test_nothing_is_opened_wider_than_the_umask_allows(tmp_path: Path) -> None:
    done = subprocess.run(
        command("--sweep-config", write_sweep(tmp_path, GRID), "--wandb-mode", "disabled"),
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        umask=0o077,
    )
    assert done.returncode == 0, done.stdout
    (folder,) = tmp_path.glob("log/sweep/sweep/*")
    assert all(not path.lstat().st_mode & 0o077 for path in folder.rglob("*") if not path.is_symlink())


def test_a_second_user_of_the_group_works_on_the_files_of_the_first(tmp_path: Path) -> None:
    folder = shared_folder(tmp_path)
    paths = SweepPaths(folder, "s")

    def both() -> None:
        os.umask(0o002)
        paths.agents.mkdir(parents=True, exist_ok=True)
        with exclusive(paths.agents / "ask.lock"), exclusive(paths.agents / "summary.lock", 1.0):
            write_atomically(paths.summary, "{}")
        trial = paths.trial("trial-0000")
        trial.dir.mkdir(exist_ok=True)
        TrialRecord("s-0", "trial-0000", 0, {}).save(trial)
        file = GrowingFile(trial.metrics)
        os.write(file.descriptor, b"{}\n")
        file.restore()
        file.close()
        Journal(str(paths.journal), lock_obj=JournalLock(paths.journal)).append_logs([{"op_code": 0}])
        os.close(create_locked(paths.agents / f"{os.getuid()}-x.lock", b"x"))
        for lock in paths.agents.glob("*.lock"):
            assert not is_locked(lock)

    as_user(tmp_path, both, groups=[GROUP])
    as_user(tmp_path, both, user=NOBODY - 1, groups=[GROUP])
    assert paths.trial("trial-0000").metrics.read_text() == "{}\n{}\n"
    assert {path.stat().st_gid for path in folder.rglob("*")} == {GROUP}
    assert paths.summary.stat().st_uid == NOBODY - 1


def test_a_lock_that_a_user_may_only_read_is_locked_by_him_too(tmp_path: Path) -> None:
    lock = tmp_path / "ask.lock"
    lock.touch()
    lock.chmod(0o644)
    taken = os.open(lock, os.O_RDONLY)

    def wait() -> None:
        with exclusive(lock):
            assert is_locked(lock)

    as_user(tmp_path, wait)
    os.close(taken)
