"""Metric patterns as a profile's entries make them, from a source and the groups of its metrics."""

from __future__ import annotations

from collections.abc import Mapping

from yacs_sweep.base.errors import ConfigError
from yacs_sweep.logs.patterns import MetricPattern, compile_search, group_problems


def compile_pattern(source: str, log: Mapping[str, str], row: str | None = None) -> MetricPattern:
    """Compiles an entry that takes its values from groups: `log` maps metric names to groups of `source`.

    Raises:
        ConfigError: every problem of `compile_search`, or the groups that do not exist.
    """
    search = compile_search(source)
    if problems := group_problems(search, log):
        raise ConfigError(problems)
    return MetricPattern(search, tuple(log.items()), row)
