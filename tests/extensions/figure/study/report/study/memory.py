"""How much memory the trials took, by the number of parameters that they trained."""

from study.report import figures
from study.report.blocks import Figure, Section, empty
from study.report.numbers import known, percent, size
from study.report.study import record_view
from study.results.record import Record


def section(record: Record) -> Section:
    trials = [row for row in record.trials if known(row["peak_memory_bytes"]) and known(row["trained_share"])]
    if not trials:
        return empty("memory", "Memory", record_view.nothing_yet(record, "trial"))
    shares, memory = ([row[name] for row in trials] for name in ("trained_share", "peak_memory_bytes"))
    plot = figures.blank(x="share of the parameters that is trained", y="bytes")
    plot.add_scatter(x=shares, y=memory, mode="markers", marker={"color": figures.ACCENT, "size": 9})
    figure = Figure(
        "memory-figure",
        "Peak memory",
        plot,
        alt=f"Peak memory of {len(trials)} trials by the share of the parameters that each trains.",
        columns=("Trained", "Peak memory"),
        rows=[(percent(share), size(taken)) for share, taken in zip(shares, memory, strict=True)],
    )
    return Section("memory", "Memory", [figure], lead="Frozen stages keep no activations for the backward pass.")
