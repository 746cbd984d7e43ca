"""Query expansion: moves each query's feature towards its nearest gallery features."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.evaluation.distances import rows_at_once


@torch.inference_mode()
def expand_queries(query: Tensor, gallery: Tensor, k: int, alpha: float) -> Tensor:
    """Moves each query towards its k nearest gallery images, weighted by cosine similarity to the power alpha.

    Negative similarities weigh nothing.

    Args:
        query: features [Q, D].
        gallery: features [G, D].
        k: gallery images that a query is expanded by.
        alpha: exponent of the weights.
    Returns:
        Features [Q, D] of unit length.
    Source:
        Radenović et al., "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2019 (alpha-weighted
        query expansion).
    """
    query, gallery = torch.nn.functional.normalize(query), torch.nn.functional.normalize(gallery)
    expanded = torch.empty_like(query)
    rows = rows_at_once(len(gallery))
    for start in range(0, len(query), rows):
        part = query[start : start + rows]
        similarity, index = (part @ gallery.t()).topk(min(k, len(gallery)))
        weight = similarity.clamp_min(0).pow(alpha)
        expanded[start : start + rows] = part + torch.einsum("qk,qkd->qd", weight, gallery[index])
    return torch.nn.functional.normalize(expanded)
