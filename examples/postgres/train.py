"""Boosted stumps (trees of one question) learn a bumpy curve. Standard library alone."""

import argparse
import math
import random


def curve(number, seed):
    draw = random.Random(seed)
    points = sorted(draw.uniform(0, 6) for _ in range(number))
    return points, [math.sin(2 * x) + x / 3 + draw.gauss(0, 0.3) for x in points]


def stump(x, left_over):
    """Threshold and the means of both sides with the least squared error; x is sorted."""
    total, left, best = sum(left_over), 0.0, (-1.0, 0.0, 0.0, 0.0)
    for i in range(1, len(x)):
        left += left_over[i - 1]
        right = total - left
        gain = left**2 / i + right**2 / (len(x) - i)
        best = max(best, (gain, (x[i - 1] + x[i]) / 2, left / i, right / (len(x) - i)))
    return best[1:]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shrinkage", type=float, default=0.1, help="how much of each stump is believed")
    parser.add_argument("--stumps", type=int, default=50)
    parser.add_argument("--subsample", type=float, default=1.0, help="part of the points that a stump sees")
    args = parser.parse_args()
    draw = random.Random(0)
    x, y = curve(200, 1)
    x_val, y_val = curve(500, 2)
    guess, guess_val = [0.0] * len(x), [0.0] * len(x_val)
    for number in range(1, args.stumps + 1):
        seen = sorted(draw.sample(range(len(x)), max(2, int(args.subsample * len(x)))))
        threshold, low, high = stump([x[i] for i in seen], [y[i] - guess[i] for i in seen])
        for points, values in ((x, guess), (x_val, guess_val)):
            for i, point in enumerate(points):
                values[i] += args.shrinkage * (low if point < threshold else high)
        if number % 10 == 0 or number == args.stumps:
            error = math.sqrt(sum((a - b) ** 2 for a, b in zip(y_val, guess_val)) / len(y_val))
            print(f"step {number}: val_rmse={error:.4f}", flush=True)


if __name__ == "__main__":
    main()
