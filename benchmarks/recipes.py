"""Measures the training step of each recipe beside a bare loop of its network, in processor time.

    python benchmarks/recipes.py [FILE …] [--batch 8] [--rounds 5]

The bare loop is forward, softmax cross-entropy of each branch's scores, backward, and torch's own optimizer of the kind
with all parameters in one group. The trainer's step has the recipe's losses, its sampler's pairs, and a group of parameters
for each rate and decay. Images are random and ready, of the recipe's size; nothing is frozen. Both take turns on one
thread, so that a busy machine is busy for both.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from yacs.config import CfgNode  # noqa: E402

from engine.config import load_config  # noqa: E402
from engine.distributed import ProcessGroup  # noqa: E402
from engine.learner import Learner  # noqa: E402
from modeling.model import ReIDModel, build_model  # noqa: E402

TARGET = 1.10  # of the bare loop
IDENTITIES, CAMERAS = 751, 6  # Market-1501's
UNFROZEN = [
    "SOLVER.FREEZE_EPOCHS",
    "0",
    "SOLVER.FREEZE_ITERS",
    "0",
    "MODEL.PRETRAIN_CHOICE",
    "none",
    "MODEL.DEVICE",
    "cpu",
]
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=1e-5, momentum=0.9, weight_decay=5e-4),
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-5, weight_decay=5e-4),
    "AMSGrad": lambda parameters: torch.optim.Adam(parameters, lr=1e-5, weight_decay=5e-4, amsgrad=True),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=1e-5, weight_decay=5e-4),
}


class Batch:
    """Random images [b, 3, H, W], four or two of each identity, from two cameras in turn."""

    def __init__(self, cfg: CfgNode, size: int) -> None:
        self.images = torch.randn(size, 3, *cfg.INPUT.SIZE_TRAIN, generator=torch.Generator().manual_seed(0))
        self.pids = torch.arange(size) // (4 if size >= 8 else 2)
        self.origins = torch.stack([torch.arange(size) % 2, torch.full((size,), -1)], 1)


def network(cfg: CfgNode) -> ReIDModel:
    torch.manual_seed(0)
    return build_model(cfg, IDENTITIES, CAMERAS, 0)


def trainer_step(cfg: CfgNode, batch: Batch) -> Callable[[], object]:
    learner = Learner(cfg, network(cfg), torch.device("cpu"), ProcessGroup())
    learner.start_epoch(1)
    return lambda: learner.train_batch(batch.images, batch.pids, batch.origins, rate=1e-5, last=True)


def bare_step(cfg: CfgNode, batch: Batch) -> Callable[[], object]:
    model = network(cfg).train()
    optimizer = OPTIMIZERS[cfg.SOLVER.OPTIMIZER_NAME]([p for p in model.parameters() if p.requires_grad])
    inputs = (batch.images, batch.origins) if model.takes_origins else (batch.images,)

    def step() -> None:
        optimizer.zero_grad()
        branches = model(*inputs)
        scored = [branch for branch in branches if branch.scores is not None]
        loss = sum(F.cross_entropy(branch.scores, batch.pids) for branch in scored)
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()

    return step


def one_of_each_recipe() -> list[Path]:
    """Lists a file of each folder in configs/, with ResNet-50 where there is one."""
    folders = sorted({path.parent for path in (ROOT / "configs").glob("*/*.yml")})
    usual = [folder / "market1501_resnet50.yml" for folder in folders]
    return [path if path.is_file() else min(path.parent.glob("*.yml")) for path in usual]


def processor_ms(step: Callable[[], object]) -> float:
    began = time.process_time()
    step()
    return 1000 * (time.process_time() - began)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("files", nargs="*", type=Path, help="recipes (default: one of each folder in configs/)")
    arguments.add_argument("--batch", type=int, default=8)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    print(
        f"batch {options.batch}, one thread, medians of {options.rounds} steps and of their ratios; to reach: {TARGET:.2f}"
    )
    print("| recipe | image | bare loop, ms | trainer, ms | ratio |")
    print("|---|---|---|---|---|")
    for file in options.files or one_of_each_recipe():
        cfg = load_config(str(file), UNFROZEN, for_training=False)
        batch = Batch(cfg, options.batch)
        steps = [bare_step(cfg, batch), trainer_step(cfg, batch)]
        spent: list[list[float]] = [[], []]
        for number in range(options.rounds + 1):  # the first round warms up
            for each, step in zip(spent, steps, strict=True):
                milliseconds = processor_ms(step)
                each.extend([milliseconds] if number else [])
        bare, ours = (statistics.median(each) for each in spent)
        ratio = statistics.median(ours / bare for bare, ours in zip(*spent, strict=True))
        height, width = cfg.INPUT.SIZE_TRAIN
        name = file.resolve().relative_to(ROOT)
        print(f"| `{name}` | {height}x{width} | {bare:.0f} | {ours:.0f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
