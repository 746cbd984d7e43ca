"""What the random transforms draw, and what they make of it, against computations image by image."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor
from torchvision import transforms as T

from configs.defaults import _C
from data.transforms import PROBABILITIES, TRANSFORMS
from data.transforms.augmix import AugMix
from data.transforms.autoaugment import AutoAugment
from data.transforms.base import ImageTransform, RandomTransform, per_image
from data.transforms.chain import OPERATIONS, apply_chain
from data.transforms.color_jitter import ColorJitter
from data.transforms.network_input import TrainTransform

SIZE = (32, 16)
NAMES = list(OPERATIONS)
# Our operations by torchvision's names in its table of the ImageNet policy.
THEIRS = {
    "Posterize": "posterise", "Rotate": "rotate", "Solarize": "solarise", "AutoContrast": "stretch_contrast",
    "Equalize": "equalise", "Color": "saturation", "Invert": "invert", "Contrast": "contrast",
    "Sharpness": "sharpness", "ShearX": "shear_x",
}  # fmt: skip
# Their values as fast-reid computes them from the magnitude; a range where the sign is random.
VALUES = {
    "posterise": lambda level: {int(level / 10 * 4) + 4},
    "solarise": lambda level: {int(level / 10 * 256)},
    "rotate": lambda level: {level / 10 * 30, -level / 10 * 30},
    "shear_x": lambda level: {level / 10 * 0.3, -level / 10 * 0.3},
    **dict.fromkeys(("saturation", "contrast", "sharpness"), lambda level: {level / 10 * 1.8 + 0.1}),
}


def noise(images: int) -> Tensor:
    return torch.randint(0, 256, (images, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def drawn(transform: RandomTransform, images: int) -> Tensor:
    return torch.tensor([transform.draw(random.Random(seed)) for seed in range(images)])


def built(**settings: object) -> dict[str, RandomTransform]:
    """All transforms of the table with probability 1, or as the settings of INPUT say."""
    cfg = _C.clone()
    cfg.INPUT.SIZE_TRAIN = SIZE
    cfg.INPUT.update({**dict.fromkeys(PROBABILITIES.values(), 1.0), **settings})
    return {name: TRANSFORMS.builder(name)(cfg) for name in TRANSFORMS.names}


def train_transform(more: dict[str, RandomTransform]) -> TrainTransform:
    return TrainTransform(SIZE, [0.5] * 3, [0.2] * 3, flip_prob=0.5, erase_prob=0.5, padding=2, more=more)


def steps(choices: Sequence[float]) -> list[tuple[str, float]]:
    """The operations and their values of a chain."""
    pairs = zip(choices[::2], choices[1::2], strict=True)
    return [(NAMES[int(number)], value) for number, value in pairs if number >= 0]


def test_autoaugment_draws_the_published_policy() -> None:
    policy = T.AutoAugment(T.AutoAugmentPolicy.IMAGENET).policies
    possible = Counter[tuple[str, ...]]()
    for pair in policy:
        ours = [(THEIRS[name], prob, (lambda level: {0}) if level is None else VALUES[THEIRS[name]], level)
                for name, prob, level in pair]  # fmt: skip
        (a, p, _, _), (b, q, _, _) = ours
        for names, share in (((a, b), p * q), ((a,), p * (1 - q)), ((b,), (1 - p) * q), ((), (1 - p) * (1 - q))):
            possible[names] += share / len(policy)
    allowed = {
        (THEIRS[name], round(value, 4))
        for pair in policy
        for name, _, level in pair
        for value in ({0} if level is None else VALUES[THEIRS[name]](level))
    }
    chains = [steps(choices) for choices in drawn(AutoAugment(1.0), 6000).tolist()]
    assert {(name, round(value, 4)) for chain in chains for name, value in chain} == allowed
    found = Counter(tuple(name for name, _ in chain) for chain in chains)
    assert found.keys() == {names for names, share in possible.items() if share > 1e-9}
    for names, number in found.items():
        share = possible[names]
        assert abs(number / 6000 - share) < 5 * (share / 6000) ** 0.5, names


def test_autoaugment_is_its_operations_with_grey_around() -> None:
    transform = AutoAugment(1.0)
    choices = drawn(transform, 60)
    out = transform.apply(noise(60), choices)
    for image, found, chain in zip(noise(60), out, choices.tolist(), strict=True):
        for number in range(0, 4, 2):
            image = apply_chain(image[None], torch.tensor([chain[number : number + 2]]), fill=128)[0]
        assert (image.int() - found.int()).abs().max() <= 1
    rotated = torch.tensor([[NAMES.index("rotate"), 45.0, -1.0, 0.0]])
    assert transform.apply(torch.zeros(1, 3, *SIZE, dtype=torch.uint8), rotated)[0, :, 0, 0].tolist() == [128] * 3


def test_colour_jitter_changes_in_the_drawn_order() -> None:
    transform = ColorJitter(1.0, brightness=0.5, contrast=0.4, saturation=0.3, hue=0.0)
    enhance = {
        "brightness": ImageEnhance.Brightness,
        "contrast": ImageEnhance.Contrast,
        "saturation": ImageEnhance.Color,
    }
    choices = drawn(transform, 40)
    out = transform.apply(noise(40), choices).permute(0, 2, 3, 1).numpy()
    for image, found, chain in zip(noise(40).permute(0, 2, 3, 1).numpy(), out, choices.tolist(), strict=True):
        picture = Image.fromarray(image)
        for name, factor in steps(chain):
            picture = enhance[name](picture).enhance(factor)
        assert np.array_equal(np.asarray(picture), found)


def test_colour_jitter_draws_from_its_ranges_in_any_order() -> None:
    chains = [
        steps(c) for c in drawn(ColorJitter(1, brightness=0.5, contrast=1, saturation=0.3, hue=0.1), 800).tolist()
    ]
    assert len({tuple(name for name, _ in chain) for chain in chains}) == 24
    for name, low, high in (
        ("brightness", 0.5, 1.5),
        ("contrast", 0, 2),
        ("saturation", 0.7, 1.3),
        ("hue", -0.1, 0.1),
    ):
        values = [dict(chain)[name] for chain in chains]
        near = (high - low) / 50
        assert low <= min(values) + 1e-6 < low + near and high - near < max(values) - 1e-6 <= high


def test_the_affine_transform_draws_from_its_ranges() -> None:
    more = {"AFFINE_DEGREES": 20.0, "AFFINE_TRANSLATE": 0.1, "AFFINE_SCALE": (0.5, 0.8), "AFFINE_SHEAR": 5.0}
    values = drawn(built(**more)["affine"], 2000)
    for column, (low, high) in zip(values.T, [(-20, 20), (-0.1, 0.1), (-0.1, 0.1), (0.5, 0.8), (-5, 5)], strict=True):
        near = (high - low) / 100
        assert low - 1e-6 <= column.min() < low + near and high - near < column.max() <= high + 1e-6


def pillow_step(image: Image.Image, name: str, value: float) -> Image.Image:
    """AugMix's operations by Pillow, with black around."""
    affine, bilinear = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return {
        "stretch_contrast": lambda: ImageOps.autocontrast(image),
        "equalise": lambda: ImageOps.equalize(image),
        "posterise": lambda: ImageOps.posterize(image, int(value)),
        "solarise": lambda: ImageOps.solarize(image, int(value)),
        "rotate": lambda: image.rotate(value, bilinear),
        "shear_x": lambda: image.transform(image.size, affine, (1, value, 0, 0, 1, 0), bilinear),
        "shear_y": lambda: image.transform(image.size, affine, (1, 0, 0, value, 1, 0), bilinear),
        "translate_x": lambda: image.transform(image.size, affine, (1, 0, value, 0, 1, 0), bilinear),
        "translate_y": lambda: image.transform(image.size, affine, (1, 0, 0, 0, 1, value), bilinear),
    }[name]()


