"""All of a comparison, from the folders of its studies."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from study.comparison import answers, equality, floor, repeats, stability
from study.comparison.answers import Question
from study.comparison.groups import Group, grouped, together
from study.comparison.registration import Registered, Registration, registered
from study.comparison.rows import Row, read
from study.results import corruptions, ledger
from study.results.ledger import Looks
from study.results.place import shown
from study.statistics import CriticalDifference, Equivalence, critical_difference, signed_rank
from study.statistics.datasets import FEWEST
from study.text import plural


@dataclass(frozen=True)
class Comparison:
    """Attributes:
    rows: of all groups, in their order.
    groups: rows that answered the same test images, the most accurate first.
    answer: which row is the most accurate, in two sentences.
    questions: what else a reader asks, with the evidence for every dataset.
    unequal: what differs between rows and should not; empty where the comparison is fair.
    notes: what may differ, but should be known.
    left_out: rows that are not here, each with the reason.
    equal_over_datasets: by two labels, whether they are equal within the margin over five datasets or more.
    looks: by the title of a group, how often its test images were looked at on this machine.
    registered: what became of a registration; None where there is none.
    critical_difference: over datasets; None where `no_critical_difference` says why.
    """

    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    answer: str
    questions: tuple[Question, ...]
    unequal: tuple[str, ...]
    notes: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    equal_over_datasets: dict[tuple[str, str], Equivalence]
    looks: dict[str, Looks]
    registered: Registered | None
    critical_difference: CriticalDifference | None
    no_critical_difference: str | None

    @property
    def datasets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(group.dataset for group in self.groups))


def compare(
    folders: Iterable[Path],
    left_out: Sequence[tuple[str, str]] = (),
    *,
    margin: float | None = None,
    registration: Registration | None = None,
) -> Comparison:
    """The comparison of the finished studies in these folders; of the others, why they are left out.

    Args:
        left_out: rows that never were a folder, each with the reason.
        margin: within which two accuracies count as equal, a fraction; None where that is not asked.
        registration: what was registered before anything ran; None for none.
    """
    rows_read: list[Row] = []
    not_here = list(left_out)
    for folder in {path.resolve(): path for path in folders}.values():
        try:
            row = read(folder)
            floor.floor(row)  # these may be damaged, too
            corruptions.read(folder)
            rows_read.append(row)
        except (ValueError, OSError) as reason:
            not_here.append((folder.name, " ".join(str(reason).split())))
    groups = together(grouped(named_apart(repeats.merged(rows_read))), margin)
    rows = tuple(row for group in groups for row in group.rows)
    distance, why_not = over_datasets(groups)
    return Comparison(
        rows=rows,
        groups=groups,
        answer=answers.answer(groups) if groups else "No study is finished: there is nothing to compare.",
        questions=answers.questions(groups),
        equal_over_datasets=equal_over_datasets(groups, margin),
        unequal=tuple(equality.unequal(rows)),
        notes=(
            *equality.notes(rows),
            *looked(groups),
            *floor.notes(rows),
            *stability.notes(groups),
            *repeats.notes(rows),
        ),
        left_out=tuple(not_here),
        looks={group.title: ledger.looks(group.rows[0].test_set) for group in groups},
        registered=registered(registration, groups, None if margin is None else round(100 * margin, 9))
        if registration
        else None,
        critical_difference=distance,
        no_critical_difference=why_not,
    )


def looked(groups: Sequence[Group]) -> Iterator[str]:
    """Of test images that more studies were tested on here than are compared."""
    for group in groups:
        here = {(one.config.name, one.record.study.started or "") for row in group.rows for one in repeats.each(row)}
        studies = ledger.looks(group.rows[0].test_set).studies
        if more := studies - here:
            yield (
                f"{group.title}: its test images were looked at by {plural(len(studies | here), 'study')} on this "
                f"machine, of which {len(more)} are not in this comparison: what was chosen by them is not told by an "
                "interval"
            )


def named_apart(rows: Sequence[Row]) -> list[Row]:
    """Rows whose names occur twice are called by their folders."""
    names = [row.name for row in rows]
    return [replace(row, name=shown(row.record.folder)) if names.count(row.name) > 1 else row for row in rows]


def over_datasets(groups: Sequence[Group]) -> tuple[CriticalDifference | None, str | None]:
    """Of the models that have a row on every dataset."""
    tables = {group.dataset: {row.label: row.accuracy.mean for row in group.rows} for group in groups}
    if len(tables) < len(groups):
        return None, "no critical-difference diagram: rows on one dataset have several test sets"
    in_all = [label for label in next(iter(tables.values()), {}) if all(label in table for table in tables.values())]
    if not in_all:
        return None, "no critical-difference diagram: no model has a row on every dataset"
    try:
        accuracy = {label: np.array([table[label] for table in tables.values()]) for label in in_all}
        return critical_difference(accuracy), None
    except ValueError as reason:
        return None, str(reason)


def equal_over_datasets(groups: Sequence[Group], margin: float | None) -> dict[tuple[str, str], Equivalence]:
    """Of the models that have a row on every dataset, of five datasets or more, where a margin is given."""
    tables = {group.dataset: {row.label: row.accuracy.mean for row in group.rows} for group in groups}
    if margin is None or not FEWEST <= len(tables) == len(groups):
        return {}
    in_all = [label for label in next(iter(tables.values())) if all(label in table for table in tables.values())]
    return {
        (a, b): signed_rank([table[a] - table[b] for table in tables.values()], margin)
        for a, b in combinations(in_all, 2)
    }
