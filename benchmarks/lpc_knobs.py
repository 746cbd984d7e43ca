"""Measures what one value of each group of settings is worth on lpc, over several seeds, as a table.

    python benchmarks/lpc_knobs.py --data DIR --weights mobilenet_v2-b0353104.pth [--seeds 3] [--steps 60]

DIR holds lpc in Market-1501's layout. MobileNetV2 from ImageNet weights is trained for a few steps of 48 images of
128 x 64, with the recipe of lpc_learning.py and a rate that falls over the last third, once with each seed for the recipe
as it is and for each change. A change is compared with the recipe seed by seed. The seeds of one change differ by several
points of mAP: what is smaller than twice its standard error shows nothing.
"""

from __future__ import annotations

import argparse
import logging
import math
import statistics
import sys
import time
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from yacs.config import CfgNode  # noqa: E402

from benchmarks.lpc_learning import recipe  # noqa: E402
from data.build import build_dataset, build_eval_loader, build_train_loader  # noqa: E402
from engine.checkpoint import seed_everything  # noqa: E402
from engine.distributed import ProcessGroup  # noqa: E402
from engine.evaluation.evaluate import EvaluationMethod, evaluate  # noqa: E402
from engine.evaluation.features import extract_features  # noqa: E402
from engine.learner import Learner  # noqa: E402
from modeling.model import build_model, resolve_device  # noqa: E402
from modeling.pretrained import load_pretrained  # noqa: E402

WARM_UP = 5
# A preset of sweeps/, and of its parameters the values tried here.
CHANGES: dict[str, tuple[str, list[object]]] = {
    "the recipe": ("", []),
    "no random erasing": ("augmentation", ["INPUT.RE_PROB", 0.0]),
    "colour jitter": ("augmentation", ["INPUT.CJ_PROB", 0.5]),
    "AutoAugment": ("augmentation", ["INPUT.AUTOAUG_PROB", 0.1]),
    "triplet loss twice as heavy": ("losses", ["MODEL.TRIPLET_LOSS_WEIGHT", 2.0]),
    "soft margin": ("losses", ["MODEL.NO_MARGIN", True]),
    "smoothing 0.2": ("losses", ["MODEL.LABEL_SMOOTHING", 0.2]),
    "first moments forgotten sooner": ("schedule", ["SOLVER.BETAS", (0.8, 0.999)]),
    "lower rates for earlier layers": ("regularisation", ["SOLVER.LAYER_DECAY", 0.8]),
    "eight images of an identity": ("sampling", ["DATALOADER.NUM_INSTANCE", 8]),
    "more padding": ("images", ["INPUT.PADDING", 10]),  # lpc has the size already: how it is resized changes nothing
}


def mean_average_precision(cfg: CfgNode, steps: int) -> float:
    """Trains for `steps` steps and returns the mAP reached, in percent."""
    seed_everything(cfg.SOLVER.SEED)
    device = resolve_device(cfg.MODEL.DEVICE)
    dataset = build_dataset(cfg)
    model = build_model(cfg, dataset.num_train_pids)
    load_pretrained(cfg, model)
    learner = Learner(cfg, model, device, ProcessGroup())
    batches = build_train_loader(cfg, dataset, seed=cfg.SOLVER.SEED, device=device)
    done = 0
    for epoch in range(1, steps + 1):
        batches.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
        learner.start_epoch(epoch)
        for images, pids, _origins in islice(batches, steps - done):
            done += 1
            rate = cfg.SOLVER.BASE_LR * min(1.0, done / WARM_UP, 3 * (steps + 1 - done) / steps)
            learner.train_batch(images, pids, rate=rate, last=False)
        if done == steps:
            break
    loader, num_query = build_eval_loader(cfg, dataset, device=device)
    method = EvaluationMethod.from_cfg(cfg)
    extracted = extract_features(learner.eval_model, loader, device=device, flip=method.flip)
    return 100 * evaluate(extracted, num_query, epoch=0, method=method).mAP


def standard_error(values: list[float]) -> float:
    """Computes the standard error of a mean; NaN of a single value."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the set")
    parser.add_argument("--weights", type=Path, help="torchvision's MobileNetV2 for ImageNet")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--only", default="", help="changes to measure, with commas; the recipe is always measured")
    options = parser.parse_args()
    if options.data is None or options.weights is None:
        print("not run: needs --data and --weights")
        return 0
    logging.disable()
    chosen = ["the recipe", *filter(None, options.only.split(","))] if options.only else list(CHANGES)
    print(f"{options.steps} steps, {options.seeds} seeds, {torch.get_num_threads()} threads")
    print("| preset | change | mAP of each seed | mean ± standard error | against the recipe, seed by seed | s |")
    print("|---|---|---|---|---|---|")
    of_recipe: list[float] = []
    for name in chosen:
        preset, words = CHANGES[name]
        started, reached = time.process_time(), []
        for seed in range(options.seeds):
            cfg = recipe(options.data, options.weights, "SOLVER.SEED", seed, *words)
            reached.append(mean_average_precision(cfg, options.steps))
        of_recipe = of_recipe or reached
        gains = [ours - theirs for ours, theirs in zip(reached, of_recipe, strict=True)]
        gain = "" if gains == [0.0] * len(gains) else f"{statistics.mean(gains):+.1f} ± {standard_error(gains):.1f}"
        each = ", ".join(f"{value:.1f}" for value in reached)
        words_told = " ".join(map(str, words))
        print(
            f"| `{preset}` | {name}: `{words_told}` | {each} | {statistics.mean(reached):.1f} ±"
            f" {standard_error(reached):.1f} | {gain} | {time.process_time() - started:.0f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
