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
# What the erased box is filled with: mean (of each channel) or noise (normal, of variance 1 after normalisation, as timm's
# mode pixel, which TransReID, CLIP-ReID and SOLIDER-REID use).
INPUT.RE_VALUE = "mean"
# Transforms before mirror, crop and erasing, in this order, each with its own probability: random_patch, autoaugment,
# color_jitter, affine, augmix, or FILE.py:NAME for your own. Text is one name, or several with commas.
INPUT.TRANSFORMS = ("random_patch", "autoaugment", "color_jitter", "affine", "augmix")
# Probability of pasting a box of another training image.
INPUT.RPT_PROB = 0.0
# Least and largest share of the image's area that is pasted.
INPUT.RPT_AREA = (0.01, 0.5)
# Least aspect ratio (height to width) of the pasted box; the largest is its inverse.
INPUT.RPT_ASPECT = 0.1
# Probability of AutoAugment, with the policy found on ImageNet.
INPUT.AUTOAUG_PROB = 0.0
# Probability of colour jitter.
INPUT.CJ_PROB = 0.0
# Of colour jitter: brightness is multiplied by 1 ± this.
INPUT.CJ_BRIGHTNESS = 0.15
# Of colour jitter: contrast is multiplied by 1 ± this.
INPUT.CJ_CONTRAST = 0.15
# Of colour jitter: saturation is multiplied by 1 ± this.
INPUT.CJ_SATURATION = 0.1
# Of colour jitter: the hue is turned by ± this share of the colour circle.
INPUT.CJ_HUE = 0.1
# Probability of a random affine transform.
INPUT.AFFINE_PROB = 0.0
# Of the affine transform: turned by ± this, in degrees.
INPUT.AFFINE_DEGREES = 10.0
# Of the affine transform: shifted by ± this share of width and height.
INPUT.AFFINE_TRANSLATE = 0.0
# Of the affine transform: least and largest factor of the content's size.
INPUT.AFFINE_SCALE = (0.9, 1.1)
# Of the affine transform: sheared by ± this, in degrees.
INPUT.AFFINE_SHEAR = 0.1
# Probability of AugMix, which mixes an image with changed copies of itself.
INPUT.AUGMIX_PROB = 0.0
# Of AugMix: largest level of an operation, of 10.
INPUT.AUGMIX_SEVERITY = 1.0
# Of AugMix: chains of operations that are mixed.
INPUT.AUGMIX_WIDTH = 3
# Of AugMix: operations in a chain; 0: 1 to 3 at random.
INPUT.AUGMIX_DEPTH = 1
# Of AugMix: parameter of the distributions of the mixing weights; the larger, the more even.
INPUT.AUGMIX_ALPHA = 0.1
# Mean of the red, green and blue channel, for pixel values in 0..1.
INPUT.PIXEL_MEAN = (0.485, 0.456, 0.406)
# Standard deviation of the red, green and blue channel, for pixel values in 0..1.
INPUT.PIXEL_STD = (0.229, 0.224, 0.225)
# Pixels of padding on each side before the random crop in training.
INPUT.PADDING = 10

CHOICES: dict[str, tuple[object, ...]] = {
    "INPUT.INTERPOLATION": ("bilinear", "bicubic"),
    "INPUT.RE_VALUE": ("mean", "noise"),
}
BOUNDS: dict[str, tuple[float, float]] = {
    "INPUT.SIZE_TRAIN": (1, inf),
    "INPUT.SIZE_TEST": (1, inf),
    "INPUT.PROB": (0, 1),
    "INPUT.RE_PROB": (0, 1),
    "INPUT.RE_AREA": (0, 1),
    "INPUT.RE_ASPECT": (0.001, 1),
    "INPUT.RPT_PROB": (0, 1),
    "INPUT.RPT_AREA": (0, 1),
    "INPUT.RPT_ASPECT": (0.001, 1),
    "INPUT.AUTOAUG_PROB": (0, 1),
    "INPUT.CJ_PROB": (0, 1),
    "INPUT.CJ_BRIGHTNESS": (0, 1),
    "INPUT.CJ_CONTRAST": (0, 1),
    "INPUT.CJ_SATURATION": (0, 1),
    "INPUT.CJ_HUE": (0, 0.5),
    "INPUT.AFFINE_PROB": (0, 1),
    "INPUT.AFFINE_DEGREES": (0, 180),
    "INPUT.AFFINE_TRANSLATE": (0, 1),
    "INPUT.AFFINE_SCALE": (0.1, 10),
    "INPUT.AFFINE_SHEAR": (0, 80),
    "INPUT.AUGMIX_PROB": (0, 1),
    "INPUT.AUGMIX_SEVERITY": (0.1, 10),
    "INPUT.AUGMIX_WIDTH": (1, 10),
    "INPUT.AUGMIX_DEPTH": (0, 10),
    "INPUT.AUGMIX_ALPHA": (0.001, 1000),
    "INPUT.PIXEL_MEAN": (0, 1),
    "INPUT.PIXEL_STD": (1e-6, inf),
    "INPUT.PADDING": (0, inf),
}
ANY_LENGTH: frozenset[str] = frozenset({"INPUT.TRANSFORMS"})
