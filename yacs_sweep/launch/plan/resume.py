"""Finds a sweep that is to be resumed, in its folder on this machine, and what is left to do of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ...base.errors import ConfigError, Problems, SweepError
from ...recorders.targets import lacks_records
from ...records.control.order_file import OrderFile
from ...records.control.orders import standing_order
from ...records.folder import SweepPaths, TrialRecord
from ...records.known_sweeps import find, find_sweep, refuse_unwritable
from ...records.launch_file import LaunchFile, load_spec_of
from ...records.points import target_reached
from ...records.summary import known_records
from ...search.storage.url import shared
from ...spec.sweep import SweepSpec
from ...trainers.function import function_problems
from ...wandb.login import is_logged_in, why_not_asked
from ...wandb.recorder import lacks_rows
from ..control.ordered import with_orders
from ..options.table import Options
from .checks import storage_wanted
from .elsewhere import elsewhere_source, remote_sweep
from .retry import with_trials
from .source import Source

COPIES_SHOWN = 5  # folders that a line names


def resumed_source(options: Options, problems: Problems) -> Source:
    """Returns the source of an existing sweep: what is not given again is as it was.

    Raises:
        ConfigError: the sweep is not known or has ended, or the options contradict it.
    """
    sweep_id = options.sweep_id
    assert sweep_id is not None
    if clash := options.refused_beside("sweep_id"):
        problems.found.append(f"{', '.join(clash)}: --sweep_id resumes a sweep, whose search is fixed; leave this out")
    problems.attempt(lambda: find_sweep(sweep_id, []))
    problems.end()
    paths = find(sweep_id, options.results_dir)
    if paths is None:
        return elsewhere_source(sweep_id, options)
    refuse_unwritable(paths, (paths.dir, paths.agents, paths.journal))
    last, spec = known_sweep(paths)
    if options.controller not in ("auto", last.controller):
        raise ConfigError(
            f"--controller {options.controller}: sweep {paths.sweep_id} belongs to the {last.controller} controller"
        )
    problems.found += function_problems(options.trainer, last.trainer, paths)
    found = list(paths.scan())
    notes = tuple(f"{path}: cannot be read; its trial is missing" for path, record in found if record is None)
    notes += _copies_note(paths)
    source = Source(
        options,
        last.controller,
        spec=spec,
        launch=last,
        paths=paths,
        over=not options.count and target_reached(spec, paths.records()),
        resumed=True,
        progress=f"resuming sweep {paths.sweep_id}",
        notes=notes,
        cwd=Path(last.cwd),
    )
    if last.controller == "local":
        return _with_storage(source, _storage(options, last, paths), paths)
    source = _with_folder(source, paths)
    ended = standing_order(OrderFile(paths).read())
    ended_by_order = ended is not None and ended.act in ("stop", "cancel")
    recorders = options.record.split(",") if options.record else last.record or ()
    owes_rows, owes_trials = lacks_rows(paths), lacks_records(paths, recorders)
    ended_too = ended_by_order or owes_rows or owes_trials or source.again > 0
    remote = remote_sweep(sweep_id, options, last, ended_too=ended_too)
    remote = replace(remote, reopens=remote.over and ended_by_order)
    if not remote.over:
        return replace(source, remote=remote)
    if source.again:  # the server gives nothing out any more, but takes runs
        return replace(source, remote=remote, over=True)
    line = f"the sweep is {remote.state.lower()} on the W&B server, which lacks rows of some trials: they are sent"
    if not owes_rows:
        line = f"the sweep is {remote.state.lower()} on the W&B server; what the other recorders lack is recorded"
    return replace(source, remote=remote, over=True, progress=None, notes=(line, *notes))


def _with_folder(source: Source, paths: SweepPaths) -> Source:
    """Returns the source with what the folder has of its trials, and of users' orders."""
    records = list(paths.records())
    return with_trials(with_orders(source, OrderFile(paths).read(), records), records)


