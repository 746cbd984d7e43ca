"""Training run of train.py, from configuration to exit status."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from yacs.config import CfgNode

from data import DatasetError, ReIDDataset
from data.build import build_dataset
from engine.agreement import require_same_dataset, require_same_settings
from engine.checkpoint import State, load_newest
from engine.distributed import (
    ProcessGroup,
    device_of_rank,
    open_process_group,
    process_count,
    report_lost_process,
    without_traceback,
)
from engine.evaluation.evaluate import EvaluationMethod
from engine.evaluation.protocols import Labels, protocol_notes, protocol_of, require_matches
from engine.output_dir import OutputLock, list_checkpoints
from engine.progress import Progress
from engine.saved_settings import changed_evaluation, changed_settings, fixed_settings, unfit_settings
from engine.trainer import Trainer
from modeling.model import resolve_device
from utils.errors import ConfigError, Stopped, TrainerError
from utils.files import write_atomically
from utils.logger import NAME, close_log, early_log, open_log
from utils.signals import STOPPED, StopRequest
from utils.wandb_run import Recorder, open_recorder


def train_run(cfg: CfgNode, notes: Sequence[str] = ()) -> int:
    """Trains or resumes a run; `engine.train` describes arguments, exit status and errors."""
    output_dir, lines = Path(cfg.OUTPUT_DIR), list(notes)
    with StopRequest() as stop:
        # A group is joined by what computes; alone, a run that is complete needs no device.
        joined_by = _device(cfg) if process_count() > 1 else torch.device("cpu")
        with (
            open_process_group(joined_by, stop) as group,
            report_lost_process(group),
            OutputLock(output_dir) as lock,
            early_log(silent=not group.is_first) as log,
        ):
            try:
                with stop.interrupting():
                    require_same_settings(cfg, group)
                    saved = _agree_on_state(cfg, group, lock, lines)
                    if saved is not None and Progress.from_state(saved["progress"]).is_complete(cfg.SOLVER.MAX_EPOCHS):
                        return _log_final_results(output_dir, saved, lines) if group.is_first else 0
                    device = _device(cfg)
                    dataset = _read_dataset(cfg, group)
                trainer = Trainer(cfg, dataset, device, group, saved, stop)
            except Stopped as stopped:
                stop.abandoned = group.size > 1  # the others may be waiting anywhere
                log.info(STOPPED, signal.Signals(stopped.signum).name)
                return 128 + stopped.signum
            del saved  # a copy of the model and its optimizer
            if not group.is_first:
                return _run_other_rank(trainer, stop, output_dir)
            lines += _first_lines(trainer, dataset)
            _make_output_dir(output_dir, lock, lines)
            return _run_first_rank(trainer, lines, stop, output_dir)


def _device(cfg: CfgNode) -> torch.device:
    """Resolves MODEL.DEVICE for this process; ConfigError where it is not there."""
    try:
        return device_of_rank(resolve_device(cfg.MODEL.DEVICE))
    except ValueError as error:
        raise ConfigError(f"MODEL.DEVICE: {error}") from None


def _agree_on_state(cfg: CfgNode, group: ProcessGroup, lock: OutputLock, lines: list[str]) -> State | None:
    """Returns the state to resume from, which rank 0 reads and all processes get; None: a new run.

    Others have no word in it: their OUTPUT_DIR may be another folder of that name, on their own machine.
    """
    state, failure = None, None
    if group.is_first:
        try:
            lock.take(lines)
            state = _read_state(cfg, lines)
        except TrainerError as error:
            failure = without_traceback(error)
    group.raise_on_all(failure)
    found: State | None = group.broadcast_state(state)
    return found


def _read_state(cfg: CfgNode, lines: list[str]) -> State | None:
    """Reads the newest checkpoint in OUTPUT_DIR; adds the lines for the start of the log to `lines`.

    Raises:
        ConfigError: the run there cannot be resumed with these settings, or its checkpoint cannot be read now.
    """
    if not (found := load_newest(Path(cfg.OUTPUT_DIR), lines)):
        return None
    path, saved = found
    changed = changed_settings(cfg, saved["config"])
    within_epoch = saved["progress"]["iteration"] > 0
    if fixed := fixed_settings(changed, cfg, saved["config"], within_epoch=within_epoch):
        fits = not unfit_settings(changed, cfg, saved["config"], within_epoch=within_epoch)
        key = "SOLVER.RESUME_CHANGED True resumes with the new ones; else " if fits else ""
        raise ConfigError(
            f"{path} is of a run with other settings ({'; '.join(changed[key] for key in fixed)}): {key}give another"
            " OUTPUT_DIR, or remove that folder to start afresh"
        )
    if evaluation := changed_evaluation(cfg, saved["config"]):
        saved["progress"]["results"] = None  # the last results are of another evaluation
    progress = Progress.from_state(saved["progress"])
    if progress.is_complete(cfg.SOLVER.MAX_EPOCHS):
        lines[:] = [f"Already trained to the end ({path}); its last results:"]
        return saved
    lines.append(f"Continuing from {path}, {progress.describe_place()}")
    if evaluation:
        lines.append(f"Results differ from earlier ones by the settings, too: {'; '.join(evaluation.values())}")
    if changed:
        lines.append(f"Momenta and counters are kept; from here on other settings count: {'; '.join(changed.values())}")
    return saved


def _first_lines(trainer: Trainer, dataset: ReIDDataset) -> list[str]:
    """Writes the lines for the start of the log: what is known of the data set and the network, and what is trained."""
    cfg, group = trainer.cfg, trainer.group
    method = EvaluationMethod.from_cfg(cfg, Labels.of(dataset))
    processes = f" in {group.size} processes" if group.size > 1 else ""
    return [
        *dataset.notes,
        *protocol_notes(cfg, dataset),
        *trainer.notes,
        f"Evaluation on {dataset.tested or dataset.name}: {method.describe()}",
        f"Training {cfg.MODEL.NAME} on {trainer.device}{processes} with {dataset.name}: {len(dataset.train)} images of"
        f" {dataset.num_train_pids} identities; output in {cfg.OUTPUT_DIR}",
    ]


def _read_dataset(cfg: CfgNode, group: ProcessGroup) -> ReIDDataset:
    """Reads the data set, in rank 0 first: the others then find a drawn set complete."""
    _check_split(cfg, group)
    for is_first in (True, False):
        failure: Exception | None = None
        if group.is_first == is_first:
            try:
                dataset = build_dataset(cfg)
                require_matches(dataset, protocol_of(cfg, Labels.of(dataset)))
            except (TrainerError, DatasetError) as error:
                failure = without_traceback(error)
        group.raise_on_all(failure)
    require_same_dataset(dataset, group)
    return dataset


def _check_split(cfg: CfgNode, group: ProcessGroup) -> None:
    """Raises ConfigError where batches cannot be split among the processes."""
    images = cfg.SOLVER.IMS_PER_BATCH
    if images % group.size:
        raise ConfigError(
            f"SOLVER.IMS_PER_BATCH: {images} cannot be split among {group.size} processes; give a multiple of that"
        )
    if images == group.size > 1 and cfg.MODEL.NECK == "bnneck" and not cfg.MODEL.SYNC_BN:
        raise ConfigError(
            f"SOLVER.IMS_PER_BATCH: {images} leaves each of {group.size} processes one image, which MODEL.NECK bnneck"
            f" cannot normalise alone; give at least {2 * images}, or MODEL.SYNC_BN True"
        )


def _make_output_dir(output_dir: Path, lock: OutputLock, lines: list[str]) -> None:
    """Makes OUTPUT_DIR and locks it, where it was not there to be locked at the start.

    Raises:
        ConfigError: the folder cannot be made, or another training has begun to use it.
    """
    if lock.taken:
        return
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(output_dir, error) from None
    lock.take(lines)
    if list_checkpoints(output_dir):  # its training has ended already
        raise ConfigError(f"OUTPUT_DIR: another training has used {output_dir} meanwhile; the same command resumes it")


def _cannot_write(output_dir: Path, error: OSError) -> ConfigError:
    """Makes the error for an OUTPUT_DIR that cannot be written to."""
    return ConfigError(f"OUTPUT_DIR: cannot write to {output_dir}: {error.strerror}")


def _run_first_rank(trainer: Trainer, lines: list[str], stop: StopRequest, output_dir: Path) -> int:
    """Runs the trainer in the process that writes the log and the files; returns the exit status."""
    try:
        write_atomically(output_dir / "config.yml", lambda stream: stream.write(trainer.cfg.dump().encode()))
        log = open_log(output_dir)
    except OSError as error:
        raise _cannot_write(output_dir, error) from None
    recorder, note = open_recorder(trainer.cfg, output_dir)
    status = 1
    try:
        for line in lines + ([note] if note else []):
            log.info("%s", line)
        with report_lost_process(trainer.group):
            trainer.run(log, recorder, stop, output_dir)
        status = 0
    except Stopped as stopped:
        log.info(STOPPED, signal.Signals(stopped.signum).name)
        status = 128 + stopped.signum
    except (TrainerError, DatasetError) as error:
        log.error("%s", error)
        status = _status_of(error)
    except torch.OutOfMemoryError as error:
        log.error("%s A smaller SOLVER.IMS_PER_BATCH needs less.", str(error).splitlines()[0])
    finally:
        recorder.finish(status)
        close_log(log)
    return status


def _run_other_rank(trainer: Trainer, stop: StopRequest, output_dir: Path) -> int:
    """Runs the trainer in a process other than rank 0: writes no files, and its own errors to stderr only."""
    close_log(logging.getLogger(NAME))
    log = logging.getLogger(f"{NAME}.{trainer.group.rank}")
    log.setLevel(logging.CRITICAL)
    trainer.bar.visible = False
    try:
        with report_lost_process(trainer.group):
            trainer.run(log, Recorder(), stop, output_dir)
    except Stopped as stopped:
        return 128 + stopped.signum
    except (TrainerError, DatasetError, torch.OutOfMemoryError) as error:
        print(f"process {trainer.group.rank}: {str(error).splitlines()[0]}", file=sys.stderr)
        return _status_of(error)
    return 0


def _status_of(error: Exception) -> int:
    """Returns exit status 2 for mistakes in the data, 1 for any other error."""
    return 2 if isinstance(error, (ConfigError, DatasetError)) else 1


def _log_final_results(output_dir: Path, saved: State, lines: list[str]) -> int:
    """Logs the results of a run that is already trained to the end; returns exit status 0."""
    try:
        log = open_log(output_dir)
    except OSError as error:
        raise _cannot_write(output_dir, error) from None
    results = Progress.from_state(saved["progress"]).results
    for line in (*lines, *(results.lines() if results else ())):
        log.info("%s", line)
    close_log(log)
    return 0
