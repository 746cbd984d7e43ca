"""Measures features a second in evaluation: bf16 and fp32 of one network, in the default layout and this trainer's."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from configs.defaults import _C  # noqa: E402
from engine.evaluation.features import extract_features  # noqa: E402
from modeling.model import ReIDModel, build_model, resolve_device  # noqa: E402

TARGET = 2.0  # of bf16, times plain fp32, at the default settings
RUNS = {"plain, fp32": ("fp32", False), "trainer, fp32": ("fp32", True), "trainer, bf16": ("bf16", True)}


def network(name: str, precision: str, channels_last: bool) -> ReIDModel:
    cfg = _C.clone()
    cfg.MODEL.NAME, cfg.MODEL.PRECISION, cfg.MODEL.CHANNELS_LAST = name, precision, channels_last
    torch.manual_seed(0)
    return build_model(cfg, 751).eval()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--model", default="resnet50")
    arguments.add_argument("--batch", type=int, default=32)
    arguments.add_argument("--batches", type=int, default=1, help="of each run in a round")
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--device", default="auto")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    device = resolve_device(options.device)
    images = torch.randn(options.batch, 3, 256, 128, generator=torch.Generator().manual_seed(0))
    numbers = torch.zeros(options.batch, dtype=torch.int64)
    batch = (images, numbers, numbers, [""] * options.batch)
    models = {name: network(options.model, *form).to(device) for name, form in RUNS.items()}
    rates: dict[str, list[float]] = {name: [] for name in models}
    features = {}
    for number in range(options.rounds + 1):  # the first round warms up
        for name, model in models.items():
            started = time.perf_counter()
            features[name] = extract_features(model, [batch] * options.batches, device=device)[0]
            if number:
                rates[name].append(options.batches * options.batch / (time.perf_counter() - started))
    setting = f"{options.model}, 256x128, batch {options.batch}, {device}, {options.threads} threads"
    print(f"{setting}; median of {options.rounds}")
    exact = features["plain, fp32"]
    base = statistics.median(rates["plain, fp32"])
    for name, found in rates.items():
        rate = statistics.median(found)
        off = float((features[name] - exact).norm() / exact.norm())
        target = f" (to reach: {TARGET} x)" if name == "trainer, bf16" else ""
        print(f"{name:<18}{rate:>9.1f} images/s {rate / base:>6.2f} x plain fp32{target}, features differ by {off:.1e}")


if __name__ == "__main__":
    main()
