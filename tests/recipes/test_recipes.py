"""Each kind of recipe: trains with its own settings, resumes to the bit, shares its work, is tested and exported."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import engine
from engine.checkpoint import load_newest
from engine.config import load_config
from engine.distributed import open_process_group
from engine.export import PACKAGES
from engine.inference import load_model
from engine.learner import Learner
from modeling.model import build_model
from tests.engine.processes import in_all
from tests.engine.test_trainer import assert_same_run, messages, results, signal_at
from tests.recipes.short_runs import ROOT, one_of_each_kind, other_networks, words, write_images
from tools import export
from tools import test as evaluation
from utils.logger import NAME

pytestmark = [pytest.mark.recipes, pytest.mark.timeout(900)]
KINDS = one_of_each_kind()
LOSS = re.compile(r"Epoch\[(\d)\] Iteration\[(\d)/2\] Loss: (\S+), Acc: (\S+), Base Lr: (\S+)")
LIMIT = 600.0  # seconds that two processes have
MISSING = [name for name in PACKAGES if importlib.util.find_spec(name) is None]


@dataclass(frozen=True)
class Trained:
    """A recipe's short run that nothing has interrupted."""

    file: str
    images: Path
    output: Path

    @property
    def words(self) -> list[str]:
        return words(self.file, self.images)

    @property
    def checkpoint(self) -> Path:
        found = load_newest(self.output, [])
        assert found and found[0].name == "checkpoint_epoch_2.pth"
        return found[0]


def train(file: str, output: Path, given: list[str]) -> int:
    return engine.train(load_config(str(ROOT / file), [*given, "OUTPUT_DIR", str(output)]))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    yield
    for log_filter in list(logging.getLogger(NAME).filters):
        logging.getLogger(NAME).removeFilter(log_filter)


@pytest.fixture(scope="module", params=KINDS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("recipe")
    run = Trained(request.param, write_images(folder), folder / "whole")
    assert train(run.file, run.output, run.words) == 0
    yield run
    shutil.rmtree(folder)  # gigabytes of a large network's checkpoints


def losses(output: Path) -> list[tuple[float, ...]]:
    """Epoch, iteration, loss, accuracy and rate of each line of the log that has them."""
    return [tuple(map(float, found.groups())) for line in messages(output) if (found := LOSS.match(line))]


def test_it_trains_with_finite_losses(trained: Trained) -> None:
    lines = losses(trained.output)
    assert [line[:2] for line in lines] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert all(math.isfinite(number) for line in lines for number in line)
    content = torch.load(trained.checkpoint, weights_only=True)
    assert all(torch.isfinite(value).all() for value in content["model"].values())


def test_a_resumed_run_is_the_uninterrupted_one(trained: Trained, tmp_path: Path) -> None:
    signal_at("Epoch[2] Iteration[1/2]")
    assert train(trained.file, tmp_path, trained.words) == 143
    found = load_newest(tmp_path, [])
    assert found and found[0].name == "checkpoint_epoch_2_iteration_1.pth"
    assert train(trained.file, tmp_path, trained.words) == 0
    assert_same_run(tmp_path, trained.output)
    shutil.rmtree(tmp_path)


def test_its_evaluation_is_the_logs(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    logged = [line for line in results(trained.output) if line.startswith(("mAP", "CMC", "mINP"))]
    given = [*trained.words, "OUTPUT_DIR", str(trained.output)]
    command = ["--cfg", str(ROOT / trained.file), "--weights", str(trained.checkpoint), *given]
    assert evaluation.main(command) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line.startswith(("mAP", "CMC", "mINP"))] == logged
    assert len(logged) == 5


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_its_network_computes_the_same_in_onnx(trained: Trained, tmp_path: Path) -> None:
    output = tmp_path / "model.onnx"
    command = ["--cfg", str(ROOT / trained.file), "--weights", str(trained.checkpoint), "--output", str(output)]
    assert export.main([*command, *trained.words]) == 0
    runtime = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    in_float32 = [*trained.words, "MODEL.PRECISION", "fp32"]  # as the exported network computes
    model, _device = load_model(load_config(str(ROOT / trained.file), in_float32), str(trained.checkpoint))
    inputs = {"images": torch.randn(3, 3, 96, 48)}
    if model.takes_origins:
        inputs["origins"] = torch.tensor([[0, -1], [-1, -1], [2, -1]])
    (found,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    with torch.no_grad():
        expected = model(*inputs.values())
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_two_processes_log_what_one_does(trained: Trained, tmp_path: Path) -> None:
    """Up to the first step: from there on rounding, which differs, is amplified at the recipe's own rate."""
    assert in_all(2, train, trained.file, tmp_path / "two", trained.words, limit=LIMIT) == [0, 0]
    one, two = losses(trained.output), losses(tmp_path / "two")
    assert two[0] == pytest.approx(one[0], abs=2e-3)
    assert len(two) == len(one) and all(math.isfinite(number) for line in two for number in line)
    shutil.rmtree(tmp_path)


def learn_exactly(file: str, root: Path, path: Path) -> int:
    """Two steps in float64 on the process's part of each batch; the first process writes the weights."""
    cfg = load_config(str(ROOT / file), words(file, root, **{"SOLVER.OPTIMIZER_NAME": "SGD"}))
    cfg.defrost()
    cfg.MODEL.PRECISION, cfg.MODEL.CHANNELS_LAST, cfg.SOLVER.WEIGHT_DECAY = "fp32", False, 0.0
    generator = torch.Generator().manual_seed(1)
    pids, origins = torch.tensor([0, 0, 1, 1]), torch.tensor([[0, -1], [1, -1], [2, -1], [0, -1]])
    with open_process_group(torch.device("cpu")) as group:
        torch.manual_seed(0)
        learner = Learner(cfg, build_model(cfg, 4, 3, 0).double(), torch.device("cpu"), group)
        for epoch in (1, 2):
            images = torch.randn(4, 3, 64, 32, generator=generator, dtype=torch.float64)
            learner.start_epoch(epoch)
            mine = slice(group.rank, None, group.size)
            loss = learner.train_batch(images[mine], pids[mine], origins[mine], rate=0.01, last=True)[0]
        if group.is_first:
            torch.save({**learner.state()["model"], "loss": loss}, path)
    return 0


@pytest.mark.parametrize("file", KINDS)
def test_two_processes_learn_exactly_what_one_does(file: str, tmp_path: Path) -> None:
    assert in_all(1, learn_exactly, file, tmp_path, tmp_path / "one.pth", limit=LIMIT) == [0]
    assert in_all(2, learn_exactly, file, tmp_path, tmp_path / "two.pth", limit=LIMIT) == [0, 0]
    one, two = (torch.load(tmp_path / f"{name}.pth", weights_only=True) for name in ("one", "two"))
    for key, value in one.items():
        tolerance = 1e-6 if value.dtype == torch.float32 else 1e-9
        torch.testing.assert_close(two[key], value, rtol=tolerance, atol=tolerance, msg=lambda t, k=key: f"{k}: {t}")
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("file", other_networks())
def test_each_other_network_can_be_built(file: str, tmp_path: Path) -> None:
    cfg = load_config(str(ROOT / file), words(file, tmp_path))
    assert build_model(cfg, 5, 3, 0).channels > 0
