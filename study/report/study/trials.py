"""Every run as a row: the trials of the search, and the replicates and test runs."""

from collections.abc import Sequence

from study.report.blocks import Note, Section
from study.report.numbers import count, duration, percent, short, size
from study.report.study import record_view
from study.report.tables import Column, Table
from study.results.record import Record
from study.text import plural

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
    return (
        Column("lr", "Learning rate", short, "number"),
        Column("weight_decay", "Weight decay", short, "number"),
        Column("freeze_depth", "Frozen", lambda depth: record_view.depth(depth, record), "number"),
    )


def trials(record: Record) -> Table:
    columns = (
        Column("trial_id", "Trial"),
        Column("status", "Status", kind="status"),
        Column("val_accuracy", "Validation accuracy", percent, "share"),
        *point(record),
        Column("trained_share", "Trained", percent, "number"),
        *COST,
        Column("reason", "Reason"),
    )
    said = f"{plural(len(record.trials), 'trial')}. Accuracy at the best epoch; trained is the share of the parameters."
    return Table("trials-table", "Search", columns, record.trials, caption=said, badges=record_view.badges(record))


def runs(record: Record) -> Table:
    columns = (
        Column("run_id", "Run"),
        Column("trial_id", "Recipe of"),
        Column("seed", "Seed", kind="number"),
        Column("status", "Status", kind="status"),
        Column("val_accuracy", "Validation accuracy", percent, "share"),
        Column("test_accuracy", "Test accuracy", percent, "share"),
        *COST,
        Column("reason", "Reason"),
    )
    return Table(
        "runs-table", "Replicates and test runs", columns, record.runs, caption=plural(len(record.runs), "run")
    )
