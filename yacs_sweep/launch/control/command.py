"""Runs `sweep.py --pause ID` and the other orders to a running sweep.

Exit status: 0 the order was taken; 1 no launch can do it; 2 an unknown sweep or trial, or a wrong value.
"""

from __future__ import annotations

from collections.abc import Callable

from ...base.errors import ConfigError
from ...base.streams import print_lines
from ...records.control.orders import Order
from ..options.control import NAMING
from ..options.read import order_of
from ..options.table import Options
from .find import Steered, find_steered
from .give import give
from .given import count_order, gpus_order, plain_order, points_order, stop_trial_order, workers_order

BY = "command"


def give_order(options: Options) -> int:
    """Gives the order that the options name, prints what the launches answer; returns the exit status.

    Raises:
        ConfigError: an unknown sweep or trial, or a value that does not fit the sweep.
        SweepError: the order cannot be written down.
    """
    name = order_of(options)
    assert name is not None
    named = name in NAMING
    sweep_id = str(getattr(options, name) if named else options.sweep_id)
    sweeps = find_steered(sweep_id, options, Options.flag(name) if named else "--sweep_id")
    make = _maker(name, options)
    if len(sweeps) > 1 and name == "stop_trial":
        raise ConfigError(f"--sweep_id {sweep_id}: is a batch; name the sweep of the trial")
    status = 0
    for sweep, order in [(sweep, make(sweep)) for sweep in sweeps]:  # all are checked before the first is given
        outcome = give(sweep, order)
        label = f"{sweep.sweep_id}: " if len(sweeps) > 1 else ""
        print_lines("\n".join(line if line.startswith(label) else label + line for line in outcome.lines))
        status = status if outcome.taken else 1
    return status


def _maker(name: str, options: Options) -> Callable[[Steered], Order]:
    """Returns the function that makes the order for a sweep."""
    if options.stop_trial is not None:
        return stop_trial_order(options.stop_trial, BY)
    if options.set_workers is not None:
        return workers_order(options.set_workers, BY, now=options.now)
    if options.set_gpus is not None:
        return gpus_order(options.set_gpus, BY, now=options.now)
    if options.add_points is not None:
        return points_order(options.add_points, BY)
    if options.set_count is not None:
        return count_order(options.set_count, BY)
    return plain_order(name, BY)  # type: ignore[arg-type]  # one of NAMING
