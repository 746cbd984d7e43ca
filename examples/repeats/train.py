"""A network with dropout learns from eighty noisy points: what it reaches depends on the seed."""

import argparse

import numpy as np


def rings(number, rng):
    """Inside, or outside, a wavy circle."""
    points = rng.normal(0, 1, (number, 2))
    radius, angle = np.hypot(*points.T), np.arctan2(*points.T)
    return points, (radius + rng.normal(0, 0.15, number) > 1.1 + 0.3 * np.sin(3 * angle)).astype(float)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--hidden", type=int, default=16)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="of the weights, of dropout and of the training points")
    args = parser.parse_args()

    rng = np.random.default_rng(args.seed)
    x, y = rings(80, rng)
    x_val, y_val = rings(2000, np.random.default_rng(12345))
    w1, b1 = rng.normal(0, 1.5, (2, args.hidden)), rng.normal(0, 1, args.hidden)
    w2, b2 = rng.normal(0, 1 / np.sqrt(args.hidden), args.hidden), 0.0
    for epoch in range(1, args.epochs + 1):
        keep = (rng.random((len(x), args.hidden)) >= args.dropout) / (1 - args.dropout)
        active = x @ w1 + b1 > 0
        hidden = (x @ w1 + b1) * active * keep
        error = (1 / (1 + np.exp(-(hidden @ w2 + b2))) - y) / len(x)
        back = np.outer(error, w2) * active * keep
        w1, b1 = w1 - args.lr * x.T @ back, b1 - args.lr * back.sum(0)
        w2, b2 = w2 - args.lr * hidden.T @ error, b2 - args.lr * error.sum()
        if epoch % 100 == 0:
            score = np.maximum(x_val @ w1 + b1, 0) @ w2 + b2
            print(f"epoch {epoch}: val_accuracy = {100 * np.mean((score > 0) == y_val):.2f}%", flush=True)


if __name__ == "__main__":
    main()
