from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from yacs.config import CfgNode

from configs.defaults import _C
from engine.config import load_config
from engine.solver import build_optimizer, cosine, learning_rate, load_optimizer, schedule_notes, set_learning_rate
from modeling.backbones import build_backbone
from modeling.backbones.layers import number_layers, number_parts
from modeling.model import build_model
from utils.errors import ConfigError

# What reid-strong-baseline 3da7e6f has in force during epochs 1, 2, …: its scheduler is stepped as an epoch starts.
LINEAR = {"STEPS": (40, 70), "GAMMA": 0.1, "WARMUP_FACTOR": 0.01, "WARMUP_ITERS": 10, "WARMUP_METHOD": "linear"}
CONSTANT = {"STEPS": (30, 55), "GAMMA": 0.1, "WARMUP_FACTOR": 0.01, "WARMUP_ITERS": 5, "WARMUP_METHOD": "constant"}
OVERLAP = {"STEPS": (2, 4), "GAMMA": 0.5, "WARMUP_FACTOR": 1 / 3, "WARMUP_ITERS": 3, "WARMUP_METHOD": "linear"}


def config(**solver: object) -> CfgNode:
    cfg = _C.clone()
    cfg.SOLVER.update(solver)
    return cfg


@pytest.mark.parametrize(
    ("base", "settings", "epoch", "value"),
    [
        (3.5e-4, LINEAR, 1, 3.815e-05),
        (3.5e-4, LINEAR, 2, 7.28e-05),
        (3.5e-4, LINEAR, 9, 3.1535e-04),
        (3.5e-4, LINEAR, 10, 3.5e-04),
        (3.5e-4, LINEAR, 39, 3.5e-04),
        (3.5e-4, LINEAR, 40, 3.5e-05),
        (3.5e-4, LINEAR, 70, 3.5e-06),
        (3.5e-4, CONSTANT, 4, 3.5e-06),
        (3.5e-4, CONSTANT, 5, 3.5e-04),
        (1e-3, OVERLAP, 1, 5.5555556e-4),
        (1e-3, OVERLAP, 2, 3.8888889e-4),
        (1e-3, OVERLAP, 3, 5e-4),
        (1e-3, OVERLAP, 4, 2.5e-4),
    ],
)
def test_schedule_is_the_originals(base: float, settings: dict[str, object], epoch: int, value: float) -> None:
    cfg = config(BASE_LR=base, **settings)
    assert learning_rate(cfg, epoch) == pytest.approx(value, rel=1e-7)
    assert learning_rate(cfg, epoch, 7, 9) == learning_rate(cfg, epoch)  # the same all through the epoch


def test_warm_up_by_iteration_ends_within_an_epoch() -> None:
    cfg = config(BASE_LR=1.0, WARMUP_UNIT="iteration", WARMUP_ITERS=8, WARMUP_FACTOR=0.2, STEPS=(3,))
    rates = [learning_rate(cfg, epoch, batch, 5) for epoch in (1, 2, 3) for batch in range(5)]
    ramp = [0.2 + 0.1 * iteration for iteration in range(8)]
    assert rates == pytest.approx([*ramp, 1, 1, *[0.1] * 5])
    assert [learning_rate(cfg, epoch) for epoch in (1, 2)] == pytest.approx([0.2, 0.3])  # epochs of one batch


def test_cosine_falls_from_the_end_of_warm_up_towards_the_minimum_after_the_last_epoch() -> None:
    cfg = config(BASE_LR=2.0, SCHEDULE="cosine", MAX_EPOCHS=6, MIN_LR_FACTOR=0.1, WARMUP_ITERS=2, WARMUP_FACTOR=0.5)
    rates = [learning_rate(cfg, epoch) for epoch in range(1, 7)]
    # Warm-up runs one value ahead, as with multistep; then (1 + cos(pi k / 4)) / 2 of the way down for k = 0 ... 3.
    shares = [1.0, 0.8535533906, 0.5, 0.1464466094]
    assert rates == pytest.approx([1.5, 2.0, *[2 * (0.1 + 0.9 * share) for share in shares]])
    assert learning_rate(cfg, 7) == pytest.approx(2 * 0.1)


