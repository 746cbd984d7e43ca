"""Measures training images a second: this trainer's steps in bf16 and fp32, beside a plain fp32 loop of one network.

Images are random and ready, so that only the steps are timed. The plain loop has the default memory layout and an
Adam with a group for each parameter, as reid-strong-baseline does. The runs take turns, so a noisy machine is noisy
to all.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from configs.defaults import _C  # noqa: E402
from engine.distributed import ProcessGroup  # noqa: E402
from engine.learner import Learner  # noqa: E402
from modeling.losses.criterion import build_criterion  # noqa: E402
from modeling.model import build_model, resolve_device  # noqa: E402

IDENTITIES = 751  # Market-1501's
TARGET = 2.0  # of bf16, times the plain loop, at the default settings


def trainer_step(name: str, precision: str, images: torch.Tensor, pids: torch.Tensor) -> Callable[[], object]:
    cfg = _C.clone()
    cfg.MODEL.NAME, cfg.MODEL.PRECISION = name, precision
    learner = Learner(cfg, build_model(cfg, IDENTITIES), images.device, ProcessGroup())
    learner.start_epoch(1)
    on_host = pids.cpu()
    return lambda: learner.train_batch(images, on_host, rate=1e-5, last=False)


def plain_step(name: str, images: torch.Tensor, pids: torch.Tensor) -> Callable[[], object]:
    cfg = _C.clone()
    cfg.MODEL.NAME, cfg.MODEL.CHANNELS_LAST = name, False
    model = build_model(cfg, IDENTITIES).to(images.device).train()
    criterion = build_criterion(cfg, IDENTITIES, model.widths)
    groups = [{"params": [p], "weight_decay": 5e-4} for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(groups, lr=1e-5)

    def step() -> None:
        optimizer.zero_grad()
        loss = criterion(model(images), pids)
        loss.backward()
        optimizer.step()

    return step


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--model", default="resnet50")
    arguments.add_argument("--batch", type=int, default=16)
    arguments.add_argument("--steps", type=int, default=1, help="of each run in a round")
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--device", default="auto")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    device = resolve_device(options.device)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(options.batch, 3, 256, 128, generator=generator).to(device)
    pids = (torch.arange(options.batch) // 4).to(device)
    steps = {
        "plain loop, fp32": plain_step(options.model, images, pids),
        "trainer, fp32": trainer_step(options.model, "fp32", images, pids),
        "trainer, bf16": trainer_step(options.model, "bf16", images, pids),
    }
    rates: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(options.rounds + 1):  # the first round warms up
        for name, step in steps.items():
            started = time.perf_counter()
            for _ in range(options.steps):
                step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if number:
                rates[name].append(options.steps * options.batch / (time.perf_counter() - started))
    setting = f"{options.model}, 256x128, batch {options.batch}, {device}, {options.threads} threads"
    print(f"{setting}; median of {options.rounds}")
    base = statistics.median(rates["plain loop, fp32"])
    for name, found in rates.items():
        rate = statistics.median(found)
        target = f" (to reach: {TARGET} x)" if name == "trainer, bf16" else ""
        print(f"{name:<18}{rate:>9.1f} images/s {rate / base:>6.2f} x the plain loop{target}")


if __name__ == "__main__":
    main()
