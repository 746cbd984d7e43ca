"""A W&B client that cannot be used, or that has not been tried, is one line at the start."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import GRID, environment, sweep, write_sweep
from tests.wandb_server import start_server
from tests.wandb_server.launching import grid, new_sweep
from tests.wandb_server.launching import sweep as sweep_on
from yacs_sweep.wandb.client_version import OLDEST, client_version, why_untried, why_unusable


def client(folder: Path, version: str) -> str:
    """A folder in which a client of this version is installed, as far as its name tells; for PYTHONPATH."""
    (folder / "site" / f"wandb-{version}.dist-info").mkdir(parents=True)
    return str(folder / "site")


def test_the_version_is_that_of_the_client_that_is_imported() -> None:
    import wandb

    assert client_version() == wandb.__version__


@pytest.mark.parametrize(
    ("version", "unusable"),
    [
        (None, "W&B's client is not installed; pip install 'wandb>=0.20'"),
        ("0.19.11", "wandb 0.19.11 is too old; pip install 'wandb>=0.20'"),
        ("0.9.1", "wandb 0.9.1 is too old; pip install 'wandb>=0.20'"),
        ("0.20.0rc1", None),
        ("0.31.0", None),
        ("1.0.0", None),
        ("unknown", None),
    ],
)
def test_a_client_is_too_old_or_not(version: str | None, unusable: str | None) -> None:
    assert why_unusable(version) == unusable


@pytest.mark.parametrize("version", ["0.32.0", "1.0.0.dev3", "unknown"])
def test_a_client_that_was_not_tried_is_told(version: str) -> None:
    assert why_untried(version) == f"wandb {version} has not been tried (those from 0.20 to 0.31 have)"
    assert why_untried("0.20.1") is None and why_untried("0.31.9") is None


def test_without_a_usable_client_a_sweep_at_home_does_without_runs(tmp_path: Path) -> None:
    env = environment(tmp_path, PYTHONPATH=client(tmp_path, "0.17.9"))
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), "--controller", "local", env=env)
    assert ran.code == 0, ran.out + ran.err
    assert ran.out.count("no W&B runs: wandb 0.17.9 is too old; pip install 'wandb>=0.20'") == 1
    assert ran.summary["counts"] == {"finished": 3} and not (ran.dir / "wandb").exists()


@pytest.mark.parametrize("words", [("--wandb-mode", "offline"), ("--log-model",)])
def test_what_needs_a_usable_client_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    env = environment(tmp_path, PYTHONPATH=client(tmp_path, "0.17.9"))
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), "--controller", "local", *words, env=env)
    assert ran.code == 2 and ran.sweeps == []
    assert f"{' '.join(words)}: wandb 0.17.9 is too old; pip install 'wandb>=0.20'" in ran.err


@pytest.mark.parametrize("insists", [True, False])
def test_a_sweep_on_the_server_says_so_at_once(tmp_path: Path, insists: bool) -> None:
    env = {"PYTHONPATH": client(tmp_path, "0.19.0")}
    words: Any = ("--controller", "wandb") if insists else ()
    with start_server() as server:
        started = time.monotonic()
        ran = sweep_on(server, tmp_path, *new_sweep(tmp_path, grid(0.0001), *words), env=env)
        assert server.record.requests() == []
    assert ran.code == (2 if insists else 0), ran.out + ran.err
    line = "wandb 0.19.0 is too old; pip install 'wandb>=0.20'"
    if insists:
        assert line in ran.err and ran.sweeps == []
        assert time.monotonic() - started < 10  # a client of that version would not answer
    else:
        assert f"warning: {line}; using the local controller instead" in ran.out


def test_a_client_that_was_not_tried_is_told_at_the_start(tmp_path: Path) -> None:
    env = environment(tmp_path, PYTHONPATH=client(tmp_path, "0.99.0"))
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), "--controller", "local", env=env)
    assert ran.code == 0, ran.out + ran.err
    assert ran.out.count("warning: wandb 0.99.0 has not been tried (those from 0.20 to 0.31 have)") == 1
    assert "wandb 0.99.0" not in ran.out.partition("▶")[2]
    assert (ran.dir / "wandb").exists()
    assert OLDEST == (0, 20)


def test_without_runs_nobody_is_told_of_the_client(tmp_path: Path) -> None:
    env = environment(tmp_path, PYTHONPATH=client(tmp_path, "0.17.9"))
    words = ("--controller", "local", "--wandb-mode", "disabled", "--count", "1")
    ran = sweep(tmp_path, "--sweep-config", write_sweep(tmp_path, GRID), *words, env=env)
    assert ran.code == 0 and "wandb 0.17.9" not in ran.out + ran.err