def test_cosine_whole_is_timms() -> None:
    """TransReID's settings: lr_min 0.002 and a warm-up from 0.01 of the rate, stepped as an epoch starts."""
    from timm.scheduler import CosineLRScheduler

    theirs = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.008)
    scheduler = CosineLRScheduler(
        theirs, t_initial=120, lr_min=0.002 * 0.008, warmup_lr_init=0.01 * 0.008, warmup_t=5, cycle_limit=1
    )
    ours = config(
        BASE_LR=0.008, SCHEDULE="cosine_whole", MAX_EPOCHS=120, MIN_LR_FACTOR=0.002, WARMUP_ITERS=5, WARMUP_FACTOR=0.01
    )
    for epoch in range(1, 121):
        scheduler.step(epoch)
        assert learning_rate(ours, epoch) == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12), epoch
    assert learning_rate(ours, 60) == pytest.approx(0.008 * 0.501)  # half-way
    by_iteration = config(SCHEDULE="cosine_whole", MAX_EPOCHS=4, WARMUP_UNIT="iteration", WARMUP_ITERS=0, BASE_LR=1.0)
    expected = [(1 + 2**-0.5) / 2, 0.5, (1 - 2**-0.5) / 2, 0]
    assert [learning_rate(by_iteration, epoch) for epoch in (1, 2, 3, 4)] == pytest.approx(expected)


def test_cosine_beside_a_warm_up_by_iteration_falls_from_the_second_epoch_on() -> None:
    cfg = config(BASE_LR=2.0, SCHEDULE="cosine", MAX_EPOCHS=4, MIN_LR_FACTOR=0.0, WARMUP_ITERS=3, WARMUP_FACTOR=0.5)
    cfg.SOLVER.WARMUP_UNIT = "iteration"
    rates = [learning_rate(cfg, epoch, 0, 5) for epoch in range(1, 6)]
    assert rates == pytest.approx([2 * 0.5, 2 * 0.8535533906, 2 * 0.5, 2 * 0.1464466094, 0.0])


def test_cosine_waits_for_the_delay_as_fast_reids_does() -> None:
    """In fast-reid, T_max is the epochs less the longer of warm-up and delay, and the first step ends epoch delay + 1."""
    cfg = config(BASE_LR=2.0, SCHEDULE="cosine", MAX_EPOCHS=7, WARMUP_ITERS=2, WARMUP_FACTOR=0.5, DELAY_EPOCHS=3)
    rates = [learning_rate(cfg, epoch) for epoch in range(1, 8)]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7 - max(2, 3))
    expected = [1.5]  # warm-up, one value ahead
    for epoch in range(2, 8):
        expected.append(optimizer.param_groups[0]["lr"])
        if epoch > 3:
            optimizer.step()
            theirs.step()
    assert rates == pytest.approx(expected)
    assert rates[1:4] == [2.0] * 3 and rates[4] < 2.0
    cfg.SOLVER.WARMUP_UNIT = "iteration"
    assert [learning_rate(cfg, epoch, 4, 5) for epoch in range(1, 8)] == pytest.approx([2.0, *expected[1:]])
    cfg.SOLVER.SCHEDULE = "multistep"
    assert learning_rate(cfg, 7, 4, 5) == 2.0  # of cosine alone


