"""A comparison as files: JSON with everything, CSV with a line per row, and tables for Markdown and LaTeX."""

import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from study.comparison import by_budget
from study.comparison.comparison import Comparison
from study.comparison.equality import weights
from study.comparison.floor import Floor, floor
from study.comparison.gains import Gains, gains
from study.comparison.groups import Group
from study.comparison.rows import Row, Score
from study.comparison.summary import FLOOR, RANKS, interval, percent, registration
from study.files import write_json, write_text
from study.results import corruptions
from study.results.as_csv import as_csv
from study.results.place import shown
from study.statistics import Contrast, Equivalence, ExpectedBest, conditions, given
from study.statistics.comparison import to_be_found
from study.text import joined, p_value, plural, sentence

SCORES = ("accuracy", "mean_class_accuracy", "macro_f1")
HEAD = (
    "rank",
    "letters",
    "model",
    "accuracy",
    "floor",
    "mean class accuracy",
    "macro-F1",
    "seeds",
    "trials",
    "parameters",
)
PAIRS = ("pair", "points", "95 % interval", "p (Holm)", "p (McNemar)", "P(A > B)", "different", "could be found")
EQUAL = "P(equal within {margin:g} points)"
LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--"},
}

SAID_ONCE = ("floor", "seeds", "trials")  # in LaTeX no column where all rows have the same

Table = tuple[Sequence[str], list[list[str]]]


def write(comparison: Comparison, folder: Path, command: str) -> None:
    """`comparison.json`, `.csv`, `.md` and `.tex`, each as a whole. The folder is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "comparison.json", {"format": 1, "command": command, **everything(comparison)})
    for suffix, text in (("csv", rows_as_csv), ("md", as_markdown), ("tex", as_latex)):
        write_text(folder / f"comparison.{suffix}", text(comparison))


# For machines


def everything(comparison: Comparison) -> dict[str, Any]:
    """All of it as JSON holds it."""
    distance = comparison.critical_difference
    return {
        "answer": comparison.answer,
        "questions": [asdict(question) for question in comparison.questions],
        "unequal": list(comparison.unequal),
        "notes": list(comparison.notes),
        "left_out": [{"row": name, "why": why} for name, why in comparison.left_out],
        "groups": [
            group_facts(group, found) for group, found in zip(comparison.groups, gains(comparison.groups), strict=True)
        ],
        "equal_over_datasets": [
            {"first": a, "second": b, **of_equivalence(one)} for (a, b), one in comparison.equal_over_datasets.items()
        ],
        "registered": asdict(comparison.registered) if comparison.registered else None,
        "looks": {
            title: {"studies": len(looks.studies), "others": looks.others, "runs": looks.runs}
            for title, looks in comparison.looks.items()
        },
        "critical_difference": asdict(distance) if distance else None,
        "no_critical_difference": comparison.no_critical_difference,
    }


def group_facts(group: Group, found: Sequence[Gains]) -> dict[str, Any]:
    return {
        "title": group.title,
        "given": given(group.repeats),
        "dataset": group.dataset,
        "test_images": group.n_test,
        "rows": [facts(row) | place(group, row) for row in group.rows],
        "differences": [
            {
                "better": better,
                "worse": worse,
                **of_contrast(difference),
                **of_equivalence(group.equivalences.get((better, worse))),
            }
            for (better, worse), difference in group.differences.items()
        ],
        "gains": [
            {
                "before": gain.before,
                "after": gain.after,
                "each": [{"model": name, **of_contrast(one)} for name, one in gain.each.items()],
                "more": [
                    {"first": first, "second": second, **of_contrast(one)} for (first, second), one in gain.more.items()
                ],
            }
            for gain in found
        ],
        "not_paired": group.not_paired,
    }


def place(group: Group, row: Row) -> dict[str, Any]:
    return {"rank": group.ranks.get(row.name), "letters": group.letters.get(row.name)}


def of_contrast(one: Contrast) -> dict[str, Any]:
    known = {name: value for name, value in asdict(replace(one, variance=None)).items() if name != "variance"}
    return known | {"different": one.different, "established": one.established}


def of_equivalence(one: Equivalence | None) -> dict[str, Any]:
    return {"equivalence": asdict(one) | {"verdict": one.verdict}} if one else {}


def facts(row: Row) -> dict[str, Any]:
    named = ("name", "label", "model", "family", "variant", "pretraining", "dataset", "parameters")
    return {
        **{name: getattr(row, name) for name in named},
        **{name: {"mean": score.mean, "interval": list(score.interval)} for name, score in scores(row).items()},
        "metric": row.metric,
        "seeds": list(row.seeds),
        "accuracies": list(row.accuracies),
        "n_test": row.n_test,
        "repeats": [of_repeat(one) for one in row.repeats],
        "trials": row.trials,
        "recall": row.recall,
        "seconds": row.seconds,
        "search_device_seconds": row.device_seconds,
        "expected_best": expected(row.expected_best),
        "by_budget": by_budget.as_json(row),
        "winner": row.record.study.winner,
        "weights": weights(row),
        "confidence": asdict(row.confidence) if row.confidence else None,
        "corruptions": corruptions.read(row.record.folder) or None,
        "floor": of_floor(floor(row)),
        "record": shown(row.record.folder),
    }


def of_repeat(row: Row) -> dict[str, Any]:
    """Of the studies that a row is the mean of."""
    return {
        "seed": row.config.seed,
        "split_seed": row.config.split_seed,
        "accuracy": row.accuracy.mean,
        "interval": list(row.accuracy.interval),
        "winner": row.record.study.winner,
        "record": shown(row.record.folder),
    }


def of_floor(found: Floor | None) -> dict[str, Any] | None:
    if found is None:
        return None
    above = of_contrast(found.above) if found.above else None
    return {"accuracy": found.accuracy, "interval": list(found.interval), "above": above}


def scores(row: Row) -> dict[str, Score]:
    return {name: getattr(row, name) for name in SCORES}


def expected(curve: ExpectedBest | None) -> dict[str, list[float]] | None:
    return {name: values.tolist() for name, values in vars(curve).items()} if curve else None


def rows_as_csv(comparison: Comparison) -> str:
    """A line per row; fractions, not percent."""
    bounds = [f"{name}_{end}" for name in SCORES for end in ("mean", "low", "high")]
    names = ("dataset", "rank", "letters", "name", "label", "model", "family", "variant", "pretraining")
    counted = ("floor", "n_test", "seeds", "trials", "parameters", "search_device_seconds")
    rows = []
    for group in comparison.groups:
        for row in group.rows:
            here = place(group, row) | {"dataset": group.title}
            words = [here[name] if name in here else getattr(row, name) for name in names]
            numbers = [value for score in scores(row).values() for value in (score.mean, *score.interval)]
            of = floor(row)
            counts = [
                of.accuracy if of else None,
                row.n_test,
                len(row.seeds),
                row.trials,
                row.parameters,
                row.device_seconds,
            ]
            rows.append([*words, *numbers, *counts])
    return as_csv([*names, *bounds, *counted], rows)


# For readers


def ranked(group: Group) -> Table:
    return HEAD, [
        [
            str(group.ranks.get(row.name, "–")),
            group.letters.get(row.name, "–"),
            row.label,
            interval(row.accuracy),
            percent(floor(row)),
            *(interval(score) for name, score in scores(row).items() if name != "accuracy"),
            str(len(row.seeds)),
            str(row.trials),
            "–" if row.parameters is None else f"{row.parameters:,}",
        ]
        for row in group.rows
    ]


def basis(group: Group) -> str:
    """What the numbers of a group's tables are."""
    over = f"over seeds and test images, {given(group.repeats)}"
    return f"Accuracies in percent, with 95 % intervals {over}; floor: {FLOOR}."


