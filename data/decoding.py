"""Decoder of image files to RGB, and the error for an image that cannot be read.

A file is read as a whole before its decoder sees it, so that a failure of the disk or the network is never taken for a
damaged image. Every kind of picture is read as it looks: upright by its EXIF orientation, 16-bit and floating-point
grey by its range. What cannot be shown in 8 bits without a guess is refused.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import time
import warnings
from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from torch import Tensor

from data.datasets.base import DatasetError

# Failures of the system that pass: another attempt is made after each of these pauses, in seconds.
_RETRY_PAUSES = (0.05, 0.2)
_PASSING = frozenset(
    {errno.EIO, errno.ESTALE, errno.EAGAIN, errno.EBUSY, errno.ENFILE, errno.EMFILE, errno.ENOMEM, errno.ETIMEDOUT}
)
# What Pillow's decoders say of a file that ends too early.
_CUT_SHORT = ("truncated", "unexpected end", "enough image", "incomplete")
NO_MEMORY = "there is not enough memory for it"
_LARGEST_FILE = 2**30  # bytes; a file is held in memory while its image is decoded
_LARGEST_IMAGE = 2 * (Image.MAX_IMAGE_PIXELS or 2**26)  # pixels, as Pillow has it; larger JPEG images are reduced
_LARGEST_REDUCTION = 8  # of libjpeg

# What an EXIF orientation asks for: whether rows and columns are swapped first, then the axes to reverse.
_TURNS: dict[int, tuple[bool, tuple[int, ...]]] = {
    2: (False, (1,)),
    3: (False, (0, 1)),
    4: (False, (0,)),
    5: (True, ()),
    6: (True, (1,)),
    7: (True, (0, 1)),
    8: (True, (0,)),
}
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # tags of TIFF
_WHITE_IS_ZERO = 0

# Images of that size are reduced or decoded as they are; a warning for each would end in nobody's log.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class ImageError(DatasetError):
    """Image that cannot be read. `lasting`: its decoder refuses the content; otherwise the next attempt may succeed."""

    def __init__(self, path: str, reason: str, *, lasting: bool) -> None:
        super().__init__(f"cannot read the image {path}: {reason}")
        self.lasting = lasting


def read_image(path: str) -> Tensor:
    """Decodes an image file of any kind to RGB, uint8 [3, H, W]; ImageError names a file that cannot be read."""
    return torch.from_numpy(read_pixels(path)).permute(2, 0, 1)


def read_pixels(path: str) -> NDArray[np.uint8]:
    """Decodes an image file of any kind to RGB [H, W, 3]; of an animation, its first picture.

    Colours are those stored: an alpha channel and colour profiles are not applied.

    Raises:
        ImageError: the file cannot be read now, or its decoder refuses the content.
    """
    try:
        content = _read_file(path)
        with _open(content) as image:
            return _turn_upright(_to_rgb(image), _orientation(image))
    except MemoryError:
        raise ImageError(path, NO_MEMORY, lasting=False) from None
    except ImageError:
        raise
    except UnidentifiedImageError:
        kind = "its content is of no known image format" if content else "it is an empty file"
        raise ImageError(path, kind, lasting=True) from None
    except Exception as error:  # Pillow's decoders raise nearly every built-in type on damaged data
        reason = " ".join(str(error).split()) or type(error).__name__
        if any(words in reason.lower() for words in _CUT_SHORT):
            reason = "it is cut short"
        raise ImageError(path, reason, lasting=True) from None


def too_many_unreadable(problems: Collection[str], limit: int, *, latest: str) -> str:
    """Writes the error for more unreadable images than DATASETS.MAX_UNREADABLE allows."""
    if limit == 0:
        return f"{latest}; DATASETS.MAX_UNREADABLE allows none"
    return f"{latest}; {len(problems)} images cannot be read, DATASETS.MAX_UNREADABLE allows {limit}"


def _read_file(path: str) -> bytes:
    """Reads a file as a whole, again after a failure that may pass; ImageError where the system fails."""
    pauses = iter(_RETRY_PAUSES)
    while True:
        try:
            with open(path, "rb", opener=_open_without_waiting) as stream:
                status = os.fstat(stream.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise ImageError(path, "it is not a file", lasting=False)
                if status.st_size > _LARGEST_FILE:
                    raise ImageError(path, f"it is larger than {_LARGEST_FILE / 1e9:.1f} GB", lasting=True)
                return stream.read()
        except OSError as error:
            pause = next(pauses, None) if error.errno in _PASSING else None
            if pause is None:
                raise ImageError(path, error.strerror or str(error), lasting=False) from None
            time.sleep(pause)


def _open_without_waiting(path: str, flags: int) -> int:
    """Opens a file; a named pipe, which nobody may ever write to, does not block."""
    return os.open(path, flags | os.O_NONBLOCK)


def _open(content: bytes) -> Image.Image:
    """Opens an image for decoding; a JPEG image of too many pixels at the largest scale that is not too large.

    Raises:
        ValueError: too many pixels.
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(content))
    except Image.DecompressionBombError:
        if not content.startswith(b"\xff\xd8"):
            raise
        image = JpegImageFile(io.BytesIO(content))
    pixels = image.width * image.height
    if pixels <= _LARGEST_IMAGE // 2 or not isinstance(image, JpegImageFile):
        return image
    if pixels > _LARGEST_IMAGE and image.info.get("progressive"):
        raise ValueError(
            f"it has {pixels / 1e6:,.0f} million pixels, a progressive JPEG image may have {_LARGEST_IMAGE / 1e6:,.0f}"
        )
    scale = next((s for s in (2, 4, _LARGEST_REDUCTION) if pixels / s**2 <= _LARGEST_IMAGE // 2), _LARGEST_REDUCTION)
    image.draft(None, (image.width // scale, image.height // scale))
    return image


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Converts an opened image to RGB [H, W, 3]; ValueError where its values have no known range."""
    if image.mode == "F" or image.mode.startswith("I"):
        return np.repeat(_grey(image)[..., np.newaxis], 3, axis=2)
    if image.mode == "RGB":
        return np.array(image)
    if image.mode in ("P", "PA", "La", "RGBa"):  # straight to RGB, Pillow warns of a palette's alpha, and lacks others
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    return np.array(image.convert("RGB"))


def _grey(image: Image.Image) -> NDArray[np.uint8]:
    """Scales whole numbers of 9 to 16 bits, or floating-point numbers from 0 to 1, to [H, W] of 0..255."""
    tags: Any = getattr(image, "tag_v2", {})
    values = np.asarray(image)
    if image.mode == "F":
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 1):  # nan, too
            raise ValueError(f"it holds floating-point values from {low:g} to {high:g}; those from 0 to 1 are known")
        grey = np.rint(values * 255.0)
    else:
        if image.mode == "I" and image.format not in ("PNG", "PPM"):  # where Pillow gives 16 bits so
            raise ValueError("it holds whole numbers of an unknown range; save it with 8 or 16 bits a channel")
        bits = max(tags.get(_BITS_PER_SAMPLE, (16,)))
        top = 2**bits - 1
        grey = (values.astype(np.int64) * 255 + top // 2) // top
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # which Pillow heeds up to 8 bits
        grey = 255 - grey
    return grey.astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    """Reads the EXIF orientation of a decoded image; 1, as stored, where there is none or it cannot be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data, of which Pillow raises nearly every type; the picture itself is fine
        return 1


def _turn_upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turns and mirrors pixels [H, W, 3] as an EXIF orientation asks; an unknown orientation changes nothing."""
    if orientation not in _TURNS:
        return pixels
    swap, reverse = _TURNS[orientation]
    turned = np.flip(pixels.swapaxes(0, 1) if swap else pixels, reverse)
    return np.ascontiguousarray(turned)
