"""The floor of every row: ridge regression on the frozen features, which any head that was searched should exceed.

`study.compare` fits one beside every study (study/baselines/probe.py), on the same images. A head that is searched over
learning rates and decays and does worse than a regression that takes a second was not trained for long enough.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from study.comparison.rows import Row
from study.results import probes
from study.results.point import backbone_stages
from study.statistics import Contrast, Interval, contrast


@dataclass(frozen=True)
class Floor:
    """Ridge regression on the frozen features of the row's variant.

    Attributes:
        above: what the row's accuracy is above it, paired by image; None where its answers are not there.
    """

    accuracy: float
    interval: Interval
    above: Contrast | None = None


def floor(row: Row) -> Floor | None:
    """From `probe.json` and `probe.parquet`; None where there is none of this variant.

    Raises ValueError for a file that is damaged.
    """
    if row.repeats:
        return of_repeats([floor(one) for one in row.repeats])
    path = row.record.folder / probes.FACTS
    if not path.exists():
        return None
    try:
        fitted = [one for one in json.loads(path.read_text())["probes"] if one["variant"] == row.variant]
        if not fitted:
            return None
        found = Floor(fitted[0]["accuracy"], Interval(*fitted[0]["interval"]))
        correct = answers(path.with_name(probes.ANSWERS), row)
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = " ".join(str(error).split())[:120] or type(error).__name__
        raise ValueError(f"{path} cannot be read ({why}): remove it, and study.compare computes it again") from None
    if correct is None:
        return found
    return Floor(found.accuracy, found.interval, contrast([(1.0, row.correct), (-1.0, correct)]))


def of_repeats(each: Sequence[Floor | None]) -> Floor | None:
    """Their mean; the interval is the first one's, which is of its images."""
    known = [one for one in each if one is not None]
    if len(known) < len(each):
        return None
    return Floor(float(np.mean([one.accuracy for one in known])), known[0].interval)


def answers(path: Path, row: Row) -> np.ndarray | None:
    """(seeds, images) bool of the regression, in the row's order; None where it did not answer the row's images."""
    import pyarrow.parquet as pq

    if not path.exists():
        return None
    table = pq.read_table(
        path, columns=["variant", "seed", "index", "label", "predicted"], page_checksum_verification=True
    )
    variant = np.array(table["variant"].to_pylist())
    columns = {name: table[name].to_numpy()[variant == row.variant] for name in table.column_names[1:]}
    order = np.lexsort((columns["index"], columns["seed"]))
    seeds = len(np.unique(columns["seed"]))
    if len(order) != seeds * row.n_test:
        return None
    index, label, predicted = (columns[name][order].reshape(seeds, -1) for name in ("index", "label", "predicted"))
    same = (index == row.index).all() and (label == row.label_of).all()
    return predicted == label if same else None


def below(row: Row, of: Floor | None) -> str:
    """That a row does worse than the regression, and what that means; empty where it does not."""
    if of is None or row.accuracy.mean >= of.accuracy:
        return ""
    apart = 100 * (of.accuracy - row.accuracy.mean)
    interval = ""
    if of.above is not None:
        interval = f" [{-100 * of.above.interval.high:.1f}, {-100 * of.above.interval.low:.1f}]"
    what = "its head was" if head_alone(row) else "it was"
    return (
        f"{row.label} on {row.dataset} is {apart:.1f} points{interval} below ridge regression on its own frozen "
        f"features: {what} under-trained"
    )


def head_alone(row: Row) -> bool:
    winner = row.record.study.winner or {}
    return winner.get("freeze_depth") is not None and winner["freeze_depth"] == backbone_stages(row.record)


def notes(rows: Sequence[Row]) -> Iterable[str]:
    """Of the rows that are below their floor. Raises ValueError for a file that is damaged."""
    return filter(None, (below(row, floor(row)) for row in rows))
