"""What a reader is shown of a study's points: the hyperparameters it searched, then those it fixed, and its metric."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from study.design.space import DEPTH
from study.text import joined
from trainables import architecture
from trainables.hyperparameters import DECLARED, REQUIRED, Value
from trainables.metrics import Metric

if TYPE_CHECKING:
    from study.results.record import Record, Row
    from study.results.study_file import TestResult

Domain = Mapping[str, Any]  # `low, high, log`, or `choices`


def searched(record: "Record") -> dict[str, Domain]:
    """The space by hyperparameter, without what was fixed."""
    space = record.study.space
    return {name: space[name] for name in space if name in DECLARED and name not in fixed(record)}


def fixed(record: "Record") -> dict[str, Value]:
    """What was taken out of the search, with its value."""
    values = record.study.configuration.fixed if record.study.configuration else {}
    return {name: values[name] for name in values if name in DECLARED}


def shown(record: "Record") -> list[str]:
    """The names of what a point is shown by."""
    return [*searched(record), *fixed(record)]


def metric(record: "Record") -> Metric:
    """What the study chose by: accuracy in records from before there was a choice."""
    return record.study.configuration.metric if record.study.configuration else Metric.ACCURACY


def start_is_the_papers(record: "Record") -> bool:
    """Whether the paper gives the point that the search starts from, whole: it does for AlexNet alone."""
    given = record.study.configuration
    return given is not None and not ours(record) and not set(REQUIRED) & set(fixed(record))


def ours(record: "Record") -> list[str]:
    """What of the starting point the paper does not give: all of it for a model that this version does not have.

    Where another freeze depth than the paper's is fixed, what it says of its own has no bearing.
    """
    given, stages = record.study.configuration, backbone_stages(record)
    if given is None or given.model not in architecture.names():
        return list(REQUIRED)
    family = architecture.get(given.model)
    depth = family.paper(stages or 0).freeze_depth
    if stages is not None and fixed(record).get(DEPTH, depth) != depth:
        return list(REQUIRED)
    return [name for name in REQUIRED if name not in family.from_paper]


def start_title(record: "Record") -> str:
    """Of the point that the search starts from, as a heading has it."""
    return "Paper’s recipe" if start_is_the_papers(record) else "Starting point"


def start_words(record: "Record") -> str:
    """`the starting point (learning rate and weight decay are ours)`"""
    if start_is_the_papers(record):
        return "the paper’s recipe"
    which = [DECLARED[name].title for name in ours(record) if name not in fixed(record)]
    if not which:
        return "the starting point"
    return f"the starting point ({joined(which)} {'is' if len(which) == 1 else 'are'} ours)"


def backbone_stages(record: "Record") -> int | None:
    """How many stages can be frozen, which the head cannot; None where the record does not say."""
    return record.study.model.backbone_stages if record.study.model else None


def of_test(test: "TestResult", by: Metric) -> float | None:
    """The winner's mean on the test set; None for the loss, which predictions do not tell."""
    value: float | None = getattr(test, by.value, None)
    return value


def format_value(name: str, value: Value, backbone_stages: int | None = None) -> str:
    """A hyperparameter's value for a reader; a freeze depth of how many: `2 of 6`."""
    text = DECLARED[name].format(value)
    of_how_many = name == DEPTH and value is not None and backbone_stages
    return f"{text} of {backbone_stages}" if of_how_many else text


def format_point(row: "Row", names: Iterable[str], backbone_stages: int | None = None) -> str:
    """`learning rate 1.0e-03  weight decay 1.0e-02  freeze depth 2 of 6`"""
    return "  ".join(f"{DECLARED[name].title} {format_value(name, row.get(name), backbone_stages)}" for name in names)


def score(row: "Row", metric: Metric) -> float | None:
    """On validation: a run's, or the mean over seeds of a replicated point."""
    return row["score"] if row.get("score") is not None else metric.of(row)


def scores(row: "Row", metric: Metric) -> list[float]:
    """On validation, by seed: a replicated point has several, a run the one that it reached."""
    if "scores" in row:
        return list(row["scores"])
    if metric is Metric.ACCURACY and "val_accuracies" in row:
        return list(row["val_accuracies"])
    one = score(row, metric)
    return [] if one is None else [one]
