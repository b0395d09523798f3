"""The race: accuracy of each candidate by the images that it was measured on, and who left when and why."""

from collections.abc import Sequence
from typing import Any

from study.report import figures
from study.report.blocks import Figure, Key, Section
from study.report.comparison.scale import Scale, scale
from study.report.numbers import brief, duration, percent
from study.report.selection.answer import behind, milliseconds
from study.report.tables import Column, Table
from study.results.selection import DROPPED, LEADER, WAITING, Row, Selection
from study.text import plural

OUT, IN, FIRST = "var(--unknown)", "var(--convolution)", "var(--attention)"


def section(selection: Selection) -> Section:
    facts = selection.facts
    dropped = selection.of(DROPPED)
    return Section(
        "race",
        "The race",
        [curves(selection), rounds(selection)],
        lead=(
            "Subsets of train, each twice as large as the last one and holding it. After each, whoever was behind "
            f"the leader by more than {100 * facts['margin']:g} points for each doubling still to come was dropped, "
            f"where a paired test at {100 * facts['level']:g} % over the whole race said so: {len(dropped)} of "
            f"{plural(len(selection.candidates), 'candidate')}."
        ),
        short="Race",
    )


def curves(selection: Selection) -> Figure:
    by_name: dict[str, list[Row]] = {}
    for row in selection.rounds:
        by_name.setdefault(row["name"], []).append(row)
    status = {row["name"]: row["status"] for row in selection.candidates}
    y = scale(row["accuracy"] for row in selection.rounds)
    plot = figures.blank(x="training images", y="accuracy, cross-validated", hovermode="closest")
    sizes = selection.facts["sizes"]
    plot.update_xaxes(type="log", tickvals=sizes, ticktext=[f"{size:,}" for size in sizes])
    plot.update_yaxes(**y.axis)
    order = sorted(by_name, key=lambda name: (status[name] != DROPPED, status[name] == LEADER))  # the leader on top
    for name in order:
        plot.add_scatter(**curve(name, by_name[name], status[name], y))
    leader = selection.leader
    return Figure(
        "curves",
        "Accuracy by training images",
        plot,
        alt=(
            f"Lines. Accuracy of {len(by_name)} candidates on subsets of {sizes[0]:,} to {sizes[-1]:,} images. Most "
            f"end early, where they were dropped. {leader['name']} ends at {percent(leader['accuracy'])}."
        ),
        columns=["name", "images", "accuracy", "low", "high", "boundary", "seconds"],
        rows=[
            [row[column] for column in ("name", "images", "accuracy", "low", "high", "boundary", "seconds")]
            for row in selection.rounds
        ],
        caption="A line ends at a cross where its candidate was dropped."
        + (" Accuracy is on a scale that is logarithmic in the error." if y.by_error else ""),
        shape="wide",
        legend=[
            Key(leader["name"], FIRST),
            Key("still in the race at its end", IN),
            Key("dropped", OUT),
        ],
    )


def curve(name: str, rows: Sequence[Row], status: str, y: Scale) -> dict[str, Any]:
    out, first = status == DROPPED, status == LEADER
    symbols = ["circle"] * (len(rows) - 1) + ["x" if out else "circle"]
    color = OUT if out else FIRST if first else IN
    return {
        "x": [row["images"] for row in rows],
        "y": figures.digits(y.place(row["accuracy"]) for row in rows),
        "mode": "lines+markers",
        "opacity": 0.6 if out else 1.0,
        "line": {"color": color, "width": 2.6 if first else 1.3},
        "marker": {"symbol": symbols, "size": 6, "color": color},
        "text": [percent(row["accuracy"]) for row in rows],
        "hovertemplate": f"{figures.plain(name)}<br>%{{text}} on %{{x:,}} images<extra></extra>",
    }


def rounds(selection: Selection) -> Table:
    """What each round took, and what it decided."""
    dropped = {row["name"]: row["rounds"] - 1 for row in selection.of(DROPPED)}
    rows = []
    for number, images in enumerate(selection.facts["sizes"]):
        here = [row for row in selection.rounds if row["round"] == number]
        if not here:
            continue
        best = max(here, key=lambda row: row["accuracy"])
        rows.append(
            {
                "images": images,
                "measured": len(here),
                "dropped": sum(last == number for last in dropped.values()),
                "seconds": sum(row["seconds"] for row in here),
                "best": best["name"],
                "accuracy": best["accuracy"],
            }
        )
    return Table(
        "rounds",
        "Rounds",
        [
            Column("images", "Images", lambda n: f"{n:,}", "number"),
            Column("measured", "Measured", str, "number"),
            Column("dropped", "Dropped", str, "number"),
            Column("seconds", "Seconds of all", duration, "number"),
            Column("accuracy", "Best", percent, "number"),
            Column("best", "Which"),
        ],
        rows,
    )


def candidates(selection: Selection) -> Section:
    return Section("candidates", "Candidates", [every(selection)])


def every(selection: Selection) -> Table:
    rows = []
    for row in selection.candidates:
        depth = f"{row['boundary']} of {row['backbone_stages']}" if row["boundary"] else ""
        rows.append(row | {"depth": depth, "left": row["left_after_seconds"]})
    scored: list[Column] = []
    if any(row["score"] is not None for row in rows):
        scored.append(Column("score", "Score of its weights", percent, "number"))
    return Table(
        "every",
        "Every candidate",
        [
            Column("name", "Backbone"),
            Column("status", "Status"),
            Column("accuracy", "Accuracy", percent, "number"),
            Column("images", "On images", lambda n: f"{n:,}" if n else "–", "number"),
            Column("behind", "Behind", behind, "number"),
            Column("depth", "Features after stage"),
            Column("parameters", "Parameters", brief, "number"),
            Column("image_seconds", "ms an image", milliseconds, "number"),
            Column("seconds", "Cost", duration, "number"),
            *scored,
            Column("reason", "Why"),
        ],
        rows,
        caption="Stages whose features did best; the last but one or two do so where the last ones are too special."
        + (" Those that wait were never measured." if selection.of(WAITING) else ""),
    )
