"""One run in a line."""

from collections.abc import Iterable, Mapping
from typing import Any

from study.design.states import RunStatus
from study.results.point import format_point
from trainables.metrics import Metric


def format_run(row: Mapping[str, Any], names: Iterable[str], metric: Metric) -> str:
    """What a run was, how much of the model it trained, what came of it.

    `names` are the hyperparameters that its study searches or fixes, `metric` is what it chooses by.
    """
    score = metric.of(row)
    result = "" if score is None else f"{metric.show(score)} validation {metric.words}"
    if row.get("test_accuracy") is not None:
        result = f"{row['test_accuracy']:.2%} test accuracy"
    how = {
        RunStatus.COMPLETED: "",
        RunStatus.PRUNED: f", pruned at epoch {row.get('epochs')}",
        RunStatus.FAILED: f"failed: {row.get('reason')}",
    }[RunStatus(row["status"])]
    return f"{format_point(row, names)}  trains {row.get('trained_share') or 0:.1%}  {result}{how}"
