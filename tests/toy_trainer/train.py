"""A trainer without a model: prints the contract's log lines at once, and misbehaves on request (TOY.MODE).

Needs nothing but yacs, so that a trial takes a few hundredths of a second.
"""

import math
import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from defaults import _C


def say(text):
    print("2026-01-01 00:00:00,000 reid_baseline.train INFO: " + text, flush=True)


def quality(cfg):
    """mAP in percent, best at a learning rate of 0.00035."""
    chance = random.Random(cfg.SOLVER.SEED).gauss(0, cfg.TOY.NOISE)
    return 80 * math.exp(-abs(math.log10(cfg.SOLVER.BASE_LR / 0.00035))) + chance


def leave_odd_files(cfg, first):
    if first and cfg.TOY.ODD:
        import odd

        for name in cfg.TOY.ODD.split(","):
            try:
                {**odd.BESIDE, **odd.INSTEAD}[name](cfg.OUTPUT_DIR)
            except OSError as error:  # left by an earlier attempt, perhaps
                print(f"odd files: {error}", flush=True)
        print("odd files are there", flush=True)


def train(cfg):
    for epoch in range(1, cfg.SOLVER.MAX_EPOCHS + 1):
        for iteration in range(1, cfg.TOY.ITERATIONS + 1):
            loss = 10 / (epoch + iteration)
            rate = cfg.SOLVER.BASE_LR
            place = f"Epoch[{epoch}] Iteration[{iteration}/{cfg.TOY.ITERATIONS}]"
            say(f"{place} Loss: {loss:.3f}, Acc: {0.1 * epoch:.3f}, Base Lr: {rate:.2e}")
            leave_odd_files(cfg, first=epoch == iteration == 1)
            time.sleep(cfg.TOY.SECONDS)
        if cfg.TOY.CHECKPOINT:
            with open(os.path.join(cfg.OUTPUT_DIR, f"model_{epoch}.pth"), "wb") as file:
                file.write(os.urandom(cfg.TOY.CHECKPOINT))
        score = quality(cfg) * epoch / cfg.SOLVER.MAX_EPOCHS
        say(f"Validation Results - Epoch: {epoch}")
        say(f"mAP: {score:.1f}%")
        for rank in (1, 5, 10):
            say(f"CMC curve, Rank-{rank:<3}:{min(100.0, score + rank):.1f}%")


def misbehave(mode):
    if mode == "crash":
        raise ValueError("toy crash")
    if mode == "exit3":
        sys.exit(3)
    if mode == "silent":
        sys.exit(0)
    if mode == "oom":
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
    if mode == "hang":
        time.sleep(1000)
    if mode == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("deaf", flush=True)
        time.sleep(1000)
    if mode == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "daemon":
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
    if mode == "environment":
        print("\n".join(f"ENV {name}={value}" for name, value in sorted(os.environ.items())), flush=True)


def main():
    words = sys.argv[1:]
    config = next(word.split("=", 1)[1] for word in words if word.startswith("--config_file="))
    cfg = _C.clone()
    if config:
        cfg.merge_from_file(config)
    cfg.merge_from_list([word for word in words if not word.startswith("--config_file=")])
    try:
        with open(os.path.join(cfg.OUTPUT_DIR, "ran"), "a") as file:
            file.write(f"{cfg.SOLVER.BASE_LR}\n")
    except PermissionError:
        if not cfg.TOY.ODD:
            raise
    misbehave(cfg.TOY.MODE)
    train(cfg)


if __name__ == "__main__":
    main()