@pytest.mark.parametrize(
    ("epoch", "start", "end", "value"),
    [
        (1, 2, 5, 1.0),  # in warm-up
        (3, 2, 5, 1.0),
        (4, 2, 5, 0.1 + 0.9 * 0.75),  # a third of the way: (1 + cos 60°) / 2
        (6, 2, 5, 0.1),
        (9, 2, 5, 0.1),
        (4, 2, 3, 0.1),  # a single epoch
        (3, 2, 2, 1.0),  # none
        (4, 2, 2, 0.1),
    ],
)
def test_cosine_by_hand(epoch: int, start: int, end: int, value: float) -> None:
    assert cosine(epoch, start=start, end=end, minimum=0.1) == pytest.approx(value)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"MAX_EPOCHS": 8}, "the whole run of 8 epochs: with a smaller SOLVER.WARMUP_ITERS than 10"),
        ({"MAX_EPOCHS": 10, "SCHEDULE": "cosine"}, "the whole run of 10 epochs"),
        ({"MAX_EPOCHS": 2, "WARMUP_UNIT": "iteration"}, "the whole run of 10 iterations"),
        ({"MAX_EPOCHS": 11}, ""),
        ({"MAX_EPOCHS": 3, "WARMUP_UNIT": "iteration"}, ""),
        ({"MAX_EPOCHS": 1, "WARMUP_ITERS": 0}, ""),
        ({"MAX_EPOCHS": 8, "WARMUP_FACTOR": 1.0}, ""),
        ({"MAX_EPOCHS": 8, "WARMUP_FACTOR": 0.0}, "the whole run of 8 epochs"),
        ({"MAX_EPOCHS": 21, "SCHEDULE": "cosine", "DELAY_EPOCHS": 20}, "never falls: SOLVER.DELAY_EPOCHS 20 leaves"),
        ({"MAX_EPOCHS": 22, "SCHEDULE": "cosine", "DELAY_EPOCHS": 20}, ""),
        ({"MAX_EPOCHS": 21, "DELAY_EPOCHS": 20}, ""),
        ({"MAX_EPOCHS": 1, "SCHEDULE": "cosine", "WARMUP_ITERS": 0}, ""),
    ],
)
def test_a_rate_that_never_leaves_warm_up_or_never_falls_is_told(settings: dict[str, object], told: str) -> None:
    notes = schedule_notes(config(**settings), 5)
    assert told in notes[0] if told else not notes


def test_no_warm_up_starts_at_the_base_rate(small_config: Path) -> None:
    cfg = load_config(str(small_config), ["SOLVER.BASE_LR", "0.02", "SOLVER.WARMUP_ITERS", "0"])
    assert learning_rate(cfg, 1) == 0.02


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD"])
def test_two_groups_hold_every_trained_parameter_once(small_config: Path, name: str) -> None:
    overrides = ["SOLVER.OPTIMIZER_NAME", name, "SOLVER.BIAS_LR_FACTOR", "2", "SOLVER.WEIGHT_DECAY_BIAS", "0"]
    cfg = load_config(str(small_config), overrides)
    model = build_model(cfg, 5)
    optimizer = build_optimizer(cfg, model)
    assert type(optimizer).__name__ == name
    weights, biases = optimizer.param_groups
    names = {id(parameter): key for key, parameter in model.named_parameters()}
    assert all("bias" not in names[id(parameter)] for parameter in weights["params"])
    assert all("bias" in names[id(parameter)] for parameter in biases["params"])
    trained = {key for key in names.values() if key != "bottleneck.bias"}
    assert {names[id(p)] for group in optimizer.param_groups for p in group["params"]} == trained
    assert (weights["weight_decay"], biases["weight_decay"]) == (0.0005, 0.0)
    set_learning_rate(optimizer, 0.5)
    assert (weights["lr"], biases["lr"]) == (0.5, 1.0)


