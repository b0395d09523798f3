"""Features at the last boundaries of a frozen backbone: of the last as they are, of those before it their average.

The best freeze depth is rarely the last one, so a backbone is judged by what flows into its last few stages, too. All
come from one pass. With `store` the boundaries themselves are stored on the way, for whoever trains on these images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from trainables import neighbours, process
from trainables.boundaries import Chunk
from trainables.decoded import facts_of_images, image_bytes
from trainables.images import ROWS_PER_BLOCK, SplitImages
from trainables.memory import DoesNotFit, out_of_memory
from trainables.precision import precision
from trainables.process import ProcessCache
from trainables.reader import Reader
from trainables.run import Model, Run
from trainables.stages import StagedModel
from trainables.trainer import prepared_model, reader_of

BOUNDARIES = 3  # looked at: the last one, and up to two before it
WIDEST = 4096  # features of the last boundary, beyond which its average is taken
MODELS_KEPT = 4  # in a process, which measures many


@dataclass(frozen=True)
class Pooled:
    """Attributes:
    boundaries: their numbers, the last one first.
    values: (N, D) float32 of each, in the order in which the images were given.
    seconds: of the forward pass, of all images.
    parameters: of the backbone and a head.
    stored: whether the store holds each of the boundaries now.
    """

    boundaries: tuple[int, ...]
    values: tuple[np.ndarray, ...]
    seconds: float
    parameters: int
    stored: bool = False


def pooled(run: Run, images: SplitImages, threads: int, *, store: bool) -> Pooled:
    """Of the images of the run's split `train`.

    Args:
        run: whose model is looked at.
        images: brings them.
        threads: to compute with.
        store: whether each of the boundaries is stored, and not only what is needed here.

    Raises DoesNotFit where the device has too little memory.
    """
    torch.set_num_threads(threads)
    device, cache = process.device(), process.current()
    choice = precision(run.precision, device, tiny=run.model.scale == "mini")
    choice.apply()
    make_room(run.model, cache)
    try:
        model = prepared_model(run.model, run.seed, cache).to(device)
        model.freeze(model.backbone_stages)
        reader = reader_of(run, model, choice, device, lambda key: images, cache)
        try:
            fill_images(reader, images)
            start = perf_counter()
            depths = last(model.backbone_stages)
            kept = from_store(reader, model, depths) if store else None
            values = computed(reader, model, depths) if kept is None else kept
            reader.check()
            return Pooled(depths, values, perf_counter() - start, model.parameter_counts()[0], kept is not None)
        finally:
            reader.close()
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise DoesNotFit("out of memory while features are computed") from None


def last(stages: int) -> tuple[int, ...]:
    return tuple(range(stages, max(0, stages - BOUNDARIES), -1))


def make_room(model: Model, cache: ProcessCache) -> None:
    """Forgets the models before, which nobody asks for again soon."""
    if model not in cache.models and len(cache.models) >= MODELS_KEPT:
        cache.clear()


def fill_images(reader: Reader, images: SplitImages) -> None:
    """Boundary 0, stored. Of few images without Ray Data, which has nothing to gain from them and takes a second."""
    digest, store = reader.split_digests["train"], reader.store
    if store is None or digest.length > 2 * ROWS_PER_BLOCK:
        return
    positions = np.arange(digest.length)

    def rows() -> Sequence[Chunk]:
        labels, index = images.labels_and_index()
        return [(positions, index, labels.numpy(), images.take(positions)[0])]

    facts = facts_of_images(digest, reader.preprocessing)
    entry = neighbours.open_or_fill(
        store, facts, digest.length, image_bytes(reader.preprocessing), (chunk for chunk in rows())
    )
    if entry:
        entry.close()


@torch.inference_mode()
def computed(reader: Reader, model: StagedModel, depths: Sequence[int]) -> tuple[np.ndarray, ...]:
    """In one pass, of which nothing is stored."""
    rows = reader.images("train")
    size = model.rows_at_once(reader.device)
    found: dict[int, list[Tensor]] = {depth: [] for depth in depths}
    with reader.precision.autocast():
        for batch, _ in rows.in_order(size):
            before, values = 0, batch.to(reader.device)
            for depth in reversed(depths):
                values = model.frozen(before, depth, values)
                before = depth
                found[depth].append(features_of(values, last=depth == depths[0]))
    return tuple(torch.cat(found[depth]).numpy() for depth in depths)


@torch.inference_mode()
def from_store(reader: Reader, model: StagedModel, depths: Sequence[int]) -> tuple[np.ndarray, ...] | None:
    """Each boundary from the store, or else filled there from the one before; None where it takes one of them not."""
    found = {}
    size = model.rows_at_once(reader.device)
    for depth in reversed(depths):
        split = reader.boundary("train", depth)
        if split.boundary != depth:
            return None
        parts = [features_of(values, last=depth == depths[0]) for values, _ in split.in_order(size)]
        found[depth] = torch.cat(parts).numpy()
    return tuple(found[depth] for depth in depths)


def features_of(values: Tensor, *, last: bool) -> Tensor:
    """(N, D) of a boundary (N, ...): as the head takes it, or averaged over places.

    Of four axes the channels are the second, unless the second and third alone are equal, as those of a square; of
    three, tokens, they are the last.
    """
    values = values.float().cpu()
    if values.dim() <= 2 or (last and values[0].numel() <= WIDEST):
        return values.flatten(1)
    if values.dim() == 3:
        return values.mean(dim=1)
    _, one, two, three = values.shape[:4]
    square = one == two != three
    return values.mean(dim=(1, 2) if square else (2, 3)).flatten(1)
