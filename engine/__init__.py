"""Training and evaluation; `engine.config` and this module import no torch."""

from __future__ import annotations

from collections.abc import Sequence

from yacs.config import CfgNode


def train(cfg: CfgNode, notes: Sequence[str] = ()) -> int:
    """Trains, or continues, the run of `cfg` in its OUTPUT_DIR; returns the exit status.

    0 when trained to the end, 1 when it diverged or lost a process it needs, 2 when too many images could not be read,
    128 + signal number when stopped by SIGTERM or Ctrl-C, after writing a checkpoint. `notes` are lines for the log.

    Raises:
        TrainerError: training cannot start or go on.
        data.DatasetError: the data are not as they should be.
    """
    from engine.run import train_run

    return train_run(cfg, notes)
