"""Which test images the study got wrong, by name: one must find them to look at them, and to relabel them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import fmean

from study.report.numbers import count, percent
from study.report.study import record_view
from study.report.tables import Column, Table
from study.results.record import Record, Row
from study.text import plural

MOST = 300
COLUMNS = (
    Column("index", "Image", kind="number"),
    Column("label", "Its label"),
    Column("predicted", "Taken for"),
    Column("wrong", "Wrong in so many runs", lambda share: percent(share, 0), "share"),
    Column("confidence", "Confidence", lambda share: percent(share, 0), "number"),
    Column("image", "Where"),
)


def table(record: Record) -> list[Table]:
    """The images that at least half of the test runs got wrong, the surest mistakes first; none where there is none."""
    answers: defaultdict[int, list[Row]] = defaultdict(list)
    for row in record.tables["predictions"]:
        answers[row["index"]].append(row)
    classes = record_view.class_names(record)
    found = [entry(rows, classes) for rows in answers.values()]
    wrong = [row for row in found if row["wrong"] >= 0.5]
    wrong.sort(key=lambda row: (-row["wrong"], -(row["confidence"] or 0.0), row["index"]))
    if not wrong:
        return []
    caption = (
        f"{count(len(wrong))} of {plural(len(answers), 'test image')} that at least half of the test runs got wrong"
        f"{f', the first {MOST} of them; predictions.parquet has all' if len(wrong) > MOST else ''}. Confidence is the "
        "mean of the wrong answers. Where all runs are sure of another class, look whether the label is right."
    )
    title = "Every misclassified image" if len(wrong) <= MOST else "Misclassified images"
    columns = COLUMNS if any(row["image"] for row in wrong) else COLUMNS[:-1]  # images of an array have no names
    return [Table("misclassified", title, columns, wrong[:MOST], caption=caption)]


def entry(rows: list[Row], classes: Sequence[str]) -> Row:
    """Of one image, what its runs say together."""
    label = rows[0]["label"]
    mistakes = [row for row in rows if row["predicted"] != label]
    answer = Counter(row["predicted"] for row in mistakes or rows).most_common(1)[0][0]
    sure = [row["confidence"] for row in mistakes if row.get("confidence") is not None]
    return {
        "index": rows[0]["index"],
        "label": classes[label],
        "predicted": classes[answer],
        "wrong": len(mistakes) / len(rows),
        "confidence": fmean(sure) if sure else None,
        "image": rows[0].get("image"),
    }
