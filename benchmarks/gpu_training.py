"""Measures training on one GPU: images a second of the whole trainer on JPEG files, use of the GPU, and the roofline.

    python benchmarks/gpu_training.py                      # about three minutes on an H200
    python benchmarks/gpu_training.py --graphs             # with MODEL.CUDA_GRAPHS
    python benchmarks/gpu_training.py --check              # the tests that need a GPU instead
    python benchmarks/gpu_training.py --device cpu --model resnet18 --size 32 16 --images 64 --batches 16 --steps 2

Every setting is a process of its own. It runs the trainer for three epochs on a set of Market-1501's size, cached as
users have it, and takes the speed that the trainer itself logs of the last two; then the same steps on one batch that
stays on the GPU, and the steps again under CUPTI for the time in which some kernel ran. The roofline is counted:
floating-point operations of the convolutions and matrix products over the measured rate of a bf16 matrix product, and
for every operation of PyTorch the longer of that and of its operands' and result's bytes over the measured rate of a
copy. Fused kernels may be faster than the second.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402
from torch.utils.flop_counter import flop_registry  # noqa: E402

from configs.defaults import _C  # noqa: E402
from data.build import build_dataset  # noqa: E402
from engine.distributed import ProcessGroup  # noqa: E402
from engine.learner import Learner  # noqa: E402
from engine.trainer import RunningMeans, Trainer  # noqa: E402
from modeling.model import build_model, resolve_device  # noqa: E402
from utils.signals import StopRequest  # noqa: E402
from utils.wandb_run import Recorder  # noqa: E402

IDENTITIES, TARGET = 751, 3000  # Market-1501's; images a second to reach at batch 256
SETTINGS = [("bf16", False), ("bf16", True), ("fp16", False)]  # precision, compiled
_SPEED = re.compile(r"Epoch (\d+) done.*Speed: ([\d.]+)")


def write_identity(folder: Path, split: str, pid: int, number: int) -> None:
    """Writes JPEG files of 128 x 64 that compress like photographs: smooth colours and some noise."""
    rng = np.random.default_rng(pid)
    for image in range(number):
        coarse = Image.fromarray(rng.integers(0, 256, (16, 8, 3), dtype=np.uint8)).resize((64, 128))
        pixels = np.asarray(coarse, dtype=np.int16) + rng.integers(-12, 13, (128, 64, 3))
        name = f"{pid:04d}_c{1 + image % 6}s1_{image:06d}_00.jpg"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / split / name, quality=90)


def write_set(root: Path, images: int) -> None:
    """Writes a set in Market-1501's layout with `images` training images of IDENTITIES people."""
    folder = root / "market1501"
    for split in ("bounding_box_train", "query", "bounding_box_test"):
        (folder / split).mkdir(parents=True)
    shares = np.bincount(np.arange(images) % min(IDENTITIES, images // 4))
    with ProcessPoolExecutor() as pool:
        jobs = [
            pool.submit(write_identity, folder, "bounding_box_train", pid, int(share))
            for pid, share in enumerate(shares, start=1)
        ]
        jobs += [
            pool.submit(write_identity, folder, split, 9000 + pid, 6)
            for split in ("query", "bounding_box_test")
            for pid in range(40)
        ]
        for job in jobs:
            job.result()


def configuration(options: argparse.Namespace, root: Path, batch: int, precision: str, compiled: bool) -> Any:
    cfg = _C.clone()
    cfg.merge_from_list([
        "MODEL.NAME", options.model, "MODEL.PRETRAIN_CHOICE", "none", "MODEL.DEVICE", options.device,
        "MODEL.PRECISION", precision, "MODEL.COMPILE", compiled, "MODEL.CUDA_GRAPHS", options.graphs,
        "DATASETS.NAMES", ("market1501",),
        "DATASETS.ROOT_DIR", str(root), "DATALOADER.NUM_WORKERS", options.workers, "SOLVER.IMS_PER_BATCH", batch,
        "SOLVER.MAX_EPOCHS", 3, "SOLVER.EVAL_PERIOD", 3, "SOLVER.CHECKPOINT_PERIOD", 3,
        "INPUT.SIZE_TRAIN", tuple(options.size), "INPUT.SIZE_TEST", tuple(options.size),
        "OUTPUT_DIR", str(root / f"run-{batch}-{precision}-{compiled}"),
    ])  # fmt: skip
    return cfg


class Speeds(logging.Handler):
    """Log handler that collects the speed that the trainer logs after an epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[int, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if match := _SPEED.search(record.getMessage()):
            self.found[int(match[1])] = float(match[2])


class OpCounter(TorchDispatchMode):
    """Counter of what PyTorch computes: floating-point operations, bytes read and written, and the least seconds.

    The least seconds of an operation are those of its floating-point operations or of its bytes, whichever takes longer.
    """

    def __init__(self, flops_per_second: float, bytes_per_second: float) -> None:
        super().__init__()
        self.rates = flops_per_second, bytes_per_second
        self.flops = self.bytes = 0
        self.seconds = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.is_view or "empty" in func.name():
            return result
        formula = flop_registry.get(func._overloadpacket)
        flops = formula(*args, **(kwargs or {}), out_val=result) if formula else 0
        tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, torch.Tensor)]
        moved = sum(x.numel() * x.element_size() for x in tensors)
        self.flops += flops
        self.bytes += moved
        self.seconds += max(flops / self.rates[0], moved / self.rates[1])
        return result


def seconds_of(run: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Measures the mean seconds of `repeats` calls, after three to warm up."""
    for _ in range(3):
        run()
    synchronise(device)
    started = time.perf_counter()
    for _ in range(repeats):
        run()
    synchronise(device)
    return (time.perf_counter() - started) / repeats


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def limits(device: torch.device) -> tuple[float, float]:
    """Measures the GPU's limits: operations a second of a bf16 matrix product, bytes a second of a copy."""
    size, number = (8192, 2**31) if device.type == "cuda" else (512, 2**26)
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    source = torch.zeros(number, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = seconds_of(lambda: a @ b, 10, device)
    return 2 * size**3 / product, 2 * number / seconds_of(lambda: target.copy_(source), 10, device)


def roofline(options: argparse.Namespace, device: torch.device) -> dict[str, float]:
    """Computes the roofline of a training step of 64 images, for each image; the module explains how."""
    rates = limits(device)
    batch = 64 if device.type == "cuda" else 8
    learner = Learner(
        configuration(options, Path(), batch, "bf16", False),
        build_model(_named(options), IDENTITIES),
        device,
        ProcessGroup(),
    )
    learner.model.autocast = torch.bfloat16
    learner.start_epoch(1)
    images, pids = torch.randn(batch, 3, *options.size, device=device), torch.arange(batch) // 4
    learner.train_batch(images, pids, rate=1e-4, last=False)
    with OpCounter(*rates) as counted:
        learner.train_batch(images, pids, rate=1e-4, last=False)
    return {
        "flops_per_second": rates[0],
        "bytes_per_second": rates[1],
        "flops": counted.flops / batch,
        "bytes": counted.bytes / batch,
        "computing": rates[0] * batch / counted.flops,
        "operations": batch / counted.seconds,
    }


def _named(options: argparse.Namespace) -> Any:
    cfg = _C.clone()
    cfg.MODEL.NAME = options.model
    return cfg


@contextmanager
def utilisation(device: torch.device) -> Iterator[list[float]]:
    """Samples the percent of time in which a kernel ran, from the driver, every 0.1 s; nothing without a GPU."""
    samples: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            samples.append(torch.cuda.utilization(device))

    thread = threading.Thread(target=look, daemon=True)
    if device.type == "cuda":
        thread.start()
    try:
        yield samples
    finally:
        over.set()
        if device.type == "cuda":
            thread.join()


def measure(options: argparse.Namespace, root: Path, batch: int, precision: str, compiled: bool) -> dict[str, Any]:
    """Measures one setting, as the module explains."""
    cfg = configuration(options, root, batch, precision, compiled)
    device = resolve_device(cfg.MODEL.DEVICE)
    started = time.perf_counter()
    trainer = Trainer(cfg, build_dataset(cfg), device, ProcessGroup(), None)
    prepared = time.perf_counter() - started
    log, speeds = logging.getLogger("benchmark"), Speeds()
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(speeds)
    Path(cfg.OUTPUT_DIR).mkdir(parents=True)
    with utilisation(device) as samples, StopRequest() as stop:
        trainer.run(log, Recorder(), stop, Path(cfg.OUTPUT_DIR))
    loader, learner, means = trainer.train_loader, trainer.learner, RunningMeans(device)
    learner.start_epoch(1)

    def steps(batches: Any) -> None:
        for images, pids in batches:
            means.add(*learner.train_batch(images, pids, rate=1e-4, last=False))
        synchronise(device)

    trainer.sampler.set_epoch(4)
    resident = list(islice(loader, 1)) * options.steps
    steps(resident[:5])
    started = time.perf_counter()
    steps(resident)
    found = {
        "batch": batch,
        "setting": f"{precision}{', compiled' if compiled else ''}{', graphs' if options.graphs and not compiled else ''}",
        "prepared": prepared,
        "first_epoch": speeds.found[1],
        "speed": statistics.mean(speeds.found[epoch] for epoch in (2, 3)),
        "resident": batch * len(resident) / (time.perf_counter() - started),
        "driver": statistics.median(samples[len(samples) // 2 :]) / 100 if samples else float("nan"),
    }
    trainer.sampler.set_epoch(5)
    return found | profiled(lambda: steps(islice(loader, min(12, options.steps))), device)


def profiled(run: Callable[[], object], device: torch.device) -> dict[str, Any]:
    """Profiles a run: share of time in which a kernel ran, places that waited for the GPU, the slowest kernels."""
    if device.type != "cuda":
        run()
        return {"busy": float("nan"), "waits": [], "kernels": []}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        run()
        torch.cuda.set_sync_debug_mode("default")
    waits = Counter(f"{Path(w.filename).name}:{w.lineno}" for w in caught if "synchroniz" in str(w.message))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        run()
    kernels = [
        (event.time_range.start, event.time_range.end, event.name)
        for event in profile.events()
        if event.device_type == torch.autograd.DeviceType.CUDA and not event.name.startswith(("Memcpy", "Memset"))
    ]
    busy, reached = 0.0, 0.0
    taken: Counter[str] = Counter()
    for start, end, name in sorted(kernels):
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
        taken[name[:70]] += end - start
    span = reached - min(kernels)[0]
    longest = [f"{share / span:6.1%} {name}" for name, share in taken.most_common(12)]
    return {"busy": busy / span, "waits": sorted(waits.items()), "kernels": longest}


def report(results: list[dict[str, Any]], roof: dict[str, float]) -> None:
    print(
        f"roofline: {roof['flops_per_second'] / 1e12:.0f} TFLOP/s in a bf16 matrix product, "
        f"{roof['bytes_per_second'] / 1e12:.2f} TB/s in a copy, both measured; an image takes {roof['flops'] / 1e9:.1f} "
        f"GFLOP and, operation by operation, {roof['bytes'] / 1e6:.0f} MB: {roof['computing']:,.0f} images/s if "
        f"computing alone limits, {roof['operations']:,.0f} if every operation of PyTorch ran at its limit"
    )
    head = ("batch", "setting", "images/s", "resident", "data/resident", "GPU busy", "driver says", "of roofline")
    print("{:>6}  {:<16}{:>10}{:>10}{:>15}{:>10}{:>13}{:>13}".format(*head))
    for r in results:
        share = r["speed"] / roof["operations"]
        print(
            f"{r['batch']:>6}  {r['setting']:<16}{r['speed']:>10,.0f}{r['resident']:>10,.0f}"
            f"{r['speed'] / r['resident']:>15.2f}{r['busy']:>10.1%}{r['driver']:>13.0%}{share:>13.0%}"
        )
    for r in results:
        print(f"batch {r['batch']}, {r['setting']}: ready in {r['prepared']:.1f} s, epoch 1 {r['first_epoch']:,.0f}/s")
        print(f"  waited for the GPU in {r['waits'] or 'no place'}")
        for line in r["kernels"]:
            print(f"  {line}")
    best = max((r["speed"] for r in results if r["batch"] == 256), default=None)
    if best is not None:
        print(f"best at batch 256: {best:,.0f} images/s (to reach: {TARGET:,})")


def in_own_process(arguments: list[str], seconds: float) -> Any:
    """Runs this script with other arguments in a process; returns its result, or None after printing its errors."""
    try:
        done = subprocess.run(
            [sys.executable, __file__, *arguments], capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        print(f"not done after {seconds:.0f} s: {' '.join(arguments)}", flush=True)
        return None
    if done.returncode:
        print(f"failed: {' '.join(arguments)}\n{done.stderr[-3000:]}", flush=True)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def check() -> int:
    """Runs the tests that need a GPU; prints each one's name, result and traceback as it ends."""
    return subprocess.run(
        [sys.executable, "-u", "-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", "benchmarks.failures_at_once",
         "--durations=0", "tests/engine/test_cuda.py"], cwd=ROOT, check=False,
    ).returncode  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="run the tests that need a GPU instead")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 128), metavar=("H", "W"))
    parser.add_argument("--images", type=int, default=12936)
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--steps", type=int, default=40, help="on the batch that stays on the GPU")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--limit", type=float, default=100, help="seconds a setting may take")
    parser.add_argument(
        "--graphs", action="store_true", help="with MODEL.CUDA_GRAPHS, where the network is not compiled"
    )
    parser.add_argument("--one", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.check:
        return check()
    try:
        device = resolve_device(options.device)
    except ValueError as error:
        print(f"not run: {error}")
        return 0
    if options.one is not None:
        folder, batch, precision, compiled = options.one
        one = roofline(options, device) if not folder else None
        print(json.dumps(one or measure(options, Path(folder), int(batch), precision, compiled == "True")))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        write_set(Path(folder), options.images)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        height, width = options.size
        print(
            f"{name}, torch {torch.__version__}, {options.model}, {height}x{width}, {options.images} JPEG files written"
            f" in {time.perf_counter() - started:.1f} s, {options.workers} workers",
            flush=True,
        )
        given = ["--device", options.device, "--model", options.model, "--images", str(options.images)]
        given += ["--size", *map(str, options.size), "--steps", str(options.steps), "--workers", str(options.workers)]
        given += ["--graphs"] if options.graphs else []
        roof = in_own_process([*given, "--one", "", "0", "", ""], options.limit)
        results = []
        for precision, compiled in SETTINGS:
            for batch in options.batches:
                one = in_own_process([*given, "--one", folder, str(batch), precision, str(compiled)], options.limit)
                if one:
                    results.append(one)
                    print(f"batch {batch}, {one['setting']}: {one['speed']:,.0f} images/s", flush=True)
    if roof and results:
        report(results, roof)
    return 0 if roof and results else 1


if __name__ == "__main__":
    sys.exit(main())
