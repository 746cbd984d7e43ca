"""Linear classifier of drawn 8 x 8 images, configured by YACS: train.py --cfg FILE KEY VALUE KEY VALUE ..."""

import argparse
import os

import numpy as np
from config import _C as config


def images(number, rng):
    """A horizontal bar, a vertical bar, a cross or a frame, somewhere in noise."""
    label = rng.integers(0, 4, number)
    drawn = rng.normal(0, config.DATASET.NOISE, (number, 8, 8))
    for image, kind in zip(drawn, label):
        row, column = rng.integers(2, 6, 2)
        image[row, :] += kind in (0, 2)
        image[:, column] += kind in (1, 2)
        if kind == 3:
            image[[0, -1], :] += 1
            image[:, [0, -1]] += 1
    return np.c_[drawn.reshape(number, -1), np.abs(drawn.sum(1)), np.abs(drawn.sum(2))], label


def softmax(scores):
    e = np.exp(scores - scores.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg", default="", help="configuration file")
    parser.add_argument("opts", nargs=argparse.REMAINDER, help="KEY VALUE pairs")
    args = parser.parse_args()
    if args.cfg:
        config.merge_from_file(args.cfg)
    config.merge_from_list(args.opts)
    config.freeze()
    os.makedirs(config.OUTPUT_DIR, exist_ok=True)

    x, y = images(config.DATASET.TRAIN_IMAGES, np.random.default_rng(1))
    x_test, y_test = images(1000, np.random.default_rng(2))
    rng = np.random.default_rng(config.SEED)
    weights, velocity = np.zeros((x.shape[1], 4)), 0.0
    for epoch in range(config.TRAIN.END_EPOCH):
        for batch in np.array_split(rng.permutation(len(x)), len(x) // config.TRAIN.BATCH_SIZE_PER_GPU):
            error = softmax(x[batch] @ weights) - np.eye(4)[y[batch]]
            gradient = x[batch].T @ error / len(batch) + config.TRAIN.WD * weights
            velocity = config.TRAIN.MOMENTUM * velocity - config.TRAIN.LR * gradient
            weights = weights + velocity
        loss = -np.mean(np.log(softmax(x @ weights)[np.arange(len(x)), y] + 1e-9))
        accuracy = np.mean(np.argmax(x_test @ weights, 1) == y_test)
        print(f"Epoch: [{epoch}]\tLoss {loss:.5f}\tLR {config.TRAIN.LR}")
        print(f"=> test_accuracy {accuracy:.4f}", flush=True)
        np.save(os.path.join(config.OUTPUT_DIR, "weights.npy"), weights)


if __name__ == "__main__":
    main()
