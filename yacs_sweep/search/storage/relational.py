"""Keeps the trials of an embedded sweep in any database that SQLAlchemy reaches, by Optuna's own tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import TrialModel
from optuna.trial import FrozenTrial, TrialState

from ...base.errors import ConfigError
from .connections import without_idle_connections
from .database import Database, first_line, make_engine, settings, url_of


def changed_trials(
    backend: RDBStorage, study_id: int, open_trials: Mapping[int, TrialState], newest: int
) -> list[FrozenTrial]:
    """Reads the trials of a study that are new, or whose state has changed.

    Unchanged trials are not read: beside thousands of running trials, the next one costs hardly more than beside few.

    Args:
        open_trials: the states that unfinished trials had at the last read, by Optuna's ids.
        newest: Optuna's id of the newest trial that was read.
    """
    changed: set[int] = set()
    if open_trials:
        session = backend.scoped_session()
        rows = session.query(TrialModel.trial_id, TrialModel.state).filter(TrialModel.trial_id.in_(open_trials))
        changed = {trial_id for trial_id, state in rows if state != open_trials[trial_id]}
        session.commit()
    return backend._get_trials(study_id, None, changed, newest)


def open_database(url: str) -> RDBStorage:
    """Opens Optuna's storage in a database.

    Raises:
        ConfigError: the URL cannot be used.
    """
    try:
        return _open_tables(url)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"--storage: cannot use that database: {type(error).__name__}: {first_line(error)}"
        ) from error


def open_shared(url: str) -> RDBStorage:
    """Opens Optuna's storage in a database that machines share; the first to come makes its tables and the launcher's."""
    engine = make_engine(url)
    try:
        with Database(engine, "").creating():
            return _open_tables(url)
    finally:
        engine.dispose()


class _Storage(RDBStorage):
    """Optuna's storage, which gives its connections back where it cannot be opened.

    Opening takes two connections at a time. Where the server has one left, the storage would keep that until Python's garbage
    collector runs, which may be never in a process that waits to try again: a few of them keep each other out for good.
    """

    def __init__(self, url: str, engine_kwargs: dict[str, Any]) -> None:
        try:
            super().__init__(url, engine_kwargs=engine_kwargs)
        except BaseException:
            if (engine := getattr(self, "engine", None)) is not None:
                engine.dispose()
            raise


def _open_tables(url: str) -> RDBStorage:
    """Opens Optuna's tables in a database, and makes them where there are none."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = url_of(url)
    storage = _Storage(found.render_as_string(hide_password=False), settings(found))
    without_idle_connections(storage.engine)
    return storage
