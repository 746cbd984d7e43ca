"""Chains of operations: each image of a batch has operations of its own, one after another.

A step of a chain is two choices, the number of an operation and its value. The images that have the same operation in a
step are computed together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from data.transforms import colours
from data.transforms.base import to_device_of
from data.transforms.geometry import Matrix, affine_matrix, warp

# Images uint8 [n, 3, H, W], a value for each float32 [n], and the value of places outside the image.
Operation = Callable[[Tensor, Tensor, int], Tensor]

NONE = (-1.0, 0.0)  # the step of an image that has no operation there


def _of_colour(change: Callable[[Tensor, Tensor], Tensor]) -> Operation:
    """Makes an operation of one that has no places outside the image."""
    return lambda images, values, _fill: change(images, values)


def _geometric(matrix: Callable[[float, int, int], Matrix]) -> Operation:
    """Makes an operation of the function that gives the matrix for a value, the height and the width."""

    def move(images: Tensor, values: Tensor, fill: int) -> Tensor:
        height, width = images.shape[2:]
        return warp(images, [matrix(value, height, width) for value in values.tolist()], fill)

    return move


# By name: what the value is.
OPERATIONS: Mapping[str, Operation] = {
    "brightness": _of_colour(colours.change_brightness),  # factor
    "contrast": _of_colour(colours.change_contrast),  # factor
    "saturation": _of_colour(colours.change_saturation),  # factor
    "hue": _of_colour(colours.change_hue),  # turns
    "sharpness": _of_colour(colours.change_sharpness),  # factor
    "invert": _of_colour(colours.invert),  # nothing
    "posterise": _of_colour(colours.posterise),  # bits that are kept
    "solarise": _of_colour(colours.solarise),  # threshold
    "stretch_contrast": _of_colour(colours.stretch_contrast),  # nothing
    "equalise": _of_colour(colours.equalise),  # nothing
    # Pixels to the right for one down, and down for one to the right.
    "shear_x": _geometric(lambda value, height, width: (1, value, 0, 0, 1, 0)),
    "shear_y": _geometric(lambda value, height, width: (1, 0, 0, value, 1, 0)),
    # Pixels to the left, and up.
    "translate_x": _geometric(lambda value, height, width: (1, 0, value, 0, 1, 0)),
    "translate_y": _geometric(lambda value, height, width: (1, 0, 0, 0, 1, value)),
    # Degrees, counter-clockwise.
    "rotate": _geometric(lambda value, height, width: affine_matrix((height, width), -value)),
}
_OPERATIONS = list(OPERATIONS.values())
_NUMBERS = {name: number for number, name in enumerate(OPERATIONS)}


def step(name: str, value: float = 0) -> tuple[float, float]:
    """Writes an operation with its value as the choices of a step."""
    return float(_NUMBERS[name]), value


def apply_chain(images: Tensor, choices: Tensor, *, fill: int) -> Tensor:
    """Applies to each image its operations, one step after another.

    Args:
        images: uint8 [n, 3, H, W].
        choices: float32 [n, 2 × steps] in the processor's memory.
        fill: value of places outside the image.
    """
    for number in range(0, choices.shape[1], 2):
        images = _apply_step(images, choices[:, number], choices[:, number + 1], fill)
    return images


def _apply_step(images: Tensor, chosen: Tensor, values: Tensor, fill: int) -> Tensor:
    """Applies one step: to each image the operation of its number."""
    numbers: Sequence[float] = chosen.tolist()
    result = images
    for number in sorted({*numbers} - {NONE[0]}):
        operation = _OPERATIONS[int(number)]
        rows = torch.tensor([row for row, value in enumerate(numbers) if value == number], dtype=torch.int64)
        if len(rows) == len(numbers):
            return operation(images, values, fill)
        places = to_device_of(images, rows)
        result = torch.index_copy(result, 0, places, operation(images[places], values[rows], fill))
    return result
