"""Looks at the first trial of a launch: which GPUs the trainer really holds, and whether it leaves files in its folder.

A trainer that chooses its GPU or its folder itself ruins a sweep without a word: trials share one GPU, or resume each other's
checkpoints. Nothing is said where it is not certain.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ..base.wording import counted
from ..records.folder import LAUNCHER_FILES, TrialPaths, TrialRecord
from ..trainers.gpu_key import likely_key
from ..trainers.overrides import Overrides
from ..trainers.profile import OUTPUT, TrainerProfile
from ..trainers.reproduce import given_files
from .gpu_memory import Gpu, Reader, process_exists, read_gpus, usable_gpus

FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0  # seconds between two looks; doubled each time
SETTLED = 5.0  # seconds after which a trainer that holds the right GPUs is believed
_FIRST_NAMESPACE = 0xEFFFFFFC  # inode of the machine's own namespace of process ids (Linux's PROC_PID_INIT_INO)
_NOT_GIVEN = "warning: the trainer uses {held}, not {given}, which the trial was given: it chooses GPUs itself; {hint}"
_NOT_ALLOWED = "warning: the trainer uses {held}, not {given} of CUDA_VISIBLE_DEVICES: it chooses GPUs itself; {hint}"
_NOTHING = "warning: the trainer has left no file in the trial's folder"
_OVERWRITTEN = (
    f"{_NOTHING}, which {{key}} names: it may set {{key}} itself, from an option of its own, and trials that share a folder "
    "resume each other's checkpoints; where it writes files, put the option that says where, with {{output_dir}}, into the "
    "command of profile {name}"
)
_NOT_USED = (
    f"{_NOTHING}, which its command names; where it writes elsewhere, trials that share a folder "
    "resume each other's checkpoints"
)
_NOT_SAID = (
    f"{_NOTHING}, which it is not told: trials that share a folder resume each other's checkpoints; where it writes files, "
    "write output_dir_key: KEY, or {{output_dir}} in the command, into profile {name}"
)


def held_elsewhere(
    gpus: Sequence[Gpu], pids: Collection[int], gpu_ids: Sequence[str], environment: Mapping[str, str]
) -> tuple[list[Gpu], list[Gpu]]:
    """Finds the GPUs that a trial's processes hold without being given them, and those that the trial was given.

    Both are empty where one cannot tell: a GPU is divided (MIG), or its index means another one to CUDA than to NVML.

    Args:
        gpus: all of the machine.
        pids: the trial's processes.
        gpu_ids: those the launcher gave to the trial; empty: those in `environment`.
        environment: the trainer's.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    given = usable_gpus(gpus, gpu_ids, visible)
    held = [gpu for gpu in gpus if any(pid in gpu.processes for pid in pids)]
    others = [gpu for gpu in held if gpu not in given]
    by_speed = environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID" and len({gpu.name for gpu in gpus}) > 1
    if not given or by_speed or any(gpu.mig for gpu in (*given, *held)):
        return [], []
    return others, given


def in_own_namespace() -> bool:
    """Tells whether this process sees the machine's own process ids, which NVML uses; a container has others."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino == _FIRST_NAMESPACE
    except OSError:
        return False


def uses_driver(pid: int) -> bool:
    """Tells whether a process has NVIDIA's driver open."""
    try:
        return any(
            os.readlink(f"/proc/{pid}/fd/{name}").startswith("/dev/nvidia") for name in os.listdir(f"/proc/{pid}/fd")
        )
    except OSError:
        return False


class GpuLook:
    """Looks which GPUs a trial's processes hold, on a thread of its own: a driver may hang.

    Each set of GPUs is looked at in one trial of the agent, and again after an edit of the trainer's code.
    """

    def __init__(self, reader: Reader = read_gpus, first_pause: float = FIRST_PAUSE) -> None:
        """Prepares for the first trial.

        Args:
            first_pause: seconds between the trial's start and the first look.
        """
        self._reader, self._first_pause = reader, first_pause
        self._known: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
        self._key: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._environment: Mapping[str, str] = {}
        self._open, self._any = False, True  # whether this trial is looked at; whether the machine has GPUs
        self._pause = self._next = 0.0
        self._seen: float | None = None  # when the trial was first seen on a GPU (monotonic seconds)
        self._thread: threading.Thread | None = None
        self._found: list[Gpu] | None = None

    def begin(self, gpu_ids: Sequence[str], environment: Mapping[str, str], changed: Iterable[str] = ()) -> None:
        """Starts with a trial.

        Args:
            gpu_ids: those the launcher gave to the trial; empty: those in `environment`.
            environment: the trainer's.
            changed: files of the trainer that were edited since the sweep began.
        """
        self._key, self._environment = (tuple(gpu_ids), tuple(changed)), environment
        named = bool(gpu_ids) or bool(environment.get("CUDA_VISIBLE_DEVICES"))  # else all GPUs are the trial's
        self._open = self._any and named and self._key not in self._known
        self._pause, self._seen, self._found = self._first_pause, None, None
        self._next = time.monotonic() + self._pause

    def look(self, pids: Collection[int]) -> tuple[list[Gpu], list[Gpu]] | None:
        """Returns the GPUs the trial's processes hold without being given them, and those given; None without any.

        Returns at once: what it finds is what a look that began earlier has seen.
        """
        if not self._open or (self._thread is not None and self._thread.is_alive()):
            return None
        now = time.monotonic()
        if self._thread is not None and self._found is not None:
            self._thread, gpus = None, self._found
            self._found = None
            return self._judge(gpus, pids, now)
        if now >= self._next:
            self._next, self._pause = now + self._pause, min(2 * self._pause, LAST_PAUSE)
            self._found = None
            self._thread = threading.Thread(target=self._read, name="GPUs", daemon=True)
            self._thread.start()
        return None

    def _read(self) -> None:
        try:
            self._found = self._reader()
        except Exception:  # whatever a driver says: this look is optional
            self._found = []

    def _judge(self, gpus: list[Gpu], pids: Collection[int], now: float) -> tuple[list[Gpu], list[Gpu]] | None:
        """Compares what was seen with what the trial was given."""
        if not gpus:
            self._any = self._open = False
            return None
        ours = _certain(gpus, pids)
        if not any(pid in gpu.processes for gpu in gpus for pid in ours):
            return None
        others, given = held_elsewhere(gpus, ours, self._key[0], self._environment)
        self._seen = self._seen or now
        if others or now - self._seen >= SETTLED:
            self._known.add(self._key)
            self._open = False
        return (others, given) if others else None


