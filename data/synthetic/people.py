"""Drawn pedestrians: the looks of an identity, and the drawing of a body on a canvas.

A body is drawn in its own coordinates: y runs from 0 (top of the head) to 1 (soles), x from the middle
of the body, both in units of the body's height. `Place` maps them to pixels. Only `random_person` and
`random_pose` are random; they take the generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

Colour = tuple[int, int, int]

SKINS: tuple[Colour, ...] = ((244, 210, 184), (222, 178, 142), (178, 128, 94), (126, 84, 60), (82, 56, 44))
HAIRS: tuple[Colour, ...] = (
    (28, 24, 22), (70, 46, 30), (122, 84, 50), (206, 172, 100), (142, 62, 34), (168, 166, 164),
)  # fmt: skip
CLOTHES: tuple[Colour, ...] = (
    (236, 236, 232), (148, 150, 154), (40, 40, 46), (196, 40, 44), (226, 122, 40), (226, 200, 66),
    (60, 132, 70), (56, 148, 152), (64, 108, 190), (34, 46, 96), (122, 70, 146), (226, 142, 172),
    (110, 78, 54), (182, 166, 124),
)  # fmt: skip
PATTERNS = ("plain", "plain", "hoops", "stripes", "checks", "block", "band", "open")
LOWER = ("trousers", "trousers", "trousers", "shorts", "skirt")
HAIR_STYLES = ("short", "short", "long", "bun", "bald", "cap")
CARRIED = ("nothing", "nothing", "backpack", "backpack", "handbag", "suitcase")
VIEWS = ("front", "back", "left", "right")

SHOULDER, WAIST, HIP, KNEE, ANKLE = 0.185, 0.48, 0.54, 0.74, 0.955


@dataclass(frozen=True)
class Person:
    """Looks of an identity: everything by which it differs from another."""

    skin: Colour
    hair: Colour
    hair_style: str
    hat: Colour
    top: Colour
    accent: Colour
    pattern: str
    long_sleeves: bool
    lower: str
    lower_colour: Colour
    shoes: Colour
    carried: str
    carried_colour: Colour
    carried_side: int
    stature: float
    build: float


@dataclass(frozen=True)
class Pose:
    """Pose of a person in a picture: the view, and the phase of a step (radians)."""

    view: str
    phase: float


@dataclass(frozen=True)
class Place:
    """Place of a body on the canvas, in pixels: its middle, the top of its head, its height."""

    x: float
    y: float
    height: float

    def __call__(self, x: float, y: float) -> tuple[float, float]:
        return self.x + x * self.height, self.y + y * self.height


def _pick(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _random_shade(rng: np.random.Generator, palette: tuple[Colour, ...]) -> Colour:
    """Draws a colour of the palette in a random shade."""
    base = np.asarray(palette[int(rng.integers(len(palette)))], dtype=float)
    red, green, blue = np.clip(base * rng.uniform(0.85, 1.12) + rng.normal(0, 5, 3), 0, 255).astype(int)
    return int(red), int(green), int(blue)


def random_person(rng: np.random.Generator) -> Person:
    """Draws the looks of an identity at random."""
    return Person(
        skin=_random_shade(rng, SKINS),
        hair=_random_shade(rng, HAIRS),
        hair_style=_pick(rng, HAIR_STYLES),
        hat=_random_shade(rng, CLOTHES),
        top=_random_shade(rng, CLOTHES),
        accent=_random_shade(rng, CLOTHES),
        pattern=_pick(rng, PATTERNS),
        long_sleeves=bool(rng.random() < 0.6),
        lower=_pick(rng, LOWER),
        lower_colour=_random_shade(rng, CLOTHES),
        shoes=_random_shade(rng, CLOTHES),
        carried=_pick(rng, CARRIED),
        carried_colour=_random_shade(rng, CLOTHES),
        carried_side=int(rng.choice((-1, 1))),
        stature=float(rng.uniform(0.86, 1.0)),
        build=float(rng.uniform(0.8, 1.25)),
    )


def random_pose(rng: np.random.Generator, view_weights: tuple[float, ...]) -> Pose:
    """Draws a pose at random; `view_weights` are the probabilities of front, back, left and right."""
    return Pose(view=str(rng.choice(VIEWS, p=view_weights)), phase=float(rng.uniform(0, 2 * math.pi)))


def draw_person(draw: ImageDraw.ImageDraw, person: Person, pose: Pose, place: Place) -> None:
    """Draws a person on a canvas, the farther parts first."""
    figure = _Figure(draw, person, pose, place)
    figure.shadow()
    if pose.view == "front":
        figure.carried_item()
    figure.legs()
    if figure.facing:
        figure.carried_item()
    figure.torso()
    figure.arms()
    figure.head()
    if pose.view == "back":
        figure.carried_item()


class _Figure:
    """Drawing of one person: the canvas, and the measures that the body parts share."""

    def __init__(self, draw: ImageDraw.ImageDraw, person: Person, pose: Pose, place: Place) -> None:
        self.draw, self.person, self.pose, self.place = draw, person, pose, place
        self.facing = {"left": -1, "right": 1}.get(pose.view, 0)
        slim = 0.72 if self.facing else 1.0
        self.shoulders = 0.125 * person.build * slim
        self.hips = 0.098 * person.build * (0.85 if self.facing else 1.0)
        self.swing = math.sin(pose.phase)

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self.draw.polygon([self.place(x, y) for x, y in points], fill=colour)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        self.draw.ellipse([*self.place(x - rx, y - ry), *self.place(x + rx, y + ry)], fill=colour)

    def limb(self, start: tuple[float, float], end: tuple[float, float], width: float, colour: Colour) -> None:
        """Draws a tapering strip from `start` to `end`."""
        (x0, y0), (x1, y1), half = start, end, width / 2
        thin = half * 0.75
        self.polygon([(x0 - half, y0), (x0 + half, y0), (x1 + thin, y1), (x1 - thin, y1)], colour)

    def shadow(self) -> None:
        ground = (46, 46, 48)
        self.ellipse(0.02, 0.985, 0.17, 0.02, ground)

    def legs(self) -> None:
        person, width = self.person, 0.088 * self.person.build
        for side in (-1, 1):
            if self.facing:
                hip_x, foot_x = 0.02 * side, 0.13 * side * self.swing
            else:
                hip_x, foot_x = 0.05 * side * person.build, 0.055 * side
            lift = 0.03 * max(0.0, side * self.swing)
            knee = ((hip_x + foot_x) / 2 + 0.02 * self.facing, KNEE)
            foot = (foot_x, ANKLE - lift)
            cloth = _shaded(person.lower_colour, 0.82 if side < 0 else 1.0)
            shin = cloth if person.lower == "trousers" else person.skin
            self.limb((hip_x, HIP - 0.04), knee, width, cloth)
            self.limb(knee, foot, width * 0.78, shin)
            self.ellipse(foot_x + 0.03 * self.facing, foot[1] + 0.015, 0.045, 0.02, person.shoes)
        if person.lower == "skirt":
            flare = self.hips * 1.35
            self.polygon([(-self.hips, WAIST), (self.hips, WAIST), (flare, KNEE), (-flare, KNEE)], person.lower_colour)

    def torso(self) -> None:
        person = self.person
        self.slice(SHOULDER, HIP, -1, 1, person.top)
        if person.pattern in ("hoops", "checks"):
            for stripe in range(4):
                top = SHOULDER + 0.03 + stripe * 0.088
                self.slice(top, min(top + 0.042, HIP), -1, 1, person.accent)
        if person.pattern in ("stripes", "checks"):
            for left in (-0.8, -0.25, 0.3):
                self.slice(SHOULDER, HIP, left, left + 0.28, person.accent)
        if person.pattern == "block":
            self.slice((SHOULDER + HIP) / 2, HIP, -1, 1, person.accent)
        if person.pattern == "band":
            self.slice(0.27, 0.36, -1, 1, person.accent)
        if person.pattern == "open" and self.pose.view == "front":
            self.slice(SHOULDER, HIP, -0.32, 0.32, person.accent)

    def slice(self, top: float, bottom: float, left: float, right: float, colour: Colour) -> None:
        """Draws the part of the torso between two heights; `left` and `right` in half widths of the torso."""
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        self.polygon([(t * self.half_width(y), y) for t, y in corners], colour)

    def half_width(self, y: float) -> float:
        down = (y - SHOULDER) / (HIP - SHOULDER)
        return self.shoulders + (self.hips - self.shoulders) * down

    def arms(self) -> None:
        person, width = self.person, 0.056 * self.person.build
        for side in (-1, 1):
            if self.facing and side < 0:
                continue  # the far arm is behind the body
            shoulder = (0.0, SHOULDER + 0.02) if self.facing else (side * self.shoulders, SHOULDER + 0.01)
            reach = -0.14 * self.swing if self.facing else side * 0.04
            hand = (shoulder[0] + reach, 0.5)
            elbow = (shoulder[0] + reach * 0.4, 0.35)
            sleeve = _shaded(person.top, 0.8)
            self.limb(shoulder, elbow, width, sleeve)
            self.limb(elbow, hand, width * 0.85, sleeve if person.long_sleeves else person.skin)
            self.ellipse(hand[0], hand[1], 0.022, 0.024, person.skin)

    def head(self) -> None:
        person, view = self.person, self.pose.view
        self.slice(SHOULDER - 0.05, SHOULDER + 0.01, -0.25, 0.25, person.skin)
        if person.hair_style == "long":
            self.polygon([(-0.06, 0.06), (0.06, 0.06), (0.065, 0.25), (-0.065, 0.25)], person.hair)
        if person.hair_style == "bun":
            self.ellipse(-0.05 * self.facing, 0.005, 0.032, 0.028, person.hair)
        skull = person.skin if person.hair_style == "bald" else person.hair
        self.ellipse(0, 0.082, 0.056, 0.07, skull)
        if view == "front":
            self.ellipse(0, 0.1, 0.045, 0.056, person.skin)
        elif self.facing:
            self.ellipse(0.024 * self.facing, 0.1, 0.036, 0.054, person.skin)
        if person.hair_style == "cap":
            self.polygon([(-0.06, 0.07), (-0.045, 0.01), (0.045, 0.01), (0.06, 0.07)], person.hat)
            if view != "back":
                self.ellipse(0.05 * self.facing, 0.068, 0.06, 0.013, person.hat)

    def carried_item(self) -> None:
        person, colour = self.person, self.person.carried_colour
        # What is at a person's left is at the right of the picture when we see the face.
        side = self.facing or person.carried_side * (1 if self.pose.view == "back" else -1)
        if person.carried == "backpack":
            if self.facing:
                back = -self.facing
                near, far = back * self.shoulders * 0.7, back * (self.shoulders + 0.09)
                self.polygon([(near, 0.2), (far, 0.23), (far, 0.44), (near, 0.46)], colour)
            else:
                half = self.shoulders * (0.85 if self.pose.view == "back" else 1.2)
                self.polygon([(-half, 0.2), (half, 0.2), (half, 0.45), (-half, 0.45)], colour)
        elif person.carried == "handbag":
            x = side * (0.02 if self.facing else self.shoulders + 0.04)
            self.limb((x, 0.36), (x, 0.52), 0.012, colour)
            self.polygon([(x - 0.07, 0.5), (x + 0.07, 0.5), (x + 0.08, 0.63), (x - 0.08, 0.63)], colour)
        elif person.carried == "suitcase":
            x = -self.facing * 0.2 if self.facing else side * 0.19
            self.limb((x, 0.5), (x, 0.72), 0.014, (60, 60, 60))
            self.polygon([(x - 0.075, 0.7), (x + 0.075, 0.7), (x + 0.075, 0.96), (x - 0.075, 0.96)], colour)


def _shaded(colour: Colour, light: float) -> Colour:
    red, green, blue = (int(channel * light) for channel in colour)
    return red, green, blue
