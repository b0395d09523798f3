"""What the search found: validation accuracy against each hyperparameter."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from study.report import figures
from study.report.blocks import Figure, Key, Note, Section, empty
from study.report.numbers import known, percent
from study.report.study import record_view
from study.results.record import Record, Row
from study.text import plural

TITLES = {"lr": "Learning rate", "weight_decay": "Weight decay", "freeze_depth": "Freeze depth"}
AXES = {
    "lr": "learning rate (logarithmic)",
    "weight_decay": "weight decay (logarithmic)",
    "freeze_depth": "frozen stages",
}
MARKS = {"completed": "circle", "pruned": "x-thin", "failed": "triangle-up-open"}
KEYS = {"completed": "disc", "pruned": "cross", "failed": "triangle"}
HOVER = "%{customdata[0]} (%{customdata[1]})<br>%{customdata[2]}<br>accuracy %{customdata[3]}<extra></extra>"


def section(record: Record) -> Section:
    title = "Hyperparameters"
    scored = [t for t in record.trials if known(t["val_accuracy"])]
    if not scored:
        why = "trial with a validation accuracy" if record.trials else "trial"
        return empty("search", title, record_view.nothing_yet(record, why))
    fixed = record_view.config(record).get("fixed") or {}
    drawn = [figure(record, name, scored) for name in TITLES if name not in fixed]
    notes = [Note(f"{TITLES[name]} was not searched: fixed at {value}.") for name, value in fixed.items()]
    lead = (
        "One mark a trial, at its best epoch on validation. A pruned trial was stopped early, so its accuracy is what "
        "it had reached by then; a failed one stands on the lower edge."
    )
    return Section("search", title, [*drawn, *notes], lead=lead)


def figure(record: Record, name: str, scored: Sequence[Row]) -> Figure:
    trials = [t for t in record.trials if known(t[name])]
    accuracies = [t["val_accuracy"] for t in scored]
    edge = min(accuracies) - 0.04 * max(max(accuracies) - min(accuracies), 0.05)
    smallest = min((t[name] for t in trials if t[name] > 0), default=1.0)

    def x(trial: Row) -> float:
        """A weight decay of zero has no logarithm: it stands left of all others."""
        return trial[name] if name == "freeze_depth" or trial[name] > 0 else smallest / 3

    def y(trial: Row) -> float:
        return trial["val_accuracy"] if known(trial["val_accuracy"]) else edge

    plot = figures.blank(x=AXES[name], y="validation accuracy", hovermode="closest")
    plot.update_yaxes(tickformat=".0%")
    plot.update_xaxes(**axis(name, record))
    for status, symbol in MARKS.items():
        those = [t for t in trials if t["status"] == status]
        if those:
            color = figures.STATUS[status]
            line = {"color": color, "width": 1.8 if symbol == "x-thin" else 1.2}
            marker = {"symbol": symbol, "size": 8, "color": color, "line": line}
            plot.add_trace(points(those, status, [x(t) for t in those], [y(t) for t in those], marker, record))
    keys = [Key(s, figures.STATUS[s], KEYS[s]) for s in MARKS if any(t["status"] == s for t in trials)]
    for label, trial, color, symbol, key in special(record, trials):
        marker = {"symbol": symbol, "size": 15, "color": color, "line": {"color": figures.SURFACE, "width": 1.5}}
        plot.add_trace(points([trial], label, [x(trial)], [y(trial)], marker, record))
        keys.append(Key(label, color, key))
    zeros = sum(t[name] == 0 for t in trials) if name != "freeze_depth" else 0
    return Figure(
        f"search-{name}".replace("_", "-"),
        TITLES[name],
        plot,
        alt=words(name, trials, record),
        columns=["trial_id", "status", name, "val_accuracy"],
        rows=[[t["trial_id"], t["status"], t[name], t["val_accuracy"]] for t in trials],
        caption=f"{plural(zeros, 'trial')} with 0 on the left edge." if zeros else "",
        shape="third",
        legend=keys,
    )


def special(record: Record, trials: Sequence[Row]) -> list[tuple[str, Row, str, str, str]]:
    """The paper's point and the best one, as trials of the search."""
    by_id = {t["trial_id"]: t for t in trials}
    best = (record_view.best(record) or {}).get("trial_id")
    marks = [
        ("paper’s recipe", by_id.get(record_view.PAPER), figures.PAPER, "diamond", "diamond"),
        (record_view.best_name(record), by_id.get(best), figures.ACCENT, "star", "star"),
    ]
    return [(label, trial, color, symbol, key) for label, trial, color, symbol, key in marks if trial]


def points(
    trials: Sequence[Row], label: str, xs: list[float], ys: list[float], marker: dict[str, Any], record: Record
) -> go.Scatter:
    said = [[t["trial_id"], label, hyperparameters(t, record), percent(t["val_accuracy"])] for t in trials]
    return go.Scatter(
        x=figures.digits(xs), y=figures.digits(ys), mode="markers", marker=marker, customdata=said, hovertemplate=HOVER
    )


def hyperparameters(trial: Row, record: Record) -> str:
    frozen = record_view.depth(trial["freeze_depth"], record)
    return f"lr {trial['lr']:.2g}, weight decay {trial['weight_decay']:.2g}, frozen {frozen}"


def axis(name: str, record: Record) -> dict[str, Any]:
    if name != "freeze_depth":
        return {"type": "log", "tickformat": ".0e", "dtick": 1}
    deepest = max((t["freeze_depth"] for t in record.trials if t["freeze_depth"] is not None), default=0)
    deepest = max(deepest, len(record_view.stage_names(record)) - 1)
    return {"dtick": max(1, round(deepest / 12)), "tick0": 0, "range": [-0.5, deepest + 0.5]}


def words(name: str, trials: Sequence[Row], record: Record) -> str:
    said = [f"Scatter plot. Validation accuracy against {TITLES[name].lower()} of {plural(len(trials), 'trial')}."]
    for label, trial, *_ in special(record, trials):
        said.append(f"{label}: {trial['trial_id']}, {name} {trial[name]:.2g}, {percent(trial['val_accuracy'])}.")
    return " ".join(said)
