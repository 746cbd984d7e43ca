"""Best weights of a run: those with the highest mAP of all its evaluations, in a file of their own beside the checkpoints."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from yacs.config import CfgNode

from engine.checkpoint import TornFileError, require_whole, write_state
from engine.evaluation.evaluate import Results
from engine.output_dir import BEST_NAME
from engine.saved_settings import changed_evaluation, changed_settings
from utils.errors import TrainerError

FORMAT = 1


class BestWeights:
    """File with the best weights so far; `offer` replaces it where an evaluation has a higher mAP.

    The file, a dictionary of `torch.save`, has the weights that were evaluated (`model`), `results`, `config` and
    `num_classes`. Its own mAP is what is compared with, whichever process has written it. Equal mAP: the earlier stays.
    Keeping the best weights is a help and never ends a run.
    """

    def __init__(self, cfg: CfgNode, *, resumed: bool) -> None:
        """Reads what the file in OUTPUT_DIR is, if there is one; `notes` has lines for the log about it.

        Args:
            cfg: the configuration.
            resumed: whether the run resumes from a checkpoint, which the file belongs to then.
        """
        self.cfg, self.path = cfg, Path(cfg.OUTPUT_DIR) / BEST_NAME
        self.notes: list[str] = []
        self.mAP = -1.0
        self._kept = bool(cfg.SOLVER.KEEP_BEST)
        try:
            if self._kept and os.path.lexists(self.path):
                self._read(resumed)
        except TornFileError as error:
            self.notes.append(f"The best weights {self.path} are damaged ({error}): the next evaluation replaces them")
        except Exception as error:  # a whole file of something else fails in as many ways
            self._kept = False
            reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
            self.notes.append(
                f"The best weights {self.path} cannot be read ({reason}): the file stays, and no others are kept"
            )

    def _read(self, resumed: bool) -> None:
        """Reads the file's mAP, unless its results are of something else."""
        require_whole(self.path)
        state = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        if state["format"] != FORMAT:
            raise ValueError(f"its format is {state['format']}, this version reads {FORMAT}")
        other = changed_evaluation(self.cfg, state["config"])
        other |= {} if resumed else changed_settings(self.cfg, state["config"])
        if other:
            self.notes.append(
                f"The best weights {self.path} are of other settings ({'; '.join(other.values())}): the next evaluation"
                " replaces them"
            )
        else:
            self.mAP = float(state["results"]["mAP"])

    def offer(self, results: Results, weights: Mapping[str, Tensor], num_classes: int) -> str | None:
        """Writes the weights where their results are the best so far.

        Args:
            results: of the evaluation.
            weights: state dict that was evaluated.
            num_classes: training identities.
        Returns:
            A line for the log; None where nothing was written.
        """
        if not self._kept or results.mAP <= self.mAP:
            return None
        state: dict[str, Any] = {"format": FORMAT, "model": dict(weights), "results": asdict(results)}
        state |= {"num_classes": num_classes, "config": self.cfg.dump()}
        try:
            write_state(self.path, state, "cannot write the best weights")
        except TrainerError as error:
            return f"{error}; training continues without them"
        self.mAP = results.mAP
        return f"Best weights so far: {self.path}"
