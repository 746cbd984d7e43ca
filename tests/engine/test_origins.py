"""Cameras and views, from a data set to the network that takes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from yacs.config import CfgNode

from data.build import build_dataset, build_eval_loader, build_test_datasets, build_train_loader
from data.datasets.base import ReIDDataset, Sample, join_datasets
from engine.config import load_config
from engine.cost import measure_work
from engine.distributed import ProcessGroup
from engine.evaluation.features import extract_features, knows_origins
from engine.inference import load_model
from engine.learner import Learner
from modeling.branch import Branch
from modeling.heads.baseline import Baseline
from modeling.model import build_model
from tests.engine.small_run import write_config
from tools.extract import main as extract
from tools.test import main as run_test
from tools.train import main as train
from utils.errors import ConfigError

CPU = torch.device("cpu")
HEAD = f"{__file__}:Located"


class Located(Baseline):
    """Baseline with a learnt shift of the features for each camera and each view; features are the shift alone."""

    takes_origins = True

    def add_origins(self, num_cameras: int, num_views: int) -> None:
        self.cameras = nn.Parameter(torch.arange(float(num_cameras)))
        self.views = nn.Parameter(torch.arange(float(num_views)))

    def branches(self, output: Tensor, origins: Tensor | None = None) -> list[Branch]:
        [branch] = super().branches(output, origins)
        if self.training:
            return [branch._replace(features=branch.features + self.cameras.mean() + self.views.mean())]
        unknown = torch.full((len(output), 2), -1, device=output.device) if origins is None else origins
        columns = [
            torch.where(number < 0, learnt.mean(), learnt[number.clamp(0, len(learnt) - 1)])
            for number, learnt in zip(unknown.unbind(1), (self.cameras, self.views), strict=True)
        ]
        features = torch.stack(columns, 1) + 0 * branch.features.sum()
        return [Branch(features, features)]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp("origins"))


def located(config: Path, *words: str) -> CfgNode:
    return load_config(str(config), ["MODEL.HEAD", HEAD, *words])


def test_loaders_give_the_origins_of_their_images(config: Path) -> None:
    cfg = load_config(str(config))
    dataset = build_dataset(cfg)
    found: dict[int, set[int]] = {}
    loader = build_train_loader(cfg, dataset, seed=0)
    loader.batch_sampler.set_epoch(1)  # type: ignore[union-attr]
    for images, pids, origins in loader:
        assert origins.shape == (len(images), 2) and origins.dtype == torch.int64 and not origins[:, 1].any()
        for pid, camera in zip(pids.tolist(), origins[:, 0].tolist(), strict=True):
            found.setdefault(pid, set()).add(camera)
    known: dict[int, set[int]] = {}
    for sample in dataset.train:
        known.setdefault(sample.pid, set()).add(sample.camid)
    assert found == known
    tested = torch.cat([batch[4] for batch in build_eval_loader(cfg, dataset)[0]])
    assert tested.tolist() == [[sample.camid, sample.view] for sample in (*dataset.query, *dataset.gallery)]


def test_joined_sets_keep_their_views_and_number_cameras_on() -> None:
    sets = [
        ReIDDataset(name, (Sample("a", 0, 1, 2), Sample("b", 1, 0)), (Sample("q", 9, 0),), (Sample("g", 9, 4),))
        for name in ("first", "second")
    ]
    joined = join_datasets(sets, test=sets[0])
    assert [sample[1:] for sample in joined.train] == [(0, 1, 2), (1, 0, 0), (2, 6, 2), (3, 5, 0)]
    assert joined.train_origins == (7, 3) and sets[0].train_origins == (2, 3)


@pytest.mark.parametrize(
    ("name", "trained", "same", "known"),
    [("a", "a", True, True), ("a", "b", True, False), ("a", "a", False, False)],
)
def test_cameras_are_known_of_the_first_set_that_was_trained_on(
    name: str, trained: str, same: bool, known: bool
) -> None:
    dataset = ReIDDataset(name, (), (), (), same_cameras=same)
    lines: list[str] = []
    for takes in (False, True):
        network: Any = nn.Identity()
        network.takes_origins = takes
        assert knows_origins(network, dataset, trained, lines.append) is known
    assert len(lines) == (0 if known else 1)  # of the network that takes origins
    assert known or "Cameras of a are not known" in lines[0]


def write_set(folder: Path, cameras: tuple[str, str]) -> None:
    for split in ("train", "query", "gallery"):
        for pid in (1, 2):
            for camera in cameras:
                path = folder / split / f"{pid:04d}_{camera}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((32, 16, 3), 40 * pid, np.uint8)).save(path)


@pytest.mark.parametrize(("cameras", "same"), [(("4", "02"), True), (("east", "west"), False)])
def test_cameras_that_have_names_are_numbered_by_split(tmp_path: Path, cameras: tuple[str, str], same: bool) -> None:
    write_set(tmp_path / "mine", cameras)
    pattern = r"(?P<pid>\d+)_(?P<camid>\w+)\.png"
    words = ["DATASETS.ROOT_DIR", str(tmp_path), "DATASETS.NAMES", "folder:mine", "DATASETS.FOLDER_PATTERN", pattern]
    cfg = load_config("configs/smoke.yml", words)
    assert build_dataset(cfg).same_cameras is same
    assert build_test_datasets(cfg)[0].same_cameras is same


def test_the_network_learns_from_origins_and_is_evaluated_with_them(config: Path) -> None:
    cfg = located(config, "TEST.NECK_FEAT", "before", "TEST.FLIP", "True")
    dataset = build_dataset(cfg)
    torch.manual_seed(0)
    model = build_model(cfg, dataset.num_train_pids, 3, 2)
    assert model.takes_origins and model.state_dict()["origin_counts"].tolist() == [3, 2]
    loader, _ = build_eval_loader(cfg, dataset)
    known, _, camids = extract_features(model, loader, device=CPU, known_origins=True)
    assert known[:, 0].tolist() == camids.tolist() and not known[:, 1].any()
    unknown = extract_features(model, loader, device=CPU)[0]
    assert unknown.tolist() == [[1.0, 0.5]] * len(camids)
    assert measure_work(model, (32, 16)).metrics["model/gmacs"] > 0
    ours = Learner(cfg, model, CPU, ProcessGroup())
    ours.start_epoch(1)
    calls: list[Tensor] = []
    model.register_forward_pre_hook(lambda _model, inputs: calls.append(inputs[1]))
    train_loader = build_train_loader(cfg, dataset, seed=0)
    train_loader.batch_sampler.set_epoch(1)  # type: ignore[union-attr]
    images, pids, origins = next(iter(train_loader))
    ours.train_batch(images, pids, origins, rate=0.1, last=True)
    assert torch.equal(calls[0], origins)
    plain = Learner(load_config(str(config)), build_model(load_config(str(config)), 8), CPU, ProcessGroup())
    plain.start_epoch(1)
    plain.model.register_forward_pre_hook(lambda _model, inputs: calls.append(inputs))
    plain.train_batch(images, pids, origins, rate=0.1, last=True)
    assert len(calls[1]) == 1  # the images alone
    assert "origin_counts" not in plain.model.state_dict()


def test_too_many_cameras_are_told(config: Path) -> None:
    with pytest.raises(ConfigError, match="cameras of the training images have numbers up to 20250100"):
        build_model(located(config), 4, 20250101)
    build_model(load_config(str(config)), 4, 20250101)


def test_a_run_says_whose_cameras_are_known(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--cfg", str(config), "MODEL.HEAD", HEAD, "OUTPUT_DIR", str(tmp_path / "run"), "TEST.NECK_FEAT", "before"]
    assert train([*words, "SOLVER.MAX_EPOCHS", "1"]) == 0
    assert "not known to the network" not in capsys.readouterr().out
    cfg = load_config(str(config), [*words[2:6], "MODEL.DEVICE", "cpu"])
    model, _ = load_model(cfg, "")
    trained = build_dataset(cfg).train_origins
    assert tuple(model.state_dict()["origin_counts"].tolist()) == trained == (2, 1)
    assert run_test(words) == 0
    assert "not known" not in capsys.readouterr().err
    folder = Path(cfg.DATASETS.ROOT_DIR) / "market1501"
    assert run_test([*words, "DATASETS.TEST_NAMES", f"market1501:{folder}"]) == 0
    told = capsys.readouterr().err
    assert re.search(r"Cameras of market1501:\S+ are not known to the network, trained on market1501: it takes", told)
    assert extract([*words[:2], "--images", str(folder / "query"), "--out", str(tmp_path / "f.npz"), *words[2:]]) == 0
    assert "Cameras and views are not known" in capsys.readouterr().err
    features = np.load(tmp_path / "f.npz")["features"]
    assert len(features) > 1 and (features == features[0]).all()
