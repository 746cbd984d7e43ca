from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from yacs.config import CfgNode

from configs.defaults import _C
from tests.wandb_server.server import start_server
from utils.wandb_run import Recorder, logged_in, open_recorder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def enabled() -> CfgNode:
    cfg = _C.clone()
    cfg.WANDB.ENABLE = True
    return cfg


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_PROJECT", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_without_a_login_it_says_so_in_one_line(enabled: CfgNode, tmp_path: Path) -> None:
    recorder, note = open_recorder(enabled, tmp_path)
    assert type(recorder) is Recorder
    assert note is not None
    assert "no W&B login" in note
    recorder.log({"epoch": 1})
    recorder.finish(0)


@pytest.mark.parametrize("mode", ["disabled", "no login", "not enabled"])
def test_wandb_is_imported_only_when_used(mode: str) -> None:
    script = (
        "import sys, pathlib\n"
        "from configs.defaults import _C\n"
        "from utils.wandb_run import open_recorder\n"
        f"_C.WANDB.ENABLE = {mode != 'not enabled'}\n"
        "note = open_recorder(_C, pathlib.Path('.'))[1]\n"
        "print('wandb' in sys.modules, note is None)\n"
    )
    environment = {"disabled": {"WANDB_MODE": "disabled", "WANDB_API_KEY": "x" * 40}}.get(mode, {"NETRC": "/dev/null"})
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=180, check=True
    )
    assert ended.stdout.split() == ["False", str(mode != "no login")]


def test_a_login_is_a_key_or_the_hosts_netrc_entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert not logged_in()
    (tmp_path / "netrc").write_text("machine wandb.example.org login user password secret\n")
    assert not logged_in()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org:8080")
    assert logged_in()
    monkeypatch.delenv("WANDB_BASE_URL")
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert logged_in()


def test_a_client_that_does_not_start_is_told_without_the_addresss_password(
    enabled: CfgNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**settings: object) -> None:
        raise ValueError("cannot reach http://alice:PASSWORD@h:1/x")

    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.setattr("wandb.init", refuse)
    _, note = open_recorder(enabled, tmp_path)
    assert note == "Not logging to W&B, which failed to start: cannot reach http://h:1/x"


def test_offline_every_row_is_recorded_and_a_continued_run_keeps_its_id(
    enabled: CfgNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    ids = []
    for _start in range(2):
        recorder, note = open_recorder(enabled, tmp_path)
        assert note is not None
        assert note.startswith("Logging to W&B: ")
        recorder.log({"epoch": 1, "train/loss": 3.25})
        recorder.log({"epoch": 1, "val/mAP": 41.5})
        recorder.finish(0)
        ids.append((tmp_path / "wandb_run_id.txt").read_text())
    assert ids[0] == ids[1]
    first = min((tmp_path / "wandb").glob("offline-run-*/*.wandb")).read_bytes()
    assert b"train/loss" in first
    assert b"val/mAP" in first
    assert first.count(b"41.5") >= 1


def test_a_logged_in_user_finds_every_row_on_the_server(tmp_path: Path) -> None:
    code = (
        "import pathlib\n"
        "from configs.defaults import _C\n"
        "from utils.wandb_run import open_recorder\n"
        "cfg = _C.clone()\n"
        "cfg.merge_from_list(['WANDB.ENABLE', True, 'WANDB.PROJECT', 'reid'])\n"
        f"recorder, note = open_recorder(cfg, pathlib.Path({str(tmp_path)!r}))\n"
        "for epoch in (1, 2): recorder.log({'epoch': epoch, 'val/mAP': 10.0 * epoch})\n"
        "recorder.finish(0)\n"
    )
    with start_server() as server:
        done = subprocess.run(
            [sys.executable, "-c", code], env=server.env(tmp_path), cwd=ROOT, timeout=100, check=False
        )
        assert done.returncode == 0
        (run,) = server.control.snapshot()["runs"].values()
    assert (run["state"], run["exit_code"]) == ("finished", 0)
    assert [(row["epoch"], row["val/mAP"]) for row in run["rows"]] == [(1, 10), (2, 20)]
