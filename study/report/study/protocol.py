"""Why the answer can be believed, and how to get it again."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from study.report.blocks import Code, Facts, Section
from study.report.numbers import count, duration, percent
from study.report.study import record_view
from study.report.tables import Column, Table
from study.results import left_out
from study.results.record import Record, Row
from study.results.study_file import Data, StudyFile, plain

STEPS = (
    "Search on train, judged on validation; the best recipes and the starting point again over seeds; the winner, "
    "trained on train + validation, looks at the test set once per seed."
)
SHOWN_ELSEWHERE = ("name", "fixed", "recipe", "preprocessing")


def section(record: Record) -> Section:
    study = record.study
    blocks: list[Code | Facts | Table] = [
        Code("Command", study.command or ""),
        Facts("Data and splits", data(study.data)),
        space_table("space", "Search space", space(record), shape="half"),
        Facts("Recipe", entries(study.configuration and study.configuration.recipe)),
        Facts("Preprocessing", entries(plain(study.preprocessing))),
        Facts("Model", entries(plain(study.model))),
        Facts("Configuration", configuration(record)),
        Facts("Runs after the search", runs(study)),
        Facts("Time", time(record)),
        Facts("Hardware", entries(study.hardware)),
        Facts("Versions", entries(study.versions)),
    ]
    return Section("protocol", "Protocol and reproduction", [b for b in blocks if has_content(b)], lead=STEPS)


def has_content(block: Code | Facts | Table) -> bool:
    return bool(block.text if isinstance(block, Code) else block.entries if isinstance(block, Facts) else block.rows)


def data(data: Data | None) -> list[tuple[str, str]]:
    if data is None:
        return []
    total = sum(data.sizes.values())
    return [
        ("dataset", data.name),
        ("classes", count(len(data.classes))),
        *((f"{name} images", f"{n:,} ({percent(n / total, 0)})") for name, n in data.sizes.items()),
        ("fingerprint of the splits", data.fingerprint),
    ]


def configuration(record: Record) -> list[tuple[str, str]]:
    asked_for = plain(record.study.configuration) or {}
    return entries({name: value for name, value in asked_for.items() if name not in SHOWN_ELSEWHERE})


def space(record: Record) -> list[dict[str, Any]]:
    """What was searched, then what was fixed: a row per hyperparameter."""
    fixed = record_view.fixed(record)
    return [
        *({"name": name, **domain, "scale": scale(domain)} for name, domain in record_view.searched(record).items()),
        *(
            {"name": name, "scale": "fixed"}
            | ({"choices": [value]} if isinstance(value, str) else {"low": value, "high": value})
            for name, value in fixed.items()
        ),
    ]


def scale(domain: Mapping[str, Any]) -> str:
    return "choices" if "choices" in domain else "logarithmic" if domain["log"] else "linear"


def space_table(
    id: str, title: str, rows: Sequence[Row], *, before: Sequence[Column] = (), shape: Literal["half", "wide"] = "wide"
) -> Table:
    """A space as a table; without a column of choices where there are none.

    Args:
        id, title: of the table.
        rows: as `space` gives them.
        before: columns that come first.
        shape: how much of a row of the page it takes.
    """
    choices = [Column("choices", "Choices", bound)] if any("choices" in row for row in rows) else []
    columns = [
        *before,
        Column("name", "Hyperparameter", record_view.title),
        Column("low", "Lowest", bound, "number"),
        Column("high", "Highest", bound, "number"),
        *choices,
        Column("scale", "Scale"),
    ]
    return Table(id, title, columns, rows, shape=shape)


def bound(value: Any) -> str:
    return "" if value is None else in_words(value)


def runs(study: StudyFile) -> list[tuple[str, str]]:
    rows = [(f"seeds of {r['trial_id']}", in_words(r["seeds"])) for r in study.replicates]
    if study.winner and "last_epoch" in study.winner:
        rows.append(("epochs of the test runs", in_words(study.winner["last_epoch"])))
    if study.test:
        rows.append(("seeds of the test runs", in_words(study.test.seeds)))
    return rows


def time(record: Record) -> list[tuple[str, str]]:
    seconds = record.study.seconds
    rows = [("started", record.study.started)] if record.study.started else []
    rows += [(name, duration(spent)) for name, spent in seconds.items()]
    rows += [("in total", duration(sum(seconds.values())))] if seconds else []
    return rows + ([("budget", of_budget)] if (of_budget := left_out.sentence(record)) else [])


def entries(content: Any) -> list[tuple[str, str]]:
    """Names and values of an object, objects in it by `name.inner`; anything else as itself."""
    if not content:
        return []
    if not isinstance(content, Mapping):
        return [("name", in_words(content))]
    rows: list[tuple[str, str]] = []
    for name, value in content.items():
        if isinstance(value, Mapping):
            rows += [(f"{name}.{inner}", inner_value) for inner, inner_value in entries(value)]
        else:
            rows.append((str(name).replace("_", " "), in_words(value)))
    return rows


def in_words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(in_words(v) for v in value) or "none"
    return str(value)
