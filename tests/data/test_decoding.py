"""Pictures of every kind, against values computed here pixel by pixel."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from data import decoding
from data.decoding import ImageError, read_image, read_pixels

RAMP = np.array([[0, 1, 257, 514], [25700, 32896, 65278, 65535]], dtype=np.uint16)
RAMP_8 = np.array([[0, 0, 1, 2], [100, 128, 254, 255]], dtype=np.uint8)


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., NDArray[np.uint8]]:
    """Saves an image under a name, with Pillow's options, and reads that file."""

    def read(image: Image.Image, name: str, **options: object) -> NDArray[np.uint8]:
        path = str(tmp_path / name)
        image.save(path, **options)  # type: ignore[arg-type]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pixels = read_pixels(path)
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.flags.writeable
        return pixels

    return read


Read = Callable[..., NDArray[np.uint8]]


def grey(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack([values] * 3, axis=2)


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_sixteen_bit_grey_is_scaled_by_its_range(read: Read, name: str) -> None:
    assert np.array_equal(read(Image.fromarray(RAMP), name), grey(RAMP_8))


def test_white_is_zero_in_sixteen_bits(read: Read) -> None:
    assert np.array_equal(read(Image.fromarray(RAMP), "x.tif", tiffinfo={262: 0}), grey(255 - RAMP_8))


def test_twelve_bit_grey_is_scaled_by_its_range(tmp_path: Path) -> None:
    """A TIFF file by hand: 4 x 1 pixels of 0, 4095, 16 and 2048, two in three bytes."""
    pixels = bytes([0x00, 0x0F, 0xFF, 0x01, 0x08, 0x00])
    entries = [(256, 3, 4), (257, 3, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 3, 1), (279, 4, 6)]
    ifd = len(entries).to_bytes(2, "little")
    for tag, kind, value in entries:
        ifd += tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + (1).to_bytes(4, "little")
        ifd += value.to_bytes(4, "little")
    file = tmp_path / "x.tif"
    file.write_bytes(b"II*\0" + (14).to_bytes(4, "little") + pixels + ifd + bytes(4))
    assert np.array_equal(read_pixels(str(file))[..., 0], [[0, 255, 1, 128]])


def test_floating_point_grey_from_0_to_1_is_scaled(read: Read) -> None:
    values = np.array([[0, 0.25, 1], [0.5, 0.999, 0.001]], dtype=np.float32)
    expected = np.array([[0, 64, 255], [128, 255, 0]], dtype=np.uint8)
    assert np.array_equal(read(Image.fromarray(values), "x.tif"), grey(expected))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([[-3, 1200]], dtype=np.float32), "floating-point values from -3 to 1200"),
        (np.array([[0, np.nan]], dtype=np.float32), "floating-point values from nan to nan"),
        (np.array([[0, 70000]], dtype=np.int32), "whole numbers of an unknown range"),
    ],
)
def test_values_of_no_known_range_are_refused(read: Read, values: NDArray[np.generic], words: str) -> None:
    with pytest.raises(ImageError, match=rf"cannot read the image .*x\.tif: it holds {words}") as caught:
        read(Image.fromarray(values), "x.tif")
    assert caught.value.lasting


COLOURS = np.random.default_rng(0).integers(0, 256, (8, 8, 4), dtype=np.uint8)


