"""Names of CLIP's networks (openai/CLIP), and of CLIP-ReID's (Syliz517/CLIP-ReID), whose image encoder is CLIP's."""

from __future__ import annotations

from torch import Tensor, nn

from modeling.clip.images import resize_positions
from modeling.weights.rules import Change, Format, Rule, left_out


def _to_grid(positions: Tensor, _wanted: Tensor, backbone: nn.Module) -> Tensor:
    """Resizes position embeddings of a square grid to a backbone's; those that are of its grid already stay."""
    grid: tuple[int, int] = backbone.grid  # type: ignore[assignment]
    side = round((len(positions) - 1) ** 0.5)
    if len(positions) == grid[0] * grid[1] + 1 or side * side + 1 != len(positions):
        return positions
    return resize_positions(positions.float(), grid)


_POSITIONS = Change(_to_grid)
_TEXTS = ("transformer.*", "token_embedding.*", "positional_embedding", "ln_final.*", "text_projection")
_NUMBERS = ("logit_scale", "input_resolution", "context_length", "vocab_size")

CLIP = Format(
    "clip",
    "CLIP's",
    "visual.* → base.*",
    (
        Rule("visual.positional_embedding", "base.positional_embedding", _POSITIONS),
        Rule("visual.attnpool.positional_embedding", "base.attnpool.positional_embedding", _POSITIONS),
        Rule("visual.*", "base.*"),
        *left_out(*_TEXTS, *_NUMBERS),
    ),
)
CLIP_REID = Format(
    "clip-reid",
    "CLIP-ReID's",
    "image_encoder.* → base.*, cv_embed → base.sie_embed",
    (
        Rule("image_encoder.*", "base.*"),
        Rule(
            "cv_embed",
            "base.sie_embed",
            Change(lambda value, _wanted, _backbone: value[:, None], lambda value: value[:, 0]),
        ),
        *(
            Rule(f"{name}.*", f"{name}.*")
            for name in ("bottleneck", "bottleneck_proj", "classifier", "classifier_proj")
        ),
        *left_out("text_encoder.*", "prompt_learner.*"),
    ),
)