def _with_storage(source: Source, storage: str | None, paths: SweepPaths) -> Source:
    """Returns the source with its storage; one of many machines knows how many trials are done."""
    if storage is None or not shared(storage):
        return replace(_with_folder(source, paths), storage=storage)
    from ...search.storage.shared_sweep import SharedSweep  # imports SQLAlchemy, which takes a while

    sweep = SharedSweep(storage, paths.sweep_id)
    _, told, _ = sweep.join("--sweep_id")  # the storage must know the sweep: it reads nothing from folders
    assert source.launch is not None
    # What other machines have asked for is owed here, too.
    retry = tuple(dict.fromkeys((*source.launch.retry, *told.retry)))
    records = sweep.records()
    source = with_orders(replace(source, launch=replace(source.launch, retry=retry)), sweep.orders(), records, told)
    return replace(with_trials(source, records), storage=storage)


def _copies_note(paths: SweepPaths) -> tuple[str, ...]:
    """Says in a line which folders are no trials, although there is a trial.json in them."""
    copies = sorted(paths.copies().items())
    if not copies:
        return ()
    folder, name = copies[0]
    if len(copies) == 1:
        return (f"{paths.dir / folder}: is a copy of {name}, or {name} renamed; it does not count",)
    shown = ", ".join(folder for folder, _ in copies[:COPIES_SHOWN]) + ", …" * (len(copies) > COPIES_SHOWN)
    return (f"{paths.dir}: {len(copies)} folders are copies of trials, or renamed ones, and do not count: {shown}",)


def known_sweep(paths: SweepPaths) -> tuple[LaunchFile, SweepSpec]:
    """Reads how a sweep was launched, and what it searches.

    Its trials start where it was launched; in the current folder when that one is gone (a project that was moved).

    Raises:
        ConfigError: a file is damaged, or the search has been changed.
    """
    old, spec = LaunchFile.load(paths), load_spec_of(paths)
    if old.search not in (None, spec.fingerprint):
        raise ConfigError(
            f"{paths.spec}: its method, parameters or conditions were changed after the first trials; "
            "undo the change, or start a new sweep"
        )
    return (old if os.path.isdir(old.cwd) else replace(old, cwd=str(Path.cwd()))), spec


def storage_given(options: Options, old: LaunchFile) -> str | None:
    """Returns the storage that the user means for an existing sweep; the environment's is meant for other sweeps, too."""
    return None if options.storage_of_environment and not shared(old.storage) else options.storage


def _storage(options: Options, old: LaunchFile, paths: SweepPaths) -> str | None:
    """Returns the URL of the storage that a resumed sweep uses.

    Another file or database of this machine reads the sweep's trials from their folders; one of many machines would not.

    Raises:
        ConfigError: it is not the sweep's.
    """
    given = storage_given(options, old)
    if given is not None and shared(given) != shared(old.storage):
        raise ConfigError(f"--storage: sweep {paths.sweep_id} is kept in {old.storage or paths.journal}; leave it out")
    return storage_wanted(given, old)


def trials_everywhere(found: Source, paths: SweepPaths) -> tuple[list[TrialRecord], tuple[str, ...]]:
    """Returns the sweep's trials, on whichever machine they ran, and a line where some may be missing."""
    here, options, last = known_records(paths), found.options, found.launch
    try:
        given = found.storage or (storage_given(options, last) if last is not None else None)
        if found.controller == "wandb":
            there = _on_server(found, paths.sweep_id)
        elif shared(given or (last.storage if last is not None else None)):
            there = _in_database(given, last, paths.sweep_id)
        else:
            return here, ()
    except SweepError as error:
        if not found.has_folder:
            raise
        return here, (f"{error}: trials that other machines ran may be missing",)
    own = paths.records()  # of those that ran here their files say more
    return list({record.id: record for record in (*here, *there, *own)}.values()), ()


def _in_database(given: str | None, last: LaunchFile | None, sweep_id: str) -> list[TrialRecord]:
    """Reads the trials of all machines from the database."""
    from ...search.storage.shared_sweep import SharedSweep

    storage = storage_wanted(given, last)
    assert storage is not None
    return SharedSweep(storage, sweep_id).records()


def _on_server(found: Source, sweep_id: str) -> list[TrialRecord]:
    """Reads the trials of all machines from the W&B server."""
    from ...show.report.remote import read_remote

    if not is_logged_in():
        raise SweepError(why_not_asked())
    known = found.remote or found.launch
    project, entity = (known.project, known.entity) if known is not None else (None, None)
    return read_remote(sweep_id, found.options.project or project, found.options.entity or entity, found.spec).records
