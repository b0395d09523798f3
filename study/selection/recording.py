"""A race as its record: a row per candidate and round, what the choice may cost, and the command that continues."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from study.results import provenance
from study.results.selection import (
    CANDIDATES,
    COLUMNS,
    DROPPED,
    FAILED,
    FORMAT,
    LEADER,
    STOPPED,
    TIED,
    WAITING,
    Row,
    Selection,
)
from study.selection import continuing, regret
from study.selection.measuring import Runs
from study.selection.race import Race
from study.statistics import accuracy_interval


@dataclass(frozen=True)
class Context:
    """What a record says beside the race.

    Attributes:
        dataset, place: its name, and as --dataset has it.
        fingerprint, split: of the splits, and their sizes.
        notes: who did not take part, and why.
        started: when.
        command: the line that does it again.
        shared: what the command that continues is given, too.
    """

    dataset: str
    place: str
    fingerprint: str
    split: dict[str, int]
    split_seed: int
    scale: str
    budget: float
    keep: int
    seed: int
    notes: Sequence[str]
    started: str
    command: str
    shared: Sequence[str]


def recorded(race: Race, runs: Runs, context: Context, *, seconds: float) -> Selection:
    """The record of a race that has ended and in which somebody was measured."""
    leader = race.leader
    assert leader is not None
    kept = race.kept(context.keep)
    rest = [name for name in race.order if name not in race.measured]
    order = [*race.standing, *sorted(rest, key=lambda name: name in race.failed)]
    facts: dict[str, Any] = {
        "format": FORMAT,
        **{name: value for name, value in asdict(context).items() if name not in ("shared", "notes")},
        "notes": list(context.notes),
        "sizes": list(race.rules.sizes),
        "margin": race.rules.margin,
        "level": race.rules.level,
        "seconds": round(seconds, 3),
        "at_a_time": runs.allocation.at_a_time,
        "chosen": leader,
        "kept": kept,
        "regret": asdict(regret.expected(race, leader)),
        "stored_images": runs.stored.get(leader, 0),
        "next": continuing.command([runs.candidates[name] for name in kept], context.place, context.shared),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
    }
    return Selection(facts, [row(race, runs, name) for name in order], rounds(race))


def row(race: Race, runs: Runs, name: str) -> Row:
    one, measured, answer = runs.candidates[name], race.measured.get(name), runs.answers.get(name)
    found: Row = dict.fromkeys(COLUMNS[CANDIDATES].names) | {
        "name": name,
        "model": one.model,
        "pretraining": one.pretraining,
        "group": one.group,
        "status": status(race, name),
        "reason": reason(race, name),
        "score": one.score,
        "rounds": race.rounds(name),
    }
    if measured is None or answer is None:
        return found
    low, high = accuracy_interval(measured[-1].correct[None])
    gap = race.gap(name)
    dropped = race.dropped.get(name)
    return found | {
        "family": answer.family,
        "images": len(measured[-1].correct),
        "accuracy": measured[-1].accuracy,
        "low": low,
        "high": high,
        "behind": gap.mean,
        "behind_low": gap.interval.low if name != race.leader else 0.0,
        "behind_high": gap.interval.high if name != race.leader else 0.0,
        "left_after_seconds": dropped.at if dropped else None,
        "seconds": sum(each.seconds for each in measured),
        "image_seconds": answer.image_seconds,
        "parameters": answer.parameters,
        "boundary": measured[-1].boundary,
        "backbone_stages": answer.backbone_stages,
        "features": answer.features,
    }


def status(race: Race, name: str) -> str:
    if name in race.failed:
        return FAILED
    if name in race.dropped:
        return DROPPED
    if name not in race.measured:
        return WAITING
    if name == race.leader:
        return LEADER
    return TIED if race.rounds(name) == race.furthest else STOPPED


def reason(race: Race, name: str) -> str:
    """Why it is no longer in the race, or where it stands, in words."""
    kind = status(race, name)
    images = race.rules.sizes[race.rounds(name) - 1] if race.rounds(name) else 0
    if kind == FAILED:
        return race.failed[name]
    if kind == DROPPED:
        out = race.dropped[name]
        gap = out.gap
        return (
            f"{100 * gap.mean:.1f} points behind {out.behind} on {gap.images:,} images, "
            f"at least {100 * gap.interval.low:.1f}; {100 * gap.allowed:.1f} are allowed"
        )
    if kind == WAITING:
        return "never measured: the budget ended"
    if kind == STOPPED:
        return f"the budget ended after {images:,} images: not told from the leader"
    return "ahead" if kind == LEADER else f"not told from the leader on {images:,} images"


def rounds(race: Race) -> list[Row]:
    found = []
    for name, each in race.measured.items():
        for number, one in enumerate(each):
            low, high = accuracy_interval(one.correct[None])
            found.append(
                {
                    "name": name,
                    "round": number,
                    "images": len(one.correct),
                    "accuracy": one.accuracy,
                    "smoothed": one.smoothed,
                    "low": low,
                    "high": high,
                    "seconds": one.seconds,
                    "boundary": one.boundary,
                    "penalty": one.penalty,
                }
            )
    return found
