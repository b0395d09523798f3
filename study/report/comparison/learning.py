"""Curves of every run: a small figure a row, all on one scale."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from study.comparison import Comparison, Group, Row
from study.report.blocks import Choice, Figure, Key, Note, Option, Section, empty
from study.report.comparison.per_dataset import per_dataset
from study.report.comparison.styles import Style, style_of
from study.report.numbers import known
from study.report.study import learning, record_view

SHOWN = (
    ("Search, validation accuracy", "search", "val_accuracy"),
    ("Search, training loss", "search", "train_loss"),
    ("Replicates, validation accuracy", "replicate", "val_accuracy"),
    ("Test runs, training loss on train + validation", "test", "train_loss"),
)


def section(comparison: Comparison) -> Section:
    if not any(row.record.curves for row in comparison.rows):
        return empty("learning", "Learning curves", "No record has curves: there is nothing to draw.", short="Curves")
    return Section(
        "learning",
        "Learning curves",
        per_dataset(comparison, blocks),
        lead=(
            "Every finished epoch of every run, one figure a model, all on one scale. The winner is in its family’s "
            "colour, the paper’s recipe dotted; pruned trials end at a cross."
        ),
        short="Curves",
    )


def blocks(group: Group, among: Sequence[Row], suffix: str) -> list[Any]:
    options = []
    for label, phase, value in SHOWN:
        drawn = [
            figure(row, phase, value, style_of(row, among), f"{suffix}-{i}") for i, row in enumerate(group.rows, 1)
        ]
        silent = [row.label for row, one in zip(group.rows, drawn, strict=True) if one is None]
        notes = [Note(f"No such curve in the record of {', '.join(silent)}.")] if silent else []
        options.append(Option(label, [*on_one_scale([one for one in drawn if one]), *notes]))
    return [Choice("Show", options)]


def figure(row: Row, phase: str, value: str, seen: Style, suffix: str) -> Figure | None:
    drawn = learning.figure(row.record, phase, value, row.label, groups(row, phase, seen), "third")
    if drawn is None:
        return None
    drawn.plot.update_layout(margin={"t": 10})
    return replace(
        drawn, id=f"{drawn.id}{suffix}", legend=[Key(key.label, key.color, key.mark) for key in drawn.legend]
    )


def groups(row: Row, phase: str, seen: Style) -> list[learning.Group]:
    """Those of the page of one study, in this row's colour."""
    found = learning.ids(row.record, phase)
    if phase == "test":
        return [learning.Group("one line a seed", found, seen.color, width=2)]
    if phase == "search":
        best = (record_view.best(row.record) or {}).get("trial_id")
        return [
            replace(group, color=seen.color, mark="line", width=2.8)
            if best in group.run_ids
            else replace(group, color="var(--text)", mark="dot", width=1.8)
            if record_view.PAPER in group.run_ids
            else group
            for group in learning.search_groups(row.record)
        ]
    return [
        replace(group, color=seen.color, width=2.4)
        if "winner" in group.name
        else replace(group, color="var(--text)", mark="dot")
        if "paper" in group.name
        else replace(group, color="var(--completed)")
        for group in learning.replicate_groups(row.record)
    ]


def on_one_scale(drawn: Sequence[Figure]) -> Sequence[Figure]:
    """The same axes for all, unless a loss spans so much that a figure has taken a logarithm."""
    axes = [figure.plot.layout.yaxis.type for figure in drawn]
    values = [y for figure in drawn for trace in figure.plot.data for y in trace.y if known(y)]
    epochs = [x for figure in drawn for trace in figure.plot.data for x in trace.x if known(x)]
    if not values or "log" in axes:
        return drawn
    pad = 0.04 * max(max(values) - min(values), 0.01)
    for figure in drawn:
        figure.plot.update_yaxes(range=[min(values) - pad, max(values) + pad])
        figure.plot.update_xaxes(range=[min(epochs) - 0.3, max(epochs) + 0.3], dtick=max(1, round(max(epochs) / 8)))
    return drawn
