"""Random splits of small data sets, of which DATASETS.SPLIT chooses one.

Papers average over such splits. torchreid writes the ones it has drawn into a file beside the data set, which is read
where it is there, so that results are of the same splits; else they are drawn here, the same ones on every machine.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.datasets.base import WantedSplits
from data.datasets.forms import Parts
from data.datasets.sources import Found, Reading, Source


@dataclass(frozen=True)
class Division:
    """Division of a data set's people by one random split.

    `number` is the split's, `images` those of each source, `listed` the split of torchreid's file, where that is there.
    """

    reading: Reading
    number: int
    images: Sequence[list[Found]]
    listed: dict[str, Any] | None

    def people(self, candidates: Iterable[int], count: int, draw: int) -> set[int]:
        """Chooses the people who are trained on: those of the file, or `count` of the candidates, drawn.

        Splits with the same number of a draw share them.
        """
        if listed := self.listed_people():
            return listed
        self.reading.note(f"split {self.number} (DATASETS.SPLIT) is drawn here: {count} people are trained on")
        return set(shuffle(candidates, f"people/{draw}")[:count])

    def listed_people(self) -> set[int]:
        """Returns the people whom the file's split trains on; none where there is no file."""
        numbers = {item for item in self._items("train") if isinstance(item, int)}
        return numbers or {image.pid for image in self.listed_images("train")}

    def listed_images(self, split: str) -> list[Found]:
        """Returns the images that the file lists for a split; none where there is no file.

        Raises:
            DatasetError: it names an image that is not there.
        """
        images = [image for images in self.images for image in images]
        known = {_key(image.path): image for image in images} | {Path(image.path).name: image for image in images}
        found = []
        for item in self._items(split):
            file = str(item[0] if isinstance(item, list) and item else item)
            if (image := known.get(_key(file))) is None:
                raise self.reading.error(f"the file of splits names {file!r}, which is not among the images")
            found.append(image)
        return found

    def _items(self, split: str) -> list[Any]:
        return list((self.listed or {}).get(split, []))


@dataclass(frozen=True)
class RandomSplits:
    """Splits by a rule, of which there are `count`; `file` is torchreid's with the splits it has drawn."""

    parts: tuple[Source, ...]
    count: int
    divide: Callable[[Division], Parts]
    file: str = ""

    def sources(self, wanted: WantedSplits) -> list[Source]:
        """Lists the sources, all of which every split needs."""
        return list(self.parts)

    def read(self, reading: Reading, wanted: WantedSplits) -> Parts:
        """Reads the images and divides them.

        Raises:
            DatasetError: images are missing or named otherwise; there is no such split.
        """
        number = reading.settings.SPLIT
        if number >= self.count:
            raise reading.error(f"DATASETS.SPLIT: there is no split {number}; choose 0 to {self.count - 1}")
        images = [source.read(reading) for source in self.parts]
        parts = self.divide(Division(reading, number, images, self._listed(reading, number)))
        train = parts.train if wanted.train else ()
        return Parts(train, parts.query, parts.gallery) if wanted.test else Parts(train)

    def _listed(self, reading: Reading, number: int) -> dict[str, Any] | None:
        """Reads a split from torchreid's file, which lies in the images' folder or the one above."""
        above = reading.folder.parent
        places = [reading.folder, *([above] if above != reading.root else [])]
        path = next((folder / self.file for folder in places if self.file and (folder / self.file).is_file()), None)
        if path is None:
            return None
        try:
            splits = json.loads(path.read_text(encoding="utf-8"))
            split: dict[str, Any] = splits[number]
            if not isinstance(split, dict) or not split.get("train"):
                raise ValueError("no list 'train'")
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise reading.error(f"cannot read split {number} of {path} ({' '.join(str(error).split())})") from None
        reading.note(f"split {number} (DATASETS.SPLIT) is from {path}")
        return split


def shuffle(numbers: Iterable[int], seed: str) -> list[int]:
    """Shuffles numbers, the same way for a seed on every machine."""
    draw = random.Random(seed)
    order = {number: draw.random() for number in sorted(set(numbers))}
    return sorted(order, key=order.__getitem__)


def _key(path: str) -> str:
    """Returns an image's file and folder, by which it is known on any machine."""
    return "/".join(Path(path.replace("\\", "/")).parts[-2:])
