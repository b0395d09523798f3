"""A decoded image to what a model takes, the same wherever it is done: in training, in a test, for a prediction."""

import numpy as np
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import center_crop, resize

from trainables.architecture import Preprocessing


def resized(image: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """One image (H, W) or (H, W, 3) uint8 -> (size, size, 3) uint8: shorter side to size / crop, then the centre."""
    grey_or_rgb = image[..., None] if image.ndim == 2 else image
    chw = torch.tensor(grey_or_rgb).permute(2, 0, 1)  # a copy: Ray's arrays may not be written to
    mode = InterpolationMode(preprocessing.interpolation)
    side = round(preprocessing.size / preprocessing.crop)
    sized = center_crop(resize(chw, [side], mode, antialias=True), [preprocessing.size, preprocessing.size])
    return sized.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
