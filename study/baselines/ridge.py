"""Ridge regression in closed form: one eigendecomposition for every penalty. Pure functions on arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PENALTIES = np.logspace(-6, 2, 17)  # per image; features have variance 1


@dataclass(frozen=True)
class Ridge:
    """Ridge regressions of standardised features onto one-hot labels, for every penalty: one decomposition.

    D is the number of features, N that of images, R the smaller of the two.

    scikit-learn's RidgeClassifierCV needs one too, but then chooses by leaving one image out, and takes ten times as
    long at 10,000 images of 2,048 features; given a validation split it decomposes anew for each penalty.

    With X (N, D) the standardised features and Y (N, classes) the centred labels, the weights for a penalty p per image
    are (X'X + N p)^-1 X'Y. X'X = V diag(s) V' gives them for every p (primal); where there are more features than
    images, XX' = U diag(s) U' is smaller and gives the same, as X'(XX' + N p)^-1 Y (dual).
    """

    mean: np.ndarray  # (D,)
    scale: np.ndarray  # (D,)
    basis: np.ndarray  # (D, R): V, or X'U
    eigenvalues: np.ndarray  # (R,): s, which are squares, so not below 0
    targets: np.ndarray  # (R, classes): V'X'Y, or U'Y
    offset: np.ndarray  # (classes,)
    images: int

    @classmethod
    def of(cls, features: np.ndarray, labels: np.ndarray, classes: int, *, dual: bool | None = None) -> "Ridge":
        """Fits (N, D) float features to (N,) int labels; `dual` is by default the smaller of the two decompositions."""
        x = features.astype(np.float64)
        mean, scale = x.mean(axis=0), x.std(axis=0)
        scale[scale <= 1e-9 * np.abs(mean)] = 1.0  # a feature that never changes: it gets no weight
        x = (x - mean) / scale
        y = np.eye(classes)[labels]
        offset = y.mean(axis=0)
        images, width = x.shape
        if dual is None:
            dual = width > images
        eigenvalues, vectors = np.linalg.eigh(x @ x.T if dual else x.T @ x)
        basis = x.T @ vectors if dual else vectors
        targets = vectors.T @ (y - offset if dual else x.T @ (y - offset))
        return cls(mean, scale, basis, eigenvalues.clip(min=0), targets, offset, images)

    def predict(self, features: np.ndarray, penalties: Sequence[float] | np.ndarray) -> np.ndarray:
        """(N, D) features -> (penalties, N, classes) float64, which estimate each class's probability."""
        projected = (features.astype(np.float64) - self.mean) / self.scale @ self.basis
        return np.stack(
            [
                projected @ (self.targets / (self.eigenvalues + self.images * p)[:, None]) + self.offset
                for p in penalties
            ]
        )


@dataclass(frozen=True)
class Probe:
    """What one ridge regression says of M test images.

    Attributes:
        penalty: the one that was chosen.
        val_accuracy: by which it was chosen.
        predicted: (M,) int64, classes.
        confidence: (M,) float64, the regression's value for the class that it predicts, kept within [0, 1]; it is not
            calibrated.
    """

    penalty: float
    val_accuracy: float
    predicted: np.ndarray
    confidence: np.ndarray


def ridge(
    features: np.ndarray,
    labels: np.ndarray,
    test_features: np.ndarray,
    *,
    classes: int,
    train: np.ndarray,
    val: np.ndarray,
    penalties: Sequence[float] | np.ndarray = PENALTIES,
    fitted: np.ndarray | None = None,
) -> Probe:
    """Chooses the penalty on validation, fits train + validation with it, and predicts the test images.

    Args:
        features, labels: (N, D) float and (N,) int64 of train + validation.
        test_features: (M, D) float.
        classes: how many; labels are below it.
        train, val: (n,) int64 each, which rows of `features` they are.
        penalties: per image; at equal accuracy on validation the larger one is chosen.
        fitted: (n,) int64, which rows of `features` the test is predicted from; None for all.

    Returns:
        The predictions of the regression that was fitted last, and the accuracy on validation of the one before.
    """
    values = Ridge.of(features[train], labels[train], classes).predict(features[val], penalties)
    accuracies = (values.argmax(axis=2) == labels[val]).mean(axis=1)
    val_accuracy, penalty = max(zip(accuracies.tolist(), map(float, penalties), strict=True))
    last = np.arange(len(labels)) if fitted is None else fitted
    [tested] = Ridge.of(features[last], labels[last], classes).predict(test_features, [penalty])
    return Probe(penalty, val_accuracy, tested.argmax(axis=1), tested.max(axis=1).clip(0, 1))
