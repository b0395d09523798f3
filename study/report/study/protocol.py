"""Why the answer can be believed, and how to get it again."""

from collections.abc import Mapping
from typing import Any

from study.report.blocks import Code, Facts, Section
from study.report.numbers import count, duration, percent
from study.report.study import record_view
from study.report.tables import Column, Table
from study.results.record import Record

STEPS = (
    "Search on train, judged on validation; the best recipes and the paper’s again over seeds; the winner, trained on "
    "train + validation, looks at the test set once a seed."
)
TOLD_ELSEWHERE = ("name", "fixed", "recipe")


def section(record: Record) -> Section:
    study = record.study
    config = record_view.config(record)
    blocks: list[Code | Facts | Table] = [
        Code("Command", study.get("command", "")),
        Facts("Data and splits", data(study.get("data", {}))),
        space(study.get("space") or {}, config.get("fixed") or {}),
        Facts("Recipe", entries(config.get("recipe"))),
        Facts("Preprocessing", entries(study.get("preprocessing"))),
        Facts("Model", entries(study.get("model"))),
        Facts("Configuration", entries({k: v for k, v in config.items() if k not in TOLD_ELSEWHERE})),
        Facts("Runs after the search", runs(study)),
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


def space(space: Mapping[str, Any], fixed: Mapping[str, Any]) -> Table:
    searched = [{"name": name, **domain} for name, domain in space.items() if name not in fixed]
    rows = [{**row, "scale": "logarithmic" if row.get("log") else "linear"} for row in searched] + [
        {"name": name, "low": value, "high": value, "scale": "fixed"} for name, value in fixed.items()
    ]
    columns = [
        Column("name", "Hyperparameter"),
        Column("low", "Lowest", said, "number"),
        Column("high", "Highest", said, "number"),
        Column("scale", "Scale"),
    ]
    return Table("space", "Search space", columns, rows, shape="half")


def runs(study: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [(f"seeds of {r['trial_id']}", said(r["seeds"])) for r in study.get("replicates", ())]
    if "last_epoch" in study.get("winner", {}):
        rows.append(("epochs of the test runs", said(study["winner"]["last_epoch"])))
    if study.get("test"):
        rows.append(("seeds of the test runs", said(study["test"]["seeds"])))
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
        return [("name", said(content))]
    rows: list[tuple[str, str]] = []
    for name, value in content.items():
        if isinstance(value, Mapping):
            rows += [(f"{name}.{inner}", said_inner) for inner, said_inner in entries(value)]
        else:
            rows.append((str(name).replace("_", " "), said(value)))
    return rows


def said(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(said(v) for v in value) or "none"
    return str(value)
