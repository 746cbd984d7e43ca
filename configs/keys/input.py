"""Keys of the images: sizes, augmentation and normalisation."""

from __future__ import annotations

from math import inf

from yacs.config import CfgNode as CN

INPUT = CN()
# Height and width in pixels that images are resized to for training.
INPUT.SIZE_TRAIN = (256, 128)
# Height and width in pixels that images are resized to for evaluation.
INPUT.SIZE_TEST = (256, 128)
# Resizing to those sizes, both averaging over what is made smaller: bilinear or bicubic.
INPUT.INTERPOLATION = "bilinear"
# Probability of a horizontal flip in training.
INPUT.PROB = 0.5
# Probability of random erasing in training.
INPUT.RE_PROB = 0.5
# Least and largest share of the image's area that random erasing erases.
INPUT.RE_AREA = (0.02, 0.4)
# Least aspect ratio (height to width) of the erased box; the largest is its inverse. 1: squares.
INPUT.RE_ASPECT = 0.3
# Mean of the red, green and blue channel, for pixel values in 0..1.
INPUT.PIXEL_MEAN = (0.485, 0.456, 0.406)
# Standard deviation of the red, green and blue channel, for pixel values in 0..1.
INPUT.PIXEL_STD = (0.229, 0.224, 0.225)
# Pixels of padding on each side before the random crop in training.
INPUT.PADDING = 10

CHOICES: dict[str, tuple[object, ...]] = {
    "INPUT.INTERPOLATION": ("bilinear", "bicubic"),
}
BOUNDS: dict[str, tuple[float, float]] = {
    "INPUT.SIZE_TRAIN": (1, inf),
    "INPUT.SIZE_TEST": (1, inf),
    "INPUT.PROB": (0, 1),
    "INPUT.RE_PROB": (0, 1),
    "INPUT.RE_AREA": (0, 1),
    "INPUT.RE_ASPECT": (0.001, 1),
    "INPUT.PIXEL_MEAN": (0, 1),
    "INPUT.PIXEL_STD": (1e-6, inf),
    "INPUT.PADDING": (0, inf),
}
