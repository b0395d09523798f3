"""Every pair of rows: the difference with its interval, whether it is found to differ, and how sure one can be."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from study.comparison import Comparison, Group, Row
from study.report.blocks import Facts, Note, Section, empty
from study.report.comparison.per_dataset import per_dataset
from study.report.comparison.styles import Style, style_of
from study.report.downloads import data_uri
from study.report.numbers import MISSING, percent, points
from study.report.tables import Column, Table
from study.statistics import Difference, Equivalence, conditions, given
from study.statistics.comparison import to_be_found
from study.text import p_value, sentence

MOST_WITH_INTERVALS = 14
CAPTION = (
    "Could be found: the smallest difference that 80 % of such comparisons would tell from none, with as many images, "
    "seeds and pairs."
)
COLUMNS = [
    *("a", "b", "difference", "low", "high", "p", "p_adjusted", "mcnemar_p", "probability_better"),
    *("different", "established", "covers_seeds", "could_be_found", "equal"),
]


@dataclass(frozen=True)
class Cell:
    """How far the row's accuracy is above the column's, in points."""

    text: str
    interval: str
    verdict: str


@dataclass(frozen=True)
class Matrix:
    id: str
    title: str
    caption: str
    rows: Sequence[Row]
    styles: Sequence[Style]
    cells: Sequence[Sequence[Cell | None]]
    csv: str
    template: ClassVar[str] = "matrix.html"


def section(comparison: Comparison) -> Section:
    title = "Differences in pairs"
    if not any(group.differences for group in comparison.groups):
        why = [group.not_paired for group in comparison.groups if group.not_paired]
        return empty("pairs", title, f"{'. '.join(why) or 'There are no two rows on one dataset'}.", short="Pairs")
    blocks = per_dataset(comparison, pairs)
    if len(comparison.datasets) > 1:
        blocks += [over_datasets(comparison), *equal_over_datasets(comparison)]
    return Section(
        "pairs",
        title,
        blocks,
        lead=(
            f"Paired by test image, so what is hard for both cancels. {sentence(words(comparison))} means: p below "
            "5 % after Holm’s adjustment over all pairs, with more than one seed of each. Intervals are those of the "
            f"pair alone, {given(repeats(comparison))}."
        ),
        short="Pairs",
    )


def pairs(group: Group, among: Sequence[Row], suffix: str) -> list[Any]:
    if not group.differences:
        return [Note(f"{group.not_paired or f'{group.rows[0].label} is the only row on {group.title}'}.")]
    return [matrix(group, among, suffix), table(group, suffix)]


def matrix(group: Group, among: Sequence[Row], suffix: str) -> Matrix:
    """Both triangles, so that a row reads from left to right."""
    return Matrix(
        f"pairs-matrix{suffix}",
        f"Points of accuracy that the row is above the column, on {group.title}",
        f"Bold on a tint is {conditions.different(group.repeats)}. Hollow marks are models from scratch.",
        group.rows,
        [style_of(row, among) for row in group.rows],
        [[cell(group, row, other) for other in group.rows] for row in group.rows],
        data_uri(COLUMNS, [[*names, *values(group, names)] for names in group.differences]),
    )


def cell(group: Group, row: Row, other: Row) -> Cell | None:
    if row.name == other.name:
        return None
    difference, sign = group.differences.get((row.name, other.name)), 1
    if difference is None:
        difference, sign = group.differences[other.name, row.name], -1
    ends = sorted(sign * 100 * bound for bound in difference.interval)
    interval = f"{ends[0]:.1f}, {ends[1]:.1f}".replace("-", "−") if len(group.rows) <= MOST_WITH_INTERVALS else ""
    verdict = "" if not difference.different else "better" if sign * difference.mean > 0 else "worse"
    return Cell(points(sign * difference.mean), interval, verdict)


def values(group: Group, names: tuple[str, str]) -> list[Any]:
    difference, equal = group.differences[names], group.equivalences.get(names)
    return [
        *(
            difference.mean,
            *difference.interval,
            difference.p,
            difference.p_adjusted,
            difference.mcnemar_p,
            difference.probability_better,
        ),
        *(difference.different, difference.established, difference.covers_seeds),
        *(difference.smallest, equal.equal if equal else None),
    ]


def table(group: Group, suffix: str) -> Table:
    columns = [
        Column("a", "More accurate"),
        Column("b", "Less accurate"),
        Column("difference", "Points", points, "number"),
        Column("interval", "95 % interval"),
        Column("p_adjusted", "p, adjusted", p_value, "number"),
        Column("p", "p of the pair", p_value, "number"),
        Column("mcnemar_p", "p of McNemar, one run each", p_value, "number"),
        Column("probability_better", "P(A > B) over seeds", lambda share: percent(share, 0), "number"),
        Column("verdict", "Different"),
        Column("could_be_found", "Could be found, points", found, "number"),
    ]
    if equal := next(iter(group.equivalences.values()), None):
        name = f"P(equal within {100 * equal.margin:g} points)"
        columns.append(Column("equal", name, lambda share: percent(share, 0), "number"))
    labels = {row.name: row.label for row in group.rows}
    rows = [
        {
            "a": labels[a],
            "b": labels[b],
            "difference": difference.mean,
            "interval": f"{100 * difference.interval.low:.1f} to {100 * difference.interval.high:.1f}".replace(
                "-", "−"
            ),
            "p_adjusted": difference.p_adjusted,
            "p": difference.p,
            "mcnemar_p": difference.mcnemar_p,
            "probability_better": difference.probability_better,
            "verdict": verdict(difference, group.equivalences.get((a, b))),
            "could_be_found": None if difference.different else difference.smallest,
            "equal": equal.equal if (equal := group.equivalences.get((a, b))) else None,
        }
        for (a, b), difference in group.differences.items()
    ]
    return Table(f"every-pair{suffix}", "Every pair", columns, rows, caption=CAPTION, between=[*group.differences])


def found(smallest: float | None) -> str:
    return MISSING if smallest is None else to_be_found(smallest)


def verdict(difference: Difference, equal: Equivalence | None) -> str:
    if difference.different:
        return conditions.different(difference.repeats)
    if equal and equal.verdict == "equal":
        return f"equal within {100 * equal.margin:g} points"
    return "not distinguishable" if difference.covers_seeds else "not distinguishable: one seed"


def repeats(comparison: Comparison) -> int:
    return min(group.repeats for group in comparison.groups)


def words(comparison: Comparison) -> str:
    return conditions.different(repeats(comparison))


def over_datasets(comparison: Comparison) -> Facts | Note:
    distance = comparison.critical_difference
    if distance is None:
        why = comparison.no_critical_difference or "no critical-difference diagram"
        return Note(f"{sentence(why)}.")
    ordered = sorted(distance.mean_ranks.items(), key=lambda entry: entry[1])
    return Facts(
        f"Mean ranks over {len(comparison.datasets)} datasets, 1 is best",
        [
            *((label, f"{rank:.2f}") for label, rank in ordered),
            ("apart by at least", f"{distance.distance:.2f} (Nemenyi’s critical difference at 5 %)"),
            ("p that all are equal", f"{p_value(distance.friedman_p)} (Friedman)"),
        ],
    )


def equal_over_datasets(comparison: Comparison) -> list[Table]:
    found = comparison.equal_over_datasets
    if not found:
        return []
    margin = 100 * next(iter(found.values())).margin
    columns = [
        Column("first", "First"),
        Column("second", "Second"),
        *(
            Column(name, title, lambda share: percent(share, 0), "number")
            for name, title in (
                ("worse", "P(worse)"),
                ("equal", f"P(equal within {margin:g} points)"),
                ("better", "P(better)"),
            )
        ),
        Column("verdict", "Verdict"),
    ]
    rows = [{"first": a, "second": b, **asdict(one), "verdict": one.verdict} for (a, b), one in found.items()]
    caption = "The Bayesian signed-rank test over the differences on each dataset (Benavoli et al. 2017)."
    return [Table("equal-over-datasets", "Equal over datasets", columns, rows, caption=caption)]
