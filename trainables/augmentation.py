"""Random changes of training images, drawn anew for every image in every epoch: torchvision's, one call per image.

A torchvision v2 transform draws once a call, so on a batch every image would get the same draw. AlexNet's colour
jitter, which torchvision lacks, is here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainables.margin import crop_side

Transform = Callable[[Tensor], Tensor]

# Krizhevsky et al. 2012, section 4.1: the principal components of RGB in [0, 1] over ImageNet, as columns
EIGENVALUES = torch.tensor([0.2175, 0.0188, 0.0045])
EIGENVECTORS = torch.tensor([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
JITTER = 0.1  # the standard deviation of how far a component is moved, in eigenvalues


@dataclass(frozen=True)
class Augmentation:
    """`transform(side)` changes one image (3, side, side) uint8; one that crops gets it with a margin."""

    transform: Callable[[int], Transform]
    needs_margin: bool = False


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


def alexnet(size: int) -> Transform:
    """Krizhevsky et al. 2012, section 4.1: 224 px of 256 at random, a flip, and all colours moved alike."""
    from torchvision.transforms import v2

    crop_and_flip = v2.Compose([v2.RandomCrop(crop_side(size)), v2.RandomHorizontalFlip()])
    return lambda image: pca_jitter(crop_and_flip(image), JITTER * torch.randn(3))


def pca_jitter(image: Tensor, strengths: Tensor) -> Tensor:
    """sum_i p_i a_i l_i added to every pixel, with `strengths` a (3,).

    RGB (3, H, W) in [0, 255] -> float32. It is neither rounded nor clipped: the jitter is of some three grey levels,
    and clipped it would not show on white.
    """
    return image + color_shift(strengths).view(3, 1, 1)


def color_shift(strengths: Tensor) -> Tensor:
    """What the jitter adds to red, green and blue: (3,) in [0, 255]."""
    return 255 * (EIGENVECTORS @ (strengths * EIGENVALUES))


AUGMENTATIONS = {
    "flip": Augmentation(flip),
    "crop_flip": Augmentation(crop_flip),
    "autoaugment_cifar10": Augmentation(autoaugment_cifar10),
    "alexnet": Augmentation(alexnet, needs_margin=True),
}
NONE = "none"


def needs_margin(name: str) -> bool:
    """Whether images are read with a margin, for the augmentation to crop."""
    return name != NONE and AUGMENTATIONS[name].needs_margin


def augmented(name: str, images_NCHW: Tensor, seeds: Sequence[int]) -> Tensor:
    """Every image (3, side, side) uint8 changed by a draw that its own seed decides.

    Returns (N, 3, side, side) uint8; one that crops a margin off gives `crop_side(side)`, a jitter of colours float32.
    """
    transform = AUGMENTATIONS[name].transform(images_NCHW.shape[-1])
    changed = []
    with torch.random.fork_rng(devices=[]):
        for image, seed in zip(images_NCHW, seeds, strict=True):
            torch.manual_seed(seed)
            changed.append(transform(image))
    return torch.stack(changed)


def seeds_of(seed: int, epoch: int, index: np.ndarray) -> list[int]:
    """A seed for every image of an epoch, whichever process draws and in whatever order."""
    return [int(np.random.SeedSequence([seed, epoch, int(i)]).generate_state(1)[0]) for i in index]
