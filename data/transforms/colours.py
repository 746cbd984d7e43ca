"""Operations on the colours of images, uint8 [n, 3, H, W], with a value for each image.

They compute what Pillow's ImageOps and ImageEnhance do, in whole numbers where Pillow does, so that every device gives
the same bytes; Pillow rounds down, and so do these.
"""

from __future__ import annotations

import torch
from torch import Tensor

from data.transforms.base import per_image, to_device_of

# Shares of red, green and blue in grey, of 65536: ITU-R 601-2 as Pillow converts to "L".
_GREY = (19595, 38470, 7471)


def change_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Blends images with black: 0 is black, 1 the image."""
    return _cut(images * per_image(factors, images))


def change_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Blends images with their mean grey: 0 is grey, 1 the image."""
    grey = _grey(images)
    number = grey[0].numel()
    mean = (2 * grey.sum((1, 2, 3), dtype=torch.int64) + number) // (2 * number)  # rounded
    return _blend(mean.reshape(-1, 1, 1, 1).float(), images, factors)


def change_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Blends images with their grey: 0 is without colours, 1 the image."""
    return _blend(_grey(images).float(), images, factors)


def change_sharpness(images: Tensor, factors: Tensor) -> Tensor:
    """Blends images with a smoothed copy: 0 is smooth, 1 the image, 2 sharper. The outermost pixels stay."""
    if min(images.shape[2:]) < 3:
        return images
    smooth = images.float()
    rows = smooth[:, :, :-2] + smooth[:, :, 1:-1] + smooth[:, :, 2:]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * smooth[:, :, 1:-1, 1:-1]  # the middle counts 5 of 13
    smooth[:, :, 1:-1, 1:-1] = total.add_(6.5).mul_(1 / 13).floor_()  # rounded; never near a half of the last place
    return _blend(smooth, images, factors)


def change_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turns the hue of images by a share of the colour circle, -0.5 to 0.5, at the same value and saturation."""
    red, green, blue = images.float().unbind(1)
    value, least = images.amax(1).float(), images.amin(1).float()
    chroma = value - least
    divisor = chroma.clamp(min=1)
    sextant = torch.where(  # of six, from red over green to blue
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, (blue - red) / divisor + 2, (red - green) / divisor + 4),
    )
    sextant += 6 * per_image(turns, images)[:, 0]
    turned = torch.empty_like(images)
    for channel, start in enumerate((5, 3, 1)):
        place = torch.remainder(sextant + start, 6)
        share = torch.minimum(place, 4 - place).clamp_(0, 1)
        turned[:, channel] = value - chroma * share + 0.5  # rounded; between least and value
    return turned


def invert(images: Tensor, _values: Tensor) -> Tensor:
    """Replaces each value v by 255 - v."""
    return 255 - images


def posterise(images: Tensor, bits: Tensor) -> Tensor:
    """Keeps the upper `bits` of 8 of each channel."""
    mask = (0xFF << (8 - bits.to(torch.int64))) & 0xFF
    return images & per_image(mask.to(torch.uint8), images)


def solarise(images: Tensor, thresholds: Tensor) -> Tensor:
    """Inverts all values from a threshold on, 0 to 256."""
    above = images >= per_image(thresholds.to(torch.int16), images)
    return images ^ above.to(torch.uint8).mul_(255)  # 255 - x has all bits of x inverted


def stretch_contrast(images: Tensor, _values: Tensor) -> Tensor:
    """Stretches the values of each channel to 0 ... 255; a channel of one value stays."""
    pixels = images.flatten(2)
    least = pixels.amin(2, keepdim=True).int()
    span = pixels.amax(2, keepdim=True).int() - least
    grey = torch.arange(256, device=images.device, dtype=torch.int32)
    table = (255 * (grey - least)).div(span.clamp(min=1), rounding_mode="floor").clamp(0, 255)
    return _look_up(images, torch.where(span > 0, table, grey))


def equalise(images: Tensor, _values: Tensor) -> Tensor:
    """Equalises the histogram of each channel."""
    pixels = images.flatten(2).long()
    ones = torch.ones((), dtype=torch.int32, device=images.device).expand_as(pixels)
    histogram = torch.zeros(*pixels.shape[:2], 256, dtype=torch.int32, device=images.device)
    histogram.scatter_add_(2, pixels, ones)
    brightest = pixels.amax(2, keepdim=True)
    step = (pixels.shape[2] - histogram.gather(2, brightest)) // 255
    below = histogram.cumsum(2, dtype=torch.int32) - histogram
    table = ((step // 2 + below) // step.clamp(min=1)).clamp(0, 255)
    grey = torch.arange(256, device=images.device, dtype=torch.int32)
    return _look_up(images, torch.where(step > 0, table, grey))


def _grey(images: Tensor) -> Tensor:
    """Computes grey values, int32 [n, 1, H, W]."""
    shares = to_device_of(images, torch.tensor(_GREY, dtype=torch.int32)).reshape(3, 1, 1)
    return ((images * shares).sum(1, keepdim=True, dtype=torch.int32) + 0x8000) >> 16


def _blend(first: Tensor, images: Tensor, factors: Tensor) -> Tensor:
    """Moves from `first`, float32, towards the images, and beyond where a factor is above 1."""
    return _cut(first + per_image(factors, images) * (images - first))


def _cut(values: Tensor) -> Tensor:
    """Converts to uint8: values out of range are cut off, fractions too."""
    return values.clamp_(0, 255).to(torch.uint8)


def _look_up(images: Tensor, tables: Tensor) -> Tensor:
    """Replaces the values of each channel by those of its table [n, 3, 256]."""
    pixels = images.flatten(2).long()
    return tables.to(torch.uint8).gather(2, pixels).reshape(images.shape)
