"""What to widen: where a winner lies at the edge of what was searched."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from study.design.space import DEPTH
from study.results.point import Domain
from trainables.hyperparameters import DECLARED

if TYPE_CHECKING:
    from study.results.record import Row

EDGE = 0.05  # of a range


def at_the_edge(winner: "Row", space: Mapping[str, Domain], backbone_stages: int) -> list[str]:
    """A sentence for each hyperparameter of the winner within 5 % of a bound of its range (in log where that is).

    A better value may lie beyond it. Not where nothing does: beyond the bounds that are declared, and freezing more
    than the whole backbone. A choice among several has no edge.
    """
    sentences = []
    for name, domain in space.items():
        if "choices" in domain or winner.get(name) is None:
            continue
        declared = DECLARED[name]
        scale: Callable[[float], float] = math.log if domain["log"] else float
        low, high, value = scale(domain["low"]), scale(domain["high"]), scale(winner[name])
        most = backbone_stages if name == DEPTH else declared.high
        ends = {
            "lower": (value - low, domain["low"] <= declared.low),
            "upper": (high - value, domain["high"] >= most),
        }
        for end, (distance, natural) in ends.items():
            if high > low and distance <= EDGE * (high - low) and not natural:
                sentences.append(
                    f"the winner's {declared.title} {declared.format(winner[name])} is at the {end} edge of what was "
                    f"searched, {declared.format(domain['low'])} to {declared.format(domain['high'])}: widen that "
                    "range, a better one may lie beyond it"
                )
    return sentences
