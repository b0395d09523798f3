"""Models whose seeds differ so much that few of them say little: bad seeds, and a spread unlike the other models'.

The intervals take the errors of seeds to be normal. One model with a bad seed in ten is called different in up to 25 %
of comparisons with an equal one (`python -m benchmarks.calibration`): three seeds mostly have none, or one too many.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

SMALL = 0.01  # what a seed may be apart from the others, whatever these do
FAR = 5.0  # in median distances of the other seeds from their median
BY_IMAGES = 3.0  # in standard deviations that independent answers would have
SIGNIFICANCE = 0.01
WIDE = 0.005  # a standard deviation below it is no instability, however much smaller others are


@dataclass(frozen=True)
class Seeds:
    """The accuracies of a model's seeds on `images` test images."""

    accuracies: Sequence[float]
    images: int

    @property
    def spread(self) -> float:
        return float(np.std(self.accuracies, ddof=1))

    @property
    def outlier(self) -> float | None:
        """The seed that is far from the others, further than their answers to other images would be; None for none."""
        values = np.array(self.accuracies)
        if len(values) < 3:
            return None
        distance = abs(values - np.median(values))
        place = int(distance.argmax())
        others = np.delete(values, place)
        typical = float(np.median(abs(others - np.median(others))))
        mean = float(values.mean())
        least = max(SMALL, FAR * typical, BY_IMAGES * sqrt(mean * (1 - mean) / self.images))
        return float(values[place]) if distance[place] > least else None


def unstable(models: Mapping[str, Seeds], *, of: str = "seed") -> dict[str, str]:
    """Why a model is unstable, by its name; those that are not are left out. One seed says nothing.

    Args:
        of: what the accuracies are of, for a reader: a repeat's is the mean of its seeds.
    """
    several = {name: one for name, one in models.items() if len(one.accuracies) > 1}
    found = {}
    for name, one in several.items():
        low, high = min(one.accuracies), max(one.accuracies)
        others = [other for other_name, other in several.items() if other_name != name]
        if (outlier := one.outlier) is not None:
            found[name] = f"a {of} with {outlier:.1%} among {of}s from {low:.1%} to {high:.1%}"
        elif one.spread > WIDE and others and ratio_p(one, others) < SIGNIFICANCE / len(several):
            found[name] = f"{of}s from {low:.1%} to {high:.1%}, further apart than the other rows'"
    return found


def ratio_p(one: Seeds, others: Sequence[Seeds]) -> float:
    """Of the F test that one model's seeds vary as the others' do together."""
    from scipy.stats import f

    degrees = [len(other.accuracies) - 1 for other in others]
    pooled = float(np.average([other.spread**2 for other in others], weights=degrees))
    return float(f.sf(one.spread**2 / pooled, len(one.accuracies) - 1, sum(degrees))) if pooled else 0.0
