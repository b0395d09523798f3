"""What predictions say, and how sure one can be: pure functions on arrays, fractions from 0 to 1.

`docs/protocol.md` says how often these intervals and tests are wrong; `python -m benchmarks.calibration` measures it.
The libraries are imported where they are used: a study is half way through its search before they are needed.
"""

from study.statistics.classification import confused, confusion, most_confused, scores
from study.statistics.comparison import Contrast, Difference, adjusted, contrast, differences, ranks
from study.statistics.conditions import given
from study.statistics.confidence import Confidence, confidence_of
from study.statistics.data_efficiency import Crossing, Curve, Needed, compared, crossings, curve, images_needed
from study.statistics.datasets import CriticalDifference, critical_difference
from study.statistics.equivalence import Equivalence, signed_rank, within
from study.statistics.intervals import Interval, accuracy_interval, score_intervals
from study.statistics.letters import letters
from study.statistics.trials import ExpectedBest, expected_best

__all__ = [
    "Confidence",
    "Contrast",
    "CriticalDifference",
    "Crossing",
    "Curve",
    "Difference",
    "Equivalence",
    "ExpectedBest",
    "Interval",
    "Needed",
    "accuracy_interval",
    "adjusted",
    "compared",
    "confidence_of",
    "confused",
    "confusion",
    "contrast",
    "critical_difference",
    "crossings",
    "curve",
    "differences",
    "expected_best",
    "given",
    "images_needed",
    "letters",
    "most_confused",
    "ranks",
    "score_intervals",
    "scores",
    "signed_rank",
    "within",
]
