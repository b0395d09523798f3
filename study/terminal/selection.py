"""The screen that a selection ends with."""

from pathlib import Path
from typing import Any

from study.results.place import shown
from study.results.selection import DROPPED, FAILED, STOPPED, WAITING, Selection
from study.text import duration, plural

ROWS = 10


def summary(selection: Selection, folder: Path) -> str:
    facts = selection.facts
    lines = [
        "",
        verdict(selection),
        "",
        f"{'':<40} {'accuracy':>8}  {'95 % interval':<16} {'images':>7} {'behind':>7}  {'ms/image':>8} {'params':>8}",
        *(line(row) for row in [row for row in selection.candidates if row["rounds"]][:ROWS]),
    ]
    hidden = sum(bool(row["rounds"]) for row in selection.candidates) - ROWS
    if hidden > 0:
        lines.append(f"and {hidden} more on the page")
    lines += ["", counts(selection), "", f"page      {shown(folder / 'report.html')}", f"continue  {facts['next']}"]
    return "\n".join(lines)


def verdict(selection: Selection) -> str:
    """Who is ahead, who cannot be told from it, and what choosing it may cost."""
    facts, leader = selection.facts, selection.leader
    others = len(selection.of("tied"))
    regret = facts["regret"]
    alone = f"; {plural(others, 'other')} cannot be told from it" if others else "; no other is as good"
    if selection.of(STOPPED) and not others:
        alone = ""
    return (
        f"{leader['name']}: {leader['accuracy']:.1%} on {leader['images']:,} training images, cross-validated{alone}.\n"
        f"Choosing it is expected to cost {100 * regret['mean']:.2f} points, and more than "
        f"{100 * regret['high']:.2f} in 1 of 20 cases."
    )


def counts(selection: Selection) -> str:
    facts = selection.facts
    words = {
        DROPPED: "dropped by a test",
        STOPPED: "for which the budget ended before they were told from the leader",
        WAITING: "never measured",
        FAILED: "that could not be measured",
    }
    parts = [f"{len(rows)} {text}" for kind, text in words.items() if (rows := selection.of(kind))]
    within = f"in {duration(facts['seconds'])} of {duration(facts['budget'])}"
    return f"{plural(len(selection.candidates), 'candidate')} {within}: {', '.join(parts) or 'all tied'}"


def line(row: dict[str, Any]) -> str:
    name = row["name"] if len(row["name"]) <= 39 else row["name"][:38] + "…"
    mark = {"dropped": "x", "stopped": "?", "leader": ">"}.get(row["status"], " ")
    interval = f"{row['low']:.1%} to {row['high']:.1%}"
    return (
        f"{mark}{name:<39} {row['accuracy']:>8.1%}  {interval:<16} {row['images']:>7,} "
        f"{100 * row['behind']:>7.1f}  {1000 * row['image_seconds']:>8.2f} {row['parameters'] / 1e6:>7.2f}M"
    )