def pairs(group: Group) -> Table:
    """Of every two rows, the more accurate one first."""
    label = {row.name: row.label for row in group.rows}
    equal = next(iter(group.equivalences.values()), None)
    head = (*PAIRS, EQUAL.format(margin=100 * equal.margin)) if equal else PAIRS
    return head, [
        [
            f"{label[better]} – {label[worse]}",
            f"{100 * difference.mean:.2f}",
            f"[{100 * difference.interval.low:.2f}, {100 * difference.interval.high:.2f}]",
            p_value(difference.p_adjusted),
            p_value(difference.mcnemar_p),
            f"{difference.probability_better:.2f}",
            conditions.different(difference.repeats) if difference.different else "no",
            "–" if difference.different or difference.smallest is None else to_be_found(difference.smallest, 2),
            *([probability(group.equivalences.get((better, worse)))] if equal else []),
        ]
        for (better, worse), difference in group.differences.items()
    ]


def probability(equal: Equivalence | None) -> str:
    return "–" if equal is None else f"{equal.equal:.2f}"


def as_markdown(comparison: Comparison) -> str:
    blocks = [f"**Unequal:** {markdown(what)}" for what in comparison.unequal]
    blocks.append(markdown(comparison.answer))
    blocks += map(markdown, registration(comparison))
    for question in comparison.questions:
        if question.answer != comparison.answer:  # with one dataset the first is answered above
            blocks += [f"## {question.question}", markdown(question.answer)]
    for group in comparison.groups:
        blocks.append(f"## {markdown(group.title)}, {group.n_test:,} test images")
        blocks.append(f"{basis(group)} {sentence(RANKS)}.")
        blocks += [in_markdown(table) for table in (ranked(group), pairs(group)) if table[1]]
        blocks += [markdown(group.not_paired)] if group.not_paired else []
    blocks += bullets("Notes", comparison.notes)
    blocks += bullets("Left out", [f"{name}: {why}" for name, why in comparison.left_out])
    if comparison.no_critical_difference:
        blocks.append(markdown(f"{comparison.no_critical_difference}."))
    return "\n\n".join(blocks) + "\n"


