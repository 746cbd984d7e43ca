"""Invented surveillance cameras: scenery, light and lens, and the pictures that they take of drawn people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from data.synthetic.people import (
    CLOTHES,
    Colour,
    Person,
    Place,
    draw_person,
    random_person,
    random_pose,
)

SCENES = ("tiles", "brick", "grass", "facade", "crossing", "hedge")
_STONE: tuple[Colour, ...] = (
    (150, 146, 140), (142, 94, 78), (96, 124, 66), (86, 90, 100), (188, 176, 150), (110, 122, 128),
)  # fmt: skip
_OVERSAMPLING = 3


@dataclass(frozen=True)
class Camera:
    """Camera of a synthetic set; lengths are fractions of the picture's height.

    `gain` is the brightness per channel, `slant` its change from left to right, `view_weights` the probabilities
    of front, back, left and right view, `distance` the mean height of a person in the picture.
    """

    scenery: Image.Image
    gain: tuple[float, float, float]
    gamma: float
    slant: float
    blur: float
    noise: float
    view_weights: tuple[float, ...]
    distance: float


def make_cameras(rng: np.random.Generator, count: int, width: int, height: int) -> list[Camera]:
    """Draws `count` cameras for pictures of `width` × `height` pixels, each unlike its neighbours."""
    cameras = []
    for number in range(count):
        warmth = rng.uniform(-0.2, 0.2)
        light = (0.72, 1.0, 1.22)[number % 3] * rng.uniform(0.92, 1.08)
        views = rng.dirichlet((0.9, 0.9, 0.9, 0.9)) * 0.85 + 0.0375
        cameras.append(
            Camera(
                scenery=_scenery(rng, SCENES[number % len(SCENES)], width * _OVERSAMPLING, height * _OVERSAMPLING),
                gain=(light * (1 + warmth), light, light * (1 - warmth)),
                gamma=float(rng.uniform(0.75, 1.35)),
                slant=float(rng.uniform(-0.35, 0.35)),
                blur=float(rng.uniform(0.002, 0.013)),
                noise=float(rng.uniform(3, 9)),
                view_weights=tuple(float(view) for view in views / views.sum()),
                distance=float(rng.uniform(0.8, 0.95)),
            )
        )
    return cameras


def photograph(camera: Camera, person: Person | None, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Draws a picture, `size` (width, height), of a person as a detector would have cut it out.

    Without a person it is a junk box: the scenery alone, or a part of a passer-by.
    """
    canvas_size = size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING
    canvas = _background(camera, rng, canvas_size)
    draw = ImageDraw.Draw(canvas)
    width, height = canvas_size
    if rng.random() < 0.15:
        _draw_passer_by(draw, camera, rng, canvas_size, height * camera.distance * 0.8)
    if person is not None:
        tall = height * camera.distance * person.stature * rng.uniform(0.94, 1.08)
        x = width * rng.uniform(0.42, 0.58)
        y = (height - tall) * rng.uniform(0.2, 0.8)
        draw_person(draw, person, random_pose(rng, camera.view_weights), Place(x, y, tall))
    if rng.random() < (0.2 if person is not None else 0.6):
        _occlude(draw, camera, rng, canvas_size)
    return _develop(camera, canvas.reduce(_OVERSAMPLING), rng)


