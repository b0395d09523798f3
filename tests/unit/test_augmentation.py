"""Augmentation: every image has a draw of its own, which its seed decides."""

from collections import Counter

import numpy as np
import pytest
import torch

from study.options.command_line import parse
from trainables.augmentation import (
    AUGMENTATIONS,
    EIGENVALUES,
    EIGENVECTORS,
    NONE,
    augmented,
    pca_jitter,
    seeds_of,
)
from trainables.margin import crop_side, margin_side
from trainables.recipe import Recipe


def one_image(n: int, size: int = 32) -> torch.Tensor:
    """The same image n times; no change of it looks like another."""
    image = torch.randint(0, 256, (3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return image.expand(n, -1, -1, -1)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_images_come_out_as_the_model_takes_them_and_are_not_all_changed_alike(name: str) -> None:
    side = margin_side(32) if AUGMENTATIONS[name].needs_margin else 32
    changed = augmented(name, one_image(16, side), range(16))
    assert changed.shape == (16, 3, 32, 32)
    assert changed.dtype in (torch.uint8, torch.float32)
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


# AlexNet's


def test_a_margin_is_that_of_224_in_256_and_is_cut_off_again_at_every_size() -> None:
    assert (margin_side(224), margin_side(32)) == (256, 37)
    assert all(crop_side(margin_side(side)) == side for side in range(1, 1000))


def test_the_components_of_colour_are_orthonormal_columns() -> None:
    torch.testing.assert_close(EIGENVECTORS.T @ EIGENVECTORS, torch.eye(3), atol=2e-4, rtol=0)


def test_colour_jitter_adds_the_papers_sum_over_components_to_every_pixel() -> None:
    image, strengths = one_image(1, 4)[0], torch.tensor([0.3, -0.2, 0.15])
    seen = pca_jitter(image, strengths)
    for channel in range(3):
        moved = sum(EIGENVECTORS[channel, i].item() * strengths[i].item() * EIGENVALUES[i].item() for i in range(3))
        wanted = image[channel].numpy() / 255 + moved  # in [0, 1], as the paper has it
        assert seen[channel].numpy() / 255 == pytest.approx(wanted, abs=1e-5)


def test_a_brighter_and_a_darker_draw_both_show_on_white_and_on_black() -> None:
    for level in (0, 255):
        image = torch.full((3, 2, 2), level, dtype=torch.uint8)
        for strength in (-0.1, 0.1):
            assert (pca_jitter(image, torch.tensor([strength, 0.0, 0.0])) != level).all()


def test_alexnets_draws_are_a_place_a_flip_and_three_normal_strengths_an_image() -> None:
    side = margin_side(32)
    flat = torch.full((600, 3, side, side), 128, dtype=torch.uint8)
    colours = augmented("alexnet", flat, range(600))
    assert (colours == colours[:, :, :1, :1]).all()  # one colour for all of an image
    strengths = (colours[:, :, 0, 0] - 128) / 255 @ EIGENVECTORS / EIGENVALUES
    assert strengths.mean(dim=0).abs().max() < 0.02
    torch.testing.assert_close(strengths.std(dim=0), torch.full((3,), 0.1), atol=0.01, rtol=0)
    assert torch.corrcoef(strengths.T).fill_diagonal_(0).abs().max() < 0.15

    dot = torch.zeros(600, 3, side, side, dtype=torch.uint8)
    dot[:, :, 16, 16] = 255
    places = augmented("alexnet", dot, range(600))[:, 0].flatten(1).argmax(dim=1)
    rows, columns = places // 32, places % 32
    assert set(rows.tolist()) == set(range(11, 17))  # a margin of 5: 6 places
    assert set(columns.tolist()) == {*range(11, 17), *range(15, 21)}  # and mirrored
    assert 240 <= (columns > 16).sum() * 6 / 4 <= 420  # 4 of 6 mirrored places are told apart


def test_the_seeds_of_an_epoch_are_those_of_its_images_and_new_in_every_epoch_and_run() -> None:
    index = np.array([7, 3, 900])
    assert seeds_of(0, 1, index) == seeds_of(0, 1, index[::-1])[::-1]
    every = [*seeds_of(0, 1, index), *seeds_of(0, 2, index), *seeds_of(1, 1, index)]
    assert len(set(every)) == 9


def test_an_unknown_augmentation_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown augmentation 'flipp'.*did you mean flip"):
        Recipe("mine", epochs=1, settings={"augmentation": "flipp"})


def test_the_command_line_names_every_augmentation(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help-all"])
    shown = " ".join(capsys.readouterr().out.split())
    assert all(name in shown for name in (NONE, *AUGMENTATIONS))
