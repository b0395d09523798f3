"""What a page is made of: sections of blocks. Each kind of block names the template that shows it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import plotly.graph_objects as go
from markupsafe import Markup

from study.report.downloads import data_uri

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Note:
    """A line of text: why there is nothing to see, or what to know before looking."""

    text: str
    template: ClassVar[str] = "note.html"


@dataclass(frozen=True)
class Facts:
    """Names and what they are."""

    title: str
    entries: Sequence[tuple[str, str]]
    template: ClassVar[str] = "facts.html"


@dataclass(frozen=True)
class Code:
    """Something to copy."""

    title: str
    text: str
    template: ClassVar[str] = "code.html"


@dataclass(frozen=True)
class Key:
    """An entry of a legend: its words, its colour, and its mark (a name that `marks.html` draws), filled or open."""

    label: str
    color: str
    mark: str = "line"
    open: bool = False


@dataclass(frozen=True)
class Figure:
    """A drawing, its meaning in words, and its numbers.

    Attributes:
        alt: what a reader who cannot see it should learn from it.
        columns, rows: its numbers.
        shape: how much of a row it takes where there is room; a `square` one leaves a third.
        style: of the row of a comparison that it is of, which leaves it out; None where it is of several.
    """

    id: str
    title: str
    plot: go.Figure
    alt: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""
    shape: Literal["third", "half", "wide", "square"] = "half"
    legend: Sequence[Key] = ()
    style: Any = None
    template: ClassVar[str] = "figure.html"

    @property
    def json(self) -> Markup:
        """The drawing, safe inside <script>: no `<` is left in it."""
        drawing = self.plot.to_plotly_json()
        return as_json(drawing)

    @property
    def csv(self) -> str:
        return data_uri(self.columns, self.rows)


def as_json(content: Any) -> Markup:
    """Safe inside <script>: no `<` is left in it."""
    return Markup(json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))


@dataclass(frozen=True)
class ParallelAxis:
    """One of parallel coordinates.

    Attributes:
        places: of each trial, from 0 below to 1 above; None where it has no value.
        words: of each trial, its value.
        ticks: (place, words).
    """

    name: str
    title: str
    places: Sequence[float | None]
    words: Sequence[str]
    ticks: Sequence[tuple[float, str]]


@dataclass(frozen=True)
class Parallel:
    """Trials as lines through several axes.

    Attributes:
        scope: whose trials; what is left out by brushing leaves the traces and tables of the same scope.
        kinds: of each trial `best`, `start`, `failed` or nothing.
        shades: of each trial, from 0 for the worst to 1.
        columns, rows: its numbers.
    """

    id: str
    title: str
    scope: str
    alt: str
    trials: Sequence[str]
    kinds: Sequence[str]
    shades: Sequence[float]
    axes: Sequence[ParallelAxis]
    legend: Sequence[Key]
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    template: ClassVar[str] = "parallel.html"

    @property
    def json(self) -> Markup:
        axes = [
            {
                "name": axis.name,
                "title": axis.title,
                "places": [None if place is None else round(place, 4) for place in axis.places],
                "words": axis.words,
                "ticks": [(round(place, 4), text) for place, text in axis.ticks],
            }
            for axis in self.axes
        ]
        shades = [round(shade, 3) for shade in self.shades]
        return as_json({"trials": self.trials, "kinds": self.kinds, "shades": shades, "axes": axes})

    @property
    def csv(self) -> str:
        return data_uri(self.columns, self.rows)


@dataclass(frozen=True)
class Sample:
    """An image of the test set; `name` is where to find it, empty where the record does not say."""

    base64: str
    small: bool
    index: int
    label: str
    predicted: str
    confidence: str
    media: str = "image/png"
    name: str = ""

    @property
    def right(self) -> bool:
        return self.label == self.predicted


@dataclass(frozen=True)
class Gallery:
    title: str
    caption: str
    samples: Sequence[Sample]
    template: ClassVar[str] = "gallery.html"


@dataclass(frozen=True)
class Option:
    """One of several parts of a page, of which one is shown."""

    label: str
    blocks: Sequence[Any]


@dataclass(frozen=True)
class Choice:
    """A list to choose a part from. Without a script the first is shown. `id` is its name in the address."""

    id: str
    label: str
    options: Sequence[Option]
    shape: Literal["half", "wide"] = "wide"
    template: ClassVar[str] = "choice.html"


@dataclass(frozen=True)
class Subsection:
    """What a section says of one of several datasets."""

    title: str
    blocks: Sequence[Any]
    template: ClassVar[str] = "part.html"


@dataclass(frozen=True)
class Section:
    """A part of a page with its heading and its entry in the navigation."""

    id: str
    title: str
    blocks: Sequence[Any]
    lead: str = ""
    template: str = field(default="section.html")
    short: str = ""  # in the navigation, where the title is long


def empty(id: str, title: str, why: str, *, short: str = "") -> Section:
    """A section without data says why."""
    return Section(id, title, [Note(why)], short=short)
