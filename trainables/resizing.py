"""Images made as large as a model takes them: by torchvision on a CPU, and by the same arithmetic on any device.

A dataset of 32 px takes fifty times as much room at 224 px. So a GPU may keep it as it is, and enlarge each batch. Its
own resize would not do: torch's for uint8 on a CPU computes in whole numbers, across and then down, and rounds and
clips in between as Pillow does. A GPU's computes in fp32, and of 10 to 24 % of the pixels something else, where it is
bicubic up to 26 of 255 levels away. Here are torch's whole numbers, which are the same everywhere.
"""

from collections.abc import Callable
from functools import cache
from math import ceil

import numpy as np
import torch
from torch import Tensor

from trainables.architecture import Preprocessing

WEIGHT_BITS = 15  # torch has signed weights of 16 bits
MOST_PRECISION = 22


def resized(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(..., C, H, W) uint8 -> (..., C, size, size): shorter side to size / crop, then the centre. By torchvision."""
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import center_crop, resize

    mode = InterpolationMode(preprocessing.interpolation)
    sized = resize(images, [whole_side(preprocessing)], mode, antialias=True)
    return center_crop(sized, [preprocessing.size, preprocessing.size])


def whole_side(preprocessing: Preprocessing) -> int:
    """Of what the centre is cut from."""
    return round(preprocessing.size / preprocessing.crop)


def enlarged(images_NCHW: Tensor, preprocessing: Preprocessing) -> Tensor:
    """`resized` of square images that are no larger, on the device where they are; channels last."""
    taps = taps_of(images_NCHW.shape[-1], preprocessing, images_NCHW.device)
    images = images_NCHW.permute(0, 2, 3, 1)
    return along(along(images, 2, *taps), 1, *taps).permute(0, 3, 1, 2)


def along(images_NHWC: Tensor, dim: int, places: Tensor, weights: Tensor, precision: int) -> Tensor:
    """One side made larger: each pixel is of T, at `places` (T, side), which count by `weights` (T, side) int32."""
    shape = (-1, 1, 1) if dim == 1 else (-1, 1)
    total: Tensor | int = 1 << precision - 1 if precision else 0
    for place, weight in zip(places, weights, strict=True):
        total = total + images_NHWC.index_select(dim, place) * weight.view(shape)
    assert isinstance(total, Tensor)
    return (total >> precision).clamp_(0, 255).to(torch.uint8)


@cache
def taps_of(side: int, preprocessing: Preprocessing, device: torch.device) -> tuple[Tensor, Tensor, int]:
    """What `along` takes, for a side of so many pixels."""
    whole, size = whole_side(preprocessing), preprocessing.size
    places, weights = WEIGHTS[preprocessing.interpolation](side, whole)
    precision = precision_of(weights) if preprocessing.interpolation != "nearest" else 0
    whole_numbers = np.trunc(weights * (1 << precision) + np.where(weights < 0, -0.5, 0.5)).astype(np.int32)
    first = round((whole - size) / 2.0)  # as torchvision's center_crop
    centre = slice(first, first + size)
    there = [torch.from_numpy(part[:, centre].copy()).to(device) for part in (places, whole_numbers)]
    return there[0], there[1], precision


def precision_of(weights: np.ndarray) -> int:
    """By how many bits torch shifts weights to make whole numbers of them."""
    largest = weights.max()
    for bits in range(MOST_PRECISION):
        if int(0.5 + largest * (1 << bits + 1)) >= 1 << WEIGHT_BITS:
            return bits
    return MOST_PRECISION


def nearest(side: int, larger: int) -> tuple[np.ndarray, np.ndarray]:
    """As torch's CPU takes them."""
    row = torch.arange(side, dtype=torch.float32)[None, None]
    places = torch.nn.functional.interpolate(row, size=larger, mode="nearest")[0].long().numpy()
    return places, np.ones_like(places, dtype=float)


def weighted(radius: int, kernel: Callable[[np.ndarray], np.ndarray]) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Pixels within a radius, each by its distance: `_compute_indices_min_size_weights_aa` in torch."""

    def weights(side: int, larger: int) -> tuple[np.ndarray, np.ndarray]:
        centre = side / larger * (np.arange(larger) + 0.5)
        first = np.maximum((centre - radius + 0.5).astype(int), 0)
        count = np.minimum((centre + radius + 0.5).astype(int), side) - first
        taps = np.arange(2 * ceil(radius) + 1)[:, None]
        inside = taps < count
        values = np.where(inside, kernel(np.abs(taps + first - centre + 0.5)), 0.0)
        return np.where(inside, taps + first, 0), values / values.sum(0)

    return weights


def triangle(x: np.ndarray) -> np.ndarray:
    return np.where(x < 1, 1 - x, 0.0)


def cubic(x: np.ndarray) -> np.ndarray:
    """Keys 1981 with a = -1/2, which is Pillow's and torch's with antialias."""
    a = -0.5
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


WEIGHTS = {"nearest": nearest, "bilinear": weighted(1, triangle), "bicubic": weighted(2, cubic)}


def agrees(images_NCHW: Tensor, preprocessing: Preprocessing, device: torch.device) -> bool:
    """Whether a device enlarges some images (on the CPU) to the bit as this CPU does, which may have other kernels."""
    here, there = resized(images_NCHW, preprocessing), enlarged(images_NCHW.to(device), preprocessing)
    return torch.equal(here, there.cpu())
