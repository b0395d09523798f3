"""What the model saw: test images that it got wrong, and some that it got right."""

from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from struct import unpack

from study.report.blocks import Gallery, Note, Sample, Section, empty
from study.report.numbers import percent
from study.report.study import misclassified, record_view
from study.report.tables import Table
from study.results.record import Record, Row
from study.text import plural

MOST_WRONG, MOST_RIGHT = 24, 12
MOST_BYTES = 1_500_000  # of each kind; images of 224 px take 50 to 100 kB
SMALL_PX = 112  # below this width an image is enlarged on the page, and its pixels stay sharp


def section(record: Record) -> Section:
    title = "Images"
    rows = record.tables["samples"]
    if not rows:
        return empty("images", title, record_view.nothing_yet(record, "sample of the test set"))
    wrong = sorted((r for r in rows if r["label"] != r["predicted"]), key=lambda r: -r["confidence"])
    right = spread([r for r in rows if r["label"] == r["predicted"]])
    blocks: list[Gallery | Note | Table] = []
    for name, these, most, order in (
        ("Misclassified", wrong, MOST_WRONG, "the most confident first"),
        ("Correct", right, MOST_RIGHT, "spread over the classes"),
    ):
        shown = [sample(row, record) for row in affordable(these, most)]
        if shown:
            how_many = "All" if len(shown) == len(these) else f"{len(shown)} of"
            caption = f"{how_many} {plural(len(these), 'image')} that the record keeps, {order}."
            blocks.append(Gallery(name, caption, shown))
        else:
            blocks.append(Note(f"{name}: the record keeps no such image."))
    blocks += misclassified.table(record)
    lead = f"Test images of seed {rows[0]['seed']}, with the probability that the model gave to its prediction."
    return Section("images", title, blocks, lead=lead)


def spread(rows: Sequence[Row]) -> list[Row]:
    """The first one of every class, then the second ones, and on."""
    so_far: Counter[int] = Counter()
    ranked = []
    for row in rows:
        ranked.append((so_far[row["label"]], row["label"], row))
        so_far[row["label"]] += 1
    return [row for *_, row in sorted(ranked, key=lambda entry: entry[:2])]


def affordable(rows: Sequence[Row], most: int) -> list[Row]:
    """The first ones that keep the page small."""
    chosen: list[Row] = []
    spent = 0
    for row in rows[:most]:
        spent += len(row["png"])
        if chosen and spent > MOST_BYTES:
            break
        chosen.append(row)
    return chosen


def sample(row: Row, record: Record) -> Sample:
    classes = record_view.class_names(record)
    return Sample(
        base64=b64encode(row["png"]).decode(),
        small=width(row["png"]) < SMALL_PX,
        index=row["index"],
        label=classes[row["label"]],
        predicted=classes[row["predicted"]],
        confidence=percent(row["confidence"], 0),
        name=row.get("image") or "",
    )


def width(png: bytes) -> int:
    """PNG specification, 11.2.2: the first chunk is IHDR, and its first field the width."""
    return unpack(">I", png[16:20])[0]
