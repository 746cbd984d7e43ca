"""Trains a re-identification model, or resumes the run in its OUTPUT_DIR.

Exit status: 0 trained to the end, 1 training failed or diverged, 2 invalid input (nothing was
created) or too many images that cannot be read, 143 stopped by SIGTERM after writing a checkpoint, 130 by Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import engine
from data import DatasetError
from engine.config import load_config
from utils.command_line import config_parser, parse_words
from utils.errors import TrainerError


def make_parser() -> argparse.ArgumentParser:
    """Makes the parser of the command line."""
    parser = config_parser(__doc__)
    parser.add_argument(
        "overrides",
        nargs=argparse.REMAINDER,
        metavar="KEY VALUE",
        help="settings that override the file, for example SOLVER.BASE_LR 0.001; docs/trainer-settings.md lists them all",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command line `argv`; returns the exit status."""
    try:
        args = parse_words(make_parser(), argv)
        notes: list[str] = []
        return engine.train(load_config(args.config_file, args.overrides, note=notes.append), notes)
    except (TrainerError, DatasetError) as error:
        for line in str(error).splitlines():
            print(f"train.py: {line}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before training has begun
        return 130


if __name__ == "__main__":
    sys.exit(main())
