"""Small images that a device enlarges itself are, to the bit, those that torchvision makes of them on a CPU."""

import pytest
import torch

from tests.contract.tiny import CPU
from trainables.architecture import HALF, Preprocessing
from trainables.choices import INTERPOLATIONS
from trainables.resizing import agrees, enlarged, resized


def pictures(n: int, side: int) -> torch.Tensor:
    """Noise, black, white, and edges, where a bicubic resize overshoots."""
    images = torch.randint(0, 256, (n, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(side))
    images[0], images[1], images[2, : side // 2], images[3, :, side // 2 :] = 0, 255, 0, 255
    return images.permute(0, 3, 1, 2)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(
    ("side", "size", "crop"),
    [(8, 32, 1.0), (28, 224, 1.0), (32, 224, 1.0), (32, 224, 0.95), (32, 224, 0.875), (48, 224, 0.9), (64, 256, 1.0)],
)
@pytest.mark.parametrize("side_as_it_is", [False, True])
def test_enlarged_images_are_those_of_torchvision(
    interpolation: str, side: int, size: int, crop: float, side_as_it_is: bool
) -> None:
    given = Preprocessing(side if side_as_it_is else size, *HALF, crop=crop, interpolation=interpolation)
    images = pictures(6, side)
    ours = enlarged(images, given)
    assert torch.equal(ours, resized(images, given))
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert agrees(images, given, CPU)


def test_a_device_whose_images_are_others_does_not_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Preprocessing(64, *HALF, interpolation="bicubic")
    monkeypatch.setattr("trainables.resizing.enlarged", lambda images, given: resized(images, given) ^ 1)
    assert not agrees(pictures(6, 32), given, CPU)
