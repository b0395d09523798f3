"""The screen that a comparison ends with: the answer, what is unequal, the ranked rows, what is left out."""

from collections.abc import Sequence
from pathlib import Path

from study.comparison.comparison import Comparison
from study.comparison.floor import Floor, floor
from study.comparison.groups import Group
from study.comparison.rows import Row, Score
from study.results import place
from study.statistics import given
from study.text import duration

MOST_ROWS = 20  # on one screen
FEWEST_ROWS = 5  # of a dataset
FLOOR = "ridge regression on the frozen features"
RANKS = "rank: 1 + the rows found to be better; rows that share a letter are not distinguishable"


def summary(comparison: Comparison, folder: Path) -> str:
    blocks = [
        "\n".join(f"UNEQUAL: {what}" for what in comparison.unequal),
        comparison.answer,
        "\n".join(registration(comparison)),
        *tables(comparison.groups),
        "\n".join(f"note: {note}" for note in comparison.notes),
        "\n".join(f"left out: {name}: {why}" for name, why in comparison.left_out),
    ]
    if comparison.rows:
        places = {
            "page": place.shown(folder / "report.html"),
            "tables": f"{place.shown(folder / 'comparison.csv')}, .md, .tex",
            "everything": place.shown(folder / "comparison.json"),
        }
        blocks.append("\n".join(f"  {what:<12}{where}" for what, where in places.items()))
    return "\n\n".join(block for block in blocks if block)


def registration(comparison: Comparison) -> list[str]:
    found = comparison.registered
    return [line for line in (str(found), found.primary and f"{found.primary}.") if line] if found else []


def tables(groups: Sequence[Group]) -> list[str]:
    """A table per group, with as many rows of each as fit on a screen."""
    shown = groups[: MOST_ROWS // FEWEST_ROWS]
    most = max(FEWEST_ROWS, MOST_ROWS // max(len(groups), 1))
    more = len(groups) - len(shown)
    return [ranked(group, most) for group in shown] + ([f"and {more} more datasets or test sets"] if more else [])


def ranked(group: Group, most: int) -> str:
    """The best rows of a group, each with its rank and the letters of the rows that it is not told apart from."""
    shown = group.rows[:most]
    width = max(len(row.label) for row in shown)
    ranks = [place_of(group, row) for row in shown]
    wide = max(4, *map(len, ranks))
    lines = [
        f"on {group.title}, {group.n_test} test images; 95 % intervals {given(group.repeats)}",
        f"  {'rank':<{wide}}  {'':<{width}}  {'accuracy':<22}  {'floor':>5}  {'macro-F1':<22}  {'seeds':>5}  "
        f"{'trials':>6}  search",
        *(f"  {rank:<{wide}}  {line(row, width)}" for rank, row in zip(ranks, shown, strict=True)),
    ]
    if len(group.rows) > len(shown):
        lines.append(f"  and {len(group.rows) - len(shown)} more")
    if group.ranks and len(group.rows) > 1:
        lines.append(f"  {RANKS}")
    if any(floor(row) for row in shown):
        lines.append(f"  floor: {FLOOR}, which a searched head should exceed")
    return "\n".join(lines)


def place_of(group: Group, row: Row) -> str:
    return f"{group.ranks[row.name]} {group.letters[row.name]}" if group.ranks else "–"


def line(row: Row, width: int) -> str:
    return (
        f"{row.label:<{width}}  {interval(row.accuracy):<22}  "
        f"{percent(floor(row)):>5}  {interval(row.macro_f1):<22}  {len(row.seeds):>5}  {row.trials:>6}  "
        f"{duration(row.device_seconds)}"
    )


def percent(of: Floor | None) -> str:
    return "–" if of is None else f"{100 * of.accuracy:.2f}"


def interval(score: Score) -> str:
    """In percent: `97.6 [95.5, 98.7]`"""
    low, high = score.interval
    return f"{100 * score.mean:.2f} [{100 * low:.2f}, {100 * high:.2f}]"
