"""Training run of train.py, from configuration to exit status."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from yacs.config import CfgNode

from data import DatasetError
from data.build import build_dataset
from engine.checkpoint import State, load_newest
from engine.distributed import ProcessGroup, device_of_rank, is_first_process, open_process_group, report_lost_process
from engine.evaluation.evaluate import require_matches
from engine.progress import Progress
from engine.saved_settings import changed_evaluation, changed_settings, fixed_settings
from engine.trainer import STOPPED, Trainer
from modeling.model import resolve_device
from utils.errors import ConfigError, Stopped, TrainerError
from utils.files import write_atomically
from utils.logger import NAME, close_log, early_log, open_log
from utils.signals import StopRequest
from utils.wandb_run import Recorder, open_recorder


def train_run(cfg: CfgNode, notes: Sequence[str] = ()) -> int:
    """Trains or resumes a run; `engine.train` describes arguments, exit status and errors."""
    output_dir = Path(cfg.OUTPUT_DIR)
    lines = list(notes)
    with StopRequest() as stop:
        saved = None
        if found := load_newest(output_dir, lines):
            path, saved = found
            changed = changed_settings(cfg, saved["config"])
            within_epoch = saved["progress"]["iteration"] > 0
            if fixed := fixed_settings(changed, cfg, saved["config"], within_epoch=within_epoch):
                raise ConfigError(
                    f"{path} is of a run with other settings ({'; '.join(changed[key] for key in fixed)}): give another"
                    " OUTPUT_DIR, or remove that folder to start afresh"
                )
            evaluation = changed_evaluation(cfg, saved["config"])
            if evaluation:  # the last results are of another evaluation
                saved["progress"]["results"] = None
            progress = Progress.from_state(saved["progress"])
            if progress.is_complete(cfg.SOLVER.MAX_EPOCHS):
                return _log_final_results(output_dir, path, progress) if is_first_process() else 0
            lines.append(f"Continuing from {path}")
            if evaluation:
                lines.append(f"Results differ from earlier ones by the settings, too: {'; '.join(evaluation.values())}")
            if changed:
                lines.append(
                    f"Momenta and counters are kept; from here on other settings count: {'; '.join(changed.values())}"
                )
        del found
        try:
            device = device_of_rank(resolve_device(cfg.MODEL.DEVICE))
        except ValueError as error:
            raise ConfigError(f"MODEL.DEVICE: {error}") from None
        with (
            open_process_group(device) as group,
            report_lost_process(group),
            early_log(silent=not group.is_first) as log,
        ):
            try:
                trainer = _make_trainer(cfg, device, group, saved, lines, stop.check)
            except Stopped as stopped:
                log.info(STOPPED, signal.Signals(stopped.signum).name)
                return 128 + stopped.signum
            del saved  # a copy of the model and its optimizer
            if not group.is_first:
                return _run_other_rank(trainer, stop, output_dir)
            return _run_first_rank(trainer, lines, stop, output_dir)


def _make_trainer(
    cfg: CfgNode,
    device: torch.device,
    group: ProcessGroup,
    saved: State | None,
    lines: list[str],
    check_stop: Callable[[], None],
) -> Trainer:
    """Reads the data set and makes the trainer; adds the lines for the start of the log to `lines`."""
    _check_split(cfg, group)
    if not group.is_first:
        group.all_gather_objects(None)
    dataset = build_dataset(cfg)
    require_matches(dataset)
    if group.is_first:
        group.all_gather_objects(None)  # after which the others find a drawn set complete
    trainer = Trainer(cfg, dataset, device, group, saved, check_stop)
    lines += trainer.notes
    processes = f" in {group.size} processes" if group.size > 1 else ""
    lines.append(
        f"Training {cfg.MODEL.NAME} on {device}{processes} with {dataset.name}: {len(dataset.train)} images of"
        f" {dataset.num_train_pids} identities; output in {cfg.OUTPUT_DIR}"
    )
    return trainer


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


def _run_first_rank(trainer: Trainer, lines: list[str], stop: StopRequest, output_dir: Path) -> int:
    """Runs the trainer in the process that writes the log and the files; returns the exit status."""
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        write_atomically(output_dir / "config.yml", lambda stream: stream.write(trainer.cfg.dump().encode()))
        log = open_log(output_dir)
    except OSError as error:
        raise ConfigError(f"OUTPUT_DIR: cannot write to {output_dir}: {error.strerror}") from None
    recorder, note = open_recorder(trainer.cfg, output_dir)
    status = 1
    try:
        for line in lines + ([note] if note else []):
            log.info("%s", line)
        with report_lost_process(trainer.group):
            trainer.run(log, recorder, stop, output_dir)
        status = 0
    except Stopped as stopped:
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


def _log_final_results(output_dir: Path, checkpoint: Path, progress: Progress) -> int:
    """Logs the results of a run that is already trained to the end; returns exit status 0."""
    log = open_log(output_dir)
    log.info("Already trained to the end (%s); its last results:", checkpoint)
    for line in progress.results.lines() if progress.results else ():
        log.info("%s", line)
    close_log(log)
    return 0
