"""Training and evaluation; `engine.config` and this module import no torch."""

from __future__ import annotations

from yacs.config import CfgNode


def train(cfg: CfgNode) -> int:
    """Trains, or continues, the run of `cfg` in its OUTPUT_DIR; returns the exit status.

    0 when trained to the end, 1 when it diverged, 128 + signal number when stopped by SIGTERM or Ctrl-C, after
    writing a checkpoint.

    Raises:
        TrainerError: training cannot start or go on.
        data.DatasetError: the data are not as they should be.
    """
    from engine.trainer import train_run

    return train_run(cfg)
