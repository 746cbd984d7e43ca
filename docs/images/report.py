"""Makes report.png and front.png: the upper part of a sweep's report, in headless Chromium (Debian's chromium and chromedriver).

python docs/images/report.py log/sweep/sweep/k3v9x2ab/report.html [--height 1500] [--output front.png]
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.browser import browser  # noqa: E402


def make_parser() -> argparse.ArgumentParser:
    """Makes the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, help="report.html of a sweep")
    parser.add_argument("--width", type=int, default=1100, help="of the window, in pixels")
    parser.add_argument("--height", type=int, default=1500, help="of the picture, in pixels")
    parser.add_argument("--output", default="report.png", help="the picture's name, in this folder")
    return parser


def main() -> int:
    """Opens the page in a window so high that all plots of the picture are drawn, and keeps its upper part."""
    options = make_parser().parse_args()
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder) / "profile") as page:
        page.show(options.report.resolve(), width=options.width, height=options.height)
        page.until("return document.querySelectorAll('.js-plotly-plot .main-svg').length > 3")
        page.until("return document.readyState === 'complete'")
        shot = Path(folder) / "whole.png"
        page.screenshot(shot)
        whole = Image.open(io.BytesIO(shot.read_bytes())).convert("RGB")
    part = whole.crop((0, 0, whole.width, min(whole.height, options.height)))
    part.quantize(128).save(HERE / options.output, optimize=True)  # flat colours: a quarter of the size
    print(HERE / options.output, part.size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
