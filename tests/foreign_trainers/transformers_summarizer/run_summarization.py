"""Logs as transformers' Trainer does: Python dictionaries on stdout, a progress bar on stderr."""

import argparse
import sys

parser = argparse.ArgumentParser()
parser.add_argument("--learning_rate", type=float, default=5e-5)
parser.add_argument("--num_train_epochs", type=float, default=2)
parser.add_argument("--output_dir", required=True)
args = parser.parse_args()
for epoch in range(1, int(args.num_train_epochs) + 1):
    sys.stderr.write("\r %d%%|####      | %d/4 [00:01<00:01, 1.00it/s]" % (25 * epoch, epoch))
    sys.stderr.flush()
    sys.stderr.write("\r")
    sys.stderr.flush()
    logs = {"loss": 0.5 / epoch, "grad_norm": float("nan"), "learning_rate": args.learning_rate}
    print(dict(logs, epoch=float(epoch)), flush=True)
    rouge = 40 - abs(args.learning_rate - 2e-05) * 1e6
    print({"eval_loss": 0.6, "eval_rougeL": rouge, "eval_runtime": 1.5, "epoch": float(epoch)}, flush=True)
