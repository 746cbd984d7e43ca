"""Logistic regression on drawn customers that saves its state and goes on from it: what a job with a time limit wants."""

import argparse
import os

import numpy as np


def customers(number, seed):
    """Forty properties, of which eight say whether somebody buys."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(number, 40))
    truth = np.r_[np.linspace(2, 0.5, 8), np.zeros(32)]
    return x, rng.random(number) < 1 / (1 + np.exp(-x @ truth))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--l1", type=float, default=0.0, help="how strongly weights are drawn to zero")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--output-dir", default="output")
    parser.add_argument("--resume", action="store_true", help="go on from the state in --output-dir")
    args = parser.parse_args()
    os.makedirs(args.output_dir, exist_ok=True)
    checkpoint = os.path.join(args.output_dir, "checkpoint.npz")

    x, y = customers(150, seed=1)
    x_val, y_val = customers(2000, seed=2)
    weights, start = np.zeros(x.shape[1]), 0
    if args.resume:
        state = np.load(checkpoint)
        weights, start = state["weights"], int(state["epoch"])
    for epoch in range(start + 1, args.epochs + 1):
        p = 1 / (1 + np.exp(-x @ weights))
        weights = weights - args.learning_rate * x.T @ (p - y) / len(x)
        weights = np.sign(weights) * np.maximum(np.abs(weights) - args.learning_rate * args.l1, 0)
        if epoch % 20 == 0:
            p = 1 / (1 + np.exp(-x_val @ weights))
            loss = -np.mean(np.log(np.where(y_val, p, 1 - p) + 1e-9))
            print(f"epoch {epoch} val_loss {loss:.4f} used {np.sum(weights != 0)} of 40", flush=True)
            np.savez(checkpoint + ".part.npz", weights=weights, epoch=epoch)
            os.replace(checkpoint + ".part.npz", checkpoint)


if __name__ == "__main__":
    main()
