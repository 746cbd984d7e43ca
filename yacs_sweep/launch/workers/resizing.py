"""Changes how many trials a launch runs at the same time, and on which GPUs, while it runs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from ...base.errors import ConfigError
from ...base.wording import counted
from ...trial.process import Stop
from .gpu_places import GpuOptions, Layout, lay_out
from .grants import Grants
from .worker import Worker

Share = Callable[[int], Sequence[tuple[int, ...]]]  # divides this machine's cores among so many workers


def with_workers(layout: Layout, number: int) -> Layout:
    """Changes the number of workers of a layout; its places stay while they suffice.

    Raises:
        ConfigError: so many trials do not fit on the GPUs.
    """
    wanted = replace(layout.wanted, workers=number)
    if number <= len(layout.places) * layout.per_place:
        return replace(layout, workers=number, wanted=wanted)
    return _laid_out(wanted)


def with_gpus(layout: Layout, names: Sequence[str]) -> Layout:
    """Changes the GPUs of a layout: as many workers as fit, and as were wanted at most.

    Raises:
        ConfigError: the names contradict the machine.
    """
    wanted = replace(layout.wanted, gpus=",".join(names))
    try:
        found = _laid_out(replace(wanted, workers=None))
    except ConfigError as error:
        text = str(error).replace("--gpus", "--set-gpus", 1).partition("; leave")[0]  # an order names GPUs
        raise ConfigError(text) from error
    workers = min(found.workers, wanted.workers or found.workers)
    return replace(found, workers=workers, wanted=wanted)


def layout_text(layout: Layout) -> str:
    """Says how many workers a layout has, and on which GPUs."""
    gpus = " | ".join(",".join(place) for place in layout.places if place)
    each = f", GPUs {gpus}" + (f", {layout.per_place} trials on each" if layout.shared else "") if gpus else ""
    return f"{counted(layout.workers, 'worker')}{each}"


def _laid_out(wanted: GpuOptions) -> Layout:
    """Divides this machine's GPUs among the wanted workers."""
    from ...trial.gpu_memory import read_gpus  # few launches change their workers

    found = lay_out(wanted, read_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    return replace(found, wanted=wanted)


class Resizing:
    """Changes the workers of a launch; running trials come to their end unless they are to be ended at once."""

    def __init__(
        self, grants: Grants, share: Share | None = None, on_change: Callable[[Layout], object] | None = None
    ) -> None:
        """Keeps the workers.

        Args:
            share: divides the cores among so many workers; None: workers are kept on none.
            on_change: called with the new layout.
        """
        self.grants, self._share, self._on_change = grants, share, on_change
        self._cores: Sequence[tuple[int, ...]] = ()  # of the workers that start from now on; empty: nothing has changed
        self._changed = False

    @property
    def layout(self) -> Layout:
        """The present layout."""
        return self.grants.places.layout

    def change(self, layout: Layout, why: str, *, now: bool, fresh: bool = False) -> tuple[int, int]:
        """Uses another layout from now on.

        Args:
            why: the reason of trials that are ended: "fewer workers by alice@box".
            now: whether trials that are too many, or on other GPUs, are ended and tried again.
            fresh: whether faults of the GPUs are forgotten.

        Returns:
            How many workers are added, and how many trials are too many here or run on GPUs no longer used.
        """
        grants, before = self.grants, self.layout.workers
        grants.places.relay(layout, fresh=fresh)
        self._changed = True
        if layout.workers != before and self._share is not None:
            self._cores = self._share(layout.workers)
        for sweep in grants.sweeps:
            sweep.failure_limit = replace(sweep.failure_limit, workers=layout.workers)
            if layout.workers > 1 and sweep.job.label is None:
                sweep.job = replace(sweep.job, label="")
        for worker in grants.workers:
            worker.deaths = 0
            worker.renew = worker.renew or (worker.sweep is not None and layout.workers != before)
        known = len(grants.workers)
        self.fit()
        over = self._drain(why, now=now)
        if self._on_change is not None:
            self._on_change(layout)
        return max(0, len(grants.workers) - known), over

    def fit(self) -> None:
        """Removes idle workers that are too many, and adds those that are missing; only after a change."""
        if not self._changed:
            return
        workers = self.grants.workers
        for worker in [each for each in workers if each.sweep is None]:
            if worker.surplus or self.grants.kept() > self.layout.workers:
                workers.remove(worker)
        while self.grants.kept() < self.layout.workers:
            taken = {worker.index for worker in workers}
            workers.append(Worker(next(index for index in range(len(workers) + 1) if index not in taken)))

    def assign_cores(self, worker: Worker) -> None:
        """Gives a worker whose agent is about to start the cores that the fewest others have."""
        if self._cores:
            used = Counter(other.cores for other in self.grants.workers if other.sweep is not None)
            worker.cores = min(self._cores, key=lambda cores: used[cores])

    def _drain(self, why: str, *, now: bool) -> int:
        """Lets workers that are too many leave; returns the number of trials that run on until then, or are ended."""
        grants = self.grants
        over = 0
        for worker in [each for each in grants.workers if each.trial is not None and grants.is_moving(each)]:
            over += 1
            if now:
                self._end_trial(worker, why)
        staying = [worker for worker in grants.workers if grants.stays(worker)]
        # Those without a trial first, then those that have run for the shortest time.
        staying.sort(key=lambda worker: (worker.trial is not None, worker.granted, -worker.since))
        for worker in staying[: max(0, len(staying) - self.layout.workers)]:
            if worker.trial is None:
                worker.surplus = True
                grants.dismiss(worker)
                continue
            over += 1
            if now:
                worker.surplus = True
                self._end_trial(worker, why)
        for worker in grants.workers:
            if worker.renew and worker.granted and worker.trial is None:  # it may wait long for a point
                grants.dismiss(worker)
        return over

    def _end_trial(self, worker: Worker, why: str) -> None:
        """Ends the worker's trial, which is tried again; its agent leaves."""
        if worker.connected and worker.sweep is not None:
            worker.dismissed = worker.cut = True
            self.grants.stop_agent(worker, worker.sweep, Stop("interrupted", why))
