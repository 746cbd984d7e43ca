"""What only a GPU can show: the same results as on the processor, and nothing that waits for it. Skipped without one."""

from __future__ import annotations

import copy
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from configs.defaults import _C
from data.build import build_dataset, build_eval_loader, build_train_loader
from engine.checkpoint import load_newest
from engine.config import load_config
from engine.distributed import ProcessGroup, _AllGather, synchronise_batch_norm
from engine.evaluation.features import extract_features
from engine.evaluation.query_expansion import expand_queries
from engine.evaluation.reranking import reranked_distances
from engine.learner import Learner, set_arithmetic
from engine.solver import build_optimizer, set_learning_rate
from engine.trainer import RunningMeans
from modeling.model import build_model
from tests.engine.evaluation.rank_features import rank_features
from tests.engine.small_run import write_config

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.filterwarnings("ignore"),
]
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
ROOT = Path(__file__).parents[2]
CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def full_float32() -> Iterator[None]:
    """Convolutions of float32 use the shorter TensorFloat32 otherwise, which is PyTorch's default."""
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = True
    set_arithmetic(_C)


def learner(device: torch.device, **settings: object) -> Learner:
    """A small network, the same on either device; `settings` are of SOLVER, or of MODEL where that has them."""
    cfg = _C.clone()
    cfg.MODEL.NAME, cfg.MODEL.PRETRAIN_CHOICE = "resnet18", "none"
    cfg.SOLVER.update(OPTIMIZER_NAME="SGD", MOMENTUM=0.9, SEED=0)
    for key, value in settings.items():
        (cfg.MODEL if key in cfg.MODEL else cfg.SOLVER)[key] = value
    torch.manual_seed(0)
    ours = Learner(cfg, build_model(cfg, 4), CPU, ProcessGroup())
    moved = Learner(cfg, copy.deepcopy(ours.model), device, ProcessGroup())
    moved.criterion.load_state_dict(ours.criterion.state_dict())  # centers are drawn
    return moved


