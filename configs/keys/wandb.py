"""Keys of the trainer's own W&B run."""

from __future__ import annotations

from yacs.config import CfgNode as CN

WANDB = CN()
# Log this training run to Weights & Biases. WANDB_MODE=disabled in the environment wins.
WANDB.ENABLE = False
# Project; WANDB_PROJECT in the environment wins.
WANDB.PROJECT = "reid-baseline"
# User or team; empty: the account's default. WANDB_ENTITY in the environment wins.
WANDB.ENTITY = ""
# Name of the run; empty: the name of the output folder.
WANDB.NAME = ""
