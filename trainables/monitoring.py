"""What Ray's agents tell Prometheus of studies and their runs: `monitoring/` has a dashboard that shows it.

Ray puts `ray_` before each name, and `_total` behind that of a counter.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from ray.util.metrics import Counter, Gauge


@dataclass(frozen=True)
class Figure:
    """One of them, for every combination of its tags.

    Attributes:
        adds: whether it only grows, by what it is told of; else it is what it was told last.
    """

    description: str
    tags: tuple[str, ...]
    adds: bool = False


FIGURES = {
    "study_runs_ended": Figure("runs that ended, by how", ("study", "phase", "status"), adds=True),
    "study_runs_left": Figure("runs that the phase under way has still to end", ("study", "phase")),
    "study_best": Figure("the best value of the study's metric on validation so far", ("study",)),
    "study_device_seconds": Figure("seconds that ended runs had a device or their cores", ("study",), adds=True),
    "study_images": Figure("images that were trained on", ("model",), adds=True),
    "study_images_per_second": Figure("images a second, over a run's last epoch", ("model", "run")),
    "study_gpu_memory_bytes": Figure("the most of a GPU's memory that the run under way held", ("model", "run")),
    "study_boundaries_read": Figure("stored activations that runs opened", ("model",), adds=True),
    "study_boundaries_filled": Figure("stored activations that had to be computed first", ("model",), adds=True),
}


def tell(name: str, value: float, **tags: str) -> None:
    """A figure's value, or what is added to it. Costs some microseconds; goes nowhere where no agent listens."""
    figure = exported(name)
    if isinstance(figure, Counter):
        if value:
            figure.inc(value, tags)
    else:
        figure.set(value, tags)


@cache
def exported(name: str) -> Any:
    figure = FIGURES[name]
    kind = Counter if figure.adds else Gauge
    return kind(name, description=figure.description, tag_keys=figure.tags)
