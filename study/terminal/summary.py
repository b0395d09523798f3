"""The one screen that a study ends with, from its record."""

from collections.abc import Sequence

from study.design.states import RunStatus
from study.results import place
from study.results.left_out import sentence
from study.results.point import (
    backbone_stages,
    format_point,
    metric,
    of_test,
    score,
    shown,
    start_is_the_papers,
    start_words,
)
from study.results.record import Record, Row
from study.results.study_file import Gain, StudyFile, TestResult
from study.statistics import given
from study.text import duration, plural
from trainables.metrics import Metric


def summary(record: Record) -> str:
    """The winner, its test accuracy with an interval, the starting point beside it, and where everything lies."""
    study, facts, test = record.study, record.configuration, record.test
    winner, paper, counts, by = record.winner, study.paper, study.search, metric(record)
    low, high = test.interval
    confused = ", ".join(f"{true} as {predicted} ({n})" for true, predicted, n in test.most_confused)
    folder = record.folder
    lines = [
        (
            "",
            f"{facts.variant} on {facts.dataset}: test accuracy {test.accuracy:.2%}, 95 % interval "
            f"{low:.2%} to {high:.2%} {given(1)}{other_metric(test, by)}",
        ),
        (
            "evidence",
            f"{plural(test.n, 'test image')}, {plural(len(test.seeds), 'seed')}, "
            f"{plural(sum(counts.values()), 'trial')} of {plural(facts.epochs, 'epoch')}; "
            f"macro-F1 {test.macro_f1:.2%}",
        ),
        ("winner", f"{winner['trial_id']}  {described(winner, record)}"),
        ("the paper's" if start_is_the_papers(record) else "the start", of_start(record)),
        ("validation", versus(winner, paper, by)),
        *([("gain", gained(study.gain))] if study.gain else []),
        ("confused", f"{confused} in {len(test.seeds)} x {test.n} predictions" if confused else "nothing"),
        ("search", f"{joined_counts(study)}{candidates(study)}{spent(study.seconds)}"),
        *([("budget", of_time)] if (of_time := sentence(record)) else []),
        ("page", place.shown(folder / "report.html")),
        ("model", place.shown(folder / "best" / "model.safetensors")),
        ("search log", f"optuna-dashboard {folder / 'optuna.journal'}"),
    ]
    return "\n".join(f"  {label:<12}{text}" if label else text for label, text in lines)


def of_a_search(record: Record) -> str:
    """What a search has found, where the study ends with it."""
    facts, by = record.configuration, metric(record)
    best = max(record.trials, key=lambda row: by.merit(by.of(row)))
    return (
        f"  {'':<12}{facts.variant} on {facts.dataset}: best on validation is {best['trial_id']}, "
        f"{by.words} {by.show(by.of(best))}; nothing is tested\n"
        f"  {'page':<12}{place.shown(record.folder / 'report.html')}"
    )


def of_repeats(records: Sequence[Record], accuracy: float, interval: tuple[float, float]) -> str:
    """Repeats of one study: their mean, and a line for each."""
    facts, (low, high) = records[0].configuration, interval
    lines = [
        f"  {'':<12}{facts.variant} on {facts.dataset}: test accuracy {accuracy:.2%}, 95 % interval {low:.2%} to "
        f"{high:.2%}, over {len(records)} repeats of search, split and draw"
    ]
    for record in records:
        test, one = record.test, record.configuration
        below, above = test.interval
        lines.append(
            f"  {f'seed {one.seed}':<12}{test.accuracy:.2%} ({below:.2%} to {above:.2%} given its search, split and "
            f"draw), winner {record.winner['trial_id']}: {place.shown(record.folder / 'report.html')}"
        )
    return "\n".join(lines)


def other_metric(test: TestResult, by: Metric) -> str:
    """The test's value of what the winner was chosen by, where that is not accuracy."""
    value = None if by is Metric.ACCURACY else of_test(test, by)
    return "" if value is None else f"; test {by.words} {by.show(value)}"


def described(row: Row, record: Record) -> str:
    point = format_point(row, shown(record), backbone_stages(record))
    return f"{point} (trains {row['trained_share']:.1%} of the parameters)"


def of_start(record: Record) -> str:
    """The point that the search starts from, and what of it is ours."""
    start = record.study.paper
    if start is None:
        failed = any(row["trial_id"] == "trial-000" and row["status"] == RunStatus.FAILED for row in record.trials)
        return "trial-000 failed" if failed else "trial-000 was not replicated"
    words = start_words(record).partition(" (")[2].removesuffix(")")
    return f"{described(start, record)}{'; ' * bool(words)}{words}"


def gained(gain: Gain) -> str:
    """What the search gains on images that chose nothing; it may be less than nothing."""
    low, high = (100 * end for end in gain.interval)
    return (
        f"{100 * gain.gain:+.2f} points [{low:.2f}, {high:.2f}] over the start on the test images, "
        f"{given(1)}; the start reaches {gain.accuracy:.2%}"
    )


def versus(winner: Row, paper: Row | None, by: Metric) -> str:
    """What the winner and the starting point reach on validation."""
    of_winner = score(winner, by)
    text = f"{by.words} {by.show(of_winner)} the winner (mean of {plural(len(winner['seeds']), 'seed')})"
    if paper is None or of_winner is None or (of_paper := score(paper, by)) is None:
        return text
    if paper["trial_id"] == winner["trial_id"]:
        return text + ", which is the starting point"
    difference = of_winner - of_paper
    apart = f"{difference:+.4f}" if by is Metric.LOSS else f"{100 * difference:+.2f} points"
    return f"{text}, {by.show(of_paper)} the start ({apart})"


def joined_counts(study: StudyFile) -> str:
    return ", ".join(f"{n} {status}" for status, n in study.search.items())


def candidates(study: StudyFile) -> str:
    """How many trials the replicated ones were chosen from."""
    if study.candidates is None:
        return ""
    return f"; {len(study.replicates)} replicated of {plural(study.candidates, 'candidate')}"


def spent(seconds: dict[str, float]) -> str:
    return "; " + ", ".join(f"{step} {duration(took)}" for step, took in seconds.items())
