"""Takes scalars that a trainer writes for TensorBoard, for `wandb.init(sync_tensorboard=True)`."""

from __future__ import annotations

import functools
import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

WRITERS = ("tensorboard.summary.writer.event_file_writer", "tensorboardX.event_file_writer")


def watch_scalars(take: Callable[[str, float, int], None]) -> None:
    """Calls `take` with tag, value and step of each scalar from now on; of torch's writer and tensorboardX's."""
    for name in WRITERS:
        try:
            writer = importlib.import_module(name).EventFileWriter
        except Exception:  # not installed, or not importable here
            continue
        add = getattr(writer.add_event, "__wrapped__", writer.add_event)
        writer.add_event = _watched(add, take)


def _watched(add: Callable[..., Any], take: Callable[[str, float, int], None]) -> Callable[..., Any]:
    @functools.wraps(add)
    def add_event(self: Any, event: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    take(value.tag, value.simple_value, int(event.step))
        except Exception:  # an event of another kind
            pass
        return add(self, event, *args, **kwargs)

    return add_event
