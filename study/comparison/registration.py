"""A comparison that is registered before anything runs: its rows, budget, primary contrast and family of tests.

`study.compare --register FILE` writes it, with a hash, while none of its rows has begun, and afterwards says whether
what was run is what was registered. Who writes down first what will be compared cannot choose it by its result.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import msgspec

from study.comparison.groups import Group
from study.comparison.repeats import each
from study.comparison.rows import Row
from study.design.study import Study
from study.files import write_json
from study.results import provenance
from study.statistics import Difference, conditions
from study.statistics.comparison import SIGNIFICANCE
from study.text import p_value, shorten

NAME = "registration.json"
ITS_OWN = ("name", "model", "variant", "pretraining", "dataset", "fixed", "preprocessing", "seed", "split_seed")
FAMILY = "every two rows on one dataset, over all datasets: p adjusted by Holm, 5 %"
ALONE = "; the primary contrast is tested before them, alone"


@dataclass(frozen=True)
class Registration:
    """Attributes:
    rows: what each study is, as its record will say, by its name.
    primary: the names of two of them, whose difference is tested alone; None for none.
    rope: within how many points rows count as equal; None where that is not asked.
    written: when, in UTC.
    """

    rows: Mapping[str, Mapping[str, Any]]
    primary: tuple[str, str] | None
    rope: float | None
    command: str
    commit: str | None
    written: str

    @classmethod
    def of(
        cls, studies: Sequence[Study], primary: Sequence[str] | None, rope: float | None, command: str
    ) -> "Registration":
        """Raises ValueError for a primary contrast of rows that there are not."""
        rows = {study.name: json.loads(json.dumps(study.facts())) for study in studies}
        if unknown := [name for name in primary or () if name not in rows]:
            raise ValueError(f"primary names two rows of the comparison, got {unknown[0]!r}: it has {', '.join(rows)}")
        if primary and primary[0] == primary[1]:
            raise ValueError(f"primary names two rows, got {primary[0]} twice")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        pair = (primary[0], primary[1]) if primary else None
        return cls(rows, pair, rope, command, provenance.commit(), now)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises ValueError for a file that is none, or that was changed after it was written."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found = cls(
                content["rows"],
                tuple(content["primary"]) if content["primary"] else None,
                *(content[name] for name in ("rope", "command", "commit", "written")),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no registration of a comparison: {' '.join(str(error).split())}") from None
        if content.get("hash") != found.digest:
            raise ValueError(f"{path} was changed after it was written: its hash does not fit what it says")
        return found

    def write(self, path: Path) -> None:
        write_json(path, {**self.content, "hash": self.digest})

    @property
    def content(self) -> dict[str, Any]:
        """As JSON has it, its hash left out; what all rows share is their budget."""
        first, *others = self.rows.values()
        shared = {
            name: value
            for name, value in first.items()
            if name not in ITS_OWN and all(row.get(name) == value for row in others)
        }
        return {
            "format": 1,
            "rows": dict(self.rows),
            "budget": shared,
            "primary": list(self.primary) if self.primary else None,
            "family": FAMILY + (ALONE if self.primary else ""),
            "rope": self.rope,
            "command": self.command,
            "commit": self.commit,
            "written": self.written,
        }

    @property
    def digest(self) -> str:
        return sha256(json.dumps(self.content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Registered:
    """What became of a registration.

    Attributes:
        deviations: in what the rows differ from it; empty where what was run is what was registered.
        primary: what the primary contrast says; empty where none was registered, or its rows are not here.
    """

    digest: str
    written: str
    deviations: tuple[str, ...]
    primary: str

    def __str__(self) -> str:
        which = f"registered {self.written}, hash {self.digest[:12]}"
        if self.deviations:
            return f"{which}; NOT as registered: {'; '.join(self.deviations)}"
        return f"{which}: what was run is what was registered"


def registered(registration: Registration, groups: Sequence[Group], rope: float | None) -> Registered:
    """What was registered beside what is there."""
    there = {one.config.name: one for group in groups for row in group.rows for one in each(row)}
    deviations = [*deviating(registration, there)]
    if rope != registration.rope:
        deviations.append(f"rope is {in_words(rope)}, registered {in_words(registration.rope)}")
    contrast = between(registration.primary, groups) if registration.primary else None
    said = in_sentence(*contrast) if contrast else ""
    return Registered(registration.digest, registration.written, tuple(deviations), said)


def deviating(registration: Registration, there: Mapping[str, Row]) -> list[str]:
    found = []
    if missing := [name for name in registration.rows if name not in there]:
        found.append(f"registered and not here: {shorten(missing)}")
    if more := [name for name in there if name not in registration.rows]:
        found.append(f"here and not registered: {shorten(more)}")
    for name in (name for name in registration.rows if name in there):
        wanted, study = registration.rows[name], there[name].record.study
        got = msgspec.json.decode(msgspec.json.encode(there[name].config))
        found += [
            f"{what.replace('_', ' ')} of {name} is {in_words(got[what])}, registered {in_words(value)}"
            for what, value in wanted.items()
            if what in got and got[what] != value
        ]
        if study.started and study.started < registration.written:
            found.append(f"{name} began before it was registered")
        commit = study.versions.get("commit")
        if commit != registration.commit:
            found.append(f"{name} ran code {in_words(commit)}, registered {in_words(registration.commit)}")
    return found


def between(names: tuple[str, str], groups: Sequence[Group]) -> tuple[Row, Row, Difference] | None:
    """The primary contrast, the more accurate row first; None where its rows were not compared."""
    for group in groups:
        rows = {one.config.name: row for row in group.rows for one in each(row)}
        if all(name in rows for name in names):
            one, other = (rows[name] for name in names)
            for first, second in ((one, other), (other, one)):
                if found := group.differences.get((first.name, second.name)):
                    return first, second, found
    return None


def in_sentence(one: Row, other: Row, found: Difference) -> str:
    low, high = (100 * end for end in found.interval)
    sure = found.covers_seeds and found.p < SIGNIFICANCE
    words = conditions.different(found.repeats) if sure else "not distinguishable"
    return (
        f"The primary contrast: {one.label} is {100 * found.mean:.1f} points [{low:.1f}, {high:.1f}] above "
        f"{other.label} (p = {p_value(found.p)}, tested alone), {words}"
    )


def in_words(value: Any) -> str:
    return "none" if value is None else str(value)
