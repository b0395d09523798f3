"""Which backbones a selection is among: by name, by limits, and by whose weights are to be had. In order of promise.

Imports neither torch nor timm before a limit asks for what only they know.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import chain, zip_longest
from pathlib import Path

from study.text import plural, shorten
from trainables import architecture
from trainables.architecture import Architecture, Variant
from trainables.backbones import names as timm_names
from trainables.backbones.declared import NONE, pretraining_of
from trainables.choices import did_you_mean
from trainables.weights import PACKAGED, Weights

EVERYTHING = "timm/*"
WILD = "*?["


@dataclass(frozen=True)
class Candidate:
    """One backbone.

    Attributes:
        model: as --model takes it.
        pretraining: as --pretraining takes it.
        scale: mini or paper.
        group: candidates of one take turns with others: of timm the first word of the name, else the architecture.
        path: of its weights, where --weights-dir has them.
        score: of its weights on ImageNet or whatever they were trained for, where that is known.
        parameters: where they are known.
    """

    model: str
    pretraining: str
    scale: str
    group: str
    path: Path | None = None
    score: float | None = None
    parameters: int | None = None

    @property
    def name(self) -> str:
        """As a reader sees it: of a timm name that says its pretraining nothing more."""
        return self.model if self.model.startswith(timm_names.PREFIX) else f"{self.model} {self.pretraining}"

    @property
    def timm_name(self) -> str:
        """With the tag of its weights, where it has any."""
        return self.model.removeprefix(timm_names.PREFIX)

    @cached_property
    def architecture(self) -> Architecture:
        return architecture.get(self.model)

    @cached_property
    def variant(self) -> Variant:
        return self.architecture.variant(self.scale, self.pretraining)


@dataclass(frozen=True)
class Field:
    """Who takes part.

    Attributes:
        candidates: those to be measured first coming first.
        notes: who does not, and why, a line each.
    """

    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()


def matching(patterns: Sequence[str]) -> list[str]:
    """The models that any of the patterns names, registered ones first: timm/NAME.TAG or, of no tag, timm/NAME.

    Raises ValueError for a pattern that names none.
    """
    registered = architecture.names()
    found: dict[str, None] = {}
    for pattern in patterns:
        if any(letter in pattern for letter in WILD):
            there = [name for name in [*registered, *of_timm()] if fnmatchcase(name, pattern)]
            # a pattern of names without tags means each of a model's weights
            there = there or [name for name in of_timm() if fnmatchcase(name.partition(".")[0], pattern)]
            if not there:
                raise ValueError(f"--models {pattern} names no model: timm/* are those of timm, * all there are")
        else:
            there = [checked(pattern)]
        found |= dict.fromkeys(there)
    return list(found)


def checked(name: str) -> str:
    """A name that is no pattern. Raises ValueError, with the nearest, where there is no such model."""
    if name.startswith(timm_names.PREFIX):
        timm_names.parted(name)
    elif name not in architecture.names():
        everything = [*architecture.names(), *of_timm()]
        raise ValueError(
            f"unknown model {name!r}: give one of {', '.join(architecture.names())}, timm/NAME, or a pattern as timm/*"
            f"{did_you_mean(name, everything)}"
        )
    return name


def of_timm() -> list[str]:
    """Every pretrained model by its tag, and those that have none by their names."""
    return [
        f"{timm_names.PREFIX}{name}{tag and '.'}{tag}"
        for name, tags in timm_names.tags().items()
        for tag in tags or ("",)
    ]


def candidates(names: Iterable[str], pretrainings: Sequence[str], scale: str) -> list[Candidate]:
    """Of each name and each pretraining that it has one; without pretrainings each model's own first one."""
    found: dict[tuple[str, str], Candidate] = {}
    for name in names:
        for one in of_timm_name(name, pretrainings, scale) if is_timm(name) else of_family(name, pretrainings, scale):
            found.setdefault((one.model, one.pretraining), one)
    return list(found.values())


def is_timm(name: str) -> bool:
    return name.startswith(timm_names.PREFIX)


