"""A trainer whose accuracy follows from its settings; it keeps a checkpoint, and needs a file for large learning rates."""

import math
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from defaults import _C


def main():
    cfg = _C.clone()
    cfg.merge_from_file(sys.argv[1].split("=", 1)[1])
    cfg.merge_from_list(sys.argv[2:])
    if cfg.SOLVER.BASE_LR > 0.005:
        open("warmup.txt").close()
    for epoch in range(1, cfg.SOLVER.MAX_EPOCHS + 1):
        time.sleep(float(os.environ.get("EPOCH_SECONDS", "0")))
        distance = abs(math.log10(cfg.SOLVER.BASE_LR / 0.0003)) + 100 * abs(cfg.SOLVER.WEIGHT_DECAY - 0.001)
        accuracy = (80 * math.exp(-distance) + 0.1 * (cfg.SOLVER.SEED % 5)) * epoch / cfg.SOLVER.MAX_EPOCHS
        print(f"Epoch[{epoch}] Loss: {1 / epoch:.3f}, Base Lr: {cfg.SOLVER.BASE_LR:.2e}", flush=True)
        print(f"Validation: accuracy {accuracy:.2f}%", flush=True)
        with open(os.path.join(cfg.OUTPUT_DIR, "model.ckpt"), "w") as file:
            file.write(f"{epoch} {accuracy}\n")


if __name__ == "__main__":
    main()
