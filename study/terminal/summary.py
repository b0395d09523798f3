"""The one screen that a study ends with, from its record."""

from typing import Any

from study.results.point import backbone_stages, format_point, metric, score, shown
from study.results.record import Record
from study.text import duration, plural
from trainables.metrics import Metric


def summary(record: Record) -> str:
    """The winner, its test accuracy with an interval, the paper's recipe beside it, and where everything lies."""
    study, facts, test = record.study, record.study["study"], record.study["test"]
    winner, paper, counts, by = study["winner"], study["paper"], study["search"], metric(record)
    low, high = test["interval"]
    confused = ", ".join(f"{true} as {predicted} ({n})" for true, predicted, n in test["most_confused"])
    folder = record.folder
    lines = [
        (
            "",
            f"{facts['variant']} on {facts['dataset']}: test accuracy {test['accuracy']:.2%}, 95 % interval "
            f"{low:.2%} to {high:.2%}{other_metric(test, by)}",
        ),
        (
            "evidence",
            f"{plural(test['n'], 'test image')}, {plural(len(test['seeds']), 'seed')}, "
            f"{plural(sum(counts.values()), 'trial')} of {plural(facts['epochs'], 'epoch')}; "
            f"macro-F1 {test['macro_f1']:.2%}",
        ),
        ("winner", f"{winner['trial_id']}  {described(winner, record)}"),
        ("the paper's", described(paper, record) if paper else "trial-000 failed"),
        ("validation", versus(winner, paper, by)),
        ("confused", f"{confused} in {len(test['seeds'])} x {test['n']} predictions" if confused else "nothing"),
        ("search", ", ".join(f"{n} {status}" for status, n in counts.items()) + spent(study["seconds"])),
        ("page", str(folder / "report.html")),
        ("model", str(folder / "best" / "model.safetensors")),
        ("search log", f"optuna-dashboard {folder / 'optuna.journal'}"),
    ]
    return "\n".join(f"  {label:<12}{text}" if label else text for label, text in lines)


def other_metric(test: dict[str, Any], by: Metric) -> str:
    """The test's value of what the winner was chosen by, where that is not accuracy."""
    if by is Metric.ACCURACY or test.get(by) is None:
        return ""
    return f"; test {by.words} {by.show(test[by])}"


def described(row: dict[str, Any], record: Record) -> str:
    point = format_point(row, shown(record), backbone_stages(record))
    return f"{point} (trains {row['trained_share']:.1%} of the parameters)"


def versus(winner: dict[str, Any], paper: dict[str, Any] | None, by: Metric) -> str:
    """What the winner and the paper's recipe reach on validation."""
    of_winner = score(winner, by)
    text = f"{by.words} {by.show(of_winner)} the winner (mean of {plural(len(winner['seeds']), 'seed')})"
    if paper is None or of_winner is None or (of_paper := score(paper, by)) is None:
        return text
    if paper["trial_id"] == winner["trial_id"]:
        return text + ", which is the paper's own point"
    difference = of_winner - of_paper
    apart = f"{difference:+.4f}" if by is Metric.LOSS else f"{100 * difference:+.2f} points"
    return f"{text}, {by.show(of_paper)} the paper's ({apart})"


def spent(seconds: dict[str, float]) -> str:
    return "; " + ", ".join(f"{step} {duration(took)}" for step, took in seconds.items())
