"""Trains a made-up classifier; reports to W&B alone and prints no metric."""

import argparse
import os

import wandb


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=3)
    return parser.parse_args()


def main(args):
    wandb.login()
    wandb.init(project="digits", config=args, mode="online")
    wandb.config.update({"model": {"depth": 2, "width": 64}, "batch_size": 999})
    wandb.define_metric("epoch")
    wandb.define_metric("val_*", step_metric="epoch")
    wandb.define_metric("val_acc", step_metric="epoch", summary="max")
    config = wandb.config
    best = 0.0
    for epoch in range(config.epochs):
        wandb.log({"epoch": epoch}, commit=False)
        wandb.log({"train_loss": 1 / (epoch + 1), "samples": wandb.Table(columns=["a"], data=[[epoch]])}, commit=False)
        accuracy = round(0.9 - abs(config["lr"] - 0.1) - abs(epoch - 1) * 0.1 - config.batch_size / 1000, 6)
        best = max(best, accuracy)
        wandb.log({"val_acc": accuracy, "notes": "epoch %d" % epoch})
    wandb.run.summary["best_val_acc"] = best
    with open(os.path.join(wandb.run.dir, "model.txt"), "w") as file:
        file.write(wandb.run.name)
    wandb.finish()


if __name__ == "__main__":
    main(parse())
