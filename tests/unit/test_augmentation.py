"""Augmentation: every image has a draw of its own, which its seed decides."""

from collections import Counter

import numpy as np
import pytest
import torch

from study.cli import parse
from trainables.augmentation import AUGMENTATIONS, NONE, augmented, check, seeds_of
from trainables.recipe import Recipe


def one_image(n: int, size: int = 32) -> torch.Tensor:
    """The same image n times; no change of it looks like another."""
    image = torch.randint(0, 256, (3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return image.expand(n, -1, -1, -1)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_images_keep_their_shape_and_dtype_and_are_not_all_changed_alike(name: str) -> None:
    images = one_image(16)
    changed = augmented(name, images, range(16))
    assert changed.shape == images.shape
    assert changed.dtype == torch.uint8
    assert len({image.numpy().tobytes() for image in changed}) > 1


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_seed_of_an_image_decides_its_draw_whatever_is_beside_it(name: str) -> None:
    images = one_image(6)
    together = augmented(name, images, [5, 4, 3, 2, 1, 0])
    alone = [augmented(name, images[:1], [seed])[0] for seed in range(6)]
    assert all(torch.equal(a, b) for a, b in zip(together.flip(0), alone, strict=True))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_generator_of_the_process_is_left_as_it_was(name: str) -> None:
    before = torch.get_rng_state()
    augmented(name, one_image(4), range(4))
    assert torch.equal(torch.get_rng_state(), before)


def test_about_half_of_the_images_are_flipped() -> None:
    images = one_image(400)
    flipped = Counter(torch.equal(image, images[0].flip(-1)) for image in augmented("flip", images, range(400)))
    assert 160 <= flipped[True] <= 240


def test_a_crop_moves_an_image_by_an_eighth_of_its_side_at_most() -> None:
    images = torch.zeros(200, 3, 32, 32, dtype=torch.uint8)
    images[:, :, 16, 16] = 255
    places = augmented("crop_flip", images, range(200))[:, 0].nonzero()[:, 1:]
    assert len(places) == 200
    assert (places - 16).abs().max() <= 5  # 4, and a flip of an even side moves by one
    assert len({tuple(place) for place in places.tolist()}) > 30


def test_the_seeds_of_an_epoch_are_those_of_its_images_and_new_in_every_epoch_and_run() -> None:
    index = np.array([7, 3, 900])
    assert seeds_of(0, 1, index) == seeds_of(0, 1, index[::-1])[::-1]
    every = [*seeds_of(0, 1, index), *seeds_of(0, 2, index), *seeds_of(1, 1, index)]
    assert len(set(every)) == 9


def test_an_unknown_augmentation_is_refused_with_the_nearest() -> None:
    assert check(NONE) == NONE
    with pytest.raises(ValueError, match=r"unknown augmentation 'flipp'.*did you mean flip"):
        Recipe("mine", epochs=1, augmentation="flipp")


def test_the_command_line_names_every_augmentation(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert all(name in shown for name in (NONE, *AUGMENTATIONS))
