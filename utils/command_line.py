"""Command line of the trainer's tools: options first, then KEY VALUE words."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from utils.errors import ConfigError

SOURCE = "command line"  # how messages name it


def parse_words(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses options and, as `overrides`, the KEY VALUE words behind them.

    Args:
        parser: takes the words as argparse.REMAINDER.
        argv: the command line; None: this process's.
    Raises:
        ConfigError: an option that is required stands behind KEY VALUE words; argparse would call it missing.
    """
    required = [action for action in parser._actions if action.required and action.option_strings]
    for action in required:
        action.required = False
    args = parser.parse_args(sys.argv[1:] if argv is None else list(argv))
    if missing := ["/".join(action.option_strings) for action in required if getattr(args, action.dest) is None]:
        if late := next((word for word in args.overrides if word.startswith("--")), None):
            raise ConfigError(late_option(late))
        parser.error(f"the following arguments are required: {', '.join(missing)}")
    return args


def late_option(word: str) -> str:
    """Writes the problem of an option that stands behind KEY VALUE words."""
    return f"{SOURCE}: {word}: options come before the KEY VALUE words"
