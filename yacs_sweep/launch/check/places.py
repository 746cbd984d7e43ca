"""Looks at the places that a sweep uses on this machine: GPUs, the disk of the results, shared memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ...base.wording import counted
from ...trial.gpu_memory import Gpu, process_name, usable_gpus
from ..workers.gpu_places import Layout
from .findings import Findings

GIB = 1 << 30
ROOM, LITTLE_ROOM = GIB, 10 * GIB  # bytes free below which results cannot be, or may not be, written
FILES = 1000  # files that a disk has to take
SHARED_MEMORY = GIB  # bytes that data loaders need, roughly
# Kinds of file systems that other machines serve.
NETWORK = ("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "ceph", "gluster", "afs", "9p", "orangefs", "fuse.sshfs")


def check_gpus(findings: Findings, layout: Layout | None, names: str | None, gpus: Sequence[Gpu]) -> None:
    """Adds which GPUs the trials may use, how much of their memory is free, and who holds the rest.

    Args:
        layout: the workers' places; None: the options about GPUs are wrong, which is said elsewhere.
        names: the GPUs of --gpus.
        gpus: what NVML shows.
    """
    if not gpus:
        if _has_driver() and find_spec("pynvml") is None:
            findings.warn(
                "GPUs",
                "the launcher cannot ask the NVIDIA driver",
                advice="pip install nvidia-ml-py, beside the launcher",
            )
        elif names is None:
            findings.ok("GPUs", "no NVIDIA GPU here: trials run on the CPU")
        return
    ours = usable_gpus(gpus, gpu_names(layout), os.environ.get("CUDA_VISIBLE_DEVICES"))
    if not ours:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        findings.warn(
            "GPUs", f"CUDA_VISIBLE_DEVICES={visible} allows none of {counted(len(gpus), 'GPU')}", advice="unset it"
        )
    for gpu in ours:
        total = f" of {gpu.total / GIB:.0f}" if gpu.total else ""
        free = (
            f"{(gpu.total - gpu.used) / GIB:.0f}{total} GiB free" if gpu.total else f"{gpu.used / GIB:.0f} GiB in use"
        )
        said = f"{gpu.index}: {gpu.name}, {free}"
        if gpu.processes:
            who = ", ".join(
                f"process {pid} ({process_name(pid)}) {size / GIB:.1f} GiB" for pid, size in gpu.processes.items()
            )
            findings.warn("GPU", f"{said}; held by {who}", advice="wait for them, or name other GPUs with --gpus")
        else:
            findings.ok("GPU", said)
    if layout is not None and layout.places == ((),) and len(ours) > 1:
        findings.warn(
            "GPUs",
            f"every trial sees all {len(ours)} GPUs",
            advice="--gpus 0,1,… gives each trial one, and runs several at a time",
        )


def _has_driver() -> bool:
    """Tells whether the NVIDIA driver's library is here."""
    with contextlib.suppress(OSError):
        ctypes.CDLL("libnvidia-ml.so.1")
        return True
    return False


def check_disk(findings: Findings, base: Path) -> None:
    """Adds how much room the results have, and on which kind of file system; writes nothing.

    Args:
        base: the results folder, which need not exist.
    """
    base = base.expanduser().resolve()
    there = next(path for path in (base, *base.parents) if path.exists())
    try:
        disk = os.statvfs(there)
    except OSError as error:
        findings.problem(
            "disk", f"{there} cannot be read: {error.strerror}", advice="choose another folder: --results_dir DIR"
        )
        return
    free, files = disk.f_bavail * disk.f_frsize, disk.f_favail
    said = f"{base}: {free / GIB:.1f} GiB free"
    advice = "free some, or choose another disk: --results_dir DIR"
    if disk.f_files and files < FILES:
        findings.problem("disk", f"{said}, but room for {counted(files, 'more file')} only", advice=advice)
    elif free < ROOM:
        findings.problem("disk", said, advice=advice)
    elif free < LITTLE_ROOM:
        findings.warn("disk", said, advice=f"{advice}; --keep best keeps the best trial's checkpoints only")
    else:
        findings.ok("disk", said)
    kind = file_system(there)
    if kind.startswith(NETWORK):
        findings.ok(
            "disk", f"a network file system ({kind}): launches on several machines need --storage postgresql://…"
        )


def file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Returns the kind of the file system that a path is on, `ext4` or `nfs4`; empty where that is not known."""
    best, kind = "", ""
    with contextlib.suppress(OSError):
        for line in mounts.read_text(errors="replace").splitlines():
            words = line.split()
            if len(words) < 3:
                continue
            folder = words[1].replace("\\040", " ")
            if (path == Path(folder) or Path(folder) in path.parents) and len(folder) >= len(best):
                best, kind = folder, words[2]
    return kind


def check_shared_memory(findings: Findings, folder: Path = Path("/dev/shm")) -> None:
    """Adds a warning where shared memory is too small for data loaders, as it is in a container by default."""
    with contextlib.suppress(OSError):
        disk = os.statvfs(folder)
        size = disk.f_blocks * disk.f_frsize
        if size < SHARED_MEMORY:
            findings.warn(
                "shared memory",
                f"{folder} has {size >> 20} MiB; data loaders with workers may fail",
                advice="docker run --shm-size 8g, or no workers in the trainer's configuration",
            )


def gpu_names(layout: Layout | None) -> Sequence[str]:
    """Lists the GPUs that the workers' places name."""
    return [name for place in layout.places for name in place] if layout is not None else []
