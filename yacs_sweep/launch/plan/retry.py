"""Chooses the failed trials whose points are tried again (``--retry-failed``), and names those that may want it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from ...base.errors import Problems
from ...records.folder import TrialRecord
from ...records.progress import count_paused, count_settled, retried_trials
from ...show.query.sweeps import find_trial, listing_command
from ..options.entry import ALL_FAILED
from ..options.table import Options
from .source import Source

# Failures that say something of the machine or the environment rather than of the point.
SURROUNDINGS = (
    "import_error",
    "start",
    "disk_full",
    "no_space",
    "shared_memory",
    "gpu_fault",
    "gpu_taken",
    "guard_lost",
    "io_error",
)
NAMED = 5  # trials that a line names
REASON = 100  # characters of a reason in it


def with_trials(source: Source, records: Sequence[TrialRecord]) -> Source:
    """Returns the source of a resumed sweep with what its trials say: how many are done, and which are tried again.

    Raises:
        ConfigError: a name of --retry-failed is no failed trial's.
    """
    last = source.launch.retry if source.launch is not None else ()
    # What earlier launches were to try again and have begun counts by the later trial.
    before = {trial_id for trial_id in last if trial_id not in retried_trials(records)}
    again = {*before, *retried_trials(records)}
    limit = max(1, source.options.retries)
    failed = [record for record in records if record.id not in again and _may_be_retried(record, records, limit)]
    open_ = {record.name: record for record in failed}
    chosen = _chosen(source.options, records, open_)
    settled = count_settled(records, {*before, *chosen})
    notes = source.notes
    if source.options.retry_failed and not chosen and not before:
        notes += ("--retry-failed: no trial has failed, or each has been run again",)
    elif not source.options.retry_failed and open_:
        notes += (_hint(list(open_.values())),)
    return replace(
        source,
        settled=settled,
        paused=0 if source.launch is None or source.launch.exhausted else count_paused(records, {*before, *chosen}),
        retry=tuple(dict.fromkeys((*last, *chosen))),
        again=count_settled(records) - settled,
        notes=notes,
    )


def _may_be_retried(record: TrialRecord, records: Sequence[TrialRecord], limit: int) -> bool:
    """Tells whether the trial has failed, or was lost with its agent more than `limit` times: none is tried again unasked."""
    if record.state != "lost":
        return record.state == "failed" and record.settled and record.cause != "refused"
    earlier, times, found = {item.id: item for item in records}, 0, record
    while found.state == "lost":
        times += found.attempts
        found = earlier.get(found.retry_of or "", TrialRecord("", "", 0, {}))
    return times > limit


def _chosen(options: Options, records: Sequence[TrialRecord], open_: Mapping[str, TrialRecord]) -> list[str]:
    """Returns the ids of the trials that --retry-failed means."""
    if not options.retry_failed:
        return []
    if options.retry_failed == ALL_FAILED:
        return [record.id for record in open_.values()]
    retried, problems, ids = retried_trials(records), Problems(), list[str]()
    listing = listing_command(str(options.sweep_id), options.results_dir)
    for name in filter(None, (word.strip() for word in options.retry_failed.split(","))):
        label = f"--retry-failed={name}"
        record = problems.attempt(partial(find_trial, records, name, label, listing))
        if record is None:
            continue
        if (later := retried.get(record.id)) is not None:
            problems.found.append(f"{label}: was tried again as {later.name}; name that one")
        elif record.name in open_:
            ids.append(record.id)
        elif record.settled and record.state != "failed":
            problems.found.append(f"{label}: has {record.state}; only failed trials are tried again")
        # The others are tried again without being asked.
    problems.end()
    return list(dict.fromkeys(ids))


def _hint(failed: Sequence[TrialRecord]) -> str:
    """Formats the line about failed trials, with the option that tries them again."""
    told = [record for record in failed if record.cause in SURROUNDINGS or record.state == "lost"]
    if not told:
        trials, them = ("1 trial has", "it") if len(failed) == 1 else (f"{len(failed)} trials have", "them")
        return f"{trials} failed; --retry-failed runs {them} again after you have fixed the cause"
    named = "; ".join(f"{record.name} ({record.reason[:REASON]})" for record in told[:NAMED])
    more = f"; and {len(told) - NAMED} more" if len(told) > NAMED else ""
    names = ",".join(record.name for record in told) if len(told) < min(len(failed), NAMED + 1) else ""
    option = f"--retry-failed={names}" if names else "--retry-failed"
    return f"failed because of their environment: {named}{more}; {option} runs them again"
