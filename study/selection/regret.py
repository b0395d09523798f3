"""What a choice may cost: how much more accurate the best candidate would be than the one that was chosen.

Each candidate's accuracy on all of train, less that of the chosen one, is drawn from what was measured: over images by
the Bayesian bootstrap (Rubin 1981), of both on the same images; and for each doubling of the images that is still to
come by half the margin, as a standard deviation. The best of all draws, where it is above 0, is a draw of the regret.
"""

from dataclasses import dataclass

import numpy as np

from study.selection.evidence import doublings
from study.selection.race import Race

DRAWS = 500


@dataclass(frozen=True)
class Regret:
    """Of accuracy, a fraction.

    Attributes:
        mean: what is to be expected.
        high: exceeded by 5 in 100 draws.
        best: in how many draws, as a share, the chosen one is the best.
    """

    mean: float
    high: float
    best: float


def expected(race: Race, chosen: str, *, seed: int = 0, draws: int = DRAWS) -> Regret:
    """Of choosing one of those that were measured. Those that never were are not among what it could be less than."""
    rng = np.random.default_rng(seed)
    sizes = race.rules.sizes
    weights = rng.exponential(size=(draws, sizes[race.rounds(chosen) - 1])).astype(np.float32)
    ahead = np.zeros(draws)
    for name in race.measured:
        if name == chosen:
            continue
        last = min(race.rounds(name), race.rounds(chosen)) - 1
        images = sizes[last]
        both = race.measured[name][last].correct.astype(np.float32) - race.measured[chosen][last].correct
        drawn = weights[:, :images] @ both / weights[:, :images].sum(axis=1)
        drift = race.rules.margin / 2 * doublings(images, race.rules.images)
        ahead = np.maximum(ahead, drawn + drift * rng.standard_normal(draws))
    return Regret(float(ahead.mean()), float(np.quantile(ahead, 0.95)), float((ahead <= 0).mean()))
