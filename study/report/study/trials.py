"""Every run as a row: the trials of the search, and the replicates and test runs."""

from collections.abc import Sequence
from functools import partial

from study.report.blocks import Note, Section
from study.report.numbers import count, duration, percent, size
from study.report.study import record_view
from study.report.tables import Column, Table, metric_column
from study.results.record import Record
from study.text import plural
from trainables.hyperparameters import DECLARED
from trainables.metrics import Metric

COST = (
    Column("epochs", "Epochs", count, "number"),
    Column("train_seconds", "Training", duration, "number"),
    Column("total_seconds", "Total", duration, "number"),
    Column("peak_memory_bytes", "Peak memory", size, "number"),
)


def section(record: Record) -> Section:
    blocks = [
        trials(record) if record.trials else Note(record_view.nothing_yet(record, "trial")),
        runs(record) if record.runs else Note(record_view.nothing_yet(record, "replicate or test run")),
    ]
    return Section(
        "trials", "Trials and runs", blocks, lead="Select a heading to sort. Failed and pruned trials are results too."
    )


def point(record: Record) -> Sequence[Column]:
    """A column per hyperparameter: those that were searched, then those that were fixed."""
    return [
        Column(
            name,
            record_view.title(name),
            partial(record_view.value, name, record=record),
            "text" if DECLARED[name].kind is str else "number",
        )
        for name in record_view.shown(record)
    ]


def results(record: Record) -> Sequence[Column]:
    """On validation: the study's metric, and accuracy beside it."""
    by = record_view.metric(record)
    return [metric_column(metric) for metric in dict.fromkeys([by, Metric.ACCURACY])]


def trials(record: Record) -> Table:
    columns = (
        Column("trial_id", "Trial"),
        Column("status", "Status", kind="status"),
        *results(record),
        *point(record),
        Column("trained_share", "Trained", percent, "number"),
        *COST,
        Column("reason", "Reason"),
    )
    by = record_view.metric(record)
    caption = (
        f"{plural(len(record.trials), 'trial')}, each at the epoch with its best {by.words}; trained is the share of "
        "the parameters."
    )
    return Table(
        "trials-table",
        "Search",
        columns,
        record_view.by_id(record.trials),
        caption=caption,
        badges=record_view.badges(record),
        scope=record_view.name(record),
    )


def runs(record: Record) -> Table:
    columns = (
        Column("run_id", "Run"),
        Column("trial_id", "Recipe of"),
        Column("seed", "Seed", kind="number"),
        Column("status", "Status", kind="status"),
        *results(record),
        Column("test_accuracy", "Test accuracy", percent, "share"),
        *COST,
        Column("reason", "Reason"),
    )
    return Table(
        "runs-table", "Replicates and test runs", columns, record.runs, caption=plural(len(record.runs), "run")
    )
