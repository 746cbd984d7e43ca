"""Table of the random transforms beyond mirror, crop and erasing: a name to the function that builds one.

Imports no array library, so that settings are checked at once.
"""

from __future__ import annotations

from utils.families import Family

# Each builder takes the configuration and returns a RandomTransform (`data/transforms/base.py`).
TRANSFORMS = Family(
    {
        "random_patch": "data.transforms.random_patch:build_random_patch",
        "autoaugment": "data.transforms.autoaugment:build_autoaugment",
        "color_jitter": "data.transforms.color_jitter:build_color_jitter",
        "affine": "data.transforms.affine:build_affine",
        "augmix": "data.transforms.augmix:build_augmix",
    }
)
# The keys with the probability of each, which is 0 where it is not to be applied.
PROBABILITIES = {
    "random_patch": "RPT_PROB",
    "autoaugment": "AUTOAUG_PROB",
    "color_jitter": "CJ_PROB",
    "affine": "AFFINE_PROB",
    "augmix": "AUGMIX_PROB",
}
