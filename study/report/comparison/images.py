"""Test images on which the families disagree: those that only one of them gets right."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from study.comparison import Comparison, Group, Row
from study.comparison.missed import missed
from study.report.blocks import Gallery, Note, Sample, Section, empty
from study.report.comparison.confusion import Picture
from study.report.comparison.opposites import representatives
from study.report.comparison.per_dataset import per_dataset
from study.report.comparison.pictures import embedded, kept
from study.report.comparison.styles import Style, families, style_of, word
from study.report.numbers import percent
from study.report.tables import Column, Table

MOST_OF_A_FAMILY = 12
MOST_MISSED = 100


@dataclass(frozen=True)
class Shown:
    """A test image and what the row of each family takes it for, in most of its seeds."""

    picture: Picture
    index: int
    label: str
    answers: Sequence[tuple[Style, str, str]]


@dataclass(frozen=True)
class Disagreement:
    title: str
    caption: str
    style: Style
    images: Sequence[Shown]
    template: ClassVar[str] = "disagreement.html"


def section(comparison: Comparison) -> Section:
    if not comparison.groups:
        return empty("images", "Images", "No study is finished.")
    return Section(
        "images",
        "What only one family sees",
        per_dataset(comparison, blocks),
        lead=("Each family is its most accurate row, all of one pretraining. An image is right where most seeds are."),
        short="Images",
    )


def blocks(group: Group, among: Sequence[Row], suffix: str) -> list[Any]:
    rows = representatives(group.rows, [name for name in families(group.rows) if name != "unknown"])
    if len(rows) < 2:
        note = Note(f"On {group.title} there are no two families of one pretraining to disagree.")
        return [note, *missed_by_all(group, suffix)]
    right = {name: row.correct.mean(axis=0) > 0.5 for name, row in rows.items()}
    table = np.stack(list(right.values()))
    alone = {name: right[name] & (table.sum(axis=0) == 1) for name in rows}
    pictures = kept(group)
    sections = [disagreement(name, alone[name], rows, among, pictures) for name in rows]
    return [counts(rows, alone, table, suffix), *sections, *missed_by_all(group, suffix)]


def missed_by_all(group: Group, suffix: str) -> list[Any]:
    """What no row gets right, and what they take it for: some of these labels may be wrong."""
    found = missed(group)
    if not found:
        return []
    pictures = kept(group)
    samples = []
    for one in [one for one in found if one.place in pictures][:MOST_OF_A_FAMILY]:
        base64, media, small = embedded(pictures[one.place])
        share = percent(one.share, 0)
        samples.append(Sample(base64, small, one.index, one.label, one.answer, share, media, one.image))
    title = "What no row gets right: candidates for wrong labels"
    columns = [
        Column("index", "Image"),
        Column("label", "Its label"),
        Column("answer", "Taken for"),
        Column("share", "By so many runs", lambda share: percent(share, 0), "share"),
        *([Column("image", "Where")] if any(one.image for one in found) else []),  # images of an array have no names
    ]
    shown = [asdict(one) for one in found[:MOST_MISSED]]
    caption = (
        f"{len(found):,} test images that no row gets right in most of its runs"
        f"{f', the first {MOST_MISSED} of them' if len(found) > MOST_MISSED else ''}. Where nearly all runs agree on "
        "another class, look whether the label is right."
    )
    table = Table(f"missed{suffix}", title, columns, shown, caption=caption)
    gallery = Gallery(
        "Some of these images", "Of these the ones that the records keep; the share of runs that agree.", samples
    )
    return [table, *([gallery] if samples else [])]


def counts(rows: dict[str, Row], alone: dict[str, np.ndarray], table: np.ndarray, suffix: str) -> Table:
    n = table.shape[1]
    agreement = [
        ("all of them", int(table.all(axis=0).sum())),
        *((f"only {word(name)}, {rows[name].label}", int(alone[name].sum())) for name in rows),
        *(
            (f"all but {word(name)}, {rows[name].label}", int((~table[i] & (table.sum(axis=0) == len(rows) - 1)).sum()))
            for i, name in enumerate(rows)
            if len(rows) > 2
        ),
        ("none of them", int((~table).all(axis=0).sum())),
    ]
    return Table(
        f"agreement{suffix}",
        f"Who gets the {n:,} test images right",
        [
            Column("who", "Right"),
            Column("images", "Images", lambda value: f"{value:,}", "number"),
            Column("share", "Share", lambda value: f"{100 * value:.1f} %", "share"),
        ],
        [{"who": who, "images": many, "share": many / n} for who, many in agreement],
        shape="wide",
    )


def disagreement(
    family: str, alone: np.ndarray, rows: dict[str, Row], among: Sequence[Row], pictures: dict[int, bytes]
) -> Disagreement | Note:
    """The images that the records keep of those that only one family gets right.

    Args:
        family: the one that gets them right.
        alone: (images,) bool, whether only that family does.
        rows: by family, the row that stands for it.
        among: all rows of the comparison, for the styles.
        pictures: PNGs by place among the test images.

    Returns:
        A note where the records keep none of these images.
    """
    places = [int(place) for place in np.flatnonzero(alone) if int(place) in pictures][:MOST_OF_A_FAMILY]
    who = f"{word(family)}, {rows[family].label}"
    if not places:
        return Note(f"Only {who}: {int(alone.sum()):,} test images, of which the records keep none to show.")
    return Disagreement(
        f"Only {who}",
        f"{len(places)} of {int(alone.sum()):,} such test images: those that the records keep.",
        style_of(rows[family], among),
        [shown(place, rows, among, pictures[place]) for place in places],
    )


def shown(place: int, rows: dict[str, Row], among: Sequence[Row], png: bytes) -> Shown:
    one = next(iter(rows.values()))
    label = one.classes[one.label_of[place]]
    base64, media, small = embedded(png)
    answers = [
        (style_of(row, among), row.title, row.classes[commonest(row.predicted[:, place])]) for row in rows.values()
    ]
    in_words = ", ".join(f"{title}: {answer}" for _, title, answer in answers)
    return Shown(Picture(base64, media, small, f"a {label}; {in_words}"), int(one.index[place]), label, answers)


def commonest(predicted: np.ndarray) -> int:
    return int(np.bincount(predicted).argmax())