def from_ink(ink: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Computes RGB 0..255 of ink CMYK [..., 4]: what neither the ink nor black takes away."""
    share = ink / 255
    rgb: NDArray[np.float64] = np.rint(255 * (1 - share[..., :3]) * (1 - share[..., 3:]))
    return rgb


def test_cmyk_is_read_as_ink(read: Read, tmp_path: Path) -> None:
    assert np.abs(read(Image.fromarray(COLOURS, "CMYK"), "x.tif") - from_ink(COLOURS)).max() <= 1
    ink = np.array([200, 10, 30, 40], dtype=np.uint8)
    pixels = read(Image.new("CMYK", (16, 16), tuple(ink.tolist())), "x.jpg", quality=100)
    assert b"Adobe" in (tmp_path / "x.jpg").read_bytes()  # whose files hold the inverse of the ink
    assert np.abs(pixels - from_ink(ink)).max() <= 2


def test_alpha_and_palettes_keep_their_colours(read: Read) -> None:
    rgb, alpha = COLOURS[..., :3], COLOURS[..., 3]
    assert np.array_equal(read(Image.fromarray(COLOURS, "RGBA"), "x.png"), rgb)
    assert np.array_equal(read(Image.fromarray(np.dstack([rgb[..., 0], alpha]), "LA"), "y.png"), grey(rgb[..., 0]))
    places, palette = rgb[..., 0] // 64, rgb[:4, 0].copy()
    image = Image.fromarray(places, "P")
    image.putpalette(palette.tobytes())
    for name, transparency in (("whole.png", None), ("one.png", 2), ("each.png", bytes([0, 9, 128, 255]))):
        given = {} if transparency is None else {"transparency": transparency}
        assert np.array_equal(read(image, name, **given), palette[places])


def test_one_bit_two_bits_and_colour_spaces(read: Read, tmp_path: Path) -> None:
    bits = COLOURS[..., 0] > 127
    for name in ("x.png", "x.bmp", "x.tif"):
        assert np.array_equal(read(Image.fromarray(bits), name), grey(np.where(bits, 255, 0).astype(np.uint8)))
    levels = Image.fromarray(COLOURS[..., 0] // 64)
    assert np.array_equal(read(levels, "two.png", bits=2), grey(COLOURS[..., 0] // 64 * 85))
    ycc = Image.fromarray(COLOURS[..., :3], "YCbCr")
    y, cb, cr = np.moveaxis(COLOURS[..., :3].astype(float), 2, 0)
    rgb = np.stack(
        [y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128)], 2
    )
    assert np.abs(read(ycc, "ycc.tif") - rgb.clip(0, 255)).max() <= 2


@pytest.mark.parametrize("name", ["x.png", "x.webp", "x.tif"])
def test_of_an_animation_the_first_picture_counts(read: Read, name: str) -> None:
    first, *others = [Image.new("RGB", (6, 4), (60 * number, 7, 9)) for number in (1, 2, 3)]
    options = {"lossless": True} if name == "x.webp" else {}
    pixels = read(first, name, save_all=True, append_images=others, **options)
    assert np.array_equal(pixels, np.broadcast_to(np.array([60, 7, 9], dtype=np.uint8), (4, 6, 3)))


# EXIF 2.32, table of tag 274: which side of the scene the stored picture's first row and first column are.
SIDES = {
    1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
    5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
}  # fmt: skip


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.webp", "x.jpg"])
def test_exif_orientation_is_applied(read: Read, orientation: int, name: str) -> None:
    """A scene of 2 x 3 squares is stored as a camera would that is held so."""
    scene = np.random.default_rng(1).integers(0, 256, (2, 3, 3), dtype=np.uint8)
    row_side, column_side = SIDES[orientation]
    stored_shape = (2, 3) if row_side in ("top", "bottom") else (3, 2)
    stored = np.empty((*stored_shape, 3), dtype=np.uint8)
    for row in range(2):
        for column in range(3):
            away = {"top": row, "bottom": 1 - row, "left": column, "right": 2 - column}
            stored[away[row_side], away[column_side]] = scene[row, column]
    squares = [np.kron(picture, np.ones((16, 16, 1), dtype=np.uint8)) for picture in (stored, scene)]
    exif = Image.Exif()
    exif[274] = orientation
    options: dict[str, object] = {"x.webp": {"lossless": True}, "x.jpg": {"quality": 100, "subsampling": 0}}.get(
        name, {}
    )
    pixels = read(Image.fromarray(squares[0]), name, exif=exif, **options)
    assert pixels.shape == squares[1].shape
    assert np.abs(pixels.astype(int) - squares[1]).max() <= (2 if name == "x.jpg" else 0)


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0nothing", {274: 77}])
def test_an_orientation_that_is_none_changes_nothing(tmp_path: Path, exif: object) -> None:
    if isinstance(exif, dict):
        tags = Image.Exif()
        tags.update(exif)
        exif = tags
    Image.new("RGB", (8, 16)).save(tmp_path / "x.jpg", exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_pixels(str(tmp_path / "x.jpg")).shape == (16, 8, 3)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_huge_jpeg_images_are_reduced_and_others_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_LARGEST_IMAGE", 2 * 64 * 64)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 64)
    gradient = Image.linear_gradient("L").convert("RGB")

    def save(side: int, name: str, **options: object) -> str:
        gradient.resize((side, side)).save(tmp_path / name, **options)
        return str(tmp_path / name)

    for side, expected in ((60, 60), (80, 40), (200, 50), (800, 100)):
        pixels = read_pixels(save(side, "x.jpg"))
        assert pixels.shape == (expected, expected, 3)
        assert int(pixels[0, 0, 0]) < 10 and int(pixels[-1, 0, 0]) > 245
    with pytest.raises(ImageError, match=r"x\.png: .*10000 pixels.* exceeds") as caught, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read_pixels(save(100, "x.png"))
    assert caught.value.lasting
    assert read_pixels(save(80, "p.jpg", progressive=True)).shape == (40, 40, 3)
    with pytest.raises(ImageError, match=r"p\.jpg: it has 1 million pixels, a progressive JPEG"):
        read_pixels(save(800, "p.jpg", progressive=True))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "it is an empty file"), (b"hello", "its content is of no known image format"), (None, "it is cut short$")],
)
def test_what_a_decoder_refuses_stays_refused(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "x.bmp"
    if content is None:
        Image.new("RGB", (9, 9)).save(path)
        content = path.read_bytes()[:-20]
    path.write_bytes(content)
    with pytest.raises(ImageError, match=rf"^cannot read the image {path}: .*{reason}") as caught:
        read_image(str(path))
    assert caught.value.lasting


def test_what_the_system_refuses_may_be_read_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    for name, reason in (("none.png", "No such file"), ("folder.png", "directory"), ("pipe.png", "it is not a file")):
        with pytest.raises(ImageError, match=rf"{name}: .*{reason}") as caught:
            read_image(str(tmp_path / name))
        assert not caught.value.lasting

    def no_memory(content: bytes) -> Image.Image:
        raise MemoryError

    Image.new("RGB", (4, 4)).save(tmp_path / "x.png")
    monkeypatch.setattr(decoding, "_open", no_memory)
    with pytest.raises(ImageError, match="not enough memory") as caught:
        read_image(str(tmp_path / "x.png"))
    assert not caught.value.lasting


@pytest.mark.parametrize(("number", "attempts"), [(errno.EIO, 3), (errno.ESTALE, 3), (errno.EACCES, 1)])
def test_failures_that_pass_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, attempts: int
) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "x.png")
    opened, failures = decoding._open_without_waiting, [number] * 2
    tried = 0

    def fail(path: str, flags: int) -> int:
        nonlocal tried
        tried += 1
        if failures:
            raise OSError(failures.pop(), "for a moment", path)
        return opened(path, flags)

    monkeypatch.setattr(decoding, "_open_without_waiting", fail)
    monkeypatch.setattr(decoding, "_RETRY_PAUSES", (0.0, 0.0))
    if attempts == 3:
        assert read_image(str(tmp_path / "x.png")).shape == (3, 4, 4)
    else:
        with pytest.raises(ImageError, match="for a moment"):
            read_image(str(tmp_path / "x.png"))
    assert tried == attempts
