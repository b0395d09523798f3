"""What the commands give back in Python: frozen, typed, and printed as the command prints it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from trainables.hyperparameters import DECLARED, Value

if TYPE_CHECKING:
    from study.baselines.probe import Probed
    from study.comparison import Comparison
    from study.results.record import Record
    from study.results.selection import Selection


@dataclass(frozen=True)
class StudyResult:
    """A finished study.

    Attributes:
        folder: where its record lies.
        winner: every hyperparameter of the point that won on validation.
        accuracy: on the test images, the mean over seeds.
        interval: of it, 95 %, over seeds and images.
        accuracies: of each seed.
        record: all the rest: trials, runs, curves, predictions.
        repeats: of the whole procedure, where there are several: then accuracy, interval and accuracies are of all of
            them, and the others those of the first.
    """

    folder: Path
    winner: Mapping[str, Value]
    accuracy: float
    interval: tuple[float, float]
    accuracies: tuple[float, ...]
    record: "Record" = field(repr=False, compare=False)
    repeats: "tuple[StudyResult, ...]" = ()

    @classmethod
    def together(cls, repeats: "Sequence[StudyResult]") -> "StudyResult":
        """Repeats of one study as one result."""
        from study.comparison import repeats as rows
        from study.comparison.rows import read

        row = rows.together([read(one.folder) for one in repeats])
        return replace(
            repeats[0],
            accuracy=row.accuracy.mean,
            interval=(row.accuracy.interval.low, row.accuracy.interval.high),
            accuracies=row.accuracies,
            repeats=tuple(repeats),
        )

    @classmethod
    def of(cls, record: "Record") -> Self:
        test = record.test
        winner = {name: record.winner[name] for name in DECLARED if name in record.winner}
        return cls(record.folder, winner, test.accuracy, test.interval, test.accuracies, record)

    def __str__(self) -> str:
        from study.terminal.summary import of_repeats, summary

        if not self.repeats:
            return summary(self.record)
        return of_repeats([one.record for one in self.repeats], self.accuracy, self.interval)


@dataclass(frozen=True)
class SearchResult(StudyResult):
    """A study that has ended after its search: nothing is tested, so the accuracies are nan.

    `winner` is the best point on validation, of one run each; going on replicates the best ones, and chooses anew.
    """

    @classmethod
    def of(cls, record: "Record") -> Self:
        from study.results.point import metric

        by = metric(record)
        best = max(record.trials, key=lambda row: by.merit(by.of(row)))
        point = {name: best[name] for name in DECLARED if best.get(name) is not None}
        return cls(record.folder, point, nan, (nan, nan), (), record)

    def __str__(self) -> str:
        from study.terminal.summary import of_a_search

        return of_a_search(self.record)


@dataclass(frozen=True)
class ComparisonResult:
    """Several studies, compared.

    Attributes:
        folder: where the page and the tables lie, if there is something to compare.
        comparison: the rows, the answers and how sure they are.
        failed: why rows failed, by the name of their studies.
        data_efficiency: what `study.data_efficiency` would have exited with; 0 where it was not asked for.
    """

    folder: Path
    comparison: "Comparison" = field(repr=False)
    failed: Mapping[str, str]
    data_efficiency: int = 0

    @property
    def answer(self) -> str:
        """Who is better, and how surely, in a sentence or two."""
        return self.comparison.answer

    def __str__(self) -> str:
        from study.comparison.summary import summary

        return summary(self.comparison, self.folder)


@dataclass(frozen=True)
class ProbeResult:
    """Linear probes of some models.

    Attributes:
        models: of each its row, as `probe.json` holds it, and its predictions.
        folder: where they were written, None for nowhere.
    """

    models: "tuple[Probed, ...]" = field(repr=False)
    folder: Path | None

    @property
    def accuracies(self) -> dict[str, float]:
        """On the test images, by variant."""
        return {probed.row["variant"]: probed.row["accuracy"] for probed in self.models}

    def rows(self) -> list[dict[str, Any]]:
        return [dict(probed.row) for probed in self.models]

    def __str__(self) -> str:
        from study.baselines.probe import format_probe

        return "\n".join(format_probe(probed.row) for probed in self.models)


@dataclass(frozen=True)
class SelectResult:
    """A race of backbones.

    Attributes:
        selection: its record: facts, and a row for each candidate, the best first.
        folder: where that and the page lie.
    """

    selection: "Selection" = field(repr=False)
    folder: Path

    @property
    def chosen(self) -> str:
        return str(self.selection.facts["chosen"])

    @property
    def kept(self) -> tuple[str, ...]:
        """Those that cannot be told from the chosen one, itself included, as many as were to be kept."""
        return tuple(self.selection.facts["kept"])

    def __str__(self) -> str:
        from study.terminal.selection import summary

        return summary(self.selection, self.folder)
