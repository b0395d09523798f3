"""Whether a model is as often right as it says: from the confidence of each of its answers."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

BINS = 15  # Guo et al. 2017
LEAST = 1e-7  # what a probability is at least taken for: float32 has no 1 - 1e-8


@dataclass(frozen=True)
class Confidence:
    """Means over seeds.

    Attributes:
        calibration_error: expected calibration error, how far confidence and accuracy are apart in a bin of equal
            width, averaged by the answers in each (Guo et al. 2017).
        log_likelihood: the negative mean logarithm of the probability that the answer had of what became of it: the
            confidence where it was right, what is left of 1 where not. Of the other classes nothing is stored.
        confidence: mean.
    """

    calibration_error: float
    log_likelihood: float
    confidence: float


def mean_confidence(each: Sequence[Confidence | None]) -> Confidence | None:
    """Over repeats; None where one of them does not tell."""
    known = [astuple(one) for one in each if one is not None]
    return Confidence(*np.mean(known, axis=0).tolist()) if known and len(known) == len(each) else None


def confidence_of(correct: np.ndarray, confidence: np.ndarray) -> Confidence:
    """Of (seeds, images) bool and float each."""
    values = np.clip(confidence.astype(np.float64), LEAST, 1 - LEAST)
    seen = np.where(correct, values, 1 - values)
    errors = [calibration_error(right, sure) for right, sure in zip(correct, values, strict=True)]
    return Confidence(float(np.mean(errors)), float(-np.log(seen).mean()), float(confidence.mean()))


def calibration_error(correct: np.ndarray, confidence: np.ndarray) -> float:
    """Of one seed's (images,) answers."""
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    apart = np.bincount(places, weights=confidence - correct, minlength=BINS)
    return float(abs(apart).sum() / len(correct))
