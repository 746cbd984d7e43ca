"""Assigns GPUs to trials. Pure: no device is looked at here.

`lay_out` divides the devices into places. `Places` assigns a place to each trial, and assigns no trial to a device on which
trials keep failing for the machine's reasons.

A device is named as CUDA_VISIBLE_DEVICES names it: by its index, its UUID (or the beginning of it), or a MIG device's
UUID. A place is what one trial gets, one device or more; `trials_per_gpu` trials may share it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...base.errors import ConfigError
from ...trial.gpu_memory import Gpu

Place = tuple[str, ...]  # device names; empty: whatever the launcher itself sees
NO_DEVICE = "NoDevFiles"  # what Slurm says to a job without GPUs
SICK_AFTER = 3  # trials in a row that the machine ended at a place, until no further one is started there
SICK_AFTER_FAULTS = 2  # the same, when what they printed names the device or its driver (gpu_fault)


@dataclass(frozen=True)
class GpuOptions:
    """Holds what the options say about workers and GPUs; None for an option that is not given."""

    workers: int | None = None
    gpus: str | None = None
    gpus_per_trial: int | None = None
    trials_per_gpu: int | None = None

    @property
    def names_gpus(self) -> bool:
        """Whether an option about GPUs is given."""
        return (self.gpus, self.gpus_per_trial, self.trials_per_gpu) != (None, None, None)


@dataclass(frozen=True)
class Layout:
    """Holds the places of a launch: `per_place` trials fit on each, `workers` run at the same time in all."""

    workers: int = 1
    places: tuple[Place, ...] = ((),)
    per_place: int = 1
    left_over: Place = ()  # devices too few for a place of their own
    wanted: GpuOptions = field(default=GpuOptions(), compare=False)  # what it was made of

    @property
    def shared(self) -> bool:
        """Whether several trials may use a device at the same time."""
        return self.per_place > 1 and self.places != ((),)


def _names(text: str) -> list[str]:
    """Splits device names at commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def _find(name: str, gpus: Sequence[Gpu]) -> list[tuple[str, str]]:
    """Finds the devices that a name stands for: (identity, name) of each. A GPU with MIG devices stands for those."""
    for gpu in gpus:
        if name == str(gpu.index) or (name.startswith("GPU-") and gpu.uuid.startswith(name)):
            return [(mig, mig) for mig in gpu.mig] or [(gpu.uuid, name)]
        for mig in gpu.mig:
            if name.startswith("MIG-") and mig.startswith(name):
                return [(mig, name)]
    return []


def _visible(gpus: Sequence[Gpu], visible: str | None) -> dict[str, str]:
    """Maps identity to name of the devices that the launcher may use, in order.

    Where NVML shows no device, CUDA_VISIBLE_DEVICES is believed.
    """
    if visible is None:
        return dict(pair for gpu in gpus for pair in _find(str(gpu.index), gpus))
    found: dict[str, str] = {}
    for name in _names(visible):
        if name.startswith("-") or name == NO_DEVICE:  # CUDA looks no further either
            break
        pairs = _find(name, gpus) if gpus else [(name, name)]
        if not pairs:
            raise ConfigError(f"CUDA_VISIBLE_DEVICES={visible}: there is no GPU {name} here; {_there(gpus)}")
        if any(identity in found for identity, _ in pairs):
            raise ConfigError(f"CUDA_VISIBLE_DEVICES={visible}: names {name} twice")
        found.update(pairs)
    return found


def _there(gpus: Sequence[Gpu]) -> str:
    """Lists the GPUs of this machine in words."""
    return f"there are {', '.join(str(gpu.index) for gpu in gpus)}"


def _chosen(wanted: GpuOptions, gpus: Sequence[Gpu], visible: str | None) -> list[str]:
    """Returns the names of the devices to use: each is known, none stands twice."""
    allowed = _visible(gpus, visible)
    if wanted.gpus is None:
        return list(allowed.values())
    if not allowed:
        why = "no NVIDIA GPU is found here" if visible is None else f"CUDA_VISIBLE_DEVICES={visible} allows none"
        raise ConfigError(f"--gpus {wanted.gpus}: {why}; leave it out to use the CPU")
    chosen: dict[str, str] = {}
    for name in _names(wanted.gpus):
        pairs = _find(name, gpus) if gpus else [(name, name)]
        if not pairs:
            raise ConfigError(f"--gpus {wanted.gpus}: there is no GPU {name}; {_there(gpus)}")
        if any(identity not in allowed for identity, _ in pairs):
            raise ConfigError(f"--gpus {wanted.gpus}: GPU {name} is not among CUDA_VISIBLE_DEVICES={visible}")
        if any(identity in chosen for identity, _ in pairs):
            raise ConfigError(f"--gpus {wanted.gpus}: names GPU {name} twice")
        chosen.update(pairs)
    if not chosen:
        raise ConfigError("--gpus: names no GPU; write --gpus 0,1, or leave it out")
    return list(chosen.values())


