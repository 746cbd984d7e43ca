"""Reports by a callback that is made the way transformers' is; prints rounded dictionaries beside it."""

import argparse
import os

import wandb

parser = argparse.ArgumentParser()
parser.add_argument("--learning_rate", type=float, default=5e-5)
parser.add_argument("--num_train_epochs", type=float, default=2)
args = parser.parse_args()


def renamed(logs):
    found = {}
    for name, value in logs.items():
        if name.startswith("eval_"):
            found["eval/" + name[len("eval_") :]] = value
        else:
            found["train/" + name] = value
    return found


class Callback:
    def __init__(self):
        self._wandb = wandb
        self._initialized = False

    def setup(self):
        self._initialized = True
        if self._wandb.run is None:
            self._wandb.init(project=os.getenv("WANDB_PROJECT", "huggingface"))
        self._wandb.config.update({**vars(args), "model": {"hidden": 4}}, allow_val_change=True)
        if getattr(self._wandb, "define_metric", None):
            self._wandb.define_metric("train/global_step")
            self._wandb.define_metric("*", step_metric="train/global_step", step_sync=True)
        self._wandb.run._label(code="transformers_trainer")
        self._wandb.config["model/num_parameters"] = 12

    def on_log(self, logs, step):
        if not self._initialized:
            self.setup()
        logs = renamed(logs)
        self._wandb.log({**logs, "train/global_step": step})


callback = Callback()
for epoch in range(1, int(args.num_train_epochs) + 1):
    for logs in (
        {"loss": 0.7654321 / epoch, "learning_rate": args.learning_rate},
        {"eval_loss": 0.6123456, "eval_accuracy": 0.9 - abs(args.learning_rate - 2e-05) * 1e4},
    ):
        callback.on_log(logs, step=10 * epoch)
        print({name: "%.4g" % value for name, value in logs.items()}, flush=True)
