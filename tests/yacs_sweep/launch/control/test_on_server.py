"""Orders to a sweep on the W&B server, from the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.launches import FakeLaunch, sweep_folder
from yacs_sweep.base.errors import ConfigError
from yacs_sweep.cli import main
from yacs_sweep.records.control.order_file import OrderFile
from yacs_sweep.records.control.orders import Order
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.records.launch_file import LaunchFile
from yacs_sweep.wandb import sweep_states

ID = "k3v9x2ab"


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the server is asked for: path, act, folder, project, entity, option."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    found: list[tuple[Any, ...]] = []

    def change(path: str, order: Order, paths: SweepPaths | None = None, **names: Any) -> str:
        found.append((path, order.act, paths and paths.sweep_id, *names.values()))
        if names["project"] == "gone":
            raise ConfigError("W&B cannot be used")
        if paths is not None:
            OrderFile(paths).append(order)
        return f"{path} is paused on the W&B server now (it was running)"

    monkeypatch.setattr(sweep_states, "change_state", change)
    return found


def on_server(folder: Path, project: str = "p") -> SweepPaths:
    """The folder of a sweep on the server."""
    paths = sweep_folder(folder)
    launch = LaunchFile.load(paths)
    replace(launch, controller="wandb", project=project, entity="tester").save(paths)
    return paths


def acts(paths: SweepPaths) -> list[str]:
    return [entry.act for entry in OrderFile(paths).read() if isinstance(entry, Order)]


def test_the_server_and_the_launches_are_told(
    tmp_path: Path, asked: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = on_server(tmp_path / "log/sweep")
    with FakeLaunch(paths):
        assert main([f"--pause={ID}"]) == 0
    assert asked == [(ID, "pause", ID, "p", "tester", "--pause")]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{ID} is paused on the W&B server now (it was running)"
    assert len(lines) == 2 and acts(paths) == ["pause"]


def test_where_no_launch_runs_here_others_may_so_the_server_alone_is_told_of(
    tmp_path: Path, asked: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = on_server(tmp_path / "log/sweep")
    assert main([f"--pause={ID}"]) == 0
    assert capsys.readouterr().out == f"{ID} is paused on the W&B server now (it was running)\n"
    assert acts(paths) == ["pause"]


def test_a_server_that_cannot_be_asked_is_exit_2_and_no_order(
    tmp_path: Path, asked: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = on_server(tmp_path / "log/sweep", "gone")
    assert main([f"--stop={ID}"]) == 2
    assert "W&B cannot be used" in capsys.readouterr().err
    monkeypatch.delenv("WANDB_API_KEY")
    assert main([f"--stop={ID}"]) == 2
    assert f"--stop {ID}: is on the W&B server; not logged in to W&B" in capsys.readouterr().err
    assert len(asked) == 1 and acts(paths) == []


def test_a_sweep_without_a_folder_is_changed_on_the_server_alone(
    tmp_path: Path, asked: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--cancel", "tester/p/elsewhere"]) == 0
    assert asked == [("tester/p/elsewhere", "cancel", None, None, None, "--cancel")]
    assert capsys.readouterr().out == "tester/p/elsewhere is paused on the W&B server now (it was running)\n"
    assert main(["--sweep_id", "elsewhere", "--set-workers", "2"]) == 2
    assert "--sweep_id elsewhere: has no folder on this machine; give this order where" in capsys.readouterr().err
    assert len(asked) == 1


def test_other_orders_are_the_folders_alone(tmp_path: Path, asked: list[tuple[Any, ...]]) -> None:
    paths = on_server(tmp_path / "log/sweep")
    assert main(["--sweep_id", ID, "--set-count", "5"]) == 0
    assert asked == [] and acts(paths) == ["set_count"]
