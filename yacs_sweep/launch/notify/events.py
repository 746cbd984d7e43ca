"""Names the events that `--notify-on` may ask for."""

from __future__ import annotations

import argparse

END, FIRST_FAILURE, NEW_BEST = "end", "first-failure", "new-best"
EVENTS = (END, FIRST_FAILURE, NEW_BEST)


def read_events(text: str) -> str:
    """Parses the events of an option, between commas: each once, in the order of `EVENTS` (an argparse type)."""
    given = [word.strip().lower() for word in text.split(",") if word.strip()]
    unknown = [word for word in given if word not in EVENTS]
    if unknown or not given:
        named = unknown[0] if unknown else "nothing"
        raise argparse.ArgumentTypeError(
            f"{named} is no event; write one or more of {', '.join(EVENTS)}, between commas"
        )
    return ",".join(event for event in EVENTS if event in given)
