"""Names the parts that only a page sent by the server has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Served:
    """Holds the parts that only a page sent by the server has: it follows the sweep, and its policy is a header of the answer.

    Attributes:
        nonce: marks the scripts that the browser may run.
        head: HTML of style sheets.
        back: HTML above the first screen.
        top: HTML above the report's sections, one of them with the id `live`.
        scripts: HTML of scripts that run after the page's own.
    """

    nonce: str
    head: str
    back: str
    top: str
    scripts: str