def of_timm_name(name: str, pretrainings: Sequence[str], scale: str) -> Iterator[Candidate]:
    """A model of timm: with the weights of its tag, or the first of those it has; at random only where that is asked.

    A name without a tag has, of several pretrainings, the first weights of each.
    """
    model, tag = timm_names.parted(name)
    group = model.removeprefix("test_").removeprefix("tf_").partition("_")[0].rstrip("0123456789")
    there: dict[str, str] = {}
    for one in (tag,) if tag else timm_names.tags()[model]:
        there.setdefault(pretraining_of(one), one)
    for wanted in pretrainings or list(there)[:1]:
        if wanted == NONE:
            yield Candidate(f"{timm_names.PREFIX}{model}", NONE, scale, group)
        elif wanted in there:
            yield Candidate(f"{timm_names.PREFIX}{model}.{there[wanted]}", wanted, scale, group)


def of_family(name: str, pretrainings: Sequence[str], scale: str) -> Iterator[Candidate]:
    family = architecture.get(name)
    there = family.pretrainings(scale)
    for wanted in pretrainings or there[:1]:
        if wanted in there:
            variant = family.variant(scale, wanted)
            yield Candidate(name, wanted, scale, name, score=packaged_score(variant.weights))


def packaged_score(weights: Weights | None) -> float | None:
    """The accuracy that our own weights had on what they were trained for."""
    if weights is None:
        return None
    with suppress(OSError, ValueError, KeyError):
        row = json.loads((PACKAGED / weights.file).with_suffix(".json").read_text())
        return float(row["test_accuracy"])
    return None


def with_scores(field: Iterable[Candidate], path: Path) -> list[Candidate]:
    """With the column top1 of a CSV that has a column model too, and param_count if there, as timm publishes it.

    Raises ValueError, OSError.
    """
    import csv

    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not {"model", "top1"} <= set(reader.fieldnames or ()):
            raise ValueError(f"--scores {path} needs the columns model and top1, as timm's results-imagenet.csv has")
        rows = list(reader)
    scores: dict[str, float] = {}
    counts: dict[str, int] = {}
    for row in rows:
        with suppress(TypeError, ValueError):
            scores[row["model"]] = float(row["top1"]) / 100
        with suppress(KeyError, TypeError, ValueError):
            counts[row["model"]] = round(float(row["param_count"].replace(",", "")) * 1e6)
    found = []
    for one in field:
        own = one.timm_name if is_timm(one.model) and one.pretraining != NONE else ""
        found.append(replace(one, score=scores.get(own, one.score), parameters=counts.get(own, one.parameters)))
    return found


def at_hand(
    field: Sequence[Candidate], folder: Path | None, *, offline: Callable[[], bool]
) -> tuple[list[Candidate], list[str]]:
    """Those whose weights are to be had, with their paths; and a line about the others.

    Args:
        field: candidates of any kind.
        folder: --weights-dir, with NAME.TAG.safetensors for timm/NAME.TAG.
        offline: whether there is no network; asked only where it matters.
    """
    there, missing, away = [], [], None
    for one in field:
        if not is_timm(one.model) or one.pretraining == NONE:
            there.append(one)
            continue
        path = in_folder(one, folder)
        if path is None and not in_hub_cache(one):
            away = offline() if away is None else away
            if away:
                missing.append(one.name)
                continue
        there.append(replace(one, path=path))
    if not missing:
        return there, []
    line = (
        f"{plural(len(missing), 'model')} left out, for there is no network and their weights are not here "
        f"({shorten(missing)}): give --weights-dir, or --pretraining none"
    )
    return there, [line]


def in_folder(candidate: Candidate, folder: Path | None) -> Path | None:
    if folder is None:
        return None
    found = folder / f"{candidate.timm_name}.safetensors"
    return found if found.is_file() else None


def in_hub_cache(candidate: Candidate) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(candidate.model, "model.safetensors"), str)


def in_turn(field: Sequence[Candidate]) -> list[Candidate]:
    """The order of the race: groups take turns, and in each who promises most goes first.

    That is whoever has the best known score, then whoever has none; of those the cheapest, as far as that is known.
    """
    groups: dict[str, list[Candidate]] = {}
    for one in field:
        groups.setdefault(one.group, []).append(one)
    for members in groups.values():
        members.sort(key=lambda one: (-(one.score or 0.0), one.parameters or 0, one.name))
    order = sorted(groups.values(), key=lambda members: -(members[0].score or 0.0))
    return [one for one in chain.from_iterable(zip_longest(*order)) if one is not None]
