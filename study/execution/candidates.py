"""Which trials of a search are replicated: the best ones of all that gave a value, those that ASHA stopped included.

A trial that was stopped has a value at fewer epochs than one that was completed. So any two are compared where both
have been: by the best value up to the last epoch that both have reached. The trial that wins the most of these
comparisons comes first (Copeland's rule, for they need not be transitive); at equal wins the better value, then the
longer one.
"""

from collections.abc import Mapping, Sequence

from study.design.states import RunStatus
from study.design.study import Study
from study.execution.searcher import best_so_far
from study.results.record import Record, Row

START = "trial-000"  # where every search starts: see `Study.start`


def eligible(study: Study, record: Record) -> list[Row]:
    """The trials of distinct points that may be replicated, the best first.

    Before protocol 2 these were the completed ones alone, by their value.
    """
    kept = (RunStatus.COMPLETED,) if study.protocol == 1 else (RunStatus.COMPLETED, RunStatus.PRUNED)
    trials = [row for row in record.trials if row["status"] in kept and study.metric.of(row) is not None]
    if study.protocol == 1:
        ranked = sorted(trials, key=lambda row: (-study.metric.merit(study.metric.of(row)), row["trial_id"]))
    else:
        merits = {row["trial_id"]: merits_of(study, record, row) for row in trials}
        won = wins(merits)
        ranked = sorted(
            trials,
            key=lambda row: (
                -won[row["trial_id"]],
                -merits[row["trial_id"]][-1],
                -len(merits[row["trial_id"]]),
                row["trial_id"],
            ),
        )
    distinct = {study.point_of(row): row for row in reversed(ranked)}  # of equal points the better ranked one
    return [row for row in ranked if distinct[study.point_of(row)] is row]


def merits_of(study: Study, record: Record, row: Row) -> list[float]:
    """The merit of the best value up to each epoch; of a trial whose curve is lost, its value alone."""
    curve = record.curve(row["trial_id"])
    best = best_so_far(study.metric, curve) if curve else [study.metric.of(row)]
    return [study.metric.merit(value) for value in best]


def wins(merits: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Over how many others each trial is ahead where both have been; half of one where they are equal."""

    def ahead(one: Sequence[float], other: Sequence[float]) -> float:
        both = min(len(one), len(other)) - 1
        return 0.5 if one[both] == other[both] else float(one[both] > other[both])

    return {
        name: sum(ahead(one, other) for known, other in merits.items() if known != name) for name, one in merits.items()
    }


def candidates(study: Study, record: Record) -> list[Row]:
    """The best of them, and the starting point."""
    best = eligible(study, record)[: study.top_k]
    start = [
        row
        for row in record.trials
        if row["trial_id"] == START and study.point_of(row) not in map(study.point_of, best)
    ]
    return best + start
