"""Random changes of training images, drawn anew for every image in every epoch: torchvision's, one call an image.

A torchvision v2 transform draws once a call, so on a batch every image would get the same draw.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from trainables.choices import choose

Transform = Callable[[Tensor], Tensor]


def flip(size: int) -> Transform:
    from torchvision.transforms import v2

    return v2.RandomHorizontalFlip()


def crop_flip(size: int) -> Transform:
    """The usual recipe for small images: a crop after padding by an eighth of the side, and a flip."""
    from torchvision.transforms import v2

    return v2.Compose([v2.RandomCrop(size, padding=size // 8), v2.RandomHorizontalFlip()])


def autoaugment_cifar10(size: int) -> Transform:
    """Cubuk et al. 2019, the policy found on CIFAR-10."""
    from torchvision.transforms import v2

    return v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)


AUGMENTATIONS: dict[str, Callable[[int], Transform]] = {
    "flip": flip,
    "crop_flip": crop_flip,
    "autoaugment_cifar10": autoaugment_cifar10,
}
NONE = "none"


def check(name: str) -> str:
    """Raises ValueError for an unknown one."""
    return choose("augmentation", name, [NONE, *AUGMENTATIONS])


def augmented(name: str, images_NCHW: Tensor, seeds: Sequence[int]) -> Tensor:
    """Every image (3, H, W) uint8 changed by a draw that its own seed decides; (N, 3, H, W) uint8."""
    transform = AUGMENTATIONS[name](images_NCHW.shape[-1])
    changed = []
    with torch.random.fork_rng(devices=[]):
        for image, seed in zip(images_NCHW, seeds, strict=True):
            torch.manual_seed(seed)
            changed.append(transform(image))
    return torch.stack(changed)


def seeds_of(seed: int, epoch: int, index: np.ndarray) -> list[int]:
    """A seed for every image of an epoch, whichever process draws and in whatever order."""
    return [int(np.random.SeedSequence([seed, epoch, int(i)]).generate_state(1)[0]) for i in index]