def test_a_rule_of_its_own_for_norms_and_heads_and_no_more_groups_than_rules() -> None:
    cfg = config(HEADS_LR_FACTOR=3.0, WEIGHT_DECAY_NORM_FACTOR=0.0, WEIGHT_DECAY_BIAS=0.0, WEIGHT_DECAY=0.01)
    cfg.MODEL.NAME, cfg.MODEL.POOLING = "resnet18", "gem"
    model = build_model(cfg, 5)
    names = {id(parameter): key for key, parameter in model.named_parameters()}
    rules = {
        names[id(parameter)]: (group["lr_factor"], group["weight_decay"])
        for group in build_optimizer(cfg, model).param_groups
        for parameter in group["params"]
    }
    assert rules["base.conv1.weight"] == (1.0, 0.01)
    assert rules["base.layer1.0.bn1.weight"] == rules["base.layer1.0.bn1.bias"] == (1.0, 0.0)
    assert rules["bottleneck.weight"] == (3.0, 0.0)
    assert rules["classifier.weight"] == rules["gap.p"] == (3.0, 0.01)
    assert len(build_optimizer(cfg, model).param_groups) == 4
    assert len(build_optimizer(_C, model).param_groups) == 1


def factors(cfg: CfgNode, model: nn.Module) -> dict[str, float]:
    """The factor on the learning rate of each trained parameter, by name."""
    names = {id(parameter): key for key, parameter in model.named_parameters()}
    groups = build_optimizer(cfg, model).param_groups
    return {names[id(parameter)]: group["lr_factor"] for group in groups for parameter in group["params"]}


def test_layer_decay_of_a_resnet_goes_block_by_block() -> None:
    cfg = config(LAYER_DECAY=0.5, BIAS_LR_FACTOR=2.0, HEADS_LR_FACTOR=3.0)
    cfg.MODEL.NAME = "resnet18"
    model = build_model(cfg, 5)
    found = factors(cfg, model)
    assert found["classifier.weight"] == found["bottleneck.weight"] == 3.0
    assert found["base.layer4.1.conv2.weight"] == 0.5
    assert found["base.layer4.0.downsample.0.weight"] == 0.25
    assert found["base.layer1.0.conv1.weight"] == 0.5**8
    assert found["base.conv1.weight"] == found["base.bn1.weight"] == 0.5**9
    assert found["base.bn1.bias"] == 2 * 0.5**9
    # Equal factors share a group: 1, 1/2, … 1/512 of weights and biases of 9 layers, and what is behind the backbone.
    assert len(build_optimizer(cfg, model).param_groups) == 11


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "convnext_atto"])
def test_layer_decay_of_timms_networks_is_timms_own(name: str) -> None:
    pytest.importorskip("timm")
    from timm.optim import param_groups_layer_decay

    cfg = config(LAYER_DECAY=0.75)
    cfg.MODEL.NAME, cfg.INPUT.SIZE_TRAIN, cfg.INPUT.SIZE_TEST = f"timm/{name}", (32, 32), (32, 32)
    model = build_model(cfg, 5)
    found = factors(cfg, model)
    assert found["classifier.weight"] == 1.0
    names = {id(parameter): key for key, parameter in model.named_parameters()}
    theirs = {
        names[id(parameter)]: 0.75 * group["lr_scale"]  # timm counts from the backbone's last layer, without a head
        for group in param_groups_layer_decay(model.base.net, layer_decay=0.75)  # type: ignore[arg-type, union-attr]
        for parameter in group["params"]
    }
    assert len(theirs) > 50
    assert {key: found[key] for key in theirs} == pytest.approx(theirs)


@pytest.mark.parametrize("name", ["mobilenet_v2", "se_resnet50", "resnet50_ibn_a"])
def test_layers_are_numbered_from_the_images_without_a_gap(name: str) -> None:
    cfg = config()
    cfg.MODEL.NAME = name
    numbers = list(number_layers(build_backbone(cfg)).values())
    assert numbers == sorted(numbers) and sorted(set(numbers)) == list(range(max(numbers) + 1))
    assert max(numbers) == {"mobilenet_v2": 18}.get(name, 16)  # 16 blocks above the stem


