"""A training run small enough for a test: a few coloured images in Market-1501's layout, ResNet-18, seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

YAML = """\
MODEL: {{NAME: resnet18, PRETRAIN_CHOICE: none, DEVICE: cpu}}
INPUT: {{SIZE_TRAIN: [32, 16], SIZE_TEST: [32, 16], PADDING: 2}}
DATASETS: {{NAMES: market1501, ROOT_DIR: {root}}}
DATALOADER: {{NUM_WORKERS: 0, NUM_INSTANCE: 2}}
SOLVER: {{MAX_EPOCHS: 2, IMS_PER_BATCH: 8, LOG_PERIOD: 2, EVAL_PERIOD: 1, CHECKPOINT_PERIOD: 1, WARMUP_ITERS: 0,
         OPTIMIZER_NAME: SGD, BASE_LR: 0.01}}
TEST: {{IMS_PER_BATCH: 8}}
"""


def write_config(folder: Path) -> Path:
    """Writes the images (8 training identities of 4, so 4 batches an epoch) and small.yml; returns the latter."""
    rng = np.random.default_rng(0)
    layout = {"bounding_box_train": range(1, 9), "query": range(11, 14), "bounding_box_test": range(11, 14)}
    for split, pids in layout.items():
        (folder / "market1501" / split).mkdir(parents=True)
        for pid in pids:
            colour = rng.integers(0, 256, 3)
            for number in range(1 if split == "query" else 4):
                pixels = np.clip(colour + rng.integers(-40, 40, (32, 16, 3)), 0, 255).astype(np.uint8)
                camera = 1 if split == "query" else 1 + number % 2
                Image.fromarray(pixels).save(
                    folder / "market1501" / split / f"{pid:04d}_c{camera}s1_{number:06d}_00.png"
                )
    config = folder / "small.yml"
    config.write_text(YAML.format(root=folder), encoding="utf-8")
    return config
