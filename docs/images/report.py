"""Makes report.png, front.png and page.png: the upper part of a report, in headless Chromium (Debian's, with its driver).

python docs/images/report.py log/sweep/sweep/k3v9x2ab/report.html [--height 1500 | --through trials] [--output front.png]
python docs/images/report.py --made-up trials --height 1130 --output page.png
python docs/images/report.py --made-up seeds --height 1820 --output front.png

The made-up sweeps are of the tests: 40 trials whose metric depends on base_lr, a little on the optimizer, and on chance; or 24
points of two objectives with three seeds each.
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
from tests.report_sweeps import sweep_of_several, write_sweep  # noqa: E402
from yacs_sweep.show.report.data import read_local  # noqa: E402
from yacs_sweep.show.report.findings import Findings  # noqa: E402
from yacs_sweep.show.report.page.html import page as page_of  # noqa: E402

# Commands on the page begin with where this machine has things.
SHORTEN = """
for (const pre of document.querySelectorAll("pre")) {
  pre.textContent = pre.textContent.replace(/^cd .* && \\S+python \\S+\\/tools\\//s, "python tools/");
}
"""


def make_parser() -> argparse.ArgumentParser:
    """Makes the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, nargs="?", help="report.html of a sweep")
    parser.add_argument("--made-up", choices=("trials", "seeds"), help="a sweep of the tests instead")
    parser.add_argument("--width", type=int, default=1100, help="of the window, in pixels")
    parser.add_argument("--height", type=int, default=1500, help="of the picture, in pixels")
    parser.add_argument("--through", metavar="SECTION", help="end the picture with this section, such as trials")
    parser.add_argument("--output", default="report.png", help="the picture's name, in this folder")
    return parser


def main() -> int:
    """Opens the page in a window so high that all plots of the picture are drawn, and keeps its upper part."""
    parser = make_parser()
    options = parser.parse_args()
    if (options.report is None) != bool(options.made_up):
        parser.error("either a report or --made-up")
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder) / "profile") as page:
        report = options.report.resolve() if options.report else Path(folder) / "report.html"
        if options.made_up:
            seeds = options.made_up == "seeds"
            sweep = (
                sweep_of_several(24, repeats=3) if seeds else read_local(write_sweep(Path(folder), "k3v9x2ab", 40, 60))
            )
            report.write_text(page_of(Findings.of(sweep), "now"), encoding="utf-8")
        page.show(report, width=options.width, height=options.height)
        page.until("return document.readyState === 'complete'")
        page.run("report.drawAll()")
        page.until("return report.done")
        page.run(SHORTEN)
        height = options.height
        if options.through:
            bottom = "Math.round(document.getElementById('{}').getBoundingClientRect().bottom + scrollY)"
            height = page.run(f"return {bottom.format(options.through)}")
        shot = Path(folder) / "whole.png"
        page.screenshot(shot)
        whole = Image.open(io.BytesIO(shot.read_bytes())).convert("RGB")
    part = whole.crop((0, 0, whole.width, min(whole.height, height)))
    part.quantize(200).save(HERE / options.output, optimize=True)  # flat colours: a quarter of the size
    print(HERE / options.output, part.size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
