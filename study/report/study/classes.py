"""How each class fares on the test set."""

from study.report.blocks import Section, empty
from study.report.numbers import count, percent
from study.report.study import record_view
from study.report.tables import Column, Table
from study.results.record import Record
from study.text import plural

COLUMNS = (
    Column("class", "Class"),
    Column("precision", "Precision", percent, "share"),
    Column("recall", "Recall", percent, "share"),
    Column("f1-score", "F1", percent, "share"),
    Column("support", "Test images", lambda n: count(round(n)), "number"),
)


def section(record: Record) -> Section:
    title = "Classes"
    test = record.study.test
    if not test:
        return empty("classes", title, record_view.nothing_yet(record, "test result"))
    seeds = plural(len(test.accuracies), "seed")
    return Section(
        "classes",
        title,
        [Table("per-class", "Scores by class", COLUMNS, test.per_class)],
        lead=f"Means over {seeds}. Recall is the accuracy on the images of a class. Select a heading to sort.",
    )
