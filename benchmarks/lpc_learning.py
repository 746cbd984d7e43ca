"""Trains MobileNetV2 from ImageNet weights on the drawn pedestrians of lpc, and compares the metrics reached.

    python benchmarks/lpc_learning.py --data DIR --weights mobilenet_v2-b0353104.pth

DIR holds the set in Market-1501's layout. Its README expects, of 40 steps of 48 images with identity loss and
batch-hard triplet loss, mAP 56.7 and rank-1 78.0 percent, and 16.1 and 34.9 before training. Exit status 1 when less
is reached.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from yacs.config import CfgNode  # noqa: E402

from configs.defaults import _C  # noqa: E402
from data.build import build_dataset, build_eval_loader, build_train_loader  # noqa: E402
from engine.checkpoint import seed_everything  # noqa: E402
from engine.distributed import ProcessGroup  # noqa: E402
from engine.evaluation.evaluate import EvaluationMethod, evaluate  # noqa: E402
from engine.evaluation.features import extract_features  # noqa: E402
from engine.learner import Learner  # noqa: E402
from modeling.model import build_model, resolve_device  # noqa: E402
from modeling.pretrained import load_pretrained  # noqa: E402

EXPECTED = {"before training": (16.1, 34.9), "after 40 steps": (56.7, 78.0)}
STEPS, WARM_UP = 40, 5


def recipe(data: Path, weights: Path, *words: object) -> CfgNode:
    """Returns the settings of the recipe on lpc, in folder `data`, with further `KEY, value, …` at the end."""
    cfg = _C.clone()
    cfg.merge_from_list(
        [
            "MODEL.NAME", "mobilenet_v2", "MODEL.PRETRAIN_PATH", str(weights),
            "INPUT.SIZE_TRAIN", (128, 64), "INPUT.SIZE_TEST", (128, 64), "INPUT.PADDING", 5,
            "DATASETS.NAMES", (f"market1501:{data.name}",), "DATASETS.ROOT_DIR", str(data.parent),
            "DATALOADER.NUM_WORKERS", 0, "DATALOADER.CACHE", False, "SOLVER.IMS_PER_BATCH", 48,
            "SOLVER.BASE_LR", 0.001, *words,
        ]
    )  # fmt: skip
    return cfg


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the set")
    parser.add_argument("--weights", type=Path, help="torchvision's MobileNetV2 for ImageNet")
    parser.add_argument("overrides", nargs=argparse.REMAINDER, metavar="KEY VALUE")
    options = parser.parse_args()
    if options.data is None or options.weights is None:
        print("not run: needs --data and --weights")
        return 0
    cfg = recipe(options.data, options.weights, *options.overrides)
    logging.disable()
    seed_everything(cfg.SOLVER.SEED)
    device = resolve_device(cfg.MODEL.DEVICE)
    dataset = build_dataset(cfg)
    model = build_model(cfg, dataset.num_train_pids)
    load_pretrained(cfg, model)
    learner = Learner(cfg, model, device, ProcessGroup())
    loader, num_query = build_eval_loader(cfg, dataset, device=device)
    method = EvaluationMethod.from_cfg(cfg)

    def measure(when: str) -> bool:
        extracted = extract_features(model, loader, device=device, flip=method.flip)
        results = evaluate(extracted, num_query, epoch=0, method=method)
        reached, expected = (100 * results.mAP, 100 * results.cmc[0]), EXPECTED[when]
        told = [f"{ours:5.1f} % (expected {theirs})" for ours, theirs in zip(reached, expected, strict=True)]
        print(f"{when:<16} mAP {told[0]}, rank-1 {told[1]}")
        return all(ours >= theirs for ours, theirs in zip(reached, expected, strict=True))

    measure("before training")
    started = time.perf_counter()
    batches = build_train_loader(cfg, dataset, seed=cfg.SOLVER.SEED, device=device)
    batches.batch_sampler.set_epoch(1)
    learner.start_epoch(1)
    for step, (images, pids, _origins) in enumerate(islice(batches, STEPS), start=1):
        learner.train_batch(images, pids, rate=cfg.SOLVER.BASE_LR * min(1.0, step / WARM_UP), last=False)
    print(f"{STEPS} steps of {cfg.SOLVER.IMS_PER_BATCH} images in {time.perf_counter() - started:.1f} s on {device}")
    return 0 if measure("after 40 steps") else 1


if __name__ == "__main__":
    sys.exit(main())
