"""What a study is doing now, as a terminal shows it below the lines of what has ended, drawn again and again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import psutil
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from study.results.pace import Pace
from study.text import duration, plural
from trainables.metrics import Metric

BAR = 24  # letters
GB = 1e9
STEPS = {"search": "the search", "replicate": "the replicates", "test": "the tests", "start": "the start's tests"}
BESIDE = 5  # lines for other things than runs
FRESH = 30.0  # seconds after which what was told of a GPU is no longer shown


@dataclass
class Under:
    """A run under way: what is known of it.

    Attributes:
        began: by `monotonic`.
        told: by its process last: see `trainables.progress.position`.
    """

    began: float = field(default_factory=monotonic)
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def done(self) -> float:
        """The share of it that is."""
        epochs = self.told.get("epochs") or 0
        ended = self.told.get("epoch", 0)
        part = self.told.get("part", 0.0) if self.told.get("training", 0) > ended else 0.0
        return min((ended + part) / epochs, 1.0) if epochs else 0.0

    @property
    def resident(self) -> int:
        return int(self.told.get("resident", 0))


@dataclass
class Scene:
    """All that is shown.

    Attributes:
        metric: what is best is best by it.
        since: when the command began, by `monotonic`.
        doing: what it does before and between the steps; nothing while runs are under way.
        title: of the row or repeat, where there are several.
        phase, total, done: the step under way, its runs, and how many of them have ended.
        rows: of a comparison that runs several at a time, what each said last.
        best, best_run: so far, on validation.
        left: seconds of the step, and of the whole study; None where they are not known.
        after: seconds that the studies after this one will take; None where there are none, or that is not known.
        pace: of the study's runs.
    """

    metric: Metric = Metric.ACCURACY
    since: float = field(default_factory=monotonic)
    doing: str = ""
    began: float = field(default_factory=monotonic)
    title: str = ""
    phase: str = ""
    total: int = 0
    done: int = 0
    running: dict[str, Under] = field(default_factory=dict)
    rows: dict[str, str] = field(default_factory=dict)
    gpus: dict[str, tuple[float, dict[str, Any]]] = field(default_factory=dict)
    best: float | None = None
    best_run: str = ""
    left: Callable[[], tuple[float | None, float | None]] = lambda: (None, None)
    after: float | None = None
    pace: Pace | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        plain = options.ascii_only
        for line in self.lines(console.size.height, plain=plain):
            line.no_wrap, line.overflow = True, "crop" if plain else "ellipsis"
            yield line

    def lines(self, height: int, *, plain: bool = False) -> Iterator[Text]:
        """No more than fit on a screen so high."""
        if self.title:
            yield Text(self.title, style="bold")
        if self.phase:
            yield self.step(plain=plain)
        if self.doing:
            yield Text(f"{self.doing}  {duration(monotonic() - self.began)}", style="cyan")
        each = [run_line(name, run, self.metric) for name, run in list(self.running.items())]
        each += [Text(f"{name}: {said}") for name, said in list(self.rows.items())]
        room = max(height - BESIDE - bool(self.title), 1)
        yield from each[:room]
        if len(each) > room:
            yield Text(f"and {len(each) - room} more", style="dim")
        yield self.times()
        yield Text(f"memory {self.memory()}", style="dim")

    def step(self, *, plain: bool) -> Text:
        full = BAR * self.done // max(self.total, 1)
        line = Text.assemble(
            (f"{self.phase} {self.done}/{self.total} ", "bold"),
            (("#" if plain else "━") * full, "green"),
            (("-" if plain else "━") * (BAR - full), "bright_black"),
        )
        if self.best is not None:
            line.append(f" best {self.metric.show(self.best)}", "bold green")
            line.append(f" {self.best_run}", "dim")
        return line

    def times(self) -> Text:
        phase, study = self.left()
        parts = [f"{duration(monotonic() - self.since)} so far"]
        if phase is not None:
            parts.append(f"left: {duration(phase)} of {STEPS.get(self.phase, self.phase)}")
        if study is not None:
            parts.append(f"{duration(study)} of the study")
            if self.after:
                parts.append(f"{duration(study + self.after)} in all")
        return Text(", ".join(parts))

    def memory(self) -> str:
        memory = psutil.virtual_memory()
        text = f"{(memory.total - memory.available) / GB:.1f} of {memory.total / GB:.1f} GB"
        if held := sum(run.resident for run in list(self.running.values())):
            text += f" ({held / GB:.1f} GB of runs)"
        now = monotonic()
        gpus = [gpu for when, gpu in list(self.gpus.values()) if now - when < FRESH]
        return text + (f", {of_gpus(gpus)}" if gpus else "")


def run_line(name: str, run: Under, metric: Metric) -> Text:
    """`trial-005  epoch 3/10  loss 0.4120  accuracy 91.20%  1,240 images/s  4 s`."""
    told, line = run.told, Text(f"{name}  ")
    if told.get("storing"):
        line.append(f"stores {told['storing']}")
    elif told.get("epoch") or told.get("training"):
        line.append(f"epoch {max(told.get('training', 0), told.get('epoch', 0))}/{told['epochs']}", "bold")
        if (loss := told.get("train_loss")) is not None:
            line.append(f"  loss {loss:.4f}")
        if (value := told.get(metric.column)) is not None:
            line.append(f"  {metric.words} {metric.show(value)}", "green")
        if rate := told.get("images_per_second"):
            line.append(f"  {rate:,.0f} images/s")
    else:
        line.append("starts", "cyan")
    return line.append(f"  {duration(monotonic() - run.began)}", "dim")


def of_gpus(gpus: Sequence[Mapping[str, Any]]) -> str:
    """`GPU 87% busy, 12.3 of 80.0 GB`; of several the mean and the sums."""
    busy = sum(gpu["busy"] for gpu in gpus) / len(gpus)
    used, total = (sum(gpu[name] for gpu in gpus) / GB for name in ("used", "total"))
    return f"{'GPU' if len(gpus) == 1 else plural(len(gpus), 'GPU')} {busy:.0%} busy, {used:.1f} of {total:.1f} GB"
