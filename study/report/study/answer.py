"""The first screen: what was asked, what came out, what it cost, and what the paper's recipe gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import ClassVar

from study.report.blocks import Section
from study.report.numbers import duration, known, percent, points, short
from study.report.study import record_view
from study.results.record import Record, Row
from study.text import plural

STATUS = {
    "running": "This study is still running: what follows is what there is so far.",
    "interrupted": "This study was interrupted: what follows is what it had finished.",
}


@dataclass(frozen=True)
class Interval:
    """Accuracies and their interval on a scale; positions in percent of its width."""

    low: float
    high: float
    start: float
    end: float
    accuracies: Sequence[float]

    def at(self, accuracy: float) -> str:
        return f"{100 * (accuracy - self.start) / (self.end - self.start):.2f}"

    @property
    def width(self) -> str:
        return f"{100 * (self.high - self.low) / (self.end - self.start):.2f}"


@dataclass(frozen=True)
class Answer:
    """Attributes:
    facts: (name, value) beside the number.
    rows: (name, of the best, of the paper's recipe).
    """

    number: str
    label: str
    basis: str
    interval: Interval | None
    facts: Sequence[tuple[str, str]]
    contenders: Sequence[tuple[str, str]]
    rows: Sequence[tuple[str, Sequence[str]]]
    verdict: str
    template: ClassVar[str] = "answer.html"


@dataclass(frozen=True)
class FirstScreen(Section):
    kicker: str = ""
    status: str = ""


def section(record: Record) -> Section:
    study = record_view.config(record)
    return FirstScreen(
        "answer",
        question(study),
        [answer(record)],
        lead=subtitle(study, record),
        template="first_screen.html",
        kicker=f"Study {study.get('name', record.folder.name)}",
        status=""
        if record_view.finished(record)
        else STATUS.get(record.study.get("status", ""), "Nothing has run yet."),
    )


def question(study: Row) -> str:
    if not study:
        return "A study that has not started"
    pretraining = study.get("pretraining")
    start = "from random weights" if pretraining in (None, "none") else f"pretrained on {pretraining}"
    return f"How well does {study.get('model')}, {start}, classify {study.get('dataset')}?"


def subtitle(study: Row, record: Record) -> str:
    parts = [f"Variant {study['variant']}"] if study.get("variant") else []
    parts += [f"{study['scale']} scale"] if study.get("scale") else []
    parameters = record.study.get("model", {}).get("parameters")
    parts += [f"{parameters:,} parameters"] if parameters else []
    classes = record_view.class_names(record)
    parts += [f"{len(classes)} classes"] if classes else []
    return ", ".join(parts)


def answer(record: Record) -> Answer:
    test = record.study.get("test")
    best, paper = record_view.best(record), record_view.paper(record)
    if test:
        low, high = test["interval"]
        number, label = percent(test["accuracy"]), "test accuracy"
        basis = (
            f"95 % interval {percent(low)} to {percent(high)}, "
            f"mean of {plural(len(test['accuracies']), 'seed')} on {plural(test['n'], 'test image')}"
        )
    elif best:
        number, label = percent(best["val_accuracy"]), "validation accuracy, not a test result"
        tested = any(run["phase"] == "test" for run in record.runs)
        state = "the test is not complete" if tested else "the test set has not been looked at"
        basis = f"of {best['trial_id']}, the {record_view.best_name(record)}; {state}"
    else:
        number, label, basis = "", "No result yet", "No trial has completed."
    sides = [(record_view.best_name(record).capitalize(), best), ("Paper’s recipe", paper)] if best else []
    sides = [(name, side) for name, side in sides if side]
    return Answer(
        number,
        label,
        basis,
        interval(test) if test else None,
        facts(record),
        [(name, side["trial_id"]) for name, side in sides if side],
        comparison(record, [side for _, side in sides if side]),
        verdict(best, paper),
    )


def interval(test: Row) -> Interval:
    low, high = test["interval"]
    ends = [low, high, *test["accuracies"]]
    start, end = floor(20 * min(ends) - 0.2) / 20, ceil(20 * max(ends) + 0.2) / 20
    return Interval(low, high, max(start, 0.0), min(end, 1.0), test["accuracies"])


def facts(record: Record) -> list[tuple[str, str]]:
    study, search = record_view.config(record), record.study.get("search")
    rows = []
    if "trials" in study:
        rows.append(("Budget", f"{plural(study['trials'], 'trial')} of up to {plural(study['epochs'], 'epoch')}"))
    counts = search or {s: sum(t["status"] == s for t in record.trials) for s in ("completed", "pruned", "failed")}
    rows.append(("Trials", ", ".join(f"{n} {status}" for status, n in counts.items() if n) or "none yet"))
    if record.study.get("replicates"):
        seeds = max(len(r["val_accuracies"]) for r in record.study["replicates"])
        recipes = plural(len(record.study["replicates"]), "recipe")
        rows.append(("Replicated", f"{recipes} over {plural(seeds, 'seed')}"))
    if record.study.get("test"):
        test = record.study["test"]
        rows.append(("Macro F1", percent(test["macro_f1"])))
        rows.append(("Mean class accuracy", percent(test["mean_class_accuracy"])))
    seconds = record.study.get("seconds") or {}
    if seconds:
        rows.append(("Wall-clock time", duration(sum(seconds.values()))))
    return rows


def comparison(record: Record, sides: Sequence[Row]) -> list[tuple[str, Sequence[str]]]:
    """The hyperparameters and validation accuracy of the best and of the paper's recipe."""
    if not sides:
        return []
    return [
        ("Learning rate", [short(side["lr"]) for side in sides]),
        ("Weight decay", [short(side["weight_decay"]) for side in sides]),
        ("Frozen stages", [record_view.depth(side["freeze_depth"], record) for side in sides]),
        ("Trained share", [percent(side.get("trained_share")) for side in sides]),
        ("Validation accuracy", [percent(side["val_accuracy"]) for side in sides]),
        ("Seeds", [str(len(side.get("val_accuracies", [0]))) for side in sides]),
    ]


def verdict(best: Row | None, paper: Row | None) -> str:
    """What the search gained over the paper's recipe, on validation."""
    if best is None or paper is None or not known(paper["val_accuracy"]):
        return ""
    if best["trial_id"] == paper["trial_id"]:
        return "The paper’s recipe is the best point of this search."
    difference = points(best["val_accuracy"] - paper["val_accuracy"])
    pairs = list(zip(best.get("val_accuracies", ()), paper.get("val_accuracies", ()), strict=False))
    if len(pairs) < 2:
        return f"{difference} points on validation over the paper’s recipe, from one seed each."
    by_seed = sorted(a - b for a, b in pairs)
    return (
        f"{difference} points on validation over the paper’s recipe, mean of {len(pairs)} seeds "
        f"({points(by_seed[0])} to {points(by_seed[-1])} by seed). The winner was chosen on these images, "
        "which flatters it here, but not on the test set."
    )
