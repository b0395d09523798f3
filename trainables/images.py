"""The images of a split, wherever they are: Ray Data reads, decodes and resizes all of them once, or some in an order.

A node that sees the files (its own disk, a shared one, a bucket) reads for itself. For one that does not, the node
that the study was started on reads, and every node's CPUs decode.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from time import perf_counter
from typing import Any, NamedTuple, Self

import numpy as np
import ray
import torch
from ray.data import DataContext, Dataset, from_blocks
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from torch import Tensor

from trainables.splits import Images

ROWS_PER_BLOCK = 512
READ_AT_A_TIME = 8  # blocks, where a node reads for others

Convert = Callable[[np.ndarray], np.ndarray]


class Content(NamedTuple):
    """What every process that reads takes from Ray's object store."""

    images: Images
    labels: np.ndarray
    rows: np.ndarray
    convert: Convert

    def pixels(self, positions: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) uint8, as `convert` leaves them."""
        return column(map(self.convert, self.images.decoded(self.rows[positions])), len(positions))

    def pixels_of(self, positions: np.ndarray, encoded: Sequence[bytes]) -> np.ndarray:
        """The same of images that another node has read."""
        return column(map(self.convert, self.images.decode(self.rows[positions], encoded)), len(positions))


@dataclass(frozen=True)
class SplitImages:
    """The images of a split by their position in it, as the models of a study take them.

    Attributes:
        shared: images and labels of the whole dataset, and which of them are in this split and what is kept of an
            image, in Ray's object store.
        length: how many they are.
        home: the node that the study was started on, which has read them.
        seen: what that node saw of the files; None for images in memory, which go where they are asked for.
    """

    shared: tuple[ray.ObjectRef, ray.ObjectRef]
    length: int
    home: str
    seen: str | None

    @classmethod
    def put(cls, images: Images, labels: np.ndarray, parts: Iterable[tuple[np.ndarray, Convert]]) -> list[Self]:
        """One for each of some rows of a dataset, with what is to be kept of a decoded image: it is shared by all."""
        everything, home, seen = ray.put((images, labels)), here(), images.seen()
        return [cls((everything, ray.put(part)), len(part[0]), home, seen) for part in parts]

    def content(self) -> Content:
        (images, labels), (rows, convert) = ray.get(list(self.shared))
        return Content(images, labels, rows, convert)

    @property
    def visible_here(self) -> bool:
        """Whether this node sees the files as the one did that the study was started on."""
        return self.seen is None or here() == self.home or self.content().images.seen() == self.seen

    def where(self) -> "Where":
        """Where tasks of this process are to read."""
        if self.seen is None or not several_nodes():
            return Where(None, None)
        return Where(here(), None) if self.visible_here else Where(None, self.home)

    def dataset(self, positions: np.ndarray | None = None) -> Dataset:
        """All of them as `position, index, image, label`, or some, in any order; nothing is read before it is asked."""
        wanted = np.arange(self.length) if positions is None else positions
        blocks = np.array_split(wanted, max(1, len(wanted) // ROWS_PER_BLOCK))
        content = self.content

        def read(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            known, position = content(), batch["position"]
            encoded: Any = batch.get("encoded")
            pixels = known.pixels(position) if encoded is None else known.pixels_of(position, encoded)
            index = known.rows[position]
            return {"position": position, "index": index, "image": pixels, "label": known.labels[index]}

        return tasks([{"position": block} for block in blocks], self.where(), self.encoded, read)

    def encoded(self, batch: dict[str, np.ndarray]) -> list[bytes]:
        """Of the positions of a batch: the images' files."""
        content = self.content()
        return list(content.images.encoded(content.rows[batch["position"]]))

    def iter_batches(self, **given: Any) -> Iterable[Any]:
        """As a Ray Dataset."""
        return self.dataset().iter_batches(**given)

    def take(self, positions: np.ndarray) -> tuple[Tensor, float]:
        """Some images (N, 3, H, W) uint8, and the seconds that one core needs for one of them."""

        if self.visible_here:
            pixels, seconds = self.timed(positions)
        else:
            pixels, seconds = ray.get(ask(SplitImages.timed, self.home, self, positions))
        return torch.tensor(pixels).permute(0, 3, 1, 2), seconds

    def timed(self, positions: np.ndarray) -> tuple[np.ndarray, float]:
        content, start = self.content(), perf_counter()
        pixels = content.pixels(positions)
        return pixels, (perf_counter() - start) / len(positions)

    def labels_and_index(self) -> tuple[Tensor, np.ndarray]:
        content = self.content()
        return torch.tensor(content.labels[content.rows]), content.rows.copy()


