"""Identity losses: cross entropy of logits, or of cosines with an angular margin."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from yacs.config import CfgNode


class Softmax:
    """Cross entropy of logits, with label smoothing where MODEL.IF_LABELSMOOTH is on."""

    takes_cosines = False

    def __init__(self, cfg: CfgNode, num_classes: int = 0, channels: int = 0) -> None:
        self.smoothing = float(cfg.MODEL.LABEL_SMOOTHING) if cfg.MODEL.IF_LABELSMOOTH == "on" else 0.0

    def __call__(self, scores: Tensor, features: Tensor, pids: Tensor) -> Tensor:
        """Computes the scalar loss of logits [B, num_classes] of classes [B]."""
        # F.cross_entropy smooths by epsilon / C, as the Bag of Tricks does.
        return F.cross_entropy(scores, pids, label_smoothing=self.smoothing)


class _MarginSoftmax(Softmax):
    """Cross entropy of cosines with an angular margin; subclasses say which one."""

    takes_cosines = True
    kind = ""

    def __init__(self, cfg: CfgNode, num_classes: int = 0, channels: int = 0) -> None:
        super().__init__(cfg)
        self.margin, self.scale = float(cfg.SOLVER.COSINE_MARGIN), float(cfg.SOLVER.COSINE_SCALE)

    def __call__(self, scores: Tensor, features: Tensor, pids: Tensor) -> Tensor:
        """Computes the scalar loss of cosines [B, num_classes] of classes [B]."""
        return super().__call__(margin_logits(self.kind, scores, pids, self.margin, self.scale), features, pids)


class CosFace(_MarginSoftmax):
    """Large-margin cosine loss (Wang et al., CVPR 2018)."""

    kind = "cosface"


class ArcFace(_MarginSoftmax):
    """Additive angular margin loss (Deng et al., CVPR 2019)."""

    kind = "arcface"


class CircleSoftmax(_MarginSoftmax):
    """Circle loss with class-level labels (Sun et al., CVPR 2020)."""

    kind = "circle"


def margin_logits(kind: str, cosines: Tensor, pids: Tensor, margin: float, scale: float) -> Tensor:
    """Computes the logits [B, C] of a softmax with an angular margin.

    Args:
        kind: cosface (Wang et al., CVPR 2018: cos - m), arcface (Deng et al., CVPR 2019: cos(angle + m), carried on
            linearly where angle + m would pass pi) or circle (Sun et al., CVPR 2020, class-level labels).
        cosines: of features to class directions [B, C].
        pids: the classes [B]; only their columns get the margin (circle weighs all columns).
        margin: m, in radians for arcface.
        scale: of the logits.
    """
    if kind == "circle":
        target = F.one_hot(pids, cosines.shape[1]).bool()
        positive = (1 + margin - cosines.detach()).clamp(min=0) * (cosines - (1 - margin))
        negative = (cosines.detach() + margin).clamp(min=0) * (cosines - margin)
        return scale * torch.where(target, positive, negative)
    of_class = cosines.gather(1, pids[:, None])
    if kind == "cosface":
        changed = of_class - margin
    else:
        sine = (1 - of_class.pow(2)).clamp(min=1e-12).sqrt()
        turned = of_class * math.cos(margin) - sine * math.sin(margin)
        changed = torch.where(of_class > -math.cos(margin), turned, of_class - margin * math.sin(margin))
    return scale * cosines.scatter(1, pids[:, None], changed)
