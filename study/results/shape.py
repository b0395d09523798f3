"""Whether the open entries of a `study.json`, whose fields follow from what was searched, hold what readers take there.

A record may have been edited, or damaged: what is wrong with it is said where it is read, and not by its page.
"""

from collections.abc import Iterator, Mapping
from math import inf
from numbers import Real
from typing import TYPE_CHECKING, Any

from trainables.hyperparameters import DECLARED

if TYPE_CHECKING:
    from study.results.study_file import StudyFile, TestResult

SHARES = ("precision", "recall", "f1-score", "support")
Row = Mapping[str, Any]


def check(found: "StudyFile") -> None:
    """Raises ValueError for the first entry that is of no use."""
    for what in (*spaces(found.space), *points(found), *of_test(found), *of_gain(found), *times(found)):
        raise ValueError(what)


def times(found: "StudyFile") -> Iterator[str]:
    for step, seconds in found.seconds.items():
        if not 0 <= seconds < inf:
            yield f"its {step} took {seconds} seconds"


def spaces(space: Mapping[str, Row]) -> Iterator[str]:
    for name, domain in space.items():
        if name not in DECLARED:
            yield f"its space has {name!r}, which is no hyperparameter"
        choices, low, high = (domain.get(field) for field in ("choices", "low", "high"))
        is_range = number(low) and number(high) and isinstance(domain.get("log"), bool)
        if not is_range and not (isinstance(choices, list) and choices and not any(map(nested, choices))):
            yield f"its space has neither a range nor choices of {name}"


def points(found: "StudyFile") -> Iterator[str]:
    """The rows of what was replicated."""
    named = [("winner", found.winner), ("paper", found.paper), *(("replicates", row) for row in found.replicates)]
    for entry, row in ((entry, row) for entry, row in named if row is not None):
        if not isinstance(row.get("trial_id"), str):
            yield f"its {entry} has no trial_id"
        for field, kind in (("seeds", int), ("scores", Real), ("val_accuracies", Real)):
            values = row.get(field)
            if not isinstance(values, list | tuple) or not all(isinstance(one, kind) for one in values):
                yield f"its {entry} has no {field}"
        if not (row.get("score") is None or number(row.get("score"))):
            yield f"its {entry} has no score"
        if not number(row.get("trained_share")):
            yield f"its {entry} has no trained_share"
        for name in DECLARED.keys() & row.keys():
            try:
                DECLARED[name].check(row[name])
            except ValueError as error:
                yield f"in its {entry}, {error}"
    if found.winner is not None and not isinstance(found.winner.get("last_epoch"), int):
        yield "its winner has no last_epoch"
    if found.winner is not None and not number(found.winner.get("score")):
        yield "its winner has no score"


def of_gain(found: "StudyFile") -> Iterator[str]:
    gain = found.gain
    if gain is not None and not all(-1 - 1e-9 <= one <= 1 + 1e-9 for one in (gain.accuracy, gain.gain, *gain.interval)):
        yield "its gain is none of an accuracy"


def of_test(found: "StudyFile") -> Iterator[str]:
    test = found.test
    if test is not None and found.data is not None:
        yield from matrix(test, len(found.data.classes))


def matrix(test: "TestResult", classes: int) -> Iterator[str]:
    sizes = {len(test.confusion), *map(len, test.confusion)} if test.confusion else set()
    if {*sizes, len(test.per_class)} != {classes}:
        yield f"its test is not about its {classes} classes"
    for row in test.per_class:
        if not isinstance(row.get("class"), str) or not all(number(row.get(name)) for name in SHARES):
            yield "its test lacks scores of a class"
    shares = [*test.accuracies, test.accuracy, *test.interval, test.macro_f1, test.mean_class_accuracy]
    if not all(-1e-9 <= share <= 1 + 1e-9 for share in shares):  # as rounding leaves them
        yield "its test has an accuracy that is none"
    if len(test.seeds) != len(test.accuracies) or not test.seeds:
        yield "its test has not one accuracy for each seed"


def number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def nested(value: Any) -> bool:
    return isinstance(value, list | dict)
