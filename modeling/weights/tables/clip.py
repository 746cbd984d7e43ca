"""Names of CLIP's networks (openai/CLIP), and of CLIP-ReID's (Syliz517/CLIP-ReID), whose image encoder is CLIP's."""

from __future__ import annotations

from modeling.weights.changes import POSITIONS
from modeling.weights.rules import Change, Format, Rule, left_out

_TEXTS = ("transformer.*", "token_embedding.*", "positional_embedding", "ln_final.*", "text_projection")
_NUMBERS = ("logit_scale", "input_resolution", "context_length", "vocab_size")

CLIP = Format(
    "clip",
    "CLIP's",
    "visual.* → base.*",
    (
        Rule("visual.positional_embedding", "base.positional_embedding", POSITIONS),
        Rule("visual.attnpool.positional_embedding", "base.attnpool.positional_embedding", POSITIONS),
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
