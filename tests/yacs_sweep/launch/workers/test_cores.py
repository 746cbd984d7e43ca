"""Cores and threads divided among workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from yacs_sweep.launch.workers.cores import cgroup_quota, shares, threads_each


@pytest.mark.parametrize(
    ("cores", "quota", "workers", "threads"),
    [(16, None, 4, 4), (16, None, 3, 5), (2, None, 8, 1), (64, 4.0, 2, 2), (64, 1.5, 2, 1), (8, 100.0, 2, 4)],
)
def test_threads_of_each_worker(cores: int, quota: float | None, workers: int, threads: int) -> None:
    assert threads_each(cores, quota, workers) == threads


def test_cores_are_divided_without_remainder() -> None:
    assert shares([0, 1, 2, 3, 8, 9, 10], None, 3) == [(0, 1), (2, 3), (8, 9, 10)]
    assert shares([4, 5], None, 2) == [(4,), (5,)]


@pytest.mark.parametrize(("cores", "quota", "workers"), [(8, None, 1), (2, None, 3), (64, 4.0, 2)])
def test_nobody_is_kept_on_cores_where_that_would_cost(cores: int, quota: float | None, workers: int) -> None:
    assert shares(range(cores), quota, workers) == [()] * workers


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_quota_of_a_version_2_cgroup_the_tightest_counts(tmp_path: Path) -> None:
    write(tmp_path / "cgroup", "0::/job\n")
    assert cgroup_quota(tmp_path / "cgroup", tmp_path / "fs") is None
    write(tmp_path / "fs" / "cpu.max", "400000 100000\n")
    write(tmp_path / "fs" / "job" / "cpu.max", "max 100000\n")
    assert cgroup_quota(tmp_path / "cgroup", tmp_path / "fs") == 4.0
    write(tmp_path / "fs" / "job" / "cpu.max", "150000 100000\n")
    assert cgroup_quota(tmp_path / "cgroup", tmp_path / "fs") == 1.5


def test_quota_of_a_version_1_cgroup(tmp_path: Path) -> None:
    write(tmp_path / "cgroup", "5:cpuset:/\n4:cpu,cpuacct:/job\n")
    write(tmp_path / "fs" / "cpu" / "job" / "cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "fs" / "cpu" / "job" / "cpu.cfs_period_us", "100000\n")
    assert cgroup_quota(tmp_path / "cgroup", tmp_path / "fs") is None
    write(tmp_path / "fs" / "cpu" / "job" / "cpu.cfs_quota_us", "250000\n")
    assert cgroup_quota(tmp_path / "cgroup", tmp_path / "fs") == 2.5
