"""The one screen that a study ends with, from its record."""

from typing import Any

from study.results.record import Record
from study.text import duration


def summary(record: Record) -> str:
    """The winner, its test accuracy with an interval, the paper's recipe beside it, and where everything lies."""
    study, facts, test = record.study, record.study["study"], record.study["test"]
    winner, paper, counts = study["winner"], study["paper"], study["search"]
    low, high = test["interval"]
    depths = len(study["model"]["stage_names"]) - 1
    confused = ", ".join(f"{true} as {predicted} ({n})" for true, predicted, n in test["most_confused"])
    folder = record.folder
    lines = [
        (
            "",
            f"{facts['variant']} on {facts['dataset']}: test accuracy {test['accuracy']:.2%}, 95 % interval "
            f"{low:.2%} to {high:.2%}",
        ),
        (
            "evidence",
            f"{test['n']} test images, {len(test['seeds'])} seeds, {sum(counts.values())} trials of "
            f"{facts['epochs']} epochs; macro-F1 {test['macro_f1']:.4f}",
        ),
        ("winner", f"{winner['trial_id']}  {described(winner, depths)}"),
        ("the paper's", described(paper, depths) if paper else "trial-000 failed"),
        ("validation", versus(winner, paper)),
        ("confused", f"{confused} in {len(test['seeds'])} x {test['n']} predictions" if confused else "nothing"),
        ("search", ", ".join(f"{n} {status}" for status, n in counts.items()) + spent(study["seconds"])),
        ("page", str(folder / "report.html")),
        ("model", str(folder / "best" / "model.safetensors")),
        ("search log", f"optuna-dashboard {folder / 'optuna.journal'}"),
    ]
    return "\n".join(f"  {label:<12}{text}" if label else text for label, text in lines)


def described(row: dict[str, Any], depths: int) -> str:
    return (
        f"lr {row['lr']:.1e}  weight decay {row['weight_decay']:.1e}  freeze depth {row['freeze_depth']} of {depths} "
        f"(trains {row['trained_share']:.1%} of the parameters)"
    )


def versus(winner: dict[str, Any], paper: dict[str, Any] | None) -> str:
    n = len(winner["seeds"])
    text = f"{winner['val_accuracy']:.2%} the winner (mean of {n} seeds)"
    if paper is None or paper["val_accuracy"] is None:
        return text
    if paper["trial_id"] == winner["trial_id"]:
        return text + ", which is the paper's own point"
    difference = 100 * (winner["val_accuracy"] - paper["val_accuracy"])
    return f"{text}, {paper['val_accuracy']:.2%} the paper's ({difference:+.2f} points)"


def spent(seconds: dict[str, float]) -> str:
    return "; " + ", ".join(f"{step} {duration(took)}" for step, took in seconds.items())
