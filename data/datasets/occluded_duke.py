"""Reader of Occluded-Duke (Miao et al., "Pose-Guided Feature Alignment", ICCV 2019), laid out as Market-1501."""

from __future__ import annotations

from data.datasets.base import DatasetRequest, ReIDDataset
from data.datasets.market1501 import read_same_layout

_USUAL = ("Occluded_Duke", "occluded_duke", "Occluded-DukeMTMC-reID", "dukemtmcreid/Occluded_Duke")


def read(request: DatasetRequest) -> ReIDDataset:
    """Reads Occluded-Duke; raises DatasetError as `read_market1501` does."""
    return read_same_layout(request, _USUAL)
