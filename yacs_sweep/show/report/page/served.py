"""Says what the page has more where a server sends it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Served:
    """Holds what the page has more where a server sends it, which follows the sweep and sends the policy as a header.

    Attributes:
        nonce: marks the scripts that the browser may run.
        head: HTML of style sheets.
        top: HTML above the report.
        scripts: HTML of scripts that run after the page's own.
    """

    nonce: str
    head: str
    top: str
    scripts: str