def test_an_optimizer_and_a_schedule_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their momenta are restored as others' are; the schedule is looked up once, whatever becomes of the file."""
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(
        "import torch\n\ndef made(groups, cfg):\n    return torch.optim.RAdam(groups, lr=cfg.SOLVER.BASE_LR)\n\n"
        "def halves(cfg, epoch):\n    return 0.5 ** epoch\n",
        encoding="utf-8",
    )
    cfg = config(OPTIMIZER_NAME="own.py:made", SCHEDULE="own.py:halves", BASE_LR=8.0, WARMUP_ITERS=0)
    assert [learning_rate(cfg, epoch, 3, 9) for epoch in (1, 2, 3)] == [4.0, 2.0, 1.0]
    Path("own.py").write_text("def made(groups, cfg): ...\n", encoding="utf-8")
    assert learning_rate(cfg, 4) == 0.5
    model = nn.Linear(2, 2)
    optimizer = build_optimizer(cfg, model)
    assert type(optimizer) is torch.optim.RAdam
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    again = build_optimizer(cfg, model)
    load_optimizer(again, optimizer.state_dict(), saved=cfg, cfg=cfg, model=model)
    for parameter in model.parameters():
        assert torch.equal(again.state[parameter]["exp_avg"], optimizer.state[parameter]["exp_avg"])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    Path("own.py").write_text("def halves(cfg, epoch): return 0.25\n", encoding="utf-8")
    assert learning_rate(cfg, 4) == 2.0  # another file
    Path("broken.py").write_text("import nothing_of_this_name\n\ndef rate(cfg, epoch): ...\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken\.py: cannot be imported"):
        schedule_notes(config(SCHEDULE="broken.py:rate"), 5)


def test_names_of_layers() -> None:
    """A numbered tensor is no layer; what stands between two layers is of the one before."""
    names = [
        "cls",
        "embed.proj.weight",
        "stages.0.blocks.0.w",
        "stages.0.blocks.1.w",
        "neck.w",
        "stages.1.w",
        "prompts.0",
    ]
    assert list(number_parts(names).values()) == [0, 0, 1, 1, 1, 2, 2]
    assert number_parts(["features.0.w", "features.1.w"]) == {"features.0.w": 0, "features.1.w": 1}


def test_betas_are_adams() -> None:
    for name in ("Adam", "AdamW", "AMSGrad"):
        optimizer = build_optimizer(config(OPTIMIZER_NAME=name, BETAS=(0.8, 0.95)), nn.Linear(2, 2))
        assert all(group["betas"] == (0.8, 0.95) for group in optimizer.param_groups)
    assert (
        build_optimizer(_C, nn.Linear(2, 2)).defaults["betas"] == torch.optim.Adam([torch.zeros(1)]).defaults["betas"]
    )


@pytest.mark.parametrize(("epochs", "batches", "groups"), [(0, 0, 1), (1, 0, 2), (5, 0, 2), (0, 1, 2)])
def test_a_backbone_that_is_frozen_at_first_has_groups_of_its_own(epochs: int, batches: int, groups: int) -> None:
    cfg = config(FREEZE_EPOCHS=epochs, FREEZE_ITERS=batches)
    cfg.MODEL.NAME = "resnet18"
    model = build_model(cfg, 5)
    names = {id(parameter): key for key, parameter in model.named_parameters()}
    found = build_optimizer(cfg, model).param_groups
    assert len(found) == groups
    of_backbone = [{names[id(parameter)].startswith("base.") for parameter in group["params"]} for group in found]
    assert of_backbone == ([{True, False}] if groups == 1 else [{True}, {False}])


