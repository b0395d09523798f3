"""Learning curves of every run, by phase."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from study.report import figures
from study.report.blocks import Figure, Key, Note, Section, empty
from study.report.numbers import known, percent
from study.report.study import record_view
from study.results.record import Record, Row
from study.text import plural

HOVER = {
    "val_accuracy": "%{customdata}<br>epoch %{x}: %{y:.1%}<extra></extra>",
    "loss": "%{customdata}<br>epoch %{x}: %{y:.4g}<extra></extra>",
}
DASHES = {"cross": "4px,3px", "dot": "dot"}


@dataclass(frozen=True)
class Group:
    """Runs that look the same."""

    name: str
    run_ids: Sequence[str]
    color: str
    mark: str = "line"
    width: float = 1.2
    opacity: float = 1.0


def section(record: Record) -> Section:
    title = "Learning curves"
    if not record.curves:
        return empty("learning", title, record_view.nothing_yet(record, "epoch of any run"))
    search, replicate = search_groups(record), replicate_groups(record)
    test = [Group("one line a seed", ids(record, "test"), figures.ACCENT, width=2)]
    drawn = [
        figure(record, "search", "val_accuracy", "Search: validation accuracy", search, "wide"),
        figure(record, "search", "train_loss", "Search: training loss", search),
        figure(record, "search", "val_loss", "Search: validation loss", search),
        figure(record, "replicate", "val_accuracy", "Replicates: validation accuracy", replicate),
        figure(record, "test", "train_loss", "Test runs: training loss on train + validation", test),
    ]
    missing = [name for name, phase in (("replicate", "replicate"), ("test run", "test")) if not ids(record, phase)]
    notes = [Note(record_view.nothing_yet(record, " and no ".join(missing)))] if missing else []
    lead = "Every finished epoch of every run; hover over a line for its run, and drag to enlarge."
    return Section("learning", title, [*(f for f in drawn if f), *notes], lead=lead)


def ids(record: Record, phase: str) -> list[str]:
    return list(dict.fromkeys(row["run_id"] for row in record.curves if row["phase"] == phase))


def search_groups(record: Record) -> list[Group]:
    """Trials by status, thin, under the paper's recipe and the best."""
    best = (record_view.best(record) or {}).get("trial_id")
    special = {best, record_view.PAPER}
    status = {t["trial_id"]: t["status"] for t in record.trials}
    found = ids(record, "search")

    def those(wanted: str) -> list[str]:
        return [i for i in found if i not in special and status.get(i, "completed") == wanted]

    groups = [
        Group("completed", those("completed"), figures.STATUS["completed"], opacity=0.75),
        Group("pruned at ×", those("pruned"), figures.STATUS["pruned"], mark="cross", opacity=0.9),
        Group("failed", those("failed"), figures.STATUS["failed"], mark="dot"),
    ]
    if best != record_view.PAPER:
        groups.append(Group("paper’s recipe", [i for i in found if i == record_view.PAPER], figures.PAPER, width=2.6))
    groups.append(Group(record_view.best_name(record), [i for i in found if i == best], figures.ACCENT, width=2.6))
    return [group for group in groups if group.run_ids]


def replicate_groups(record: Record) -> list[Group]:
    """A colour for each replicated trial, a line for each of its seeds."""
    trial_of = {run["run_id"]: run["trial_id"] for run in record.runs}
    best, others = (record_view.best(record) or {}).get("trial_id"), iter(figures.OTHERS * 50)
    said = record_view.badges(record)
    groups = []
    for trial in dict.fromkeys(trial_of.get(i, i) for i in ids(record, "replicate")):
        color = figures.ACCENT if trial == best else figures.PAPER if trial == record_view.PAPER else next(others)
        name = f"{trial} ({', '.join(said[trial])})" if trial in said else trial
        runs = [i for i in ids(record, "replicate") if trial_of.get(i, i) == trial]
        groups.append(Group(name, runs, color, width=2 if trial in said else 1.4))
    return groups


def figure(
    record: Record, phase: str, value: str, title: str, groups: Sequence[Group], shape: Any = "half"
) -> Figure | None:
    """One value by epoch; None where no run of the phase has it."""
    rows = [row for row in record.curves if row["phase"] == phase and known(row[value])]
    if not rows:
        return None
    is_share = value == "val_accuracy"
    name = "validation accuracy" if is_share else "loss (cross-entropy, nats)"
    plot = figures.blank(x="epoch", y=name)
    plot.update_yaxes(**({"tickformat": ".0%"} if is_share else loss_axis(row[value] for row in rows)))
    curves = {run: [row for row in rows if row["run_id"] == run] for group in groups for run in group.run_ids}
    for group in groups:
        plot.add_trace(trace(group, [curves[run] for run in group.run_ids], value))
    if all(len(curve) < 2 for curve in curves.values()):
        plot.update_traces(mode="markers")
    return Figure(
        f"{phase}-{value}".replace("_", "-"),
        title,
        plot,
        alt=words(title, groups, curves, value, percent if is_share else lambda x: f"{x:.3g}"),
        columns=["run_id", "seed", "epoch", value],
        rows=[[row["run_id"], row["seed"], row["epoch"], row[value]] for row in rows],
        shape=shape,
        legend=[Key(group.name, group.color, group.mark) for group in groups],
    )


def trace(group: Group, curves: Sequence[Sequence[Row]], value: str) -> go.Scatter:
    """The group's runs as one line with gaps. Its markers are last epochs: of pruned runs, or single ones."""
    ends = figures.lines([0] * (len(curve) - 1) + [7] for curve in curves if curve)
    return go.Scatter(
        x=figures.lines([row["epoch"] for row in curve] for curve in curves if curve),
        y=figures.lines(figures.digits(row[value] for row in curve) for curve in curves if curve),
        customdata=figures.lines([row["run_id"] for row in curve] for curve in curves if curve),
        name=group.name,
        mode="lines+markers" if group.mark == "cross" or any(len(curve) == 1 for curve in curves) else "lines",
        line={"color": group.color, "width": group.width, "dash": DASHES.get(group.mark, "solid")},
        marker={
            "symbol": "x-thin" if group.mark == "cross" else "circle",
            "size": [end or 0 for end in ends],
            "color": group.color,
            "line": {"color": group.color, "width": 1.6},
        },
        opacity=group.opacity,
        connectgaps=False,
        hovertemplate=HOVER["val_accuracy" if value == "val_accuracy" else "loss"],
    )


def loss_axis(losses: Iterable[float]) -> dict[str, Any]:
    """A logarithm where one run that diverged would hide all others."""
    values = list(losses)
    wide = min(values) > 0 and max(values) / min(values) > 50
    return {"type": "log", "dtick": 1} if wide else {"rangemode": "tozero"}


def words(
    title: str, groups: Sequence[Group], curves: dict[str, list[Row]], value: str, show: Callable[[float], str]
) -> str:
    """The figure for whoever cannot see it: how many lines, and where they end."""
    said = [f"Line chart. {title}, by epoch, {plural(sum(len(g.run_ids) for g in groups), 'run')}."]
    for group in groups:
        last = [curves[run][-1][value] for run in group.run_ids if curves[run]]
        if last:
            ends = show(last[0]) if len(last) == 1 else f"{show(min(last))} to {show(max(last))}"
            said.append(f"{group.name}: {plural(len(last), 'run')}, at the end {ends}.")
    return " ".join(said)
