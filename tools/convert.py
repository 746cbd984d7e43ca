"""Converts weights of anyone's names to this trainer's, or of this trainer's to others'.

    python tools/convert.py theirs.pth ours.pth --config_file configs/baseline.yml
    python tools/convert.py log/baseline/best.pth theirs.pth --to fast-reid --config_file configs/baseline.yml

The names of the first file are found out by trying, as for MODEL.PRETRAIN_PATH; the configuration says what the network
is, where the file is no checkpoint of this trainer. Exit status: 0 written, 2 invalid input; nothing is written then.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.config import load_config
from utils.command_line import config_parser, exit_status
from utils.errors import TrainerError
from utils.logger import log_to_stderr
from utils.signals import stopped_by_signals
from utils.text import not_allowed

NAMES = (
    *("plain", "backbone", "timm", "moco", "dino", "clip", "swin", "swin-timm", "solider", "strong-baseline"),
    *("transreid", "fast-reid", "fast-reid-mgn", "reid-survey", "centroids-reid", "torchreid", "clip-reid"),
    "solider-reid",
)


def _owner(word: str) -> str:
    """Takes one of NAMES."""
    if word not in NAMES:
        raise argparse.ArgumentTypeError(not_allowed(word, NAMES))
    return word


def make_parser() -> argparse.ArgumentParser:
    """Makes the parser of the command line."""
    parser = config_parser(__doc__, of="network")
    parser.add_argument("source", metavar="IN", help="file of weights, in anyone's names")
    parser.add_argument("out", metavar="OUT", type=Path, help="file to write")
    parser.add_argument(
        "--to",
        type=_owner,
        choices=NAMES,  # for --help
        default="plain",
        help="whose names: plain is a state dict of this trainer; backbone is its backbone alone, without a prefix",
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY VALUE", help="settings that override FILE, as for train.py"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command line `argv`; returns the exit status."""

    def run() -> None:
        args = make_parser().parse_intermixed_args(argv)
        with stopped_by_signals(), log_to_stderr("convert.py") as log:
            cfg = load_config(args.config_file, args.overrides, for_training=False, note=log.info)
            from engine.inference import with_checkpoint_settings
            from modeling.weights.conversion import convert_weights

            cfg = with_checkpoint_settings(cfg, args.source, args.overrides[::2])
            line = convert_weights(cfg, args.source, args.out, args.to)
        print(line)

    return exit_status("convert.py", run, invalid=(TrainerError,))


if __name__ == "__main__":
    sys.exit(main())
