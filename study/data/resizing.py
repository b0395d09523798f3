"""A decoded image to what a model takes, the same wherever it is done: in training, in a test, for a prediction."""

import numpy as np
import torch

from trainables import resizing
from trainables.architecture import Preprocessing


def resized(image: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """One image (H, W) or (H, W, 3) uint8 -> (size, size, 3) uint8: shorter side to size / crop, then the centre."""
    grey_or_rgb = image[..., None] if image.ndim == 2 else image
    chw = torch.tensor(grey_or_rgb).permute(2, 0, 1)  # a copy: Ray's arrays may not be written to
    return resizing.resized(chw, preprocessing).expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