def _background(camera: Camera, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    left = int(rng.integers(camera.scenery.width - size[0] + 1))
    top = int(rng.integers(camera.scenery.height - size[1] + 1))
    return camera.scenery.crop((left, top, left + size[0], top + size[1]))


def _draw_passer_by(
    draw: ImageDraw.ImageDraw, camera: Camera, rng: np.random.Generator, size: tuple[int, int], tall: float
) -> None:
    """Draws another person at the left or right edge of the picture."""
    x = size[0] * (rng.uniform(-0.05, 0.2) if rng.random() < 0.5 else rng.uniform(0.8, 1.05))
    place = Place(x, (size[1] - tall) * rng.uniform(0.3, 0.9), tall)
    draw_person(draw, random_person(rng), random_pose(rng, camera.view_weights), place)


def _occlude(draw: ImageDraw.ImageDraw, camera: Camera, rng: np.random.Generator, size: tuple[int, int]) -> None:
    """Draws an occlusion: a car or wall at the bottom, a post, or a passer-by."""
    width, height = size
    kind = int(rng.integers(3))
    colour = CLOTHES[int(rng.integers(len(CLOTHES)))]
    if kind == 0:
        top = height * rng.uniform(0.62, 0.82)
        draw.rounded_rectangle([-20, top, width + 20, height + 20], radius=12, fill=colour)
        draw.rectangle([0, top + 12, width, top + 16], fill=(40, 40, 44))
    elif kind == 1:
        x = width * rng.uniform(0.1, 0.8)
        draw.rectangle([x, 0, x + width * rng.uniform(0.06, 0.16), height], fill=(92, 94, 98))
    else:
        _draw_passer_by(draw, camera, rng, size, height * camera.distance * 1.05)


def _develop(camera: Camera, picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Applies lens, light and sensor to a picture: blur, gain, noise."""
    blur = camera.blur * picture.height * rng.uniform(0.7, 1.4)
    pixels: NDArray[np.floating] = np.asarray(picture.filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32)
    pixels = (pixels / 255) ** camera.gamma
    across = np.linspace(-camera.slant, camera.slant, picture.width, dtype=np.float32)
    pixels *= np.asarray(camera.gain, dtype=np.float32) * np.float32(rng.uniform(0.88, 1.12))
    pixels *= 1 + across[None, :, None]
    pixels = pixels * 255 + rng.standard_normal(pixels.shape, dtype=np.float32) * camera.noise
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _scenery(rng: np.random.Generator, scene: str, width: int, height: int) -> Image.Image:
    """Draws the scenery before a camera, wider and higher than one picture so that backgrounds differ."""
    wide, high = width * 4, int(height * 1.25)
    base, other = (np.asarray(_STONE[int(i)], dtype=float) for i in rng.choice(len(_STONE), 2, replace=False))
    ground = int(high * rng.uniform(0.45, 0.7))
    canvas = Image.new("RGB", (wide, high), _rgb(base))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle([0, ground, wide, high], fill=_rgb(other))
    dark = _rgb(base * 0.7)
    step = max(6, width // 4)
    if scene == "tiles":
        for x in range(0, wide, step):
            draw.line([x, ground, x - step * 2, high], fill=_rgb(other * 0.75), width=2)
        for y in range(ground, high, step // 2):
            draw.line([0, y, wide, y], fill=_rgb(other * 0.75), width=2)
    elif scene == "brick":
        for row, y in enumerate(range(0, ground, step // 2)):
            draw.line([0, y, wide, y], fill=dark, width=2)
            for x in range((row % 2) * step // 2, wide, step):
                draw.line([x, y, x, y + step // 2], fill=dark, width=2)
    elif scene == "facade":
        for x in range(step, wide, step * 3):
            draw.rectangle([x, ground // 6, x + step * 2, ground * 2 // 3], fill=_rgb(base * 0.45), outline=dark)
    elif scene == "crossing":
        for x in range(0, wide, step * 2):
            draw.polygon([(x, ground), (x + step, ground), (x + step // 2, high), (x - step, high)], (214, 212, 204))
    else:  # grass below, or a hedge behind
        top, bottom = (ground, high) if scene == "grass" else (0, ground)
        for _ in range(wide * (bottom - top) // 160):
            x, y = int(rng.integers(wide)), int(rng.integers(top, bottom))
            leaf = np.array((84, 122, 58)) * rng.uniform(0.5, 1.2)
            draw.ellipse([x, y, x + 9, y + 5], fill=_rgb(leaf))
    return canvas


def _rgb(colour: NDArray[np.floating]) -> Colour:
    red, green, blue = np.clip(colour, 0, 255).astype(int)
    return int(red), int(green), int(blue)
