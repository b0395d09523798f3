"""Cross-validated ridge regression in closed form: every image predicted without itself, from one decomposition.

With H the matrix that makes fitted values of targets, what an image's residual would be had it been left out is its
residual divided by 1 - H_ii (Allen 1974); for images that must be left out together (several photos of one animal), it
is the solution of (I - H_gg) e = r over their group g. So nothing is fitted twice. Features are standardised over all
images: that looks at no label.

Which penalty, which boundary and which backbone is best is decided by a smoothed accuracy: an image counts by how far
the class that is right is ahead of the others, from 0 to 1, and not as right or wrong. Of few images a count of right
ones is mostly chance; docs/decisions.md has what this saved.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from study.baselines.ridge import PENALTIES

# Standard deviation of a margin. Of 0.1 to 0.5 all chose better than counts of right images; see docs/decisions.md
SPREAD = 0.3


@dataclass(frozen=True)
class LeftOut:
    """Attributes:
    correct: (N,) bool, whether each image is predicted rightly by what was fitted to the others.
    penalty: with which the smoothed accuracy was highest, the largest at equal.
    smoothed: that.
    """

    correct: np.ndarray
    penalty: float
    smoothed: float

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
    from scipy.special import ndtr

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
        ahead = margins(y - without, labels)
        smoothed = float(ndtr(ahead / SPREAD).mean())
        if best is None or smoothed > best.smoothed:
            best = LeftOut(ahead > 0, float(penalty), smoothed)
    assert best is not None
    return best


def margins(predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, classes) to (N,): by how much the right class is ahead of the best of the others."""
    rows, others = np.arange(len(labels)), predicted.copy()
    others[rows, labels] = -np.inf
    return predicted[rows, labels] - others.max(axis=1)


def members(groups: np.ndarray | None) -> list[np.ndarray]:
    """The rows of every group of more than one image."""
    if groups is None:
        return []
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    return [rows for rows in np.split(order, starts) if len(rows) > 1]
