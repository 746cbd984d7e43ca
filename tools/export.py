"""Writes a trained network as ONNX and checks it: onnxruntime must compute the features PyTorch computes.

The file takes images [batch, 3, height, width], float32, scaled to 0..1 and normalised by INPUT.PIXEL_MEAN and
PIXEL_STD, and gives features [batch, D]. A network that takes cameras and views has a second input, origins [batch, 2]
int64: their numbers, -1 where they are not known. Needs the packages onnx, onnxscript and onnxruntime.

Exit status: 0 written and checked, 2 invalid input, or the network cannot be exported.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.config import load_config
from utils.command_line import config_parser, exit_status, parse_words
from utils.errors import TrainerError
from utils.logger import log_to_stderr
from utils.signals import stopped_by_signals


def make_parser() -> argparse.ArgumentParser:
    """Makes the parser of the command line."""
    parser = config_parser(__doc__)
    parser.add_argument(
        "--weights",
        default="",
        metavar="FILE",
        help="checkpoint, or best: OUTPUT_DIR/best.pth (default: TEST.WEIGHT, else the newest checkpoint in OUTPUT_DIR)",
    )
    parser.add_argument("--output", default="model.onnx", metavar="FILE", help="file to write (default: model.onnx)")
    parser.add_argument(
        "overrides", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="settings that override FILE, as for train.py"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command line `argv`; returns the exit status."""

    def run() -> None:
        args = parse_words(make_parser(), argv)
        with stopped_by_signals(), log_to_stderr("export.py") as log:
            cfg = load_config(args.config_file, args.overrides, for_training=False, note=log.info)
            from engine.export import export_onnx

            export = export_onnx(cfg, args.weights, Path(args.output), args.overrides[::2])
        height, width = export.size
        print(
            f"{args.output}: images [batch, 3, {height}, {width}] to features [batch, {export.channels}]; differs from"
            f" PyTorch by {export.difference:.1e}"
        )

    return exit_status("export.py", run, invalid=(TrainerError,))


if __name__ == "__main__":
    sys.exit(main())
