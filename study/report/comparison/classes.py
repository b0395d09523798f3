"""Per class: where attention wins, where convolution wins."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from study.comparison import Comparison, Group, Row
from study.report import figures
from study.report.blocks import Choice, Figure, Key, Note, Option, Section, empty
from study.report.comparison.opposites import opposed
from study.report.comparison.per_dataset import per_dataset
from study.report.comparison.styles import style_of, word
from study.report.numbers import percent, points
from study.report.tables import Column, Table
from study.statistics import conditions
from study.statistics.comparison import SIGNIFICANCE, Difference, difference

MOST_WITH_NAMES = 40


@dataclass(frozen=True)
class OfAClass:
    """The recall of one row minus that of another; `different` after Holm's adjustment over all classes."""

    name: str
    images: int
    recalls: tuple[float, float]
    difference: Difference
    different: bool


def section(comparison: Comparison) -> Section:
    title = "Classes"
    if not comparison.groups:
        return empty("classes", title, "No study is finished.")
    return Section(
        "classes",
        "Class by class",
        per_dataset(comparison, blocks),
        lead=(
            "Differences of the accuracy on the images of a class. A class has few test images, so most of what looks "
            "like a difference is chance: solid bars are "
            f"{conditions.different(min(group.repeats for group in comparison.groups))}, after Holm’s adjustment over "
            "all classes."
        ),
        short="Classes",
    )


def blocks(group: Group, among: Sequence[Row], suffix: str) -> list[Any]:
    pairs = [] if group.not_paired else opposed(group)
    options = []
    for i, (one, other) in enumerate(pairs, 1):
        classes = by_class(one, other)
        options.append(Option(versus(one, other), [figure(one, other, classes, among, f"{suffix}-{i}")]))
    alone = Note("One row has no other to differ from.")
    shown: list[Any] = [Choice(f"class-differences{suffix}", "Compare", options) if options else alone]
    return [*shown, table(group, suffix)]


def versus(one: Row, other: Row) -> str:
    if one.family == other.family:
        return f"{one.label} and {other.label}"
    return f"{word(one.family)} and {word(other.family)}: {one.label} and {other.label}"


def by_class(one: Row, other: Row) -> list[OfAClass]:
    """The classes that have test images, the one where the first is furthest ahead first."""
    from statsmodels.stats.multitest import multipletests

    correct_one, correct_other = one.correct, other.correct
    images = [np.flatnonzero(one.label_of == i) for i in range(len(one.classes))]
    there = [i for i, those in enumerate(images) if len(those)]
    differences = [difference(correct_one[:, images[i]], correct_other[:, images[i]]) for i in there]
    different = multipletests([each.p for each in differences], alpha=SIGNIFICANCE, method="holm")[0]
    classes = [
        OfAClass(
            one.classes[i],
            len(images[i]),
            (float(correct_one[:, images[i]].mean()), float(correct_other[:, images[i]].mean())),
            each,
            bool(sure) and each.covers_seeds,
        )
        for i, each, sure in zip(there, differences, different, strict=True)
    ]
    return sorted(classes, key=lambda each: (-(each.recalls[0] - each.recalls[1]), each.name))


def ahead(of: OfAClass) -> float:
    return of.recalls[0] - of.recalls[1]


