"""First stage of CLIP-ReID: a sentence for each identity is learnt (Li et al., AAAI 2023)."""

from __future__ import annotations

import torch
from torch import Tensor
from yacs.config import CfgNode

from modeling.clip.text import PromptLearner, TextEncoder, TextShape, text_weights
from modeling.model import ReIDModel
from modeling.precision import PRECISIONS, autocast, full_precision
from modeling.preparation import Preparation
from modeling.weights.files import read_state_dict
from utils.errors import ConfigError

_BATCH = 256  # sentences encoded together at the end


class PromptStage(Preparation):
    """Stage in which each identity's sentence learns to fit its images, and nothing else: both encoders stay.

    Args:
        cfg: the configuration.
        num_classes: identities.
        shape: of the text encoder.
    """

    def __init__(self, cfg: CfgNode, num_classes: int, shape: TextShape) -> None:
        super().__init__()
        self.autocast = PRECISIONS[cfg.MODEL.PRECISION]
        self.num_classes = num_classes
        self.prompt_learner = PromptLearner(num_classes, shape.width)
        self.text_encoder = TextEncoder(shape).requires_grad_(False)

    def load_clip(self, path: str, noun: str) -> None:
        """Loads the weights of CLIP's text encoder.

        Args:
            path: a file with CLIP's state dict.
            noun: what the images show, one of `modeling.clip.text.NOUNS`.
        Raises:
            ConfigError: the file holds no text encoder, or one of other sizes.
        """
        try:
            encoder, sentence = text_weights(read_state_dict(path), noun)
            self.text_encoder.load_state_dict(encoder)
            learnt = {"cls_ctx": self.prompt_learner.cls_ctx.detach()}
            self.prompt_learner.load_state_dict({**sentence, **learnt})
        except KeyError as error:
            raise ConfigError(
                f"MODEL.PRETRAIN_PATH: {path} holds no text encoder of CLIP's, which MODEL.HEAD clip_reid learns with:"
                f" {error.args[0]} is missing; MODEL.HEAD clip needs none"
            ) from None
        except RuntimeError as error:  # of load_state_dict; its first line names the module alone
            reason = " ".join(str(error).split()[:40])
            raise ConfigError(
                f"MODEL.PRETRAIN_PATH: the text encoder of {path} does not fit this network's: {reason}"
            ) from None

    def encode(self, model: ReIDModel, images: Tensor) -> Tensor:
        with autocast(images, self.autocast):
            return full_precision(model.base.project(images))  # type: ignore[operator]

    def text_features(self, pids: Tensor) -> Tensor:
        """Computes the features [B, D] of the sentences of identities [B], float32."""
        sentences = self.prompt_learner(pids)
        with autocast(sentences, self.autocast):
            return full_precision(self.text_encoder(sentences))

    def loss(self, features: Tensor, pids: Tensor) -> Tensor:
        texts = self.text_features(pids)
        same = pids[:, None] == pids[None, :]
        return contrastive_loss(features, texts, same) + contrastive_loss(texts, features, same)

    @torch.no_grad()
    def finish(self, model: ReIDModel) -> None:
        pids = torch.arange(self.num_classes, device=self.prompt_learner.cls_ctx.device)
        features = torch.cat([self.text_features(part) for part in torch.split(pids, _BATCH)])
        model.classifier_text.weight.copy_(features)  # type: ignore[operator,union-attr]


def contrastive_loss(anchors: Tensor, others: Tensor, same: Tensor) -> Tensor:
    """Computes the contrastive loss of anchors among others, whose similarity is the plain dot product, mean over anchors.

    Args:
        anchors: [A, D].
        others: [B, D].
        same: whether an anchor and another are of one identity [A, B]; each anchor has at least one such.
    Returns:
        A scalar: of each anchor, the mean over its identity's others of minus the logarithm of their share in the softmax
        over all others.
    Source:
        Li et al., AAAI 2023, losses of the first stage; Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020.
    """
    logarithms = (anchors @ others.t()).log_softmax(1)
    return -(logarithms.masked_fill(~same, 0).sum(1) / same.sum(1)).mean()
