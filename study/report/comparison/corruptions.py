"""How robust the rows are: accuracy on corrupted test images, where it was measured."""

from collections.abc import Sequence
from statistics import fmean

from study.comparison import Group, Row
from study.report.comparison.styles import style_of
from study.report.numbers import percent
from study.report.tables import Column, Table
from study.results import corruptions
from study.results.corruptions import CLEAN
from study.text import sentence

TITLES = {"jpeg": "JPEG", "pixelate": "Coarse pixels"}
CAPTION = (
    "Of one model of each row, that of the first seed: the test images as they are, and the mean over three severities "
    "of each corruption. Given this search, split, draw and seed; no interval counts the seeds here."
)


def tables(group: Group, among: Sequence[Row], suffix: str) -> list[Table]:
    """A row each, of those for which it was measured; none where it was for none."""
    found = {row.name: corruptions.read(row.record.folder) for row in group.rows}
    rows = [row for row in group.rows if found[row.name]]
    names = list(dict.fromkeys(name for row in rows for name in found[row.name] if name != CLEAN))
    if not rows:
        return []
    lines = []
    for row in rows:
        means = {name: mean(found[row.name].get(name)) for name in (CLEAN, *names)}
        known = [value for name in names if (value := means[name]) is not None]
        lines.append({"label": row.label, **means, "mean": fmean(known) if known else None})
    columns = [
        Column("label", "Model"),
        Column(CLEAN, "As they are", percent, "share"),
        *(Column(name, TITLES.get(name, sentence(name)), percent, "number") for name in names),
        Column("mean", "Mean of these", percent, "share"),
    ]
    styles = [style_of(row, among) for row in rows]
    return [Table(f"corruptions{suffix}", "On corrupted images", columns, lines, caption=CAPTION, styles=styles)]


def mean(values: dict[int, float] | None) -> float | None:
    return fmean(values.values()) if values else None
