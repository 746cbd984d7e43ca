"""Tables of names: one module for a family of files, all of them listed here.

Of two tables whose results fit a network equally well, the first counts.
"""

from __future__ import annotations

from modeling.weights.rules import Format
from modeling.weights.tables.bare import BACKBONE, DINO, MOCO, TIMM
from modeling.weights.tables.clip import CLIP, CLIP_REID
from modeling.weights.tables.reid import (
    CENTROIDS,
    FAST_REID,
    FAST_REID_MGN,
    OURS,
    STRONG_BASELINE,
    SURVEY,
    TORCHREID,
    TRANSREID,
)
from modeling.weights.tables.swin import SOLIDER, SOLIDER_REID, SWIN, SWIN_TIMM

FORMATS: tuple[Format, ...] = (
    OURS,
    *(BACKBONE, TIMM, MOCO, DINO, CLIP, SWIN, SWIN_TIMM, SOLIDER),
    *(STRONG_BASELINE, TRANSREID, FAST_REID, FAST_REID_MGN, SURVEY, CENTROIDS, TORCHREID, CLIP_REID, SOLIDER_REID),
)
