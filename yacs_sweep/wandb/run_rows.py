"""From a trial's metrics.jsonl to its W&B run: every row once."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..base.files import GrowingFile
from ..base.values import number
from ..records.metrics import OUR_ROW, Objective

TOGETHER = 1000  # rows handed over to the client's service process at once


class Rows:
    """Follows a growing metrics.jsonl. While a trainer's own file has its place, nothing is read. One that is put back in
    place (a trainer that clears its folder has it made anew) is read from its beginning; of its rows only those with a new
    step count."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0  # up to here it is read
        self._file: os.stat_result | None = None
        self._step = -1  # of the last row,
        self._known = -1  # and of the last one when the file was another

    def copy(self, run: Any, objective: Objective) -> None:
        """Logs the new whole lines whose step is new to the run."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            found = os.fstat(file.fileno())
            if GrowingFile.is_other(self._path, found):
                return
            if self._file is not None and not os.path.samestat(found, self._file):
                self._offset, self._known = 0, self._step
            self._file = found
            file.seek(self._offset)
            while lines := list(itertools.islice(file, TOGETHER)):
                rows: list[tuple[int, dict[str, Any]]] = []
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    self._offset += len(line)
                    try:
                        row = {key: number(value) for key, value in json.loads(line).items()}
                        step = int(row.pop("step"))
                    except (ValueError, AttributeError, KeyError, TypeError):
                        continue  # what a killed writer left
                    if line.startswith(OUR_ROW):
                        if step <= self._known:
                            continue
                        self._step = step
                    objective.see(row)
                    if step >= run.starting_step:
                        rows.append((step, row))
                log_rows(run, rows)
                if not line.endswith(b"\n"):
                    break


def log_rows(run: Any, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Does what ``run.log(row, step=step, commit=True)`` does for each row, in one go.

    `run.log` looks at each value for media and at each call for threads and forks, wakes the client's own thread for
    every row and waits for it: many times what the row costs. Here the same messages are made with the client's own
    encoding of values, and handed over to its service process at once; tests/yacs_sweep/test_recorder.py compares
    the two, since nothing else holds this together when the client changes. When it fails, some rows have not been
    sent; they are on disk, and the run is opened again.
    """
    if not rows:
        return
    from wandb.proto import wandb_server_pb2
    from wandb.sdk.interface.history_value import set_history_value

    spb: Any = wandb_server_pb2  # its names come from one of several modules, which no type checker follows
    interface = run._interface
    encoding = run.settings.x_history_value_encoding.split(",")
    form = {"json_form": "json" in encoding, "typed_form": "typed" in encoding}
    requests = []
    for step, row in rows:
        request = spb.ServerRequest()
        interface._assign(request.record_publish)
        history = request.record_publish.request.partial_history
        for key, value in ({"_timestamp": time.time()} | dict(row)).items():
            if key != "_step":  # the row's own number, whatever the trainer says
                item = history.item.add()
                item.key = key
                set_history_value(item, value, **form)
        history.step.num = step
        history.action.flush = True
        requests.append(request)

    async def send() -> None:
        for request in requests:
            await interface._client.publish(request)

    interface._asyncer.run(send)
