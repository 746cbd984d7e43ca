"""Options only; writes its metrics to a file of the launcher's own name in its output folder."""

import argparse
import json
import os

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--hidden-size", type=int, default=8)
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--out", required=True)
args = parser.parse_args()
with open(os.path.join(args.out, "metrics.jsonl"), "w") as file:
    for epoch in range(1, args.epochs + 1):
        rmse = abs(args.lr - 0.03) + 1 / args.hidden_size
        file.write(json.dumps({"epoch": epoch, "valid": {"rmse": rmse}, "note": "one"}) + "\n")
        file.flush()
        print("epoch %d done" % epoch, flush=True)
