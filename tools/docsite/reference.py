"""Names the parts of the source whose docstrings the site shows: of each page its title, what it holds, and the parts.

A part is a module, class or function by its full name.
"""

from __future__ import annotations

REFERENCE: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "python": (
        "The Python interface",
        "`Sweep` and what it returns",
        (
            "yacs_sweep.api.Sweep",
            "yacs_sweep.launch.keyword_types.Keywords",
            "yacs_sweep.show.trials.Trials",
            "yacs_sweep.show.best.Best",
            "yacs_sweep.show.runs.Run",
            "yacs_sweep.trainers.inside.call_function.Report",
            "yacs_sweep.base.errors.SweepError",
            "yacs_sweep.base.errors.ConfigError",
        ),
    ),
    "launcher": (
        "Parts of the launcher",
        "the interfaces of recorders, engines, and what chooses points",
        (
            "yacs_sweep.recorders.interface",
            "yacs_sweep.launch.engines.Engine",
            "yacs_sweep.search.schedulers.engine",
            "yacs_sweep.search.controller",
        ),
    ),
    "trainer": (
        "Parts of the re-ID trainer",
        "the tables of networks, heads, losses, data sets and transforms, and what stands in them",
        (
            "modeling.backbones",
            "modeling.heads",
            "modeling.model",
            "modeling.losses",
            "modeling.losses.identity",
            "modeling.losses.triplet",
            "modeling.losses.weighted_triplet",
            "modeling.losses.circle",
            "modeling.losses.center",
            "data.layouts",
            "data.datasets.base",
            "data.datasets.forms",
            "data.samplers.base",
            "data.transforms.base",
            "engine.solver",
        ),
    ),
}
