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
# Which gallery images count: cross_camera (Market-1501's protocol and everybody's), single_gallery_shot (CUHK03's
# old one: CMC with one random image of each gallery identity) or image_to_track (VeRi-776's: CMC over tracks).
TEST.PROTOCOL = "cross_camera"
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
    "TEST.PROTOCOL": ("cross_camera", "single_gallery_shot", "image_to_track"),
    "TEST.RE_RANKING": ("yes", "no"),
}
BOUNDS: dict[str, tuple[float, float]] = {
    "TEST.IMS_PER_BATCH": (1, inf),
    "TEST.RE_RANKING_K1": (1, inf),
    "TEST.RE_RANKING_K2": (1, inf),
    "TEST.RE_RANKING_LAMBDA": (0, 1),
    "TEST.QUERY_EXPANSION_K": (0, inf),
    "TEST.QUERY_EXPANSION_ALPHA": (0, inf),
}
