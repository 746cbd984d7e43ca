from __future__ import annotations

import hashlib
import random

import pytest
import torch
from torch import Tensor

from data.transforms.network_input import EvalTransform, TrainTransform

MEAN, STD = [0.4, 0.5, 0.6], [0.1, 0.2, 0.5]


def train_transform(flip: float = 0.0, erase: float = 0.0, padding: int = 0) -> TrainTransform:
    return TrainTransform([32, 16], MEAN, STD, flip_prob=flip, erase_prob=erase, padding=padding)


def noise(images: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (images, 3, 32, 16), dtype=torch.uint8, generator=generator)


def expected(images: Tensor) -> Tensor:
    return (images / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def augment(transform: TrainTransform, images: Tensor, *choices: list[int]) -> Tensor:
    """By both ways, the processor's and the accelerator's, which are to agree."""
    drawn = torch.tensor(choices)
    result = transform.augment(images, drawn)
    torch.testing.assert_close(transform._augment_batch(images, drawn), result, rtol=1e-6, atol=1e-6)
    assert result.dtype == torch.float32 and result.is_contiguous()
    return result


def digest(values: Tensor) -> str:
    return hashlib.sha256(values.numpy().tobytes()).hexdigest()[:16]


def test_evaluation_normalises() -> None:
    torch.testing.assert_close(EvalTransform(MEAN, STD)(noise(2)), expected(noise(2)))


def test_training_without_augmentation_is_evaluation() -> None:
    transform = train_transform()
    torch.testing.assert_close(augment(transform, noise(3), *transform.draw([1, 2, 3]).tolist()), expected(noise(3)))


def test_mirroring() -> None:
    assert train_transform(flip=1.0).draw([5]).tolist() == [[1, 0, 0, 0, 0, 0, 0]]
    out = augment(train_transform(), noise(2), [1, 0, 0, 0, 0, 0, 0], [0] * 7)
    torch.testing.assert_close(out[0], expected(noise(2))[0].flip(2))
    torch.testing.assert_close(out[1], expected(noise(2))[1])


@pytest.mark.parametrize("flip", [0, 1])
def test_cropping_moves_the_picture_over_black(flip: int) -> None:
    out = augment(train_transform(padding=3), noise(), [flip, 5, 1, 0, 0, 0, 0])
    picture = noise()[0].flip(2) if flip else noise()[0]  # mirrored first, as the baseline does
    moved = torch.zeros_like(picture)
    moved[:, :-2, 2:] = picture[:, 2:, :-2]  # 5 - 3 down in the picture, 3 - 1 to its left
    torch.testing.assert_close(out[0], expected(moved))


def test_padding_may_be_wider_than_the_picture() -> None:
    transform = train_transform(padding=40)
    out = augment(transform, noise(3), *([0, 40 + down, 40, 0, 0, 0, 0] for down in (31, -40, 40)))
    picture = noise(3)[0]
    last_row = torch.zeros_like(picture)
    last_row[:, :1] = picture[:, 31:]
    torch.testing.assert_close(out[0], expected(last_row))
    torch.testing.assert_close(out[1:], expected(torch.zeros(2, 3, 32, 16)))


def test_every_crop_is_drawn() -> None:
    drawn = {(top, left) for _, top, left, *_ in train_transform(padding=1).draw(range(300)).tolist()}
    assert drawn == {(top, left) for top in range(3) for left in range(3)}


def test_the_erased_box_is_zero_for_the_network() -> None:
    out = augment(train_transform(padding=2), noise(), [0, 2, 2, 4, 2, 10, 5])[0]
    untouched = torch.ones(32, 16, dtype=torch.bool)
    untouched[4:14, 2:7] = False
    assert torch.equal(out[:, 4:14, 2:7], torch.zeros(3, 10, 5))
    torch.testing.assert_close(out[:, untouched], expected(noise())[0][:, untouched])


def test_both_ways_agree_on_whatever_is_drawn() -> None:
    transform = train_transform(0.5, 0.5, 4)
    out = augment(transform, noise(64), *transform.draw(range(64)).tolist())
    assert out.shape == (64, 3, 32, 16)


def test_erased_boxes_follow_the_paper() -> None:
    boxes = train_transform(erase=1.0).draw(range(500))[:, 3:].tolist()
    shares = []
    for top, left, height, width in boxes:
        assert top + height <= 32 and left + width <= 16 and 0 < height < 32 and 0 < width < 16
        shares.append(height * width / 512)
    # Rounded sides let the area pass its bounds, 0.02 and 0.4, a little.
    assert 0.01 < min(shares) < 0.05 and 0.3 < max(shares) < 0.45


def test_erased_boxes_have_the_area_and_aspect_asked_for() -> None:
    transform = TrainTransform(
        [320, 160], MEAN, STD, flip_prob=0, erase_prob=1, padding=0, erase_area=(0.1, 0.2), erase_aspect=0.5
    )
    boxes = transform.draw(range(500))[:, 5:].double()
    shares, aspects = boxes.prod(1) / (320 * 160), boxes[:, 0] / boxes[:, 1]
    assert 0.098 < float(shares.min()) < 0.11 and 0.19 < float(shares.max()) < 0.202
    assert 0.49 < float(aspects.min()) < 0.6 and 1.8 < float(aspects.max()) < 2.03


def test_the_usual_recipe_stays_as_it_is_to_the_bit() -> None:
    """The figures are of the trainer before augmentation could be chosen; other ones change everybody's training."""
    transform = train_transform(0.5, 0.5, 4)
    choices = transform.draw(range(64))
    assert digest(choices.to(torch.int64)) == "d57c1ff8bfabb5eb"
    assert digest(transform.augment(noise(64), choices)) == "93801fbd0cb2b5c3"


@pytest.mark.parametrize(("flip", "erase"), [(0.5, 0.3), (0.0, 1.0)])
def test_probabilities_are_kept(flip: float, erase: float) -> None:
    choices = train_transform(flip, erase).draw(range(2000))
    assert float(choices[:, 0].float().mean()) == pytest.approx(flip, abs=0.04)
    assert float((choices[:, 5] > 0).float().mean()) == pytest.approx(erase, abs=0.04)


def test_a_choice_depends_on_its_own_seed_and_no_generator_moves() -> None:
    transform = train_transform(0.5, 0.5, 2)
    before = torch.get_rng_state(), random.getstate()
    drawn = transform.draw(range(20))
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == random.getstate()
    assert torch.equal(transform.draw([7, 3]), drawn[[7, 3]])
    assert len({tuple(choice) for choice in drawn.tolist()}) > 15


def noisy(erase: float) -> TrainTransform:
    return TrainTransform([32, 16], MEAN, STD, flip_prob=0.5, erase_prob=erase, padding=4, erase_noise=True)


def test_an_erased_box_of_noise_has_the_variance_of_the_networks_input() -> None:
    transform = noisy(1.0)
    choices = transform.draw(range(400))
    images = torch.full((400, 3, 32, 16), 100, dtype=torch.uint8)
    result = transform.augment(images, choices)
    values = []
    for image, (top, left, height, width, _seed) in zip(result, choices[:, 3:].long().tolist(), strict=True):
        values.append(image[:, top : top + height, left : left + width].flatten())
    noise = torch.cat(values).double()
    assert len(noise) > 50_000
    moments = [float(noise.pow(power).mean()) for power in (1, 2, 3, 4)]
    assert moments == pytest.approx([0, 1, 0, 3], abs=0.06)  # of the normal distribution
    # Neighbours, channels and images are independent.
    [first], [second] = ([image[:, y : y + h, x : x + w]] for image, (y, x, h, w) in zip(
        result[:2], choices[:2, 3:7].long().tolist(), strict=True))  # fmt: skip
    for one, other in ((first[:, :, 1:], first[:, :, :-1]), (first[:, 1:], first[:, :-1]), (first[:1], first[1:2])):
        assert abs(float((one * other).mean())) < 4 / one.numel() ** 0.5
    assert not torch.equal(first.flatten()[:20], second.flatten()[:20])


def test_noise_is_the_same_in_both_ways_and_leaves_other_choices_alone() -> None:
    plain, transform = (
        TrainTransform([32, 16], MEAN, STD, flip_prob=0.5, erase_prob=0.7, padding=4, erase_noise=noise)
        for noise in (False, True)
    )
    choices = transform.draw(range(40))
    assert torch.equal(choices[:, :7], plain.draw(range(40)))
    assert int((choices[:, 7] > 0).sum()) == int((choices[:, 5] > 0).sum()) > 20
    pictures = noise(40)
    one_by_one = transform._augment_each(pictures.clone(), choices)
    together = transform._augment_batch(pictures.clone(), choices)
    torch.testing.assert_close(one_by_one, together, rtol=1e-5, atol=1e-5)
    erased = (one_by_one != plain._augment_each(pictures.clone(), choices)).any(1)
    assert erased.sum((1, 2)).tolist() == (choices[:, 5] * choices[:, 6]).tolist()
