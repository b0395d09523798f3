"""Features of a boundary of any shape: which axes are places."""

import pytest
import torch

from trainables.pooled import WIDEST, features_of, last


@pytest.mark.parametrize(
    ("shape", "places"),
    [
        ((2, 24, 7, 7), (2, 3)),  # channels, rows, columns
        ((2, 7, 7, 24), (1, 2)),  # rows, columns, channels, as of Swin
        ((2, 8, 8, 8), (2, 3)),
        ((2, 24, 1, 1), (2, 3)),
        ((2, 50, 24), (1,)),  # tokens
    ],
)
def test_a_boundary_is_averaged_over_its_places(shape: tuple[int, ...], places: tuple[int, ...]) -> None:
    values = torch.randn(shape)
    found = features_of(values, last=False)
    assert found.shape == (2, 8 if shape == (2, 8, 8, 8) else 24)
    assert torch.equal(found, values.mean(dim=places))


def test_the_last_boundary_is_what_the_head_takes_unless_that_is_very_wide() -> None:
    small, wide = torch.randn(3, 4, 2, 2), torch.randn(1, WIDEST, 2, 2)
    assert torch.equal(features_of(small, last=True), small.flatten(1))
    assert features_of(wide, last=True).shape == (1, WIDEST)
    assert features_of(torch.randn(3, 10).bfloat16(), last=True).dtype == torch.float32


def test_three_boundaries_are_looked_at_or_as_many_as_there_are() -> None:
    assert last(8) == (8, 7, 6)
    assert last(1) == (1,)