@pytest.mark.parametrize(("severity", "depth"), [(1.0, 1), (9.0, 0)])
def test_augmix_mixes_chains(severity: float, depth: int) -> None:
    transform = AugMix(1.0, size=SIZE, severity=severity, width=3, depth=depth, alpha=0.7)
    choices = drawn(transform, 40)
    out = transform.apply(noise(40), choices).permute(0, 2, 3, 1)
    apart, lengths = [], set()
    for image, found, (mixing, *rest) in zip(noise(40), out, choices.tolist(), strict=True):
        weights, chains = rest[:3], np.array(rest[3:]).reshape(3, -1).tolist()
        assert sum(weights) == pytest.approx(1, abs=1e-6) and 0 <= mixing <= 1
        pixels = image.permute(1, 2, 0).numpy()
        mixed = (1 - mixing) * pixels.astype(np.float64)
        for weight, chain in zip(weights, chains, strict=True):
            picture = Image.fromarray(pixels)
            lengths.add(len(steps(chain)))
            for name, value in steps(chain):
                picture = pillow_step(picture, name, value)
            copy = np.asarray(picture)
            if not depth:  # a level between Pillow and us becomes many in the operation after: ours, one by one
                copy = apply_chain(image[None], torch.tensor([chain]), fill=0)[0].permute(1, 2, 0).numpy()
            mixed += mixing * weight * copy.astype(np.float64)
        apart.append(np.abs(mixed - found.numpy()))
    # Pillow cuts off what moving and stretching interpolate between two values; then the mixture is rounded.
    assert np.mean(np.concatenate(apart) > 1.5) < 0.02 and np.mean(np.concatenate(apart) > 4) < 0.01
    assert lengths == ({1} if depth else {1, 2, 3})