def batch(number: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(number)
    return torch.randn(16, 3, 64, 32, generator=generator), torch.arange(16) // 4


def train(ours: Learner, steps: int = 3, rate: float = 0.01) -> list[float]:
    ours.start_epoch(1)
    return [float(ours.train_batch(*batch(number), rate=rate, last=False)[0]) for number in range(steps)]


def first_step(device: torch.device, *, double: bool = False, **settings: object) -> tuple[float, Tensor]:
    """Loss and gradient [parameters] in float64 of one batch; `double`: computed in float64 too."""
    ours, (images, pids) = learner(device, **settings | {"ACCUMULATE": 2}), batch()  # so no step touches gradients
    scale = 128.0 if ours.optimizers.scaler.is_enabled() else 1.0  # overflows nowhere
    ours.optimizers.scaler = torch.amp.GradScaler(
        device.type, init_scale=scale, enabled=ours.optimizers.scaler.is_enabled()
    )
    if double:
        ours.model.double()
        images = images.double()
        ours.criterion.double()
    ours.start_epoch(1)
    loss = float(ours.train_batch(images, pids, rate=0.0, last=False)[0])
    gradients = [p.grad.double().cpu().flatten() / scale for p in ours.model.parameters() if p.grad is not None]
    return loss, torch.cat(gradients)


def errors(found: tuple[float, Tensor], exact: tuple[float, Tensor]) -> tuple[float, float]:
    """Relative: of the loss, of the gradient in the Euclidean norm."""
    return abs(found[0] / exact[0] - 1), float((found[1] - exact[1]).norm() / exact[1].norm())


def is_as_exact(ours: torch.device, precision: str, **settings: object) -> None:
    """Against float64 on the processor, `ours` errs no more than some times as much as the processor's plainest
    kernels (without oneDNN) do in the same precision.

    Rounding alone moves the gradient: where an activation or a distance lies next to a kink, it takes the other side.
    Further steps amplify that, the more the higher the rate, so that losses of later steps say little: on the processor
    with and without oneDNN, those of the third step at a rate of 0.01 are 2e-4 and 7e-3 away from float64's.
    """
    exact = first_step(CPU, double=True, **settings)
    with torch.backends.mkldnn.flags(enabled=False):
        plain = errors(first_step(CPU, PRECISION=precision, **settings), exact)
    loss, gradient = errors(first_step(ours, PRECISION=precision, **settings), exact)
    floor = {"fp32": 1e-5, "bf16": 1e-2, "fp16": 1e-3}[precision]  # a loss may be right by luck
    assert loss <= 4 * max(plain[0], floor), (loss, plain)
    # bf16's plain gradient is 0.38 away already; no gradient at all would be 1 away.
    assert gradient <= (4 if precision == "fp32" else 2) * max(plain[1], floor) < 1, (gradient, plain)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_step_is_as_exact_as_the_processors(precision: str) -> None:
    is_as_exact(GPU, precision)


@pytest.mark.parametrize(
    "settings",
    [
        {"IF_WITH_CENTER": "yes", "POOLING": "gem"},
        {"ID_LOSS_TYPE": "arcface"},
        {"ID_LOSS_TYPE": "cosface", "METRIC_LOSS_TYPE": "circle"},
        {"ID_LOSS_TYPE": "circle", "NO_MARGIN": True},
        {"ACCUMULATE": 2, "CLIP_NORM": 1.0, "EMA_DECAY": 0.9},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_every_loss_has_a_deterministic_form_that_is_as_exact_as_the_processors(settings: dict[str, Any]) -> None:
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    first, again = (learner(GPU, **settings) for _ in range(2))
    assert train(first, 4) == train(again, 4)
    for name, value in first.eval_model.state_dict().items():
        assert torch.equal(value, again.eval_model.state_dict()[name]), name
    is_as_exact(GPU, "fp32", **settings)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "AMSGrad", "SGD"])
def test_fused_optimizers_step_as_on_the_processor(name: str) -> None:
    cfg = _C.clone()
    cfg.MODEL.NAME, cfg.SOLVER.OPTIMIZER_NAME, cfg.SOLVER.BIAS_LR_FACTOR = "resnet18", name, 2.0
    torch.manual_seed(0)
    models = [build_model(cfg, 4)]
    models.append(copy.deepcopy(models[0]).to(GPU))
    optimizers = [build_optimizer(cfg, model) for model in models]
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        for ours, other in zip(*(model.parameters() for model in models), strict=True):
            if ours.requires_grad:
                # In the layout of the parameter, as backpropagation makes them: fused kernels ask for that.
                ours.grad = torch.empty_like(ours).copy_(torch.randn(ours.shape, generator=generator))
                other.grad = torch.empty_like(other).copy_(ours.grad)
        for optimizer in optimizers:
            set_learning_rate(optimizer, 0.01)
            optimizer.step()
    for ours, other in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(other.cpu(), ours, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_loss_scaling_passes_over_a_step_that_overflows_and_then_trains(name: str) -> None:
    ours = learner(GPU, PRECISION="fp16", OPTIMIZER_NAME=name)
    ours.optimizers.scaler = torch.amp.GradScaler(GPU.type, init_scale=2.0**40)
    before = {key: value.clone() for key, value in ours.model.named_parameters()}
    train(ours, 1)
    assert ours.optimizers.scaler.get_scale() == 2.0**39
    assert all(torch.equal(value, before[key]) for key, value in ours.model.named_parameters())
    train(ours, 40)
    assert ours.optimizers.scaler.get_scale() < 2.0**30
    assert not torch.equal(ours.model.classifier.weight, before["classifier.weight"])
    assert all(bool(torch.isfinite(value).all()) for value in ours.model.parameters())


def test_a_compiled_network_learns_the_same_and_is_evaluated_as_it_is() -> None:
    ours, other = learner(GPU, COMPILE=True), learner(GPU)
    assert train(ours) == pytest.approx(train(other), rel=1e-3)
    images = batch()[0].to(GPU)
    with torch.compiler.set_stance("force_eager"), torch.inference_mode():
        features = [one.eval_model.eval()(images) for one in (ours, other)]
    torch.testing.assert_close(*features, rtol=1e-2, atol=1e-2)


def test_a_network_replayed_as_graphs_learns_the_same(caplog: pytest.LogCaptureFixture) -> None:
    ours, other = learner(GPU, CUDA_GRAPHS=True), learner(GPU)
    assert ours.notes == []
    caplog.set_level("INFO")
    assert train(ours) == pytest.approx(train(other), rel=1e-3)
    images, pids = batch(7)
    shorter = [one.train_batch(images[:8], pids[:8], rate=0.01, last=True)[0] for one in (ours, other)]
    torch.testing.assert_close(*shorter, rtol=1e-2, atol=1e-2)
    assert not [record for record in caplog.records if "CUDA_GRAPHS" in record.getMessage()]  # it was captured
    for name, value in other.model.state_dict().items():
        torch.testing.assert_close(ours.model.state_dict()[name], value, rtol=1e-2, atol=1e-2)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp("gpu"))


def test_batches_augmented_on_the_gpu_are_those_of_the_processor(config: Path) -> None:
    cfg = load_config(str(config), ["DATALOADER.NUM_WORKERS", "2"])
    dataset = build_dataset(cfg)
    for build in (lambda device: build_train_loader(cfg, dataset, seed=3, device=device),
                  lambda device: build_eval_loader(cfg, dataset, device=device)[0]):  # fmt: skip
        ours, other = list(build(GPU)), list(build(CPU))
        assert len(ours) == len(other) > 1
        for mine, theirs in zip(ours, other, strict=True):
            assert mine[0].device.type == "cuda"
            assert mine[1].is_pinned()
            torch.testing.assert_close(mine[0].cpu(), theirs[0], rtol=0, atol=1e-5)
            assert torch.equal(mine[1], theirs[1])


TRANSFORMED = [f"INPUT.{name}_PROB" for name in ("RPT", "AUTOAUG", "CJ", "AFFINE", "AUGMIX")]
TRANSFORMED = [word for key in TRANSFORMED for word in (key, "0.7")]


def test_random_transforms_on_the_gpu_are_those_of_the_processor(config: Path) -> None:
    cfg = load_config(str(config), TRANSFORMED)
    dataset = build_dataset(cfg)
    level = 1 / 255 / min(cfg.INPUT.PIXEL_STD)
    for (mine, *_), (theirs, *_) in zip(
        *(list(build_train_loader(cfg, dataset, seed=3, device=device)) for device in (GPU, CPU)), strict=True
    ):
        # A value may be rounded to the level beside it, which equalising or posterising then spreads.
        apart = (mine.cpu() - theirs).abs()
        assert (apart > 1.01 * level).float().mean() < 0.01 and (apart > 1e-4).float().mean() < 0.05


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_no_step_waits_for_the_gpu(config: Path, precision: str) -> None:
    transformed = TRANSFORMED if precision == "bf16" else []
    cfg = load_config(str(config), ["MODEL.PRECISION", precision, "SOLVER.OPTIMIZER_NAME", "Adam", *transformed])
    cfg.defrost()
    cfg.SOLVER.EMA_DECAY = 0.9
    dataset = build_dataset(cfg)
    loader = build_train_loader(cfg, dataset, seed=0, device=GPU)
    ours = Learner(cfg, build_model(cfg, dataset.num_train_pids), GPU, ProcessGroup())
    means = RunningMeans(GPU)
    ours.start_epoch(1)
    for epoch in (1, 2):  # the first time kernels are looked for
        loader.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
        torch.cuda.set_sync_debug_mode("error" if epoch == 2 else "default")
        try:
            for batch_of_loader in islice(loader, 3):
                means.add(*ours.train_batch(*batch_of_loader, rate=1e-3, last=False))
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert means.batches == 6


@contextmanager
def nccl() -> Iterator[ProcessGroup]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    dist.init_process_group("nccl", init_method=f"tcp://127.0.0.1:{port}", rank=0, world_size=1)
    try:
        yield ProcessGroup(host=dist.new_group(backend="gloo"))
    finally:
        dist.destroy_process_group()


def test_a_step_of_distributed_training_over_nccl_is_that_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = train(learner(GPU))
    with nccl() as group:
        ours = learner(GPU)
        synchronise_batch_norm(ours.model, GPU)
        assert any(isinstance(module, torch.nn.SyncBatchNorm) for module in ours.model.modules())
        ours.model.to(GPU)
        ours.sharded._wrapped = DistributedDataParallel(ours.model, device_ids=[GPU])
        monkeypatch.setattr(ProcessGroup, "all_gather_batch", lambda group, shard: _AllGather.apply(shard, group))
        assert train(ours) == pytest.approx(expected, rel=1e-4)
        rows = torch.arange(6).reshape(3, 2)
        assert torch.equal(group.all_gather_rows(rows, [3]), rows)


def test_features_and_rankings_are_those_of_the_processor() -> None:
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    pids = [rng.integers(0, 20, size) for size in (60, 300)]
    camids = [rng.integers(0, 4, size) for size in (60, 300)]
    centres = torch.randn(20, 64, generator=generator)
    query, gallery = (centres[ids] + 1.5 * torch.randn(len(ids), 64, generator=generator) for ids in pids)
    on_cpu, on_gpu = (
        rank_features(query.to(d), pids[0], camids[0], gallery.to(d), pids[1], camids[1]) for d in (CPU, GPU)
    )
    assert on_gpu.mAP == pytest.approx(on_cpu.mAP, abs=1e-4)
    reranked = [
        np.concatenate([rows for _, rows in reranked_distances(query.to(d), gallery.to(d))]) for d in (CPU, GPU)
    ]
    np.testing.assert_allclose(reranked[1], reranked[0], atol=1e-3)
    expanded = [expand_queries(query.to(d), gallery.to(d), 3, 3.0).cpu() for d in (CPU, GPU)]
    torch.testing.assert_close(*expanded, rtol=1e-3, atol=1e-4)
    loader = [(batch()[0], torch.zeros(16), torch.zeros(16), [""] * 16, torch.zeros(16, 2))]
    features = [extract_features(learner(d).eval_model, loader, device=d, flip=True)[0] for d in (CPU, GPU)]
    assert features[1].device == CPU
    torch.testing.assert_close(*features, rtol=1e-3, atol=1e-3)


def run(config: Path, output: Path, *overrides: str) -> str:
    """train.py under torchrun with one process, in deterministic mode; its output."""
    words = ["MODEL.DEVICE", "cuda", "SOLVER.DETERMINISTIC", "True", "OUTPUT_DIR", str(output), *overrides]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1", "--standalone"]
    done = subprocess.run(
        [*command, "tools/train.py", "--config_file", str(config), *words], cwd=ROOT, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(config: Path, tmp_path: Path, precision: str) -> None:
    settings = ["MODEL.PRECISION", precision, "SOLVER.OPTIMIZER_NAME", "Adam", "DATALOADER.NUM_WORKERS", "2"]
    assert "on cuda" in run(config, tmp_path / "whole", *settings)
    run(config, tmp_path / "parts", *settings, "SOLVER.MAX_EPOCHS", "1")
    assert "Continuing from" in run(config, tmp_path / "parts", *settings)
    whole, parts = (load_newest(tmp_path / name, []) for name in ("whole", "parts"))
    assert whole is not None and parts is not None
    assert whole[1]["progress"] == parts[1]["progress"]
    for name, value in whole[1]["model"].items():
        assert torch.equal(value, parts[1]["model"][name]), name
