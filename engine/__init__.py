"""Training, evaluation and export of re-identification networks; `engine.config` and this module import no torch."""

from __future__ import annotations

from collections.abc import Sequence

from yacs.config import CfgNode


def train(cfg: CfgNode, notes: Sequence[str] = ()) -> int:
    """Trains a new run in OUTPUT_DIR, or resumes the run there from its checkpoint.

    Args:
        cfg: the configuration, as `engine.config.load_config` returns it.
        notes: lines for the start of the log.
    Returns:
        The exit status: 0 trained to the end, 1 diverged or lost a process it needs, 2 too many images could not be
        read, 128 + signal number when stopped by SIGTERM or Ctrl-C, after writing a checkpoint.
    Raises:
        TrainerError: training cannot start or continue.
        data.DatasetError: the data set is missing or damaged.
    """
    from engine.run import train_run

    return train_run(cfg, notes)
