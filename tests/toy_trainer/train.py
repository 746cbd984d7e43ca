"""A trainer without a model: prints the contract's log lines at once, and misbehaves on request (TOY.MODE).

Needs nothing but yacs, so that a trial takes a few hundredths of a second.
"""

import json
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


class Place:
    """The epoch that is trained, and its iterations that are done; kept in state.pth, as TOY.RESUMES says.

    `trained` gets a line for each iteration that is trained. SIGTERM ends the trainer with 143, its place kept.
    """

    def __init__(self, cfg, told):
        self.epoch, self.iteration, self.keeps, self.stopped = 1, 0, cfg.TOY.RESUMES != "no", False
        self.folder, self.file = cfg.OUTPUT_DIR, cfg.TOY.FROM or os.path.join(cfg.OUTPUT_DIR, "state.pth")
        resumes = cfg.TOY.RESUMES == "itself" or (cfg.TOY.RESUMES == "told" and (told or cfg.TOY.FROM))
        if resumes and os.path.exists(self.file):
            with open(self.file) as file:
                self.epoch, self.iteration = json.load(file)
            say(f"Continuing from {self.file}")
        if self.keeps:
            signal.signal(signal.SIGTERM, self.stop)

    def stop(self, number, frame):
        self.stopped = True

    def move(self, epoch, iteration):
        if not self.keeps:
            return
        path = os.path.join(self.folder, "state.pth")
        with open(path + ".tmp", "w") as file:
            json.dump([epoch, iteration], file)
        os.replace(path + ".tmp", path)
        if iteration:
            with open(os.path.join(self.folder, "trained"), "a") as file:
                file.write(f"{epoch} {iteration}\n")
        if self.stopped:
            sys.exit(143)


def train(cfg, told=False):
    place_kept = Place(cfg, told)
    for epoch in range(place_kept.epoch, cfg.SOLVER.MAX_EPOCHS + 1):
        done = place_kept.iteration if epoch == place_kept.epoch else 0
        for iteration in range(done + 1, cfg.TOY.ITERATIONS + 1):
            loss = 10 / (epoch + iteration)
            rate = cfg.SOLVER.BASE_LR
            place = f"Epoch[{epoch}] Iteration[{iteration}/{cfg.TOY.ITERATIONS}]"
            say(f"{place} Loss: {loss:.3f}, Acc: {0.1 * epoch:.3f}, Base Lr: {rate:.2e}")
            leave_odd_files(cfg, first=epoch == iteration == 1)
            time.sleep(cfg.TOY.SECONDS)
            place_kept.move(epoch, iteration)
        if cfg.TOY.CHECKPOINT:
            with open(os.path.join(cfg.OUTPUT_DIR, f"model_{epoch}.pth"), "wb") as file:
                file.write(os.urandom(cfg.TOY.CHECKPOINT))
        score = quality(cfg) * epoch / cfg.SOLVER.MAX_EPOCHS
        say(f"Validation Results - Epoch: {epoch}")
        say(f"mAP: {score:.1f}%")
        for rank in (1, 5, 10):
            say(f"CMC curve, Rank-{rank:<3}:{min(100.0, score + rank):.1f}%")
        place_kept.move(epoch + 1, 0)


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
    cfg.merge_from_list([word for word in words if not word.startswith("--")])
    try:
        with open(os.path.join(cfg.OUTPUT_DIR, "ran"), "a") as file:
            file.write(f"{cfg.SOLVER.BASE_LR}\n")
    except PermissionError:
        if not cfg.TOY.ODD:
            raise
    misbehave(cfg.TOY.MODE)
    train(cfg, told="--resume" in words)


if __name__ == "__main__":
    main()
