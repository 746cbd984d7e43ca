"""Table of the samplers of training batches: what is drawn equally often, to the function that builds a sampler.

Imports no array library, so that settings are checked at once.
"""

from __future__ import annotations

from utils.families import Family

# Each builder takes the configuration, the ReIDDataset and the seed and returns an EpochBatchSampler
# (`data/samplers/base.py`).
SAMPLERS = Family(
    {
        "images": "data.samplers.images:build_images_sampler",
        "identities": "data.samplers.balanced:build_identities_sampler",
        "sets": "data.samplers.sets:build_sets_sampler",
    }
)
