"""Curves of every run: a small figure per row, all on one scale."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from study.comparison import Comparison, Group, Row
from study.design.states import Phase
from study.report.blocks import Choice, Figure, Key, Note, Option, Section, empty
from study.report.comparison.per_dataset import per_dataset
from study.report.comparison.styles import Style, style_of
from study.report.numbers import known
from study.report.study import learning, record_view
from trainables.metrics import Metric


def choices(metric: Metric) -> list[tuple[str, Phase, learning.Value]]:
    """What is to be seen of a group's runs."""
    chosen_by = learning.validation(metric)
    return [
        (f"Search, {chosen_by.title}", Phase.SEARCH, chosen_by),
        (f"Search, {learning.TRAINING.title}", Phase.SEARCH, learning.TRAINING),
        (f"Replicates, {chosen_by.title}", Phase.REPLICATE, chosen_by),
        (f"Test runs, {learning.TRAINING.title} on train + validation", Phase.TEST, learning.TRAINING),
    ]


def section(comparison: Comparison) -> Section:
    if not any(row.record.curves for row in comparison.rows):
        return empty("learning", "Learning curves", "No record has curves: there is nothing to draw.", short="Curves")
    return Section(
        "learning",
        "Learning curves",
        per_dataset(comparison, blocks),
        lead=(
            "Every finished epoch of every run, one figure per model, all on one scale. The winner is in its family’s "
            "colour, the starting point dotted; pruned trials end at a cross."
        ),
        short="Curves",
    )


def blocks(group: Group, among: Sequence[Row], suffix: str) -> list[Any]:
    options = []
    for label, phase, value in choices(group.metric):
        drawn = [
            figure(row, phase, value, style_of(row, among), f"{suffix}-{i}") for i, row in enumerate(group.rows, 1)
        ]
        silent = [row.label for row, one in zip(group.rows, drawn, strict=True) if one is None]
        notes = [Note(f"No such curve in the record of {', '.join(silent)}.")] if silent else []
        options.append(Option(label, [*on_one_scale([one for one in drawn if one]), *notes]))
    return [Choice(f"learning{suffix}", "Show", options)]


def figure(row: Row, phase: Phase, value: learning.Value, style: Style, suffix: str) -> Figure | None:
    """One value of a row's runs, by epoch.

    Args:
        row: whose runs.
        phase: the step of the study.
        value: the column of the curves.
        style: of the row.
        suffix: makes the id this row's own.

    Returns:
        None where no run has the value.
    """
    drawn = learning.figure(row.record, phase, value, row.label, groups(row, phase, style), "third")
    if drawn is None:
        return None
    drawn.plot.update_layout(margin={"t": 10})
    return replace(
        drawn,
        id=f"{drawn.id}{suffix}",
        legend=[Key(key.label, key.color, key.mark) for key in drawn.legend],
        style=style,
    )


def groups(row: Row, phase: Phase, style: Style) -> list[learning.Group]:
    """Those of the page of one study, in this row's colour."""
    if phase == Phase.TEST:
        return [learning.Group("one line per seed", learning.ids(row.record, phase), style.color, width=2)]
    if phase == Phase.SEARCH:
        best = (record_view.best(row.record) or {}).get("trial_id")
        return [
            replace(group, color=style.color, mark="line", width=2.8)
            if best in group.run_ids
            else replace(group, color="var(--text)", mark="dot", width=1.8)
            if record_view.PAPER in group.run_ids
            else group
            for group in learning.search_groups(row.record)
        ]
    return [
        replace(group, color=style.color, width=2.4)
        if "winner" in group.name
        else replace(group, color="var(--text)", mark="dot")
        if "start" in group.name
        else replace(group, color="var(--completed)")
        for group in learning.replicate_groups(row.record)
    ]


def on_one_scale(drawn: Sequence[Figure]) -> Sequence[Figure]:
    """The same axes for all, unless a loss spans so much that a figure has taken a logarithm."""
    axes = [figure.plot.layout.yaxis.type for figure in drawn]
    heights = [y for figure in drawn for trace in figure.plot.data for y in trace.y if known(y)]
    epochs = [x for figure in drawn for trace in figure.plot.data for x in trace.x if known(x)]
    if not heights or "log" in axes:
        return drawn
    pad = 0.04 * max(max(heights) - min(heights), 0.01)
    for figure in drawn:
        figure.plot.update_yaxes(range=[min(heights) - pad, max(heights) + pad])
        figure.plot.update_xaxes(range=[min(epochs) - 0.3, max(epochs) + 0.3], dtick=max(1, round(max(epochs) / 8)))
    return drawn
