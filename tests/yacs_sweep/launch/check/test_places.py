"""GPUs and disks as `--check` tells them: fake GPUs, a fake disk, a fake list of mounts."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from yacs_sweep.launch.check import places
from yacs_sweep.launch.check.findings import Findings
from yacs_sweep.launch.check.places import GIB, check_disk, check_gpus, check_shared_memory, file_system
from yacs_sweep.launch.workers.gpu_places import Layout
from yacs_sweep.trial.gpu_memory import Gpu

FREE = Gpu(0, "GPU-a", "NVIDIA H200", 2 * GIB, {}, total=140 * GIB)
HELD = Gpu(1, "GPU-b", "NVIDIA H200", 20 * GIB, {os.getpid(): 20 * GIB}, total=140 * GIB)


def told(findings: Findings) -> list[tuple[str, str]]:
    return [(item.level, item.text) for item in findings.found]


def test_free_memory_and_who_holds_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    findings = Findings()
    check_gpus(findings, Layout(2, (("0",), ("1",))), "0,1", [FREE, HELD])
    assert told(findings)[0] == ("ok", "0: NVIDIA H200, 138 of 140 GiB free")
    level, text = told(findings)[1]
    assert level == "warning"
    assert text.startswith("1: NVIDIA H200, 120 of 140 GiB free; held by process ")
    assert text.endswith(" 20.0 GiB")
    assert len(findings.found) == 2


def test_only_the_gpus_of_the_sweep_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    findings = Findings()
    check_gpus(findings, Layout(1, (("0",),)), "0", [FREE, HELD])
    assert [level for level, _ in told(findings)] == ["ok"]


def test_several_gpus_that_nobody_shares_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    findings = Findings()
    check_gpus(findings, Layout(), None, [FREE, FREE])
    assert told(findings)[-1] == ("warning", "every trial sees all 2 GPUs")


@pytest.mark.parametrize(("names", "levels"), [(None, ["ok"]), ("0", [])])
def test_no_gpu(names: str | None, levels: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_has_driver", lambda: False)
    findings = Findings()
    check_gpus(findings, Layout(), names, [])
    assert [level for level, _ in told(findings)] == levels  # --gpus beside no GPU is told by the options' check


@pytest.mark.parametrize(
    ("free", "files", "level"),
    [(0.5, 10**6, "problem"), (5, 10**6, "warning"), (50, 10**6, "ok"), (50, 10, "problem")],
)
def test_room_on_the_disk(free: float, files: int, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = SimpleNamespace(f_bavail=int(free * GIB), f_frsize=1, f_favail=files, f_files=10**7)
    monkeypatch.setattr(places.os, "statvfs", lambda path: disk)
    monkeypatch.setattr(places, "file_system", lambda path: "ext4")
    findings = Findings()
    check_disk(findings, tmp_path / "not" / "there")
    assert [found for found, _ in told(findings)] == [level]
    assert f"{free:.1f} GiB free" in findings.found[0].text
    assert list(tmp_path.iterdir()) == []


def test_the_kind_of_a_file_system(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/a / ext4 rw 0 0\nserver:/x /home nfs4 rw 0 0\nserver:/y /home/my\\040data lustre rw 0 0\n")
    assert file_system(Path("/etc"), mounts) == "ext4"
    assert file_system(Path("/home/alice"), mounts) == "nfs4"
    assert file_system(Path("/home/my data/x"), mounts) == "lustre"
    assert file_system(Path("/homes"), mounts) == "ext4"


@pytest.mark.parametrize(("size", "count"), [(64 << 20, 1), (8 * GIB, 0)])
def test_small_shared_memory(size: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places.os, "statvfs", lambda path: SimpleNamespace(f_blocks=size, f_frsize=1))
    findings = Findings()
    check_shared_memory(findings)
    assert len(findings.found) == count
    assert not count or "has 64 MiB" in findings.found[0].text