def bullets(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "\n".join(f"- {markdown(line)}" for line in lines)] if lines else []


def in_markdown(table: Table) -> str:
    head, rows = table
    return "\n".join(
        "| " + " | ".join(map(markdown, cells)) + " |" if cells else "|" + "---|" * len(head)
        for cells in (head, (), *rows)
    )


def markdown(text: str) -> str:
    """As text: what Markdown or HTML would take for a mark is escaped."""
    return re.sub(r"([\\`*_|<>])", r"\\\1", text)


def as_latex(comparison: Comparison) -> str:
    """A table per dataset; `\\input` it where booktabs and graphicx are loaded."""
    comments = [f"% unequal: {what}" for what in comparison.unequal]
    comments += [f"% left out: {name}: {why}" for name, why in comparison.left_out]
    comments.append(r"% needs \usepackage{booktabs} and \usepackage{graphicx}")
    tables = [in_latex(group) for group in comparison.groups]
    return "\n".join([" ".join(comment.split()) for comment in comments] + tables) + "\n"


def in_latex(group: Group) -> str:
    """As wide as its columns are; one that is wider than a line, for long names, is made smaller."""
    head, rows = narrow(group)
    on = basis(group) if "floor" in head else basis(group).replace(f"; floor: {FLOOR}", "")
    caption = latex(f"{group.title}, {group.n_test:,} test images. {on} {same_for_all(group)}{sentence(RANKS)}.")
    label = re.sub(r"[^A-Za-z0-9]+", "-", group.title).strip("-").lower()
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{caption}}}",
            rf"  \label{{tab:{label}}}",
            r"  \smallskip",
            r"  \footnotesize",
            r"  \setlength{\tabcolsep}{4pt}",
            rf"  \sbox0{{\begin{{tabular}}{{ll{'r' * (len(head) - 2)}}}",
            r"  \toprule",
            latex_line(head),
            r"  \midrule",
            *map(latex_line, rows),
            r"  \bottomrule",
            r"  \end{tabular}}",
            r"  \ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi",
            r"\end{table}",
        ]
    )


def narrow(group: Group) -> Table:
    """The ranked table with what a column of a paper has room for: one interval, and no column that says the same of
    every row."""
    columns: list[tuple[str, list[str]]] = [
        ("", [" ".join([str(group.ranks.get(row.name, "–")), group.letters.get(row.name, "")]) for row in group.rows]),
        ("model", [row.label for row in group.rows]),
        ("accuracy", [rounded(row.accuracy) for row in group.rows]),
        ("floor", [percent(floor(row)) for row in group.rows]),
        ("class mean", [f"{100 * row.mean_class_accuracy.mean:.1f}" for row in group.rows]),
        ("macro-F1", [f"{100 * row.macro_f1.mean:.1f}" for row in group.rows]),
        ("params (M)", ["–" if row.parameters is None else f"{row.parameters / 1e6:.3g}" for row in group.rows]),
        ("seeds", [str(len(row.seeds)) for row in group.rows]),
        ("trials", [str(row.trials) for row in group.rows]),
    ]
    shown = [(name, cells) for name, cells in columns if name not in SAID_ONCE or len(set(cells)) > 1]
    return [name for name, _ in shown], [list(cells) for cells in zip(*(cells for _, cells in shown), strict=True)]


def rounded(score: Score) -> str:
    low, high = score.interval
    return f"{100 * score.mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def same_for_all(group: Group) -> str:
    """Of seeds and trials, what is no column."""
    numbers = {"seed": {len(row.seeds) for row in group.rows}, "trial": {row.trials for row in group.rows}}
    said = [plural(next(iter(found)), noun) for noun, found in numbers.items() if len(found) == 1]
    return f"{sentence(joined(said))} of every row. " if said else ""


def latex_line(cells: Sequence[str]) -> str:
    return "  " + " & ".join(map(latex, cells)) + r" \\"


def latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)
