"""Learning curves of every run, by phase."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from study.design.states import Phase, RunStatus
from study.report import figures
from study.report.blocks import Figure, Key, Note, Section, empty
from study.report.numbers import known, metric_value
from study.report.study import record_view
from study.results.point import start_title
from study.results.record import Record, Row
from study.text import plural
from trainables.metrics import Metric

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


@dataclass(frozen=True)
class Value:
    """A column of the curves: the training loss, or a metric on validation."""

    column: str
    metric: Metric
    title: str

    def show(self, value: float) -> str:
        return f"{value:.3g}" if self.metric is Metric.LOSS else metric_value(self.metric, value)

    @property
    def hover(self) -> str:
        return f"%{{customdata}}<br>epoch %{{x}}: %{{y:{figures.metric_format(self.metric)}}}<extra></extra>"

    @property
    def axis(self) -> str:
        return "loss (cross-entropy, nats)" if self.metric is Metric.LOSS else self.title


def validation(metric: Metric) -> Value:
    return Value(metric.column, metric, f"validation {metric.words}")


TRAINING = Value("train_loss", Metric.LOSS, "training loss")


def section(record: Record) -> Section:
    title = "Learning curves"
    if not record.curves:
        return empty("learning", title, record_view.nothing_yet(record, "epoch of any run"))
    search, replicate = search_groups(record), replicate_groups(record)
    test = [Group("one line per seed", ids(record, Phase.TEST), figures.ACCENT, width=2)]
    chosen_by = validation(record_view.metric(record))
    beside = [value for value in (validation(Metric.LOSS), validation(Metric.ACCURACY)) if value != chosen_by]
    on_test = f"Test runs: {TRAINING.title} on train + validation"
    drawn = [
        figure(record, Phase.SEARCH, chosen_by, f"Search: {chosen_by.title}", search, "wide"),
        figure(record, Phase.SEARCH, TRAINING, f"Search: {TRAINING.title}", search),
        *(figure(record, Phase.SEARCH, value, f"Search: {value.title}", search) for value in beside),
        figure(record, Phase.REPLICATE, chosen_by, f"Replicates: {chosen_by.title}", replicate),
        figure(record, Phase.TEST, TRAINING, on_test, test),
    ]
    missing = [
        name
        for phase, name in record_view.RUN_NAMES.items()
        if phase not in (Phase.SEARCH, Phase.START) and not ids(record, phase)
    ]
    notes = [Note(record_view.nothing_yet(record, " and no ".join(missing)))] if missing else []
    lead = "Every finished epoch of every run; hover over a line for its run, and drag to enlarge."
    return Section("learning", title, [*(f for f in drawn if f), *notes], lead=lead)


def ids(record: Record, phase: Phase) -> list[str]:
    return list(dict.fromkeys(row["run_id"] for row in record.curves if row["phase"] == phase))


def search_groups(record: Record) -> list[Group]:
    """Trials by status, thin, under the starting point and the best."""
    best = (record_view.best(record) or {}).get("trial_id")
    special = {best, record_view.PAPER}
    status = {t["trial_id"]: t["status"] for t in record.trials}
    trials = ids(record, Phase.SEARCH)

    def those(wanted: RunStatus) -> list[str]:
        return [i for i in trials if i not in special and status.get(i, RunStatus.COMPLETED) == wanted]

    colors = figures.STATUS
    groups = [
        Group("completed", those(RunStatus.COMPLETED), colors[RunStatus.COMPLETED], opacity=0.75),
        Group("pruned at ×", those(RunStatus.PRUNED), colors[RunStatus.PRUNED], mark="cross", opacity=0.9),
        Group("failed", those(RunStatus.FAILED), colors[RunStatus.FAILED], mark="dot"),
    ]
    if best != record_view.PAPER:
        groups.append(
            Group(start_title(record).lower(), [i for i in trials if i == record_view.PAPER], figures.PAPER, width=2.6)
        )
    groups.append(Group(record_view.best_name(record), [i for i in trials if i == best], figures.ACCENT, width=2.6))
    return [group for group in groups if group.run_ids]


def replicate_groups(record: Record) -> list[Group]:
    """A colour for each replicated trial, a line for each of its seeds."""
    trial_of = {run["run_id"]: run["trial_id"] for run in record.runs}
    best, others = (record_view.best(record) or {}).get("trial_id"), iter(figures.OTHERS * 50)
    badges = record_view.badges(record)
    groups = []
    replicates = ids(record, Phase.REPLICATE)
    for trial in dict.fromkeys(trial_of.get(i, i) for i in replicates):
        color = figures.ACCENT if trial == best else figures.PAPER if trial == record_view.PAPER else next(others)
        name = f"{trial} ({', '.join(badges[trial])})" if trial in badges else trial
        runs = [i for i in replicates if trial_of.get(i, i) == trial]
        groups.append(Group(name, runs, color, width=2 if trial in badges else 1.4))
    return groups


def figure(
    record: Record, phase: Phase, value: Value, title: str, groups: Sequence[Group], shape: Any = "half"
) -> Figure | None:
    """One value by epoch.

    Args:
        record: whose curves are drawn.
        phase: the step whose runs are drawn.
        value: the column of the curves.
        title: of the figure.
        groups: of runs that look the same.
        shape: as `Figure` has it.

    Returns:
        None where no run of the phase has the value.
    """
    column = value.column
    rows = [row for row in record.curves if row["phase"] == phase and known(row.get(column))]
    if not rows:
        return None
    plot = figures.blank(x="epoch", y=value.axis)
    plot.update_yaxes(**figures.metric_axis(value.metric, (row[column] for row in rows)))
    curves = {run: [row for row in rows if row["run_id"] == run] for group in groups for run in group.run_ids}
    for group in groups:
        drawn = trace(group, [curves[run] for run in group.run_ids], value)
        plot.add_trace(drawn.update(meta=record_view.of_trials(record)) if phase == Phase.SEARCH else drawn)
    if all(len(curve) < 2 for curve in curves.values()):
        plot.update_traces(mode="markers")
    return Figure(
        f"{phase}-{column}".replace("_", "-"),
        title,
        plot,
        alt=words(title, groups, curves, value),
        columns=["run_id", "seed", "epoch", column],
        rows=[[row["run_id"], row["seed"], row["epoch"], row[column]] for row in rows],
        shape=shape,
        legend=[Key(group.name, group.color, group.mark) for group in groups],
    )


def trace(group: Group, curves: Sequence[Sequence[Row]], value: Value) -> go.Scatter:
    """The group's runs as one line with gaps. Its markers are last epochs: of pruned runs, or single ones."""
    ends = figures.lines([0] * (len(curve) - 1) + [7] for curve in curves if curve)
    return go.Scatter(
        x=figures.lines([row["epoch"] for row in curve] for curve in curves if curve),
        y=figures.lines(figures.digits(row[value.column] for row in curve) for curve in curves if curve),
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
        hovertemplate=value.hover,
    )


def words(title: str, groups: Sequence[Group], curves: dict[str, list[Row]], value: Value) -> str:
    """The figure for whoever cannot see it: how many lines, and where they end."""
    sentences = [f"Line chart. {title}, by epoch, {plural(sum(len(g.run_ids) for g in groups), 'run')}."]
    for group in groups:
        last = [curves[run][-1][value.column] for run in group.run_ids if curves[run]]
        if last:
            ends = value.show(last[0]) if len(last) == 1 else f"{value.show(min(last))} to {value.show(max(last))}"
            sentences.append(f"{group.name}: {plural(len(last), 'run')}, at the end {ends}.")
    return " ".join(sentences)