def lay_out(wanted: GpuOptions, gpus: Sequence[Gpu], visible: str | None) -> Layout:
    """Divides the devices among the workers. Pure.

    Without a word about GPUs one worker sees all that the launcher sees, and several get a device each where there are
    any. With a word, as many workers run as fit unless --workers says fewer.

    Args:
        gpus: what NVML shows; empty without NVIDIA GPUs.
        visible: CUDA_VISIBLE_DEVICES; None when it is not set.

    Raises:
        ConfigError: the wanted contradicts itself or the machine.
    """
    if not wanted.names_gpus and wanted.workers in (None, 1):
        return Layout()
    names = _chosen(wanted, gpus, visible)
    per_trial, per_place = wanted.gpus_per_trial or 1, wanted.trials_per_gpu or 1
    if not names:
        if wanted.names_gpus:
            option = "--gpus-per-trial" if wanted.gpus_per_trial is not None else "--trials-per-gpu"
            raise ConfigError(f"{option}: no GPU is found here; use --workers N for trials on the CPU")
        return Layout(wanted.workers or 1, ((),), wanted.workers or 1)
    if per_trial > len(names):
        raise ConfigError(f"--gpus-per-trial {per_trial}: there are only {len(names)} ({', '.join(names)})")
    if per_trial > 1 and any(name.startswith("MIG-") for name in names):
        raise ConfigError(f"--gpus-per-trial {per_trial}: a process can use one MIG device only")
    count = len(names) // per_trial
    places = tuple(tuple(names[place * per_trial : (place + 1) * per_trial]) for place in range(count))
    fit = count * per_place
    workers = wanted.workers or fit
    if workers > fit:
        takes = f"{len(names)} GPU{'s' * (len(names) > 1)} take {fit} at a time"
        raise ConfigError(
            f"--workers {workers}: {takes}; give --workers {fit}, or --trials-per-gpu {-(-workers // count)}"
        )
    return Layout(workers, places, per_place, tuple(names[count * per_trial :]))


@dataclass
class _Strike:
    """Records a trial that the machine ended at a place."""

    trial: str
    cause: str


@dataclass
class _PlaceState:
    """Counts a place's running trials and the faults since a trial last ended well there."""

    running: int = 0
    strikes: list[_Strike] = field(default_factory=list)  # since a trial last ended well there

    @property
    def sick(self) -> bool:
        """Whether several trials in a row were ended by the machine, so that no further one starts there."""
        faults = {strike.trial for strike in self.strikes if strike.cause == "gpu_fault"}
        return len({strike.trial for strike in self.strikes}) >= SICK_AFTER or len(faults) >= SICK_AFTER_FAULTS


class Places:
    """Assigns places to trials.

    A trial that the machine ended at one place is tried at another. If the machine ends it there as well, it is not
    the place: the trial clears both. Errors of the device itself (gpu_fault) are never the trial's. A place at which
    several trials in a row were ended so is sick, until one that still runs there ends well.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._known = {place: _PlaceState() for place in layout.places}
        self._leaving: dict[Place, _PlaceState] = {}  # places of an earlier layout at which trials still run

    def relay(self, layout: Layout, *, fresh: bool = False) -> None:
        """Uses another layout from now on; trials that run at places that it lacks go on there.

        Args:
            fresh: whether the faults of its places are forgotten.
        """
        before = {**self._leaving, **self._known}
        self.layout = layout
        self._known = {place: before.pop(place, _PlaceState()) for place in layout.places}
        self._leaving = {place: state for place, state in before.items() if state.running}
        if fresh:
            for state in self._known.values():
                state.strikes.clear()

    def is_left(self, place: Place | None) -> bool:
        """Tells whether a place belongs to an earlier layout."""
        return place is not None and place not in self._known

    def _is_free(self, place: Place) -> bool:
        """Tells whether another trial fits at a place, and none of an earlier layout runs on its devices."""
        taken = any(set(place) & set(other) or not place or not other for other in self._leaving)
        return self._known[place].running < self.layout.per_place and not taken

    @property
    def healthy(self) -> list[Place]:
        """Lists the places that are not sick."""
        return [place for place, known in self._known.items() if not known.sick]

    def take(self, trial: str | None = None) -> Place | None:
        """Assigns the place with the fewest faults and trials; None while every one is in use.

        Args:
            trial: id of a trial that the machine has ended; places where that happened are left out.
        """
        free = [place for place in self.healthy if self._is_free(place) and place in self.usable_by(trial)]
        if not free:
            return None
        chosen = min(free, key=lambda place: (len(self._known[place].strikes), self._known[place].running))
        self._known[chosen].running += 1
        return chosen

    def release(self, place: Place) -> None:
        """Makes room for another trial at the place."""
        state = self._state(place)
        state.running -= 1
        if not state.running:
            self._leaving.pop(place, None)

    def _state(self, place: Place) -> _PlaceState:
        """Returns what is counted of a place of this layout, or of an earlier one."""
        return self._known.get(place) or self._leaving.setdefault(place, _PlaceState())

    def usable_by(self, trial: str | None) -> list[Place]:
        """Lists the healthy places at which the machine has not ended the trial."""
        return [place for place in self.healthy if all(strike.trial != trial for strike in self._known[place].strikes)]

    def clear_faults(self, place: Place) -> None:
        """Forgets the faults of a place: a trial has ended well there."""
        self._state(place).strikes.clear()

    def add_fault(self, place: Place, trial: str, cause: str) -> bool:
        """Records that the machine ended the trial at the place; returns whether to try the trial at another place."""
        if place == ():
            return False
        struck = [known for known in self._known.values() if any(strike.trial == trial for strike in known.strikes)]
        if cause != "gpu_fault" and struck:
            for known in struck:
                known.strikes = [item for item in known.strikes if item.trial != trial or item.cause == "gpu_fault"]
            return False
        self._state(place).strikes.append(_Strike(trial, cause))
        return bool(self.usable_by(trial))

    def fault_text(self, place: Place) -> str:
        """Says in words why a place is sick."""
        causes = Counter(strike.cause for strike in self._state(place).strikes)
        return ", ".join(f"{cause} {count}×" if count > 1 else cause for cause, count in causes.items())
