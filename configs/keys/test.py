"""Keys of the evaluation."""

from __future__ import annotations

from math import inf

from yacs.config import CfgNode as CN

TEST = CN()
# Images in an evaluation batch.
TEST.IMS_PER_BATCH = 128
# Features that are compared: after the neck or before it.
TEST.NECK_FEAT = "after"
# Scale features to unit length before comparing them: yes or no.
TEST.FEAT_NORM = "yes"
# Average the features of an image and of its mirror image.
TEST.FLIP = False
# Which gallery images count: auto (the data set's own protocol: random_gallery for VehicleID, clothes_changing for LTCC,
# cross_camera for the others), cross_camera (Market-1501's), clothes_changing (besides, no match in the same clothes),
# single_gallery_shot (CUHK03's old one: CMC with one random image of each gallery identity), image_to_track (VeRi-776's:
# CMC over tracks) or random_gallery (VehicleID's: one random image of each identity is the gallery, all others are queries).
TEST.PROTOCOL = "auto"
# Of random_gallery: draws of a gallery that results are averaged over.
TEST.GALLERY_DRAWS = 10
# Re-rank with k-reciprocal neighbours: yes or no.
TEST.RE_RANKING = "no"
# Of re-ranking: neighbours that must be mutual (k1).
TEST.RE_RANKING_K1 = 20
# Of re-ranking: nearest images whose weights are averaged (k2); 1: none.
TEST.RE_RANKING_K2 = 6
# Of re-ranking: weight of the original distance (lambda).
TEST.RE_RANKING_LAMBDA = 0.3
# Expand each query by its nearest gallery images, this many; 0: do not.
TEST.QUERY_EXPANSION_K = 0
# Power of the cosine similarity that weights them.
TEST.QUERY_EXPANSION_ALPHA = 3.0
# Weights that tools/test.py and tools/extract.py read where their command line names none; best: OUTPUT_DIR/best.pth.
TEST.WEIGHT = ""

CHOICES: dict[str, tuple[object, ...]] = {
    "TEST.NECK_FEAT": ("after", "before"),
    "TEST.FEAT_NORM": ("yes", "no"),
    "TEST.PROTOCOL": (
        *("auto", "cross_camera", "clothes_changing", "single_gallery_shot", "image_to_track", "random_gallery"),
    ),
    "TEST.RE_RANKING": ("yes", "no"),
}
BOUNDS: dict[str, tuple[float, float]] = {
    "TEST.IMS_PER_BATCH": (1, inf),
    "TEST.GALLERY_DRAWS": (1, inf),
    "TEST.RE_RANKING_K1": (1, inf),
    "TEST.RE_RANKING_K2": (1, inf),
    "TEST.RE_RANKING_LAMBDA": (0, 1),
    "TEST.QUERY_EXPANSION_K": (0, inf),
    "TEST.QUERY_EXPANSION_ALPHA": (0, inf),
}