class Where(NamedTuple):
    """Which node reads and decodes, None for any; or which one reads for the others, which then decode."""

    all_on: str | None = None
    reads: str | None = None


def tasks(
    blocks: list[dict[str, np.ndarray]],
    where: Where,
    encoded: Callable[[dict[str, np.ndarray]], list[bytes]],
    finish: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]],
) -> Dataset:
    """A Ray Dataset of what `finish` makes of each block, by a task for each. The blocks are there: no task makes them.

    Tasks ask for no logical CPU: runs, of other studies too, may hold all of them, and wait for these tasks. There are
    no more at a time than CPUs.

    Args:
        encoded: where one node reads for others it adds this column to a block first.
    """
    import pyarrow as pa

    quiet()
    # Of Ray's makers the one that starts no task of its own, which would ask for a whole CPU: no node may have one free
    dataset: Dataset = from_blocks([pa.table(dict(block)) for block in blocks])
    if where.reads is not None:

        def fetch(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {**batch, "encoded": as_objects(encoded(batch))}

        dataset = dataset.map_batches(
            fetch, batch_size=None, num_cpus=0, concurrency=READ_AT_A_TIME, label_selector=node(where.reads)
        )
    selector = None if where.all_on is None else node(where.all_on)
    finished = dataset.map_batches(
        finish, batch_size=None, num_cpus=0, concurrency=cores(where.all_on), label_selector=selector
    )
    finished.context.target_max_block_size = None  # a block is a batch, however many bytes it takes
    return finished


def cores(name: str | None) -> int:
    """CPUs of a node, or of all nodes, as they were declared to Ray; one at least."""
    nodes = [one for one in ray.nodes() if one["Alive"] and name in (None, one["NodeID"])]
    return max(1, int(sum(one["Resources"].get("CPU", 0) for one in nodes)))


def as_objects(values: Sequence[Any]) -> np.ndarray:
    column = np.empty(len(values), object)
    column[:] = values
    return column


def here() -> str:
    """This node, as Ray calls it."""
    return ray.get_runtime_context().get_node_id()


def ask(function: Callable[..., Any], node: str, *arguments: Any) -> Any:
    """A task on a node, of no CPU and in no placement group: it fails, and does not wait, where the node is gone."""
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    return remote(function).options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote(*arguments)


@cache
def remote(function: Callable[..., Any]) -> Any:
    """Ray is told of a function once."""
    return ray.remote(function)


def node(name: str) -> dict[str, str]:
    return {"ray.io/node-id": name}


def several_nodes() -> bool:
    return sum(one["Alive"] for one in ray.nodes()) > 1


def quiet() -> None:
    """Ray Data without progress bars and notices, in this process."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False


def column(images: Iterator[np.ndarray], length: int) -> np.ndarray:
    """Images as Ray Data takes a batch of them, also where they are of different sizes.

    They are copied into one array as they come. Kept one by one they would lie between the larger ones that they were
    made of, whose memory could then not be used again: it grew by a whole photograph with each.
    """
    first = next(images)
    together = np.empty((length, *first.shape), np.uint8)
    together[0] = first
    for i, image in enumerate(images, start=1):
        if image.shape != first.shape:
            several = np.empty(length, object)
            several[:] = [*together[:i], image, *images]
            return several
        together[i] = image
    return together
