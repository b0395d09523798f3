"""The warm process of the pool, which trains one run after another. It imports no more than training needs."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from trainables import epochs, heartbeat
from trainables.images import SplitImages
from trainables.resources import Resources
from trainables.run import Outcome, Run
from trainables.splits import ImagesKey
from trainables.trainer import train

T = TypeVar("T")


class TrainingProcess:
    def __init__(self) -> None:
        heartbeat.start()

    def ready(self) -> None:
        """Returns when the process has found a place and has started."""

    def train(self, run: Run, datasets: Mapping[ImagesKey, SplitImages], resources: Resources) -> Outcome:
        return train(run, datasets, resources, report=partial(epochs.tell, run.run_id))

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        return function(*arguments)