def figure(one: Row, other: Row, classes: Sequence[OfAClass], among: Sequence[Row], suffix: str) -> Figure:
    """Bars of the differences between two rows, class by class.

    Args:
        one, other: the rows; a bar above zero is a class on which `one` is better.
        classes: in the order in which they are drawn.
        among: all rows of the comparison, for the styles.
        suffix: makes the id this group's own.
    """
    named = len(classes) <= MOST_WITH_NAMES
    plot = figures.blank(x="class, in order of the difference", y=f"points that {one.title} is above {other.title}")
    names = [figures.plain(figures.brief(each.name, 14)) for each in classes]
    ticks = {"tickvals": list(range(len(names))), "ticktext": names} if named else {"showticklabels": False}
    plot.update_xaxes(
        **ticks, showgrid=False, range=[-0.6, len(classes) - 0.4], tickangle=-60 if len(classes) > 12 else 0
    )
    plot.update_yaxes(zeroline=True, zerolinecolor=figures.MUTED)
    plot.update_layout(bargap=0.25 if named else 0.1)
    colors = [style_of(one, among).color, style_of(other, among).color if other.family != one.family else figures.MUTED]
    for different in (True, False):
        for winner, color in enumerate(colors):
            those = [
                (i, each)
                for i, each in enumerate(classes)
                if each.different == different and (ahead(each) < 0) == bool(winner) and ahead(each) != 0
            ]
            if those:
                plot.add_bar(
                    x=[i for i, _ in those],
                    y=figures.digits((100 * ahead(each) for _, each in those), 4),
                    marker={"color": color, "line": {"width": 0}},
                    opacity=1 if different else 0.38,
                    customdata=[hover(each) for _, each in those],
                    hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
                    **(whiskers([each for _, each in those]) if named else {}),
                )
    return Figure(
        f"class-differences{suffix}",
        f"Where {one.label} wins, and where {other.label}",
        plot,
        alt=f"Bar chart of {len(classes)} classes. {verdict(one, other, classes)}",
        columns=[
            *("class", "test_images", one.name, other.name, "difference", "low", "high", "p", "different"),
        ],
        rows=[
            [
                each.name,
                each.images,
                *each.recalls,
                ahead(each),
                *each.difference.interval,
                each.difference.p,
                each.different,
            ]
            for each in classes
        ],
        caption=verdict(one, other, classes) + (" Hover for the class." if not named else " Lines: 95 % intervals."),
        shape="wide",
        legend=[Key(f"{row.label} wins", color, "disc") for row, color in zip((one, other), colors, strict=True)],
    )


def hover(each: OfAClass) -> list[str]:
    low, high = (100 * bound for bound in each.difference.interval)
    return [
        figures.plain(each.name),
        f"{points(ahead(each))} points [{low:.0f}, {high:.0f}]: {percent(each.recalls[0], 0)} and "
        f"{percent(each.recalls[1], 0)} of {each.images} images",
    ]


def whiskers(those: Sequence[OfAClass]) -> dict[str, Any]:
    return {
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": figures.digits(100 * max(0.0, each.difference.interval.high - ahead(each)) for each in those),
            "arrayminus": figures.digits(100 * max(0.0, ahead(each) - each.difference.interval.low) for each in those),
            "color": figures.MUTED,
            "thickness": 1,
            "width": 0,
        }
    }


def verdict(one: Row, other: Row, classes: Sequence[OfAClass]) -> str:
    """Who is ahead where, in sentences."""
    for_one, for_other = (sum(sign * ahead(each) > 0 for each in classes) for sign in (1, -1))
    sentences = [f"{one.label} is higher on {for_one} classes, {other.label} on {for_other}, of {len(classes)}."]
    for row, sign in ((one, 1), (other, -1)):
        sure = [each.name for each in classes if each.different and sign * ahead(each) > 0]
        shown = ", ".join(sure[:8]) + (f" and {len(sure) - 8} more" if len(sure) > 8 else "")
        sentences.append(f"Different, in favour of {row.label}: {shown or 'none'}.")
    return " ".join(sentences)


def table(group: Group, suffix: str) -> Table:
    support = np.bincount(group.rows[0].label_of, minlength=len(group.rows[0].classes))
    columns = [Column("class", "Class"), Column("test_images", "Test images", str, "number")]
    columns += [Column(row.name, row.label, lambda share: percent(share, 0), "number") for row in group.rows]
    columns.append(Column("spread", "Best minus worst", lambda share: percent(share, 0), "share"))
    rows = []
    for i, name in enumerate(group.rows[0].classes):
        recalls = {row.name: row.recall[name] for row in group.rows}
        known = [recall for recall in recalls.values() if recall is not None]
        spread = max(known) - min(known) if known else None
        rows.append({"class": name, "test_images": int(support[i]), **recalls, "spread": spread})
    return Table(
        f"classes-table{suffix}",
        "Accuracy on the images of each class",
        columns,
        rows,
        caption="Means over seeds.",
    )
