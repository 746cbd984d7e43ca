"""Extracts the features of all images in a folder, and the folders below, with a trained model.

    python tools/extract.py --cfg configs/baseline.yml --weights model.pth --images photos --out features.npz

The file holds `features` [N, D] float32 and `paths` [N], relative to the folder, sorted; numpy.load reads it. Whether
features are taken after the neck, mirrored and scaled is the section TEST of the configuration. Exit status: 0
written, 1 it failed, 2 invalid input; nothing is written then.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data import DatasetError
from engine.config import load_config
from utils.command_line import config_parser, exit_status, parse_words
from utils.errors import ConfigError
from utils.logger import log_to_stderr
from utils.signals import stopped_by_signals


def make_parser() -> argparse.ArgumentParser:
    """Makes the parser of the command line."""
    parser = config_parser(__doc__)
    parser.add_argument(
        "--weights",
        default="",
        metavar="FILE",
        help="checkpoint of anyone, or a state dict; best: OUTPUT_DIR/best.pth, the weights with the highest mAP",
    )
    parser.add_argument(
        "--images", type=Path, required=True, metavar="DIR", help="folder of images: .jpg, .png, .bmp, .tif, .webp"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.npz", help="file to write")
    parser.add_argument("overrides", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="settings that override FILE")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command line `argv`; returns the exit status."""

    def run() -> None:
        args = parse_words(make_parser(), argv)
        with stopped_by_signals(), log_to_stderr("extract.py") as log:
            cfg = load_config(args.config_file, args.overrides, for_training=False, note=log.info)
            from engine.inference import extract_run

            number, length = extract_run(cfg, args.weights, args.images, args.out, args.overrides[::2])
        print(f"{args.out}: {number} features of length {length}")

    return exit_status("extract.py", run, invalid=(ConfigError, DatasetError))


if __name__ == "__main__":
    sys.exit(main())
