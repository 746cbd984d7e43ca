"""Measures k-reciprocal re-ranking at the size of Market-1501: time and memory.

python benchmarks/rerank.py [--queries 3368 --gallery 15913 --dimensions 2048]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from benchmarks.measuring import peak_mb  # noqa: E402
from engine.evaluation.metrics import RankingMeter  # noqa: E402
from engine.evaluation.reranking import reranked_distances  # noqa: E402
from tests.engine.evaluation.rank_features import rank_features  # noqa: E402

ORIGINAL = (65.6, 7814)  # s and MB, reid-strong-baseline at the default size on two cores, measured once


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--queries", type=int, default=3368)
    arguments.add_argument("--gallery", type=int, default=15913)
    arguments.add_argument("--dimensions", type=int, default=2048)
    arguments.add_argument("--noise", type=float, default=3.1, help="3.1: mAP about 0.88; 5: 0.06")
    options = arguments.parse_args()
    noise = options.noise
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    pids = [rng.integers(0, 751, size) for size in (options.queries, options.gallery)]
    camids = [rng.integers(0, 6, size) for size in (options.queries, options.gallery)]
    centres = torch.randn(751, options.dimensions, generator=generator)
    query, gallery = (
        torch.nn.functional.normalize(
            centres[ids] + noise * torch.randn(len(ids), options.dimensions, generator=generator)
        )
        for ids in pids
    )
    plain = rank_features(query, pids[0], camids[0], gallery, pids[1], camids[1])
    before, started, used = peak_mb(reset=True), time.perf_counter(), time.process_time()
    meter = RankingMeter(pids[0], camids[0], pids[1], camids[1])
    for first, rows in reranked_distances(query, gallery):
        meter.add(first, rows)
    seconds, processor, extra = time.perf_counter() - started, time.process_time() - used, peak_mb() - before
    print(f"{options.queries} x {options.gallery}, {options.dimensions} dimensions, {torch.get_num_threads()} threads")
    print(
        f"re-ranking  {seconds:6.1f} s ({processor:.1f} s of processor), {extra:.0f} MB more (to reach: 20 s, 1,500 MB)"
    )
    print(f"reid-strong-baseline, measured once at 3368 x 15913: {ORIGINAL[0]} s, {ORIGINAL[1]} MB")
    print(f"mAP {plain.mAP:.4f} before, {meter.result().mAP:.4f} after")


if __name__ == "__main__":
    main()
