"""A network with one hidden layer learns two half moons: a plain script with argparse that prints its progress."""

import argparse

import numpy as np


def half_moons(number, rng):
    angle = rng.uniform(0, np.pi, number)
    label = rng.integers(0, 2, number)
    points = np.stack([np.cos(angle) + label, np.sin(angle) * (1 - 2 * label) + label / 2], axis=1)
    return points + rng.normal(0, 0.2, points.shape), label


def probability(x, w1, b1, w2, b2):
    hidden = np.tanh(x @ w1 + b1)
    return hidden, 1 / (1 + np.exp(-(hidden @ w2 + b2)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--hidden", type=int, default=4, help="units of the hidden layer")
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    x, y = half_moons(500, np.random.default_rng(1))
    x_val, y_val = half_moons(1000, np.random.default_rng(2))
    rng = np.random.default_rng(args.seed)
    weights = [rng.normal(0, 1, (2, args.hidden)), np.zeros(args.hidden), rng.normal(0, 1, args.hidden), np.zeros(1)]
    for epoch in range(1, args.epochs + 1):
        losses = []
        for batch in np.array_split(rng.permutation(len(x)), len(x) // args.batch_size):
            hidden, p = probability(x[batch], *weights)
            losses.append(-np.mean(np.log(np.where(y[batch] == 1, p, 1 - p) + 1e-9)))
            error = (p - y[batch]) / len(batch)
            back = np.outer(error, weights[2]) * (1 - hidden**2)
            gradients = [x[batch].T @ back, back.sum(0), hidden.T @ error, error.sum(keepdims=True)]
            weights = [w - args.lr * (g + args.weight_decay * w) for w, g in zip(weights, gradients)]
        accuracy = np.mean((probability(x_val, *weights)[1] > 0.5) == y_val)
        print(f"epoch {epoch}: train loss {np.mean(losses):.4f}, val accuracy {accuracy:.4f}", flush=True)


if __name__ == "__main__":
    main()
