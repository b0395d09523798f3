"""The first screen: who is ahead, what choosing it may cost, and accuracy against the time of an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from study.report import figures
from study.report.blocks import Figure, Key, Section
from study.report.comparison.cost import axis
from study.report.comparison.scale import Scale, scale
from study.report.comparison.styles import FAMILIES, KEYS, SYMBOLS, word
from study.report.numbers import THIN, brief, percent, points
from study.report.tables import Column, Table
from study.results.selection import DROPPED, STOPPED, TIED, Row, Selection
from study.text import duration, plural

SHOWN = 10


@dataclass(frozen=True)
class FirstScreen(Section):
    kicker: str = ""
    warning: str = ""
    registered: str = ""
    buttons: Sequence[Any] = ()


def section(selection: Selection) -> Section:
    facts = selection.facts
    measured = [row for row in selection.candidates if row["rounds"]]
    return FirstScreen(
        "answer",
        f"Which backbone for {facts['dataset']}?",
        [table(selection, measured), against_cost(facts["dataset"], measured)],
        lead=lead(selection),
        template="first_screen_of_several.html",
        kicker=(
            f"Selection · {plural(len(selection.candidates), 'candidate')} · "
            f"{plural(facts['sizes'][-1], 'training image')} · {duration(facts['seconds'])} of "
            f"{duration(facts['budget'])}"
        ),
        warning=warning(selection),
    )


def lead(selection: Selection) -> str:
    leader, regret = selection.leader, selection.facts["regret"]
    others = len(selection.of(TIED))
    if others:
        tied = f"{plural(others, 'other')} cannot be told from it."
    elif selection.of(STOPPED):
        tied = "It went further than any other before the budget ended."
    else:
        tied = "All others are behind it by more than the margin."
    return (
        f"{leader['name']} is ahead with {percent(leader['accuracy'])} of {leader['images']:,} training images, each "
        f"predicted by a ridge regression fitted to the others. {tied} Choosing it is expected to cost "
        f"{100 * regret['mean']:.2f} points of accuracy against the best of those measured, and more than "
        f"{100 * regret['high']:.2f} in 1 of 20 cases."
    )


def warning(selection: Selection) -> str:
    waiting, stopped = len(selection.of("waiting")), len(selection.of(STOPPED))
    parts = []
    if waiting:
        parts.append(f"{plural(waiting, 'candidate')} never measured")
    if stopped:
        parts.append(f"{plural(stopped, 'candidate')} not told from the leader on as many images")
    return f"The budget ended first: {' and '.join(parts)}." if parts else ""


def table(selection: Selection, measured: Sequence[Row]) -> Table:
    """The first few, those that are kept marked."""
    kept = set(selection.facts["kept"])
    rows = [
        row
        | {
            "name": figures.brief(row["name"], 34),
            "interval": f"{100 * row['low']:.1f} to {100 * row['high']:.1f}",
            "kept": row["name"] in kept,
        }
        for row in measured[:SHOWN]
    ]
    return Table(
        "standing",
        "Who is ahead",
        [
            Column("name", "Backbone"),
            Column("accuracy", "Accuracy", percent, "number"),
            Column("interval", "95 % interval"),
            Column("images", "Images", lambda n: f"{n:,}", "number"),
            Column("behind", "Behind", behind, "number"),
        ],
        rows,
        caption="Cross-validated on train alone; behind: points, paired on the same images. The kept ones go on.",
        badges={row["name"]: ["kept"] for row in rows if row["kept"]},
        shape="half",
    )


def behind(value: float | None) -> str:
    return "–" if value is None else points(value).replace("+", "").replace("±", "")


def milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{1000 * value:.3g}"


def against_cost(dataset: str, rows: Sequence[Row]) -> Figure:
    """Each candidate where it was measured last: those that are kept in the race filled and named, the others open."""
    y = scale(bound for row in rows for bound in (row["low"], row["high"]))
    plot = figures.blank(x="ms an image", y="accuracy on train, cross-validated", hovermode="closest")
    plot.update_xaxes(**axis([1000 * row["image_seconds"] for row in rows]))
    plot.update_yaxes(**y.axis)
    named = [row for row in rows if row["status"] != DROPPED][:SHOWN]
    for row in sorted(rows, key=lambda row: row["status"] != DROPPED):
        plot.add_scatter(**mark(row, y, named=row in named))
    there = [name for name in FAMILIES if any(family(row) == name for row in rows)]
    return Figure(
        "accuracy-cost",
        "Accuracy and the time of an image",
        plot,
        alt=(
            f"Scatter plot. Cross-validated accuracy on {dataset} against milliseconds for an image, of {len(rows)} "
            "candidates. "
            + " ".join(
                f"{row['name']}: {percent(row['accuracy'])} at {milliseconds(row['image_seconds'])} ms."
                for row in named
            )
        ),
        columns=["name", "status", "image_seconds", "accuracy", "low", "high", "images"],
        rows=[
            [row[name] for name in ("name", "status", "image_seconds", "accuracy", "low", "high", "images")]
            for row in rows
        ],
        caption="Filled: still in the race at its end. Open: dropped, at its accuracy on the images it was dropped on."
        + (" Accuracy is on a scale that is logarithmic in the error." if y.by_error else ""),
        shape="half",
        legend=[Key(word(name), f"var(--{name})", KEYS[name]) for name in there],
    )


def family(row: Row) -> str:
    return row["family"] if row["family"] in FAMILIES else "unknown"


def mark(row: Row, y: Scale, *, named: bool) -> dict[str, Any]:
    """One candidate, as plotly wants it; with its interval where it is still in the race."""
    color, out = f"var(--{family(row)})", row["status"] == DROPPED
    parameters = brief(row["parameters"])
    drawn: dict[str, Any] = {
        "x": [1000 * row["image_seconds"]],
        "y": [y.place(row["accuracy"])],
        "mode": "markers",
        "marker": {
            "symbol": SYMBOLS[family(row)],
            "size": 7 if out else 11,
            "opacity": 0.6 if out else 1.0,
            "color": figures.SURFACE if out else color,
            "line": {"color": color, "width": 1.5},
        },
        "cliponaxis": False,
        "hovertemplate": (
            f"{figures.plain(row['name'])}<br>{percent(row['accuracy'])} [{percent(row['low'])}, "
            f"{percent(row['high'])}] on {row['images']:,} images<br>{milliseconds(row['image_seconds'])}{THIN}ms, "
            f"{parameters} parameters<br>{figures.plain(row['reason'])}<extra></extra>"
        ),
    }
    if out:
        return drawn
    drawn["error_y"] = {
        "type": "data",
        "symmetric": False,
        "array": [y.place(row["high"]) - y.place(row["accuracy"])],
        "arrayminus": [y.place(row["accuracy"]) - y.place(row["low"])],
        "color": color,
        "thickness": 1.2,
        "width": 0,
    }
    if named:
        drawn["meta"] = {"label": figures.plain(figures.brief(row["name"], 28))}  # placed by labels.js
    return drawn
