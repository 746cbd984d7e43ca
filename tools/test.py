"""Tests a trained re-identification model: mAP, CMC and mINP, and ranked lists drawn for viewing.

    python tools/test.py --config_file configs/baseline.yml --weights log/baseline/checkpoint_epoch_120.pth
    python tools/test.py --cfg configs/baseline.yml --visualize 20 DATASETS.TEST_NAMES market1501,dukemtmc
    python tools/test.py --cfg configs/baseline.yml --weights best --json results.json --csv queries.csv

Without --weights, the file TEST.WEIGHT is tested, else the newest checkpoint in OUTPUT_DIR. How features are compared
is the section TEST of the configuration. Exit status: 0 tested, 1 it failed, 2 invalid input, 143 stopped by
SIGTERM, 130 by Ctrl-C.
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
    parser.add_argument("--visualize", type=int, default=0, metavar="N", help="draw the ranked lists of N queries")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the ranked lists (default: OUTPUT_DIR/test)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the results, counts, costs and settings as JSON"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the average precision of each query as CSV")
    parser.add_argument(
        "overrides",
        nargs=argparse.REMAINDER,
        metavar="KEY VALUE",
        help="settings that override the file, for example TEST.RE_RANKING yes; docs/trainer-settings.md lists them all",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command line `argv`; returns the exit status."""

    def run() -> None:
        parser = make_parser()
        args = parse_words(parser, argv)
        if args.visualize < 0:
            parser.error(f"--visualize: {args.visualize} is not allowed; give the number of queries to draw")
        with stopped_by_signals(), log_to_stderr("test.py") as log:
            cfg = load_config(args.config_file, args.overrides, for_training=False, note=log.info)
            from engine.evaluation.results_files import ResultFiles
            from engine.inference import test_run

            out, files = args.out or Path(cfg.OUTPUT_DIR) / "test", ResultFiles(args.json, args.csv)
            test_run(cfg, args.weights, args.visualize, out, files=files, given=args.overrides[::2])

    return exit_status("test.py", run, invalid=(ConfigError, DatasetError))


if __name__ == "__main__":
    sys.exit(main())
