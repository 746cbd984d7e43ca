from __future__ import annotations

from pathlib import Path

import pytest

from yacs_sweep.errors import ConfigError
from yacs_sweep.launch import LaunchFile, find_sweep, load_spec_of, new_sweep_id, remember, save_spec
from yacs_sweep.login import base_url, is_logged_in
from yacs_sweep.results import SweepPaths
from yacs_sweep.resuming import remaining
from yacs_sweep.spec import spec_from_options


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepPaths:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    paths = SweepPaths(tmp_path / "results", "abc12345")
    paths.dir.mkdir(parents=True)
    save_spec(paths, spec_from_options(lr_values="0.1,0.2", metric="val/mAP"))
    launch = LaunchFile("local", None, "reid.yaml", None, ("A.B", "1"), 7, None, "offline", None, None, "/", 5)
    launch.save(paths)
    return paths


def test_launch_and_spec_survive_the_disk(paths: SweepPaths) -> None:
    launch = LaunchFile.load(paths)
    assert (launch.trailing, launch.seed, launch.target) == (("A.B", "1"), 7, 5)
    spec = load_spec_of(paths)
    assert spec.method == "grid"
    assert spec.metric is not None and spec.metric.goal == "maximize"
    assert [spec.grid_point(i) for i in range(2)] == [{"base_lr": 0.1}, {"base_lr": 0.2}]


def test_a_sweep_is_found_where_it_was_remembered(paths: SweepPaths, tmp_path: Path) -> None:
    assert find_sweep("abc12345", [tmp_path / "other"]) is None
    remember(paths)
    assert find_sweep("abc12345", [tmp_path / "other"]) == paths
    assert find_sweep("team/project/abc12345", []) == paths
    assert find_sweep("abc12345", [paths.base]) == paths


@pytest.mark.parametrize("name", ["", "..", "../x", "a/../b", "a//b", "a/b/c/d", "x y", "-x", "a\n"])
def test_what_is_no_sweep_id(name: str) -> None:
    with pytest.raises(ConfigError, match="not a sweep id"):
        find_sweep(name, [])


def test_sweep_ids_differ() -> None:
    assert len({new_sweep_id() for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("target", "settled", "grid", "left"),
    [(30, 12, None, 18), (2, 2, 6, 4), (2, 1, 6, 1), (10, 10, None, 0), (10, 13, None, 0), (6, 6, 6, 0)],
)
def test_what_remains_of_a_resumed_sweep(target: int, settled: int, grid: int | None, left: int) -> None:
    assert remaining(target, settled, grid) == left


def test_login_is_a_key_or_a_netrc_entry_of_the_server(tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine wandb.example.org login user password secret\n")
    environment = {"WANDB_CONFIG_DIR": str(tmp_path), "NETRC": str(netrc)}
    assert base_url(environment) == "https://api.wandb.ai"
    assert not is_logged_in({**environment, "WANDB_BASE_URL": "https://other.example.org"})
    assert is_logged_in({**environment, "WANDB_BASE_URL": "https://wandb.example.org:8080"})
    assert is_logged_in({**environment, "WANDB_API_KEY": "k" * 40})
    assert not is_logged_in({**environment, "WANDB_API_KEY": "k" * 40, "WANDB_MODE": "offline"})
    (tmp_path / "settings").write_text("[default]\nbase_url = https://wandb.example.org\n")
    assert is_logged_in(environment)
