"""Table of heads. A head is one file and one line here; nothing is imported before it is built.

A builder is called with (cfg, backbone, num_classes) and gives a `modeling.model.ReIDModel`: the layers behind the
backbone, and the method `branches` that applies them. It may take origins, as a backbone may. Further methods, all optional:
`own_terms(cfg)` lists losses of its own, `preparation(cfg, load=...)` makes a stage of training before the epochs, and
`plain_name(name)` gives the name of a tensor in weights of a network without branches, of which several may have the same.
"""

from __future__ import annotations

from utils.families import Family

# MODEL.HEAD
HEADS = Family(
    {
        "baseline": "modeling.heads.baseline:Baseline",
        "mgn": "modeling.heads.mgn:MGN",
        "clip": "modeling.heads.clip:Clip",
        "clip_reid": "modeling.heads.clip:ClipReID",
        "jpm": "modeling.heads.jpm:JigsawPatches",
    },
    key="MODEL.HEAD",
)
# MODEL.POOLING, called without arguments.
POOLINGS = Family(
    {
        "avg": "modeling.heads.layers:AveragePooling",
        "gem": "modeling.heads.layers:GeM",
        "max": "modeling.heads.layers:MaxPooling",
    },
    key="MODEL.POOLING",
)
