"""Gives orders to a sweep on the W&B server: its state there is changed, and its folder's list of orders has the order."""

from __future__ import annotations

from ...base.errors import ConfigError
from ...records.control.order_file import OrderFile
from ...records.control.orders import Entry, Order
from ...records.folder import SweepPaths
from ...records.launch_file import load_spec_of, read_launch
from ...wandb.login import is_logged_in, why_not_asked
from ..options.table import Options


class ServerLog:
    """Keeps the orders to a sweep on the W&B server (an `OrderLog`), and changes its state there.

    `told` has lines for the user about what has become of orders there.
    """

    def __init__(self, sweep_id: str, paths: SweepPaths | None, options: Options, option: str) -> None:
        """Prepares the log; nothing is asked yet.

        Args:
            sweep_id: `ID`, `PROJECT/ID` or `ENTITY/PROJECT/ID`, as the user gave it to `option`.
            paths: of the sweep's folder; None: it has none on this machine, so that only the server is told.
        """
        self._sweep_id, self._paths, self._option = sweep_id, paths, option
        launch = {} if paths is None else read_launch(paths)
        self._project = options.project or launch.get("project")
        self._entity = options.entity or launch.get("entity")
        self._file = None if paths is None else OrderFile(paths)
        self.told: list[str] = []

    def append(self, entry: Entry) -> None:
        """Changes the sweep on the server where the order does so, and adds the entry to the folder's list.

        Raises:
            ConfigError: the server cannot be asked, or refuses; nothing is changed then, unless the text says otherwise.
            OSError: the list cannot be written.
        """
        from ...wandb.sweep_states import AFTER, change_state, count_limit

        if isinstance(entry, Order) and entry.act in AFTER:
            if not is_logged_in():
                raise ConfigError(f"{self._option} {self._sweep_id}: is on the W&B server; {why_not_asked()}")
            project, entity = self._project, self._entity
            line = change_state(self._sweep_id, entry, self._paths, project=project, entity=entity, option=self._option)
            self.told.append(line)
        elif self._paths is not None and self._file is not None:
            if isinstance(entry, Order) and entry.act == "set_count":
                limit = count_limit(load_spec_of(self._paths).run_cap, entry.given["count"])
                self.told += [] if limit is None else [f"warning: {limit}"]
            self._file.append(entry)
        elif isinstance(entry, Order):
            raise ConfigError(no_folder(self._sweep_id, self._option))

    def read(self) -> list[Entry]:
        """Reads the new entries of the folder's list."""
        return [] if self._file is None else self._file.read()


def no_folder(sweep_id: str, option: str = "--sweep_id") -> str:
    """Formats the message about an order that only the launches of a sweep can obey, given where none is."""
    return f"{option} {sweep_id}: has no folder on this machine; give this order where its trials run"
