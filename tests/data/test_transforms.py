from __future__ import annotations

import random

import pytest
import torch

from data.transforms import Augmentation, EvalTransform, TrainTransform

MEAN, STD = [0.4, 0.5, 0.6], [0.1, 0.2, 0.5]


def train_transform(flip: float = 0.0, erase: float = 0.0, padding: int = 0) -> TrainTransform:
    return TrainTransform([32, 16], MEAN, STD, flip_prob=flip, erase_prob=erase, padding=padding)


def noise(height: int = 32, width: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)


def expected(image: torch.Tensor) -> torch.Tensor:
    return (image / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def test_evaluation_resizes_and_normalises() -> None:
    transform = EvalTransform([32, 16], MEAN, STD)
    torch.testing.assert_close(transform(noise()), expected(noise()))
    grey = torch.full((3, 50, 70), 51, dtype=torch.uint8)
    out = transform(grey)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, expected(grey[:, :32, :16]))  # a flat picture stays flat


def test_training_without_augmentation_is_evaluation() -> None:
    image = noise(64, 48)
    assert torch.equal(train_transform()(image, random.Random(0)), EvalTransform([32, 16], MEAN, STD)(image))


def test_mirroring() -> None:
    torch.testing.assert_close(
        train_transform(flip=1.0)(noise(), random.Random(0)), expected(noise().flip(2))
    )


def test_cropping_moves_the_picture_over_black() -> None:
    transform = train_transform(padding=3)
    out = transform.apply(noise(), Augmentation(flip=False, top=5, left=1, erase=None))
    moved = torch.zeros_like(noise())
    moved[:, :-2, 2:] = noise()[:, 2:, :-2]  # 5 - 3 down in the picture, 3 - 1 to its left
    torch.testing.assert_close(out, expected(moved))


def test_every_crop_is_drawn() -> None:
    transform, rng = train_transform(padding=1), random.Random(0)
    drawn = {(choice.top, choice.left) for choice in (transform.draw(rng) for _ in range(300))}
    assert drawn == {(top, left) for top in range(3) for left in range(3)}


def test_the_erased_box_is_zero_for_the_network() -> None:
    transform = train_transform(erase=1.0)
    out = transform.apply(noise(), Augmentation(flip=False, top=0, left=0, erase=(4, 2, 10, 5)))
    untouched = torch.ones(32, 16, dtype=torch.bool)
    untouched[4:14, 2:7] = False
    torch.testing.assert_close(out[:, 4:14, 2:7], torch.zeros(3, 10, 5))
    torch.testing.assert_close(out[:, untouched], expected(noise())[:, untouched])


def test_erased_boxes_follow_the_paper() -> None:
    transform, rng = train_transform(erase=1.0), random.Random(0)
    boxes = [choice.erase for choice in (transform.draw(rng) for _ in range(500)) if choice.erase]
    assert len(boxes) == 500
    shares = []
    for top, left, height, width in boxes:
        assert top + height <= 32 and left + width <= 16 and height < 32 and width < 16
        shares.append(height * width / 512)
    # Rounded sides let the area pass its bounds, 0.02 and 0.4, a little.
    assert 0.01 < min(shares) < 0.05 and 0.3 < max(shares) < 0.45


@pytest.mark.parametrize(("flip", "erase"), [(0.5, 0.3), (0.0, 1.0)])
def test_probabilities_are_kept(flip: float, erase: float) -> None:
    transform, rng = train_transform(flip, erase), random.Random(0)
    choices = [transform.draw(rng) for _ in range(2000)]
    assert sum(choice.flip for choice in choices) / 2000 == pytest.approx(flip, abs=0.04)
    assert sum(choice.erase is not None for choice in choices) / 2000 == pytest.approx(erase, abs=0.04)


def test_only_the_given_generator_matters_and_no_other_moves() -> None:
    transform = train_transform(0.5, 0.5, 2)
    torch.manual_seed(1)
    random.seed(1)
    before = torch.get_rng_state(), random.getstate()
    first = transform(noise(), random.Random(5))
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == random.getstate()
    torch.manual_seed(2)
    assert torch.equal(first, transform(noise(), random.Random(5)))
    assert any(not torch.equal(first, transform(noise(), random.Random(seed))) for seed in range(5))
