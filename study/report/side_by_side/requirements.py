"""How much data each model needs: test accuracy by training images a class."""

from collections.abc import Sequence
from typing import Any

from study.comparison import Comparison, Group, Row
from study.report import figures
from study.report.blocks import Figure, Note, Section, empty
from study.report.numbers import percent, plural
from study.report.side_by_side.beside import Amount, Requirements, requirements
from study.report.side_by_side.looks import legend, look
from study.report.side_by_side.parts import parts
from study.report.tables import Column, Table

LEVELS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
MISSING = "{who}: no requirements.parquet in its folder; python -m study.requirements FOLDER trains what it holds."


def section(comparison: Comparison) -> Section:
    title = "Data requirements"
    if not any(requirements(row) for row in comparison.rows):
        why = "No study here has been trained on parts of its training images: python -m study.requirements does that."
        return empty("requirements", title, why, short="Data")
    return Section(
        "requirements",
        title,
        parts(comparison, blocks),
        lead=(
            "The winner’s recipe on nested, stratified parts of train, a draw a seed; each run is tested once and none "
            "is chosen."
        ),
        short="Data",
    )


def blocks(group: Group, among: Sequence[Row], suffix: str) -> list[Any]:
    found = {row.name: requirements(row) for row in group.rows}
    curves = {row.name: winners(row, known) for row in group.rows if (known := found[row.name])}
    curves = {name: amounts for name, amounts in curves.items() if amounts}
    there = [row for row in group.rows if row.name in curves]
    absent = [row.label for row in group.rows if row.name not in curves]
    notes = [Note(MISSING.format(who=", ".join(absent)))] if absent else []
    failed = sum(known.failed for row in there if (known := found[row.name]))
    notes += [Note(f"{plural(failed, 'run')} failed.")] if failed else []
    if not there:
        return notes
    return [figure(there, curves, among, suffix), table(there, curves, among, suffix), *notes]


def winners(row: Row, known: Requirements) -> list[Amount]:
    """At the winner's freeze depth, else at the first one that was tried."""
    depth = (row.record.study.get("winner") or {}).get("freeze_depth", -1)
    return known.amounts.get(depth) or next(iter(known.amounts.values()), [])


def figure(there: Sequence[Row], curves: dict[str, list[Amount]], among: Sequence[Row], suffix: str) -> Figure:
    plot = figures.blank(x="training images a class (logarithmic)", y="test accuracy", hovermode="closest")
    ticks = sorted({amount.images_per_class for amounts in curves.values() for amount in amounts})
    plot.update_xaxes(type="log", tickvals=figures.digits(ticks, 3), ticktext=[shown(tick) for tick in ticks])
    plot.update_yaxes(tickformat=".0%")
    for row in there:
        seen, amounts = look(row, among), curves[row.name]
        x = figures.digits(amount.images_per_class for amount in amounts)
        low, high = ([amount.interval[end] for amount in amounts] for end in (0, 1))
        plot.add_scatter(
            x=[*x, *x[::-1]],
            y=figures.digits([*high, *low[::-1]]),
            fill="toself",
            fillcolor=seen.color,
            opacity=min(0.15, 0.5 / len(there)),
            mode="none",
            hoverinfo="skip",
            meta=seen.meta,
        )
        plot.add_scatter(
            x=x,
            y=figures.digits(amount.accuracy for amount in amounts),
            mode="lines+markers",
            line=seen.line,
            marker=seen.marker | {"size": 8},
            customdata=[
                [f"{percent(a.interval.low)}, {percent(a.interval.high)}", plural(len(a.accuracies), "run")]
                for a in amounts
            ],
            hovertemplate=(
                f"{figures.plain(row.label)}<br>%{{x}} images a class: %{{y:.1%}} [%{{customdata[0]}}]"
                "<br>%{customdata[1]}<extra></extra>"
            ),
            meta=seen.meta,
        )
    rows = [
        [row.name, row.label, a.images_per_class, a.images, a.accuracy, *a.interval, len(a.accuracies), a.seconds]
        for row in there
        for a in curves[row.name]
    ]
    said = [
        f"{row.label}: {percent(curves[row.name][0].accuracy)} with {shown(curves[row.name][0].images_per_class)}, "
        f"{percent(curves[row.name][-1].accuracy)} with {shown(curves[row.name][-1].images_per_class)} images a class."
        for row in there
    ]
    return Figure(
        f"requirements-curve{suffix}",
        "Accuracy by training images a class",
        plot,
        alt=f"Line chart with bands. Test accuracy by training images a class of {len(there)} models. {' '.join(said)}",
        columns=["name", "label", "images_per_class", "images", "accuracy", "low", "high", "runs", "seconds"],
        rows=rows,
        caption="Band: 95 % interval over draws, seeds and test images.",
        shape="wide",
        legend=legend(there, among, lines=True),
    )


def table(there: Sequence[Row], curves: dict[str, list[Amount]], among: Sequence[Row], suffix: str) -> Table:
    """Images a class from which on an accuracy is reached and kept, among the amounts that were tried."""
    best = max(amount.accuracy for amounts in curves.values() for amount in amounts)
    levels = [level for level in LEVELS if level <= best]
    columns = [
        Column("label", "Model"),
        *(Column(f"reaches_{level:g}", f"{level:.0%}", needed, "number") for level in levels),
        Column("best", "With all images", percent, "share"),
    ]
    rows = [
        {
            "label": row.label,
            "best": curves[row.name][-1].accuracy,
            **{f"reaches_{level:g}": enough(curves[row.name], level) for level in levels},
        }
        for row in there
    ]
    return Table(
        f"requirements-needed{suffix}",
        "Images a class that were enough",
        columns,
        rows,
        caption="The fewest of the amounts that were tried from which on the mean stays at this accuracy or above.",
        looks=[look(row, among) for row in there],
    )


def enough(amounts: Sequence[Amount], level: float) -> float | None:
    found = None
    for amount in reversed(amounts):
        if amount.accuracy < level:
            break
        found = amount.images_per_class
    return found


def needed(value: float | None) -> str:
    return "not reached" if value is None else shown(value)


def shown(images_per_class: float) -> str:
    return f"{images_per_class:.0f}" if images_per_class >= 10 else f"{images_per_class:.2g}"
