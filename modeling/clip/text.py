"""CLIP's text encoder for one sentence, some of whose words are learnt for each identity (Li et al., AAAI 2023).

The sentence is "A photo of a X X X X person." Each X stands for a token that is learnt. The ids of the other tokens are those
of CLIP's byte-pair table (openai/CLIP), and the embeddings of those alone are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modeling.clip.transformer import HEAD_WIDTH, Transformer

LEARNT = 4  # tokens of an identity
# Token ids of what stands before the learnt tokens (the start, "a photo of a") and behind the noun (the full stop, the end).
BEFORE, BEHIND = (49406, 320, 1125, 539, 320), (269, 49407)
# Token ids of the nouns, by MODEL.PROMPT_NOUN.
NOUNS: dict[str, int] = {"person": 2533, "vehicle": 5299}
LENGTH = len(BEFORE) + LEARNT + 1 + len(BEHIND)  # tokens of the sentence


@dataclass(frozen=True)
class TextShape:
    """Sizes of a text encoder: channels and blocks of its transformer, and length of its features."""

    width: int
    layers: int
    features: int


class TextEncoder(nn.Module):
    """Text encoder from embedded tokens [B, LENGTH, width] to features [B, D] of the sentence; names are CLIP's.

    A sentence's feature is read at its end, and a token sees only what is before it. CLIP fills sentences up to 77 tokens
    behind the end, which changes no feature: here they are left out.
    """

    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        self.transformer = Transformer(shape.width, shape.layers, max(1, shape.width // HEAD_WIDTH), causal=True)
        self.positional_embedding = nn.Parameter(torch.empty(LENGTH, shape.width))
        self.ln_final = nn.LayerNorm(shape.width)
        self.text_projection = nn.Parameter(torch.empty(shape.width, shape.features))
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=shape.width**-0.5)

    def forward(self, embedded: Tensor) -> Tensor:
        tokens = self.transformer(embedded + self.positional_embedding)
        features: Tensor = self.ln_final(tokens[:, -1]) @ self.text_projection
        return features


class PromptLearner(nn.Module):
    """Sentence of each identity: fixed embeddings around LEARNT tokens of its own; names are CLIP-ReID's.

    Args:
        num_classes: identities.
        width: of the embeddings.
    """

    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__()
        self.cls_ctx = nn.Parameter(torch.empty(num_classes, LEARNT, width))
        nn.init.normal_(self.cls_ctx, std=0.02)
        self.register_buffer("token_prefix", torch.randn(1, len(BEFORE), width) * 0.02)
        self.register_buffer("token_suffix", torch.randn(1, 1 + len(BEHIND), width) * 0.02)

    def forward(self, pids: Tensor) -> Tensor:
        """Embeds the sentences [B, LENGTH, width] of identities [B]."""
        batch = len(pids)
        return torch.cat(
            [
                self.token_prefix.expand(batch, -1, -1),  # type: ignore[operator]
                self.cls_ctx[pids],
                self.token_suffix.expand(batch, -1, -1),  # type: ignore[operator]
            ],
            1,
        )


def text_weights(weights: Mapping[str, Tensor], noun: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Takes what the sentence needs out of CLIP's state dict.

    Args:
        weights: CLIP's, with both encoders.
        noun: one of NOUNS.
    Returns:
        The state dict of a `TextEncoder`, and that of a `PromptLearner` without its learnt tokens; float32.
    Raises:
        KeyError: a tensor is missing; its name.
    """
    table = weights["token_embedding.weight"]
    encoder = {name: value.float() for name, value in weights.items() if name.startswith("transformer.")}
    encoder |= {name: weights[name].float() for name in ("ln_final.weight", "ln_final.bias", "text_projection")}
    encoder["positional_embedding"] = weights["positional_embedding"][:LENGTH].float()
    sentence = {
        "token_prefix": table[list(BEFORE)].float()[None],
        "token_suffix": table[[NOUNS[noun], *BEHIND]].float()[None],
    }
    return encoder, sentence