def _certain(gpus: Sequence[Gpu], pids: Collection[int]) -> set[int]:
    """Returns the processes of which it is certain that NVML means them by their ids."""
    if in_own_namespace():
        return set(pids)
    if not all(process_exists(pid) for gpu in gpus for pid in gpu.processes):
        return set()  # these are the machine's ids, which mean nothing in this container
    return {pid for pid in pids if uses_driver(pid)}


def other_gpu_text(others: Sequence[Gpu], given: Sequence[Gpu], gpu_ids: Sequence[str], overrides: Overrides) -> str:
    """Says that the trainer holds other GPUs than the trial's, and what to write."""
    profile, numbers = overrides.profile, ",".join(str(gpu.index) for gpu in given)
    start = "" if gpu_ids else f", and start with --gpus {numbers}"
    if profile.gpu_key is not None and not gpu_ids:
        hint = f"with --gpus {numbers} the launcher sets {profile.gpu_key.key}"
    elif profile.gpu_key is not None:
        hint = f"give gpu_key: {profile.gpu_key.key} another form in profile {profile.name}"
    elif profile.own_words:
        hint = "let it use those that CUDA_VISIBLE_DEVICES names"
    elif overrides.schema is not None and (key := likely_key(overrides.schema.values)) is not None:
        hint = f"write gpu_key: {key} in profile {profile.name}{start}"
    else:
        hint = f"write gpu_key: KEY, the key that chooses them, in profile {profile.name}{start}"
    text = _NOT_GIVEN if gpu_ids else _NOT_ALLOWED
    return text.format(held=_named(others), given=_named(given), hint=hint)


def _named(gpus: Sequence[Gpu]) -> str:
    numbers = ", ".join(str(gpu.index) for gpu in gpus)
    return f"GPU{'s' * (len(gpus) > 1)} {numbers}"


def trainer_files(paths: TrialPaths, profile: TrainerProfile, record: TrialRecord) -> Iterator[Path]:
    """Lists what a trial's folder holds beside the launcher's files.

    Raises:
        OSError: a folder cannot be read.
    """

    def fail(error: OSError) -> None:
        raise error  # which os.walk passes over

    own = {*LAUNCHER_FILES, paths.wandb_run.name, *profile.parameter_files, *given_files(record, profile)}
    for folder, _, names in os.walk(paths.dir, onerror=fail):
        at_top = Path(folder) == paths.dir or Path(folder) == paths.dir / OUTPUT
        yield from (Path(folder) / name for name in names if not (at_top and name in own))


def left_nothing(paths: TrialPaths, profile: TrainerProfile, record: TrialRecord) -> bool:
    """Tells whether a trial's folder holds the launcher's files alone; False where it cannot be read."""
    try:
        return not any(True for _ in trainer_files(paths, profile, record))
    except OSError:
        return False


def nothing_left_text(profile: TrainerProfile) -> str | None:
    """Says why a trainer may have left nothing in its folder, and what to write; None where it may do as it likes."""
    if profile.output_dir_key is not None:
        return _OVERWRITTEN.format(key=profile.output_dir_key, name=profile.name)
    if profile.own_words or profile.reads_folder:
        return None
    return _NOT_USED if profile.command_has_output_dir else _NOT_SAID.format(name=profile.name)


def length_text(iterations: int, metric: str, full: int) -> str | None:
    """Says that a trainer has come to its end at another iteration than the sweep's `max_iter`; None where it has not."""
    if iterations == full:
        return None
    return (
        f"warning: the trainer ended by itself after {counted(iterations, 'logged value')} of {metric}, and max_iter, by which "
        f"trials are compared and paused, is {full}; write max_iter: {iterations}, if that is a full training"
    )