@pytest.mark.parametrize(
    ("name", "precision", "fused"),
    [("Adam", "fp32", True), ("AdamW", "fp16", True), ("SGD", "fp32", True), ("SGD", "fp16", False)],
)
def test_steps_are_fused_where_that_is_right(name: str, precision: str, fused: bool) -> None:
    """The fused SGD of torch 2.15 leaves momenta uninitialised when loss scaling passes over the first steps."""
    cfg = config(OPTIMIZER_NAME=name)
    cfg.MODEL.PRECISION = precision
    assert build_optimizer(cfg, nn.Linear(2, 2)).defaults["fused"] is fused


@pytest.mark.parametrize("name", ["Adam", "AdamW", "AMSGrad", "SGD"])
def test_merged_groups_step_like_one_group_a_parameter(small_config: Path, name: str) -> None:
    cfg = load_config(str(small_config), ["SOLVER.OPTIMIZER_NAME", name, "SOLVER.BIAS_LR_FACTOR", "2"])
    torch.manual_seed(0)
    ours, theirs = nn.Linear(4, 3), nn.Linear(4, 3)
    theirs.load_state_dict(ours.state_dict())
    optimizer = build_optimizer(cfg, ours)
    set_learning_rate(optimizer, 0.1)
    groups = [
        {"params": [p], "lr": 0.2 if key == "bias" else 0.1, "weight_decay": 0.0005}
        for key, p in theirs.named_parameters()
    ]
    of_torch = {"AMSGrad": ("Adam", {"amsgrad": True}), "SGD": ("SGD", {"momentum": cfg.SOLVER.MOMENTUM})}
    kind, options = of_torch.get(name, (name, {}))
    plain = getattr(torch.optim, kind)(groups, **options)
    for _step in range(3):
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        optimizer.step()
        plain.step()
    for key, value in ours.state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[key])


def test_momenta_find_their_parameters_in_other_groups() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    saved, cfg = _C.clone(), _C.clone()
    cfg.SOLVER.WEIGHT_DECAY, cfg.SOLVER.BASE_LR, cfg.SOLVER.WEIGHT_DECAY_NORM_FACTOR = 0.1, 0.5, 0.0
    cfg.SOLVER.BETAS = (0.8, 0.9)
    old = build_optimizer(saved, model)
    model(torch.randn(4, 2)).square().sum().backward()
    old.step()
    new = build_optimizer(cfg, model)
    assert len(old.param_groups) < len(new.param_groups)
    load_optimizer(new, old.state_dict(), saved=saved, cfg=cfg, model=model)
    for parameter in model.parameters():
        assert torch.equal(new.state[parameter]["exp_avg"], old.state[parameter]["exp_avg"])
        assert new.state[parameter]["step"] == 1
    assert all(group["betas"] == (0.8, 0.9) for group in new.param_groups)
    assert {(group["weight_decay"], group["lr"]) for group in new.param_groups} == {
        (0.1, 0.5),
        (0.0005, 0.5),
        (0.0, 0.5),
    }


def test_a_layers_own_rate_may_come_and_go_when_a_run_continues() -> None:
    """A checkpoint from before the key has one group; momenta find their parameters, and stepping is as from the start."""
    saved, cfg = config(), config(LAYER_DECAY=0.5)
    for each in (saved, cfg):
        each.MODEL.NAME = "resnet18"
    model = build_model(saved, 5)
    old = build_optimizer(saved, model)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.1)
    old.step()
    state = old.state_dict()
    for group in state["param_groups"]:
        del group["betas"]  # whatever a saved group holds or lacks
    new = build_optimizer(cfg, model)
    load_optimizer(new, state, saved=saved, cfg=cfg, model=model)
    assert len(old.param_groups) < len(new.param_groups)
    for group in new.param_groups:
        for parameter in group["params"]:
            assert torch.equal(new.state[parameter]["exp_avg"], old.state[parameter]["exp_avg"])
    new.step()
    back = build_optimizer(saved, model)
    load_optimizer(back, new.state_dict(), saved=cfg, cfg=saved, model=model)
    assert {int(back.state[p]["step"]) for group in back.param_groups for p in group["params"]} == {2}
