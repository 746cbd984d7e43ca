"""The operations on a batch against Pillow's on each image, and against exact computations."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from data.transforms import colours
from data.transforms.chain import NONE, OPERATIONS, apply_chain, step
from data.transforms.geometry import affine_matrix, warp

HEIGHT, WIDTH = 37, 22


def pictures() -> Tensor:
    """Seven images [7, 3, H, W]: smooth, noisy, of few values, of one value, dark."""
    rng = np.random.default_rng(0)
    smooth = np.asarray(
        Image.fromarray(rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)).resize(
            (WIDTH, HEIGHT), Image.Resampling.BICUBIC
        )
    )
    few = rng.choice(np.array([3, 90, 91, 250], dtype=np.uint8), (HEIGHT, WIDTH, 3))
    dark = rng.integers(10, 40, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    flat = np.full_like(smooth, 77)
    noise = rng.integers(0, 256, (3, HEIGHT, WIDTH, 3), dtype=np.uint8)
    return torch.from_numpy(np.stack([smooth, few, flat, dark, *noise])).permute(0, 3, 1, 2).contiguous()


def as_pillow(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def as_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def by_pillow(change: Callable[[Image.Image, float], Image.Image], values: list[float]) -> Tensor:
    return torch.stack([
        as_tensor(change(as_pillow(image), value)) for image, value in zip(pictures(), values, strict=True)
    ])  # fmt: skip


def levels_apart(first: Tensor, second: Tensor) -> Tensor:
    return (first.int() - second.int()).abs()


FACTORS = [0.0, 0.1, 0.77, 1.0, 1.3, 1.9, 5.0]


@pytest.mark.parametrize(
    ("name", "change", "values"),
    [
        ("brightness", lambda image, value: ImageEnhance.Brightness(image).enhance(value), FACTORS),
        ("contrast", lambda image, value: ImageEnhance.Contrast(image).enhance(value), FACTORS),
        ("saturation", lambda image, value: ImageEnhance.Color(image).enhance(value), FACTORS),
        ("sharpness", lambda image, value: ImageEnhance.Sharpness(image).enhance(value), FACTORS),
        ("invert", lambda image, _: ImageOps.invert(image), [0] * 7),
        ("posterise", lambda image, value: ImageOps.posterize(image, int(value)), [8, 7, 6, 5, 4, 2, 1]),
        ("solarise", lambda image, value: ImageOps.solarize(image, int(value)), [256, 255, 128, 20, 51, 1, 0]),
        ("equalise", lambda image, _: ImageOps.equalize(image), [0] * 7),
    ],
)
def test_colours_are_pillows_to_the_byte(
    name: str, change: Callable[[Image.Image, float], Image.Image], values: list[float]
) -> None:
    values = [float(np.float32(value)) for value in values]
    choices = torch.tensor([step(name, value) for value in values])
    images = pictures()
    assert torch.equal(apply_chain(images, choices, fill=0), by_pillow(change, values))
    assert torch.equal(images, pictures()), "given images stay"


def test_contrast_is_stretched_exactly() -> None:
    """Pillow computes in floating point, where a whole number may come out one too small."""
    stretched = colours.stretch_contrast(pictures(), torch.zeros(7))
    assert levels_apart(stretched, by_pillow(lambda image, _: ImageOps.autocontrast(image), [0.0] * 7)).max() <= 1
    for image, out in zip(pictures().flatten(2), stretched.flatten(2), strict=True):
        for channel, channel_out in zip(image.tolist(), out.tolist(), strict=True):
            least, span = min(channel), max(channel) - min(channel)
            assert channel_out == [int(Fraction(255 * (v - least), span)) if span else v for v in channel]


@pytest.mark.parametrize("turn", [-0.5, -0.21, 0.0, 0.1, 0.5])
def test_the_hue_is_turned(turn: float) -> None:
    out = colours.change_hue(pictures(), torch.full((7,), turn)).permute(0, 2, 3, 1).reshape(-1, 3)
    for pixel, found in zip(
        pictures().permute(0, 2, 3, 1).reshape(-1, 3)[::7].tolist(), out[::7].tolist(), strict=True
    ):
        hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in pixel))
        expected = colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)
        assert all(abs(255 * e - f) <= 0.501 for e, f in zip(expected, found, strict=True))


def sampled(image: np.ndarray, matrix: tuple[float, ...], fill: int) -> np.ndarray:
    """An image [H, W] moved by a matrix, in float64, from the definition."""
    a, b, c, d, e, f = matrix
    out = np.full(image.shape, float(fill))
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            from_x, from_y = a * (x + 0.5) + b * (y + 0.5) + c, d * (x + 0.5) + e * (y + 0.5) + f
            if not (0 <= from_x < image.shape[1] and 0 <= from_y < image.shape[0]):
                continue
            column, row = np.floor(from_x - 0.5), np.floor(from_y - 0.5)
            right, down = from_x - 0.5 - column, from_y - 0.5 - row
            rows = np.clip([row, row + 1], 0, image.shape[0] - 1).astype(int)
            columns = np.clip([column, column + 1], 0, image.shape[1] - 1).astype(int)
            out[y, x] = np.array([1 - down, down]) @ image[np.ix_(rows, columns)] @ np.array([1 - right, right])
    return out


MATRICES = [
    (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    (1.0, 0.17, 0.0, 0.0, 1.0, 0.0),
    (1.0, 0.0, 0.0, -0.21, 1.0, 0.0),
    (1.0, 0.0, -4.0, 0.0, 1.0, 7.0),
    affine_matrix((HEIGHT, WIDTH), 27.0),
    affine_matrix((HEIGHT, WIDTH), -8.0, (2.3, -3.1), 1.1, 5.0),
    affine_matrix((HEIGHT, WIDTH), 180.0, (0, 0), 0.5, -20.0),
]


def test_pixels_are_moved_as_the_matrix_says() -> None:
    moved = warp(pictures(), MATRICES, fill=128)
    assert torch.equal(moved[0], pictures()[0])
    for image, out, matrix in zip(pictures()[:, 0].numpy(), moved[:, 0].numpy(), MATRICES, strict=True):
        expected = sampled(image, matrix, 128)
        # Places on the rim are in or out by rounding.
        assert np.mean(np.abs(out - expected) > 0.51) < 0.004


def test_moving_is_pillows() -> None:
    values = [0.2, -0.3, 3.0, -5.0, 11.0]
    names = ["shear_x", "shear_y", "translate_x", "translate_y", "rotate"]
    images = pictures()[:5]
    out = apply_chain(images, torch.tensor([step(*one) for one in zip(names, values, strict=True)]), fill=128)
    bilinear, more = Image.Resampling.BILINEAR, {"fillcolor": (128,) * 3}

    def affine(image: Tensor, *matrix: float) -> Image.Image:
        picture = as_pillow(image)
        return picture.transform(picture.size, Image.Transform.AFFINE, matrix, bilinear, **more)

    expected = [
        affine(images[0], 1, 0.2, 0, 0, 1, 0),
        affine(images[1], 1, 0, 0, -0.3, 1, 0),
        affine(images[2], 1, 0, 3, 0, 1, 0),
        affine(images[3], 1, 0, 0, 0, 1, -5),
        as_pillow(images[4]).rotate(11, bilinear, **more),
    ]
    # Pillow cuts fractions off, and places on the rim are in or out by rounding.
    apart = levels_apart(out, torch.stack([as_tensor(image) for image in expected]))
    assert (apart > 1).float().mean() < 0.002


@pytest.mark.parametrize(
    ("degrees", "shift", "scale", "shear"), [(9.0, (3, -2), 1.1, 4.0), (-30.0, (0, 0), 0.8, -10.0)]
)
def test_an_affine_matrix_is_torchvisions(degrees: float, shift: tuple[int, int], scale: float, shear: float) -> None:
    images = pictures()
    ours = warp(images, [affine_matrix((HEIGHT, WIDTH), degrees, shift, scale, shear)] * 7, fill=0)
    theirs, white = (
        F.affine(given, degrees, list(shift), scale, [shear, 0.0], interpolation=InterpolationMode.BILINEAR)
        for given in (images, torch.full_like(images, 255))
    )
    inside = white == 255  # torchvision mixes the rim with black
    assert inside.float().mean() > 0.5 and levels_apart(ours, theirs)[inside].max() <= 1


def test_each_image_has_its_own_chain() -> None:
    """A batch gives what its images give one at a time: whatever is computed together, and in whatever order."""
    rng = np.random.default_rng(3)
    usual = {"posterise": 5.0, "solarise": 100.0, "hue": 0.2, "shear_x": 0.1, "shear_y": 0.1}
    steps = [step(name, usual.get(name, 1.4)) for name in OPERATIONS] + [NONE]
    chains = torch.tensor(
        [[choice for number in rng.choice(len(steps), 4) for choice in steps[number]] for _ in range(70)]
    )
    images = pictures().repeat(10, 1, 1, 1)
    together = apply_chain(images, chains, fill=128)
    alone = torch.cat([apply_chain(images[n : n + 1], chains[n : n + 1], fill=128) for n in range(70)])
    assert levels_apart(together, alone).max() <= 1
    assert torch.equal(apply_chain(images, torch.tensor([NONE * 3] * 70), fill=0), images)
    first = apply_chain(images[:1], torch.tensor([(*step("invert"), *step("brightness", 0.5))]), fill=0)
    assert torch.equal(
        first, by_pillow(lambda i, _: ImageEnhance.Brightness(ImageOps.invert(i)).enhance(0.5), [0.0] * 7)[:1]
    )
