"""Why the answer can be believed, and how to get it again."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from study.report.blocks import Code, Facts, Section
from study.report.numbers import count, duration, percent
from study.report.study import record_view
from study.report.tables import Column, Table
from study.results.record import Record, Row

STEPS = (
    "Search on train, judged on validation; the best recipes and the paper’s again over seeds; the winner, trained on "
    "train + validation, looks at the test set once per seed."
)
SHOWN_ELSEWHERE = ("name", "fixed", "recipe")


def section(record: Record) -> Section:
    study = record.study
    config = record_view.config(record)
    blocks: list[Code | Facts | Table] = [
        Code("Command", study.get("command", "")),
        Facts("Data and splits", data(study.get("data", {}))),
        space_table("space", "Search space", space(record), shape="half"),
        Facts("Recipe", entries(config.get("recipe"))),
        Facts("Preprocessing", entries(study.get("preprocessing"))),
        Facts("Model", entries(study.get("model"))),
        Facts("Configuration", entries({k: v for k, v in config.items() if k not in SHOWN_ELSEWHERE})),
        Facts("Runs after the search", runs(study.content())),
        Facts("Time", time(record)),
        Facts("Hardware", entries(study.get("hardware"))),
        Facts("Versions", entries(study.get("versions"))),
    ]
    return Section("protocol", "Protocol and reproduction", [b for b in blocks if has_content(b)], lead=STEPS)


def has_content(block: Code | Facts | Table) -> bool:
    return bool(block.text if isinstance(block, Code) else block.entries if isinstance(block, Facts) else block.rows)


def data(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not data:
        return []
    sizes = data.get("sizes", {})
    total = sum(sizes.values())
    return [
        ("dataset", str(data.get("name", ""))),
        ("classes", count(len(data.get("classes", ())))),
        *((f"{name} images", f"{n:,} ({percent(n / total, 0)})") for name, n in sizes.items()),
        ("fingerprint of the splits", str(data.get("fingerprint", ""))),
    ]


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


def runs(study: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [(f"seeds of {r['trial_id']}", in_words(r["seeds"])) for r in study.get("replicates", ())]
    if "last_epoch" in study.get("winner", {}):
        rows.append(("epochs of the test runs", in_words(study["winner"]["last_epoch"])))
    if study.get("test"):
        rows.append(("seeds of the test runs", in_words(study["test"]["seeds"])))
    return rows


def time(record: Record) -> list[tuple[str, str]]:
    seconds = record.study.get("seconds") or {}
    rows = [("started", str(record.study["started"]))] if "started" in record.study else []
    rows += [(name, duration(spent)) for name, spent in seconds.items()]
    return rows + ([("in total", duration(sum(seconds.values())))] if seconds else [])


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
