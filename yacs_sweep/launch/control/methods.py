"""Gives `Sweep` its methods of control: the orders of the command line, from Python."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...base.errors import ConfigError, SweepError
from ...records.control.orders import Act, Order
from ...records.folder import SweepPaths
from ..options.entry import as_points
from ..options.table import Options

if TYPE_CHECKING:
    from .find import Steered

BY = "python"


class Controlled:
    """Gives orders to the launches that run a sweep, in this process or elsewhere.

    Each method returns a line for each launch that has answered. It raises ConfigError for an unknown trial or a value that
    does not fit, SweepError where no launch can do what is ordered.
    """

    _options: Options
    _paths: SweepPaths | None
    _stopped: bool  # whether a run in this process is ended by this object
    _running_in: int | None = None  # the thread that runs the sweep in this process

    def pause(self) -> list[str]:
        """Starts no further trial until `resume`; running trials finish."""
        return self._plain("pause")

    def resume(self) -> list[str]:
        """Starts trials again after `pause`."""
        return self._plain("resume")

    def cancel(self) -> list[str]:
        """Ends the sweep and its running trials now; `run` then returns, and resumes it later."""
        self._stopped = self._running_in is not None
        return self._plain("cancel")

    def stop_trial(self, name: str) -> list[str]:
        """Ends one running trial, which counts as stopped."""
        from .given import stop_trial_order

        return self._give(stop_trial_order(name, BY, "name"))

    def set_workers(self, workers: int, *, now: bool = False) -> list[str]:
        """Sets how many trials run at the same time; with `now` those that are too many are ended, and tried again later."""
        from .given import workers_order

        _check_whole("workers", workers)
        return self._give(workers_order(workers, BY, now=now, option="workers"))

    def set_gpus(self, gpus: str | Iterable[int | str], *, now: bool = False) -> list[str]:
        """Sets the GPUs that trials run on; with `now` trials on others are ended, and tried again later."""
        from .given import gpus_order

        text = gpus if isinstance(gpus, str) else ",".join(map(str, gpus))
        return self._give(gpus_order(text, BY, now=now, option="gpus"))

    def add_points(self, points: str | Sequence[Mapping[str, Any]]) -> list[str]:
        """Adds points that are tried next: dicts, or a file of them. What a point leaves out is drawn at random."""
        from .given import points_order

        return self._give(points_order(as_points(points) or str(points), BY, "add_points"))

    def set_count(self, count: int) -> list[str]:
        """Sets how many trials the whole sweep has, those before included."""
        from .given import count_order

        _check_whole("count", count)
        return self._give(count_order(count, BY, "count"))

    def _plain(self, act: Act) -> list[str]:
        """Gives an order that says nothing more."""
        from .given import plain_order

        return self._give(plain_order(act, BY))

    def _give(self, make: Callable[[Steered], Order]) -> list[str]:
        """Gives the order that `make` makes for the sweep; on the thread that runs the sweep it waits for no answer."""
        from .find import find_steered
        from .give import give

        options = self._options
        if self._paths is not None:
            options = replace(options, sweep_id=self._paths.sweep_id, results_dir=str(self._paths.base))
        if options.sweep_id is None:
            raise SweepError("the sweep has not been created yet, so it takes no orders")
        (found,) = find_steered(options.sweep_id, options, "Sweep")
        outcome = give(found, make(found), 0.0 if self._running_in == threading.get_ident() else None)
        if not outcome.taken:
            raise SweepError("\n".join(outcome.lines))
        return list(outcome.lines)


def _check_whole(name: str, value: Any) -> None:
    """Raises ConfigError where a value is not a whole number from 1 on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{name}: {value!r} is not a positive whole number")
