"""The tables of docs/recipes.md have each recipe file, with the figures that the file's head gives."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch

from engine.config import load_config
from engine.solver import learning_rate
from tests.docs.documents import ROOT

FILES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").glob("*/*.yml"))
_FIGURES = re.compile(r"(\d+\.\d) / (\d+\.\d)")


def rows() -> dict[str, list[str]]:
    """Cells of the tables by file."""
    text = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if "|" in line]
    named = [(re.fullmatch(r"`(configs/[^`]+)`", row[1]), row) for row in cells if len(row) > 1]
    return {found[1]: row for found, row in named if found}


def test_each_file_has_one_row_and_each_row_a_file() -> None:
    text = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    assert len(FILES) > 20
    assert sorted(rows()) == FILES
    assert [file for file in FILES if text.count(f"| `{file}` |") != 1] == []


@pytest.mark.parametrize("file", FILES)
def test_a_file_loads_and_its_head_has_the_figures_of_its_row(file: str) -> None:
    cfg = load_config(str(ROOT / file))
    assert Path(cfg.OUTPUT_DIR) == Path("log", Path(file).parent.name, Path(file).stem)
    row = rows()[file]
    assert len(row) == 5 and all(row)
    head = re.match(r"(#.*\n)+", (ROOT / file).read_text(encoding="utf-8"))
    assert head, "says what it is and needs"
    words = " ".join(line.removeprefix("#").strip() for line in head[0].splitlines())
    figures = _FIGURES.search(row[3])
    if figures is None:
        assert row[3] == row[4] == "–"
    else:
        assert set(figures.groups()) <= set(re.findall(r"\d+\.\d", words))


@pytest.mark.parametrize(
    "file", [file for file in FILES if "bag_of_tricks" in file or "/agw" in file or "/sbs" in file]
)
def test_a_files_name_is_its_set_and_network(file: str) -> None:
    cfg, stem = load_config(str(ROOT / file)), Path(file).stem
    (name,) = cfg.DATASETS.NAMES
    assert stem == f"{name}_{cfg.MODEL.NAME}"


# Images of the training splits, as their authors count them; of MSMT17 without the validation images.
IMAGES = {
    "market1501": 12_936,
    "dukemtmc": 16_522,
    "msmt17_v1": 30_248,
    "cuhk03_detected": 7_365,
    "cuhk03_labeled": 7_368,
    "veri": 37_778,
    "occluded_duke": 15_618,
    "vehicleid": 113_346,
    "veriwild": 277_797,
}
# fast-reid's steps and warm-up iterations, where they are not the usual ones.
STEPS = {"vehicleid": ((30, 50), 2000), "veriwild": ((30, 70, 90), 5000)}


@pytest.mark.parametrize("file", [file for file in FILES if "/bag_of_tricks/" in file or "/agw/" in file])
def test_fast_reids_steps_are_counted_from_the_end_of_its_warm_up(file: str) -> None:
    """Its schedule steps after each epoch that ends behind the warm-up; at its steps the rate falls."""
    cfg = load_config(str(ROOT / file))
    steps, warmup = STEPS.get(cfg.DATASETS.NAMES[0], ((40, 90), 2000))
    batches = IMAGES[cfg.DATASETS.NAMES[0]] // cfg.SOLVER.IMS_PER_BATCH
    stepped, falls = 0, []
    for epoch in range(1, cfg.SOLVER.MAX_EPOCHS + 1):
        if stepped in steps:
            falls.append(epoch)
        stepped += epoch * batches > warmup
    assert (list(cfg.SOLVER.STEPS), cfg.SOLVER.WARMUP_ITERS) == (falls, warmup)


@pytest.mark.parametrize("file", [file for file in FILES if "/sbs/" in file])
def test_the_rates_of_sbs_are_fast_reids(file: str) -> None:
    """Its cosine is torch's, over what the longer of warm-up and delay leaves, stepped after each epoch behind both."""
    cfg = load_config(str(ROOT / file))
    solver = cfg.SOLVER
    batches = IMAGES[cfg.DATASETS.NAMES[0]] // solver.IMS_PER_BATCH
    floor = 7.7e-5 if "veri" in file else 7e-7
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=solver.BASE_LR)
    length = solver.MAX_EPOCHS - max(math.ceil(solver.WARMUP_ITERS / batches), 30)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, length, eta_min=floor)
    rates = []
    for epoch in range(solver.MAX_EPOCHS):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        if (epoch + 1) * batches > solver.WARMUP_ITERS and epoch + 1 > 30:
            schedule.step()
    ours = [learning_rate(cfg, epoch, batches - 1, batches) for epoch in range(1, solver.MAX_EPOCHS + 1)]
    warm = math.ceil(solver.WARMUP_ITERS / batches)
    assert ours[warm:] == pytest.approx(rates[warm:], rel=1e-6)
    first = [learning_rate(cfg, 1, batch, batches) for batch in (0, 100)]
    assert first == pytest.approx([solver.BASE_LR * f for f in (0.1, 0.1 + 0.9 * 100 / solver.WARMUP_ITERS)])
