"""What the study cost, and what a better result cost more."""

from typing import Any

from study.design.states import RunStatus
from study.report import figures
from study.report.blocks import Facts, Figure, Key, Section, empty
from study.report.numbers import MISSING, brief, duration, known, metric_value, size
from study.report.study import record_view
from study.report.study.search import KEYS, MARKS, special
from study.results.device_time import device_seconds, devices
from study.results.record import Record
from study.text import plural, sentence

FORMATS = {
    "ms": lambda value: f"{value:.2f}\u202fms",
    "bytes": lambda value: size(round(value)),
    "device-seconds": duration,
}


def section(record: Record) -> Section:
    by = record_view.metric(record)
    if not any(by.of(trial) is not None and known(trial["total_seconds"]) for trial in record.trials):
        return empty("cost", "Cost", record_view.nothing_yet(record, "trial with a result and its seconds"))
    blocks: list[Any] = [trials(record), Facts("Time", spent(record))]
    if record_view.finished(record):
        blocks.append(Facts("Every cost", every(record)))
    lead = "All runs count, failed and pruned ones too: they were paid for."
    return Section("cost", "Cost", [b for b in blocks if not isinstance(b, Facts) or b.entries], lead=lead)


def every(record: Record) -> list[tuple[str, str]]:
    from study.results.cost import COSTS, costs  # torch comes with it: not for the page of a study under way

    each = costs(record)
    return [
        (sentence(COSTS[name].title), written(each[name], COSTS[name].unit)) for name in COSTS if known(each.get(name))
    ]


def written(value: float, unit: str) -> str:
    return FORMATS[unit](value) if unit in FORMATS else f"{brief(value)} {unit}".rstrip()


def spent(record: Record) -> list[tuple[str, str]]:
    """By step: seconds of all its runs, times what each held."""
    if record.study.resources is None:
        return []
    kind, each = devices(record).kind, device_seconds(record)
    names = {"search": "search", "replicate": "replicates", "test": "tests", "start": "tests of the start"}
    rows = [(f"{kind} time, {words}", duration(each[name])) for name, words in names.items() if each[name]]
    return [*rows, (f"{kind} time, in all", duration(each["all"]))]


def trials(record: Record) -> Figure:
    """What each trial reached against what it took."""
    by = record_view.metric(record)
    there = [t for t in record_view.by_id(record.trials) if by.of(t) is not None and known(t["total_seconds"])]
    plot = figures.blank(x="seconds of a trial", y=f"validation {by.words}", hovermode="closest")
    plot.update_yaxes(**figures.metric_axis(by, (by.of(t) for t in there)))
    plot.update_xaxes(rangemode="tozero")
    keys = []
    for status, symbol in MARKS.items():
        those = [t for t in there if t["status"] == status]
        if those:
            color = figures.STATUS[status]
            add(
                plot,
                those,
                record,
                {"symbol": symbol, "size": 8, "color": color, "line": {"color": color, "width": 1.6}},
            )
            keys.append(Key(status, color, KEYS[status]))
    for label, trial, color, symbol in special(record, there):
        line = {"color": figures.SURFACE, "width": 1.5}
        add(plot, [trial], record, {"symbol": symbol, "size": 15, "color": color, "line": line})
        keys.append(Key(label, color, symbol))
    completed = [t["total_seconds"] for t in there if t["status"] == RunStatus.COMPLETED]
    span = f"from {duration(min(completed))} to {duration(max(completed))}" if completed else MISSING
    return Figure(
        "cost-trials",
        "What a trial took, and what it reached",
        plot,
        alt=(
            f"Scatter plot. Validation {by.words} against the seconds of {plural(len(there), 'trial')}; those "
            f"that were completed took {span}."
        ),
        columns=["trial_id", "status", "total_seconds", by.column],
        rows=[[t["trial_id"], t["status"], t["total_seconds"], by.of(t)] for t in there],
        legend=keys,
    )


def add(plot: Any, those: list[Any], record: Record, marker: dict[str, Any]) -> None:
    by = record_view.metric(record)
    said = [[t["trial_id"], t["status"], metric_value(by, by.of(t)), duration(t["total_seconds"])] for t in those]
    plot.add_scatter(
        x=figures.digits(t["total_seconds"] for t in those),
        y=figures.digits(by.of(t) for t in those),
        mode="markers",
        marker=marker,
        customdata=said,
        meta=record_view.of_trials(record),
        hovertemplate="%{customdata[0]} (%{customdata[1]})<br>%{customdata[2]} in %{customdata[3]}<extra></extra>",
    )
