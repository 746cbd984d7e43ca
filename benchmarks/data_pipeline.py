"""Measures training images a second and core: this trainer's data pipeline, and Pillow image by image.

    python benchmarks/data_pipeline.py [--size 256 128 --batch 64]
    python benchmarks/data_pipeline.py --transforms   # each random transform with probability 1, from memory

Both resize JPEG files of 128 x 64 pixels, mirror, pad, crop, normalise and erase, and stack a batch. Time is that of
the processor, on one thread, so that others on the machine do not count.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from torchvision import transforms as T  # noqa: E402

from configs.defaults import _C  # noqa: E402
from data.datasets.base import Sample  # noqa: E402
from data.images import FileImages, Images, open_cached_images  # noqa: E402
from data.loading import TrainImages  # noqa: E402
from data.samplers.base import Draw  # noqa: E402
from data.transforms import PROBABILITIES, TRANSFORMS  # noqa: E402
from data.transforms.network_input import TrainTransform  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def photographs(folder: Path, number: int) -> list[str]:
    """Writes JPEG files that compress like photographs: smooth colours and some noise."""
    rng = np.random.default_rng(0)
    paths = []
    for image in range(number):
        coarse = Image.fromarray(rng.integers(0, 256, (16, 8, 3), dtype=np.uint8)).resize(
            (64, 128), Image.Resampling.BICUBIC
        )
        pixels = np.asarray(coarse, dtype=np.int16) + rng.integers(-12, 13, (128, 64, 3))
        paths.append(str(folder / f"{image:05d}.jpg"))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def rate(batch: Callable[[list[int]], object], number: int, batch_size: int, seconds: float) -> float:
    """Measures images a second of processor time, in batches drawn at random."""
    rng = np.random.default_rng(1)
    batch(list(range(batch_size)))
    images, started = 0, time.process_time()
    while time.process_time() - started < seconds:
        batch(rng.integers(0, number, batch_size).tolist())
        images += batch_size
    return images / (time.process_time() - started)


# torchvision's transforms that do the same as ours with the default settings.
ON_PILLOW = {
    "autoaugment": T.AutoAugment(T.AutoAugmentPolicy.IMAGENET),
    "color_jitter": T.ColorJitter(0.15, 0.15, 0.1, 0.1),
    "affine": T.RandomAffine(10, None, (0.9, 1.1), 0.1, T.InterpolationMode.BILINEAR),
    "augmix": T.AugMix(1, 3, 1, alpha=0.1, all_ops=False),
}


def measure_transforms(size: list[int], batch_size: int, seconds: float) -> None:
    """Prints the rate of each random transform, with mirror, crop and erasing, and of these alone.

    Beside it stands the rate of the transform by itself, as a multiple of torchvision's on Pillow images.
    """
    cfg = _C.clone()
    cfg.INPUT.SIZE_TRAIN = tuple(size)
    cfg.INPUT.update(dict.fromkeys(PROBABILITIES.values(), 1.0))
    shape = (batch_size, 3, *size)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    print(f"{size[0]} x {size[1]}, batches of {batch_size}; images a second of one core")
    for name in ("", *TRANSFORMS.names):
        more = {name: TRANSFORMS.builder(name)(cfg)} if name else {}
        transform = TrainTransform(size, MEAN, STD, flip_prob=0.5, erase_prob=0.5, padding=10, more=more)

        def batch(numbers: list[int], transform: TrainTransform = transform) -> object:
            choices = transform.draw(numbers)
            pasted = transform.add_others(images.clone(), choices, lambda places: images[: len(places)])
            return transform.augment(pasted, choices)

        ratio = ""
        if name in ON_PILLOW:
            ratio = f"{beside_pillow(name, transform, images, batch_size, seconds):>8.2f} x"
        print(f"{name or 'mirror, crop, erasing alone':<44}{rate(batch, 1000, batch_size, seconds):>9,.0f}{ratio}")


def beside_pillow(name: str, transform: TrainTransform, images: torch.Tensor, batch_size: int, seconds: float) -> float:
    """Measures how many times as fast a transform alone is as torchvision's on Pillow images."""
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
    (step,) = transform.steps
    ours = rate(lambda numbers: step.apply(images, transform.draw(numbers), each=True), 1000, batch_size, seconds)
    theirs = rate(lambda numbers: [ON_PILLOW[name](picture) for picture in pictures], 1000, batch_size, seconds)
    return ours / theirs


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--size", type=int, nargs=2, default=(256, 128), metavar=("H", "W"))
    arguments.add_argument("--batch", type=int, default=64)
    arguments.add_argument("--images", type=int, default=1000)
    arguments.add_argument("--seconds", type=float, default=5)
    arguments.add_argument("--transforms", action="store_true", help="measure each random transform instead")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    size, number = list(options.size), options.images
    if options.transforms:
        measure_transforms(size, options.batch, options.seconds)
        return
    pillow = T.Compose([
        T.Resize(size), T.RandomHorizontalFlip(), T.Pad(10), T.RandomCrop(size), T.ToTensor(), T.Normalize(MEAN, STD),
        T.RandomErasing(0.5, (0.02, 0.4), (0.3, 3.33)),
    ])  # fmt: skip
    transform = TrainTransform(size, MEAN, STD, flip_prob=0.5, erase_prob=0.5, padding=10)
    with tempfile.TemporaryDirectory() as folder:
        paths = photographs(Path(folder), number)
        samples = [Sample(path, 0, 0) for path in paths]

        def image_by_image(numbers: list[int]) -> object:
            return torch.stack([pillow(Image.open(paths[n]).convert("RGB")) for n in numbers])

        def ours(images: Images, finish: bool) -> Callable[[list[int]], object]:
            split = TrainImages(samples, images, transform, finish=finish, max_unreadable=0)
            return lambda numbers: split.__getitems__([Draw(n, n) for n in numbers])

        started = time.process_time()
        cache = open_cached_images(paths, size, Path(folder) / "cache", "train", print)
        making = number / (time.process_time() - started)
        runs = {
            "Pillow, image by image": image_by_image,
            "ours, cached": ours(cache, finish=True),
            "ours, cached, augmented on an accelerator": ours(cache, finish=False),
            "ours, not cached": ours(FileImages(paths, size), finish=True),
        }
        rates = {name: rate(run, number, options.batch, options.seconds) for name, run in runs.items()}
    print(f"{size[0]} x {size[1]}, batches of {options.batch}; images a second of one core; to reach: 2.5 x Pillow")
    for name, value in rates.items():
        print(f"{name:<44}{value:>9,.0f}{value / rates['Pillow, image by image']:>8.2f} x")
    print(f"{'making the cache, once':<44}{making:>9,.0f}")


if __name__ == "__main__":
    main()
