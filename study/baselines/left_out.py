"""Cross-validated ridge regression in closed form: every image predicted without itself, from one decomposition.

With H the matrix that makes fitted values of targets, what an image's residual would be had it been left out is its
residual divided by 1 - H_ii (Allen 1974); for images that must be left out together (several photos of one animal), it
is the solution of (I - H_gg) e = r over their group g. So nothing is fitted twice. Features are standardised over all
images: that looks at no label.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from study.baselines.ridge import PENALTIES


@dataclass(frozen=True)
class LeftOut:
    """Attributes:
    correct: (N,) bool, whether each image is predicted rightly by what was fitted to the others.
    penalty: with which most were, the largest at equal.
    """

    correct: np.ndarray
    penalty: float

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())


def left_out(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    *,
    groups: np.ndarray | None = None,
    penalties: Sequence[float] | np.ndarray = PENALTIES,
) -> LeftOut:
    """Ridge regression onto one-hot labels, cross-validated on these images alone.

    Args:
        features: (N, D) float.
        labels: (N,) int64, below `classes`.
        classes: how many.
        groups: (N,) int64, of images that are left out together; None where each is on its own.
        penalties: per image; features have variance 1.

    Returns:
        Whether each image is predicted rightly, with the penalty that does best.
    """
    x = features.astype(np.float64)
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale[scale <= 1e-9 * np.abs(mean)] = 1.0  # a feature that never changes: it gets no weight
    x = (x - mean) / scale
    images, width = x.shape
    if width > images:
        eigenvalues, vectors = np.linalg.eigh(x @ x.T)
        z = vectors * np.sqrt(eigenvalues.clip(min=0))
    else:
        eigenvalues, vectors = np.linalg.eigh(x.T @ x)
        z = x @ vectors
    y = np.eye(classes)[labels]
    targets = z.T @ (y - y.mean(axis=0))
    together = members(groups)
    best: LeftOut | None = None
    for penalty in sorted(penalties, reverse=True):
        shrunk = z / (eigenvalues.clip(min=0) + images * penalty)
        residuals = y - y.mean(axis=0) - shrunk @ targets
        own = (shrunk * z).sum(axis=1) + 1 / images
        without = residuals / np.maximum(1 - own, 1e-12)[:, None]
        for group in together:
            block = shrunk[group] @ z[group].T + 1 / images
            without[group] = np.linalg.solve(np.eye(len(group)) * (1 + 1e-12) - block, residuals[group])
        correct = (y - without).argmax(axis=1) == labels
        if best is None or correct.mean() > best.accuracy:
            best = LeftOut(correct, float(penalty))
    assert best is not None
    return best


def members(groups: np.ndarray | None) -> list[np.ndarray]:
    """The rows of every group of more than one image."""
    if groups is None:
        return []
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    return [rows for rows in np.split(order, starts) if len(rows) > 1]