def test_augmix_draws_levels_up_to_the_severity() -> None:
    transform = AugMix(1.0, size=(300, 150), severity=5.0, width=1, depth=1, alpha=1.0)
    values: dict[str, list[float]] = {}
    for _, _, *chain in drawn(transform, 4000).tolist():
        for name, value in steps(chain):
            values.setdefault(name, []).append(value)
    assert len(values) == 9 and all(300 < len(found) < 600 for found in values.values())
    ranges = {"posterise": (3, 4), "solarise": (129, 254), "rotate": (-14, 14), "translate_x": (-24, 24)}
    for name, expected in {**ranges, "translate_y": (-49, 49)}.items():
        assert (min(values[name]), max(values[name])) == expected, name
    assert 0.145 < max(values["shear_x"]) <= 0.15 and -0.15 <= min(values["shear_y"]) < -0.145


def test_a_patch_of_another_image_is_pasted() -> None:
    transform = built()["random_patch"]
    choices = drawn(transform, 200)
    images, others = noise(200), 255 - noise(200)
    out = transform.apply(images.clone(), others, choices)
    shares, mirrored = [], 0
    for image, other, found, row in zip(images, others, out, choices.tolist(), strict=True):
        place, top, left, height, width, to_top, to_left, mirror = row
        expected = image.clone()
        for y in range(int(height)):
            for x in range(int(width)):
                from_x = int(left) + (int(width) - 1 - x if mirror else x)
                expected[:, int(to_top) + y, int(to_left) + x] = other[:, int(top) + y, from_x]
        assert torch.equal(found, expected) and 0 <= place < 1
        shares.append(height * width / (SIZE[0] * SIZE[1]))
        mirrored += int(mirror)
    assert min(shares) < 0.03 and 0.4 < max(shares) < 0.6 and 70 < mirrored < 130


def test_one_more_transform_leaves_all_other_choices_as_they_are() -> None:
    plain, all_of_them = train_transform({}).draw(range(50)), train_transform(built()).draw(range(50))
    assert torch.equal(all_of_them[:, :7], plain)
    for name, transform in built().items():
        alone = train_transform({name: transform}).draw(range(50))
        width = alone.shape[1] - 7
        assert any(
            torch.equal(alone[:, 7:], all_of_them[:, s : s + width]) for s in range(7, all_of_them.shape[1] - width + 1)
        )


def test_probabilities_are_kept_and_only_the_chosen_change() -> None:
    more = {"affine": built(AFFINE_PROB=0.3)["affine"]}
    choices = train_transform(more).draw(range(2000))
    assert float(choices[:, 7].mean()) == pytest.approx(0.3, abs=0.04)
    chosen = choices[:64, 7] > 0
    plain = train_transform({}).augment(noise(64), choices[:64])
    same = (train_transform(more).augment(noise(64), choices[:64]) == plain).flatten(1).all(1)
    assert torch.equal(same, ~chosen) and 0 < chosen.sum() < 64


def test_both_ways_agree_with_all_transforms() -> None:
    """Image by image, as the processor does, and together, as an accelerator does."""
    transform = train_transform(built())
    choices = transform.draw(range(64))
    images = transform.add_others(noise(64), choices, lambda places: noise(200)[(places * 200).long()])
    given = images.clone()
    each = transform.augment(images, choices)
    together = transform._augment_batch(images, choices)
    assert torch.equal(images, given)
    apart = (each - together).abs()
    assert apart.max() < 1.01 / (255 * 0.2) * 6 and (apart > 1e-5).float().mean() < 0.001


class Darker(ImageTransform):
    def draw(self, rng: random.Random) -> list[float]:
        return [rng.uniform(0.5, 1)]

    def apply(self, images: Tensor, choices: Tensor) -> Tensor:
        return (images * per_image(choices[:, 0], images)).to(torch.uint8)


def test_a_transform_of_ones_own_draws_from_each_seed_alone() -> None:
    transform = train_transform({"darker": Darker(0.5)})
    before = torch.get_rng_state(), random.getstate()
    choices = transform.draw(range(40))
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == random.getstate()
    assert torch.equal(transform.draw([31, 7]), choices[[31, 7]])
    white = torch.full((40, 3, *SIZE), 255, dtype=torch.uint8)
    out = transform.augment(white, choices)
    factors = torch.where(choices[:, 7] > 0, choices[:, 8], 1)
    brightest = out.amax((1, 2, 3)) * 0.2 + 0.5
    assert torch.allclose(brightest, (factors * 255).floor() / 255, atol=1e-6)
