"""Runs one trial, from its parameters to its final trial.json, in as many attempts as it takes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..base.files import FULL, ensure_folder, put_aside
from ..base.signals import AWAKE
from ..base.values import utc_after, utc_now
from ..records.environment import Commit
from ..records.folder import OWN_FAILURES, TrialPaths, TrialRecord, folder_name
from ..records.metrics import readable_metrics
from ..records.trial_files import inherit_files
from ..trainers.gpu_key import gpus_of_job
from .attempt import Attempt, survived
from .contract import Assignment, DiskFull, Hooks, Launch, Retry, disk_full_message
from .echo import Echo
from .first_trial import GpuLook, left_nothing, length_text, nothing_left_text
from .gpu_memory import GpuMemoryWait
from .preloader import Guards
from .process import Guard, Stop
from .unread import add_unread_rows
from .verdict import Verdict, io_error, requested_end

# Exit statuses of a trainer that was ended by a signal meant for the whole job. A scheduler signals every process of the
# job, and this process may be the last to receive the signal.
SIGNALLED = (-signal.SIGTERM, 128 + signal.SIGTERM, -signal.SIGINT, 128 + signal.SIGINT)
SIGNALLED_WAIT = 1.0  # seconds until this process must have received the signal too
DESCRIPTORS = 32  # files that an attempt may have open at a time
DESCRIPTORS_WAIT = 30.0  # seconds to wait for them after an error
SAVE_WAIT = 30.0  # seconds for which the end of a trial is tried to be written


class TrialRunner:
    """Runs the trials of one agent, one at a time."""

    def __init__(
        self,
        launch: Launch,
        *,
        lock_name: str = "",
        echo: Echo | None = None,
        on_event: Callable[[str, Mapping[str, Any]], None] = lambda kind, content: None,
        stop_requested: Callable[[], Stop | None] = lambda: None,
        find_gpus: Callable[[TrialRecord, Verdict], Retry] = lambda record, verdict: Retry.SAME,
        cores: tuple[int, ...] = (),
        token: str | None = None,
        preload: socket.socket | None = None,
        guard: Guard | None = None,
    ) -> None:
        """Prepares for the first trial; starts no process.

        Args:
            lock_name: name of the agent's lock file, kept in trial.json.
            echo: copies the trials' output to the terminal; None: output is not shown.
            on_event: gets "start" and "end" (with the content of trial.json), and "note" (a line for the user).
            stop_requested: returns a reason from outside the trial, such as an interrupt, to end it.
            find_gpus: called after an attempt that the machine ended on given GPUs; says where to try the trial again.
            cores: CPU cores the trials are bound to; empty: all.
            token: marks the environment of every process of the trials.
            preload: socket at which the preload server is asked for guards; None: there is no server.
            guard: a guard that runs already, for the first trial.
        """
        self.launch, self.lock_name, self.echo = launch, lock_name, echo
        self.on_event, self.stop_requested, self.find_gpus = on_event, stop_requested, find_gpus
        self.gpu_ids: tuple[str, ...] = ()  # of the next attempt; empty: those the launcher sees
        self.commit = Commit(launch.profile.cwd)
        self.guards = Guards(
            preload,
            token=token,
            note=lambda text: self.on_event("note", {"text": text, "once": True}),  # one server for all agents
            stopping=lambda: stop_requested() is not None,
            cores=cores,
            first=guard,
            modules=launch.profile.preload,
        )
        self.gpu_memory = GpuMemoryWait((), launch.gpu_wait)
        self.gpu_look = GpuLook()
        self._leaves_files: bool | None = (
            None  # whether the first finished trial's trainer left any; None: not known yet
        )
        self._uncopied: str | None = None  # why the checkpoint that the trial begins from cannot be copied
        self._warned: set[str] = set()  # the subjects of warnings that have been shown
        self._began = AWAKE.mark()  # when the trial began, as its record's `started`

    def use_gpus(self, gpu_ids: Sequence[str], *, shared: bool) -> None:
        """Sets the GPUs of the next attempt; on `shared` ones other trials run at the same time.

        Without any, a trainer that chooses GPUs by a key of its own is given those of the scheduler's job.
        """
        self.gpu_ids = tuple(gpu_ids)
        if not gpu_ids and self.launch.profile.gpu_key is not None:
            self.gpu_ids = gpus_of_job(os.environ)
        self.gpu_memory.use(self.gpu_ids, shared=shared)

    def _note(self, text: str) -> None:
        """Shows the user one line."""
        self.on_event("note", {"text": text})

    def _warn_once(self, record: TrialRecord, subject: str, text: str) -> None:
        """Shows a warning that holds for all trials of the sweep, for the first of them."""
        if subject not in self._warned:
            self._warned.add(subject)
            once = f"{self.launch.paths.sweep_id}: {subject}"  # of all agents
            self.on_event("note", {"text": f"{record.name}: {text}", "once": once})

    def close(self) -> None:
        """Ends the guard."""
        self.guards.close()

    def prepare(self, assignment: Assignment) -> tuple[TrialRecord, TrialPaths]:
        """Makes the trial's folder and its trial.json in state running."""
        launch = self.launch
        name = folder_name(assignment.name, assignment.id)
        paths = launch.paths.trial(name)
        before = _record_in(paths)
        if before is not None and before.id != assignment.id:
            name = folder_name(f"{name}-{assignment.id}", assignment.id)
            paths = launch.paths.trial(name)
            before = _record_in(paths)
        if before is None and paths.dir.is_symlink():  # another trial's trainer has left it
            put_aside(paths.dir)
        if before is None and assignment.parent is not None:  # an agent may have died while it copied
            shutil.rmtree(paths.dir, ignore_errors=True)
        ensure_folder(paths.dir)
        ensure_folder(launch.profile.output_dir(paths.dir))
        start = launch.start(paths, assignment.id, assignment.params, assignment.seed, self.gpu_ids)
        self._began = AWAKE.mark()
        if assignment.retry_of is not None and before is None:
            self._inherit(assignment, paths)
        if assignment.parent is not None and before is None:
            self._copy_parent(assignment.parent, paths)
        if before is not None and (before.state == "running" or before.cause == "lost"):
            add_unread_rows(paths, launch.profile)
        # A trial that is resumed in its folder is the same trial, in another attempt.
        rows = readable_metrics(paths.metrics) if before or assignment.pauses else []
        record = TrialRecord(
            id=assignment.id,
            name=name,
            number=assignment.number,
            params=dict(assignment.params),
            command=start.words,
            given=start.given,
            started=utc_now(),
            rows=len(rows),
            until=assignment.until,
            iterations=before.iterations if before else assignment.begun_at or None,
            repeated=before.repeated if before else 0,
            attempts=before.attempts + 1 if before else 1,
            starts=[*(before.starts if before else ()), *(row["step"] for row in rows[-1:] if "step" in row)],
            trained=(before.seconds or before.trained) if before else 0.0,
            ran=_ran(before) if before else [],
            retry_of=assignment.retry_of,
            parent_trial=assignment.parent,
            begun_at=assignment.begun_at,
            replaces=assignment.replaces,
            point=assignment.point,
            seed=assignment.seed,
            git_commit=self.commit.get(),
            host=socket.gethostname(),
            gpu_ids=list(self.gpu_ids),
            agent=self.lock_name,
            changed=self._changed(),
            dir=str(paths.dir),
        )
        record.save(paths, durable=False)  # a trial that has only begun is lost with the machine anyway
        return record, paths

    def _changed(self) -> list[str]:
        """Lists the inputs that were edited since the sweep began, and tells the user once."""
        if self.launch.watch is None:
            return []
        changed, lines = self.launch.watch.look()
        for line in lines:
            self.on_event("note", {"text": line, "once": True})
        return changed

    def _inherit(self, assignment: Assignment, paths: TrialPaths) -> None:
        """Copies the files of the trial whose point is tried again: the trainer may resume from a checkpoint.

        Where trials are compared at iterations, those of the checkpoint are kept too.
        """
        for old in self.launch.paths.records():
            if old.id != assignment.retry_of or old.cause in OWN_FAILURES:
                continue
            there = self.launch.paths.trial(old.name)
            if problems := inherit_files(there, paths):
                self._note(f"warning: {paths.dir.name} starts without files of {old.name}: {problems}")
            if assignment.pauses:
                with contextlib.suppress(OSError):
                    shutil.copyfile(there.metrics, paths.metrics)

    def _copy_parent(self, name: str, paths: TrialPaths) -> None:
        """Copies the files and rows of the paused trial that a trial begins from.

        Copies, and no hard links: both trials go on, and a trainer may write its checkpoint into the file that is there.
        """
        there = self.launch.paths.trial(name)
        problems = inherit_files(there, paths, links=False)
        try:
            shutil.copyfile(there.metrics, paths.metrics)
        except OSError as error:
            problems.add(there.metrics.name, error)
        self._uncopied = f"the checkpoint of {name} cannot be copied: {problems}" if problems else None

    def run(self, assignment: Assignment, hooks: Hooks, refused: str | None = None) -> TrialRecord:
        """Runs one trial to its end; returns the final content of its trial.json.

        Args:
            refused: why the point cannot be run; the trial fails without being started.

        Raises:
            DiskFull: results cannot be written any more.
        """
        try:
            self._uncopied = None
            record, paths = self.prepare(assignment)
            self.on_event("start", record.row())
            hooks.started(record, paths)
            refused = refused or self._uncopied
            if refused is not None:
                return self._end(record, paths, hooks, Verdict("failed", "refused", refused))
            return self._run(record, paths, hooks, assignment)
        except OSError as error:
            if error.errno in FULL:
                raise DiskFull(disk_full_message(self.launch.paths)) from error
            raise

    def _run(self, record: TrialRecord, paths: TrialPaths, hooks: Hooks, assignment: Assignment) -> TrialRecord:
        """Makes attempts until the trial has ended; they share its folder, where a trainer finds its checkpoint."""
        attempt: Attempt | None = None
        self.gpu_memory.peak = None
        try:
            while True:
                try:
                    attempt = attempt or self._attempt(record, paths, hooks, assignment)
                    self.gpu_memory.record_baseline()
                    verdict = attempt.run()
                except OSError as error:
                    if error.errno in FULL:
                        raise
                    verdict = io_error(error)
                if held := self.gpu_memory.wait(
                    attempt.pids if attempt else set(), lambda: self.stop_requested() is not None
                ):
                    self._note(f"{record.name}: {held}")
                signalled = verdict.cause == "guard_lost" or record.exit_code in SIGNALLED
                if verdict.state == "failed" and signalled and (stop := self._wait_for_stop()):
                    verdict = requested_end(stop, record.exit_code)
                    break
                retries = verdict.retries(self.launch.retries, self.launch.on_oom)
                of_gpus = bool(self.gpu_ids) and verdict.by_machine
                where = self.find_gpus(record, verdict) if of_gpus else Retry.SAME
                stop = self.stop_requested()
                over = where is Retry.NOWHERE or (where is Retry.SAME and record.attempts > retries)
                if over and not (stop and of_gpus):
                    break
                if stop:
                    verdict = requested_end(stop, None)  # not judged by what the machine did: its point is tried again
                    break
                if where is Retry.OTHER:
                    before, record.gpu_ids = record.gpu_ids, list(self.gpu_ids)
                    text = (
                        f"{record.name}: {verdict.reason} on GPU {','.join(before)}; again on {','.join(self.gpu_ids)}"
                    )
                    start = self.launch.start(paths, record.id, record.params, record.seed, self.gpu_ids)
                    record.command, record.given = start.words, start.given
                else:
                    text = f"{record.name}: {verdict.reason}; attempt {record.attempts + 1} of {retries + 1}"
                self._note(text)
                if verdict.cause == "io_error":
                    self._wait_for_descriptors()
                record.attempts += 1
                if attempt is not None and record.rows:
                    record.starts.append(attempt.metrics.step)
                self._save(record, paths)
        finally:
            if attempt is not None:
                attempt.close()
                self._began = attempt.began or self._began
        if attempt is not None and attempt.unkillable:
            verdict = replace(verdict, reason=f"{verdict.reason}; {survived(attempt.unkillable)}")
        if verdict.state == "finished":
            self._look_for_files(record, paths)
            self._look_at_length(record, attempt)
        if assignment.pauses:
            verdict = verdict.paused()
        return self._end(record, paths, hooks, verdict, attempt)

    def _look_for_files(self, record: TrialRecord, paths: TrialPaths) -> None:
        """Tells the user of a trainer that has left nothing in its first trial's folder, and why that may be."""
        if self._leaves_files is None:
            profile = self.launch.profile
            self._leaves_files = not left_nothing(paths, profile, record)
            if self._leaves_files or (text := nothing_left_text(profile)) is None:
                return
            if not self._others_finished_before(record):  # else an earlier launch has said it
                self._warn_once(record, "files", text)

    def _look_at_length(self, record: TrialRecord, attempt: Attempt | None) -> None:
        """Tells the user of a trainer that does not end at the iteration that the sweep takes for the end of a training."""
        full, metric = self.launch.full, self.launch.compared
        if full is None or metric is None or attempt is None or "max_iter" in self._warned:
            return
        # Without an x-axis, iterations that a trainer has trained again after a pause count twice.
        unsure = record.attempts > 1 and attempt.iterations.places[-1:] == [None]
        text = length_text(attempt.iterations.count, metric, full)
        if text is None or unsure:
            return
        if self._others_finished_before(record):
            self._warned.add("max_iter")  # an earlier trial has said it
        else:
            self._warn_once(record, "max_iter", text)

    def _others_finished_before(self, record: TrialRecord) -> bool:
        """Tells whether other trials had finished before this one began; False where the sweep's folder cannot be read."""
        with contextlib.suppress(OSError):
            others = (other for _, other in self.launch.paths.scan() if other is not None and other.state == "finished")
            return any((other.ended or "") < record.started for other in others)
        return False

    def _attempt(self, record: TrialRecord, paths: TrialPaths, hooks: Hooks, assignment: Assignment) -> Attempt:
        """Makes what all attempts of a trial share."""
        return Attempt(
            self.launch,
            record,
            paths,
            hooks,
            guards=self.guards,
            first_step=assignment.first_step,
            resumes=assignment.pauses,
            echo=self.echo,
            stop_requested=self.stop_requested,
            note=lambda text: self._note(f"{record.name}: {text}"),
            warn_once=lambda subject, text: self._warn_once(record, subject, text),
            gpu_look=self.gpu_look,
            sample=self.gpu_memory.sample if self.launch.demands.gpu_memory else None,
        )

    def _wait_for_descriptors(self) -> None:
        """Waits until this process can open files again, `DESCRIPTORS_WAIT` at most."""
        deadline = time.monotonic() + DESCRIPTORS_WAIT
        while time.monotonic() < deadline and self.stop_requested() is None:
            opened: list[int] = []
            try:
                for _ in range(DESCRIPTORS):
                    opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
                return
            except OSError:
                pass
            finally:
                for descriptor in opened:
                    os.close(descriptor)
            time.sleep(0.2)

    def _wait_for_stop(self) -> Stop | None:
        """Waits `SIGNALLED_WAIT` seconds for a stop request; returns the request, or None."""
        deadline = time.monotonic() + SIGNALLED_WAIT
        while (stop := self.stop_requested()) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return stop

    def _end(
        self, record: TrialRecord, paths: TrialPaths, hooks: Hooks, verdict: Verdict, attempt: Attempt | None = None
    ) -> TrialRecord:
        """Writes the trial's end, then hands it to the controller and the supervisor."""
        record.state, record.cause, record.reason = verdict.state, verdict.cause, verdict.reason
        seconds, asleep = AWAKE.since(self._began)
        record.ended, record.asleep = utc_after(record.started, seconds), round(asleep, 3)
        if attempt is not None:
            attempt.measured.write(
                record,
                self.launch.metric,
                attempt.last_values,
                seconds=seconds - asleep + record.trained,
                gpu_memory_mb=self.gpu_memory.peak,
            )
            for name, text in attempt.measured.unjudged(record, attempt.last_values):
                self._warn_once(record, f"unjudged {name}", text)
        record.pid = None
        if not _taken_over(paths, record):
            self._save(record, paths)
        hooks.ended(record)
        if record.state != verdict.state and not _resumed_elsewhere(paths, record):
            self._save(record, paths)
        self.on_event("end", record.row())
        return record

    def _save(self, record: TrialRecord, paths: TrialPaths) -> None:
        """Writes trial.json; waits for a disk that does not answer, and for descriptors that are used up.

        Raises:
            OSError: it cannot be written within `SAVE_WAIT` seconds.
        """
        deadline = time.monotonic() + SAVE_WAIT
        while True:
            try:
                return record.save(paths)
            except OSError as error:
                if error.errno in FULL or time.monotonic() > deadline:
                    raise
            self.stop_requested()  # a sign of life
            time.sleep(0.2)


def _taken_over(paths: TrialPaths, record: TrialRecord) -> bool:
    """Returns whether another machine's agent, on the same disk, has recorded the trial as lost, or has resumed it."""
    found = _record_in(paths)
    return found is not None and (found.state == "lost" or _is_later(found, record))


def _ran(record: TrialRecord) -> list[list[str]]:
    """Returns start and end of each launch that a trial's trainer has had, as far as they are known."""
    if record.seconds is None:
        return record.ran
    return [*record.ran, [record.started, utc_after(record.started, record.seconds - record.trained)]]


def _resumed_elsewhere(paths: TrialPaths, record: TrialRecord) -> bool:
    """Returns whether another agent has resumed the trial in its folder."""
    found = _record_in(paths)
    return found is not None and _is_later(found, record)


def _is_later(found: TrialRecord, record: TrialRecord) -> bool:
    """Tells whether a record is of a later attempt of the same trial."""
    return found.id == record.id and found.attempts > record.attempts


def _record_in(paths: TrialPaths) -> TrialRecord | None:
    """Reads a trial.json; None where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return TrialRecord.load(paths.record)
    return None
