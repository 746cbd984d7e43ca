#!/usr/bin/env python3
"""Draws a synthetic pedestrian set in the Market-1501 layout.

    python tools/make_synthetic.py --out datasets/market1501 --train-ids 100 --test-ids 50

The same parameters give the same files. The data set name `synthetic` needs none of this: it draws its own.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data.datasets.base import DatasetError
from data.synthetic.dataset import SyntheticSpec, write_synthetic

_HELP = {
    "seed": "random seed of the people and cameras",
    "train_ids": "identities to train on",
    "test_ids": "identities to test on",
    "cameras": "cameras in all",
    "cameras_per_id": "cameras that see an identity",
    "shots": "training pictures of an identity by each of its cameras",
    "gallery_shots": "gallery pictures of an identity by each of its cameras",
    "distractors": "gallery pictures of people without a query (0000)",
    "junk": "bad boxes in the gallery (-1)",
    "width": "size of a picture, in pixels",
    "height": "size of a picture, in pixels",
}


def make_parser() -> argparse.ArgumentParser:
    """Makes the parser of the command line."""
    summary, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s --out DIR [options]", allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make; new or empty")
    for field in fields(SyntheticSpec):
        spellings = dict.fromkeys((f"--{field.name.replace('_', '-')}", f"--{field.name}"))
        text = f"{_HELP[field.name]} (default {field.default})"
        parser.add_argument(*spellings, type=int, default=field.default, metavar="N", help=text)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the set; returns 0 when it is complete, 2 with one line on stderr when it cannot be written."""
    parser = make_parser()
    options = vars(parser.parse_args(argv))
    folder = Path(os.path.abspath(options.pop("out").expanduser()))
    try:
        write_synthetic(folder, SyntheticSpec(**options))
    except DatasetError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    print(f"{folder}: complete")
    return 0


if __name__ == "__main__":
    sys.exit(main())
