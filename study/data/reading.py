"""Ray Data brings the images: rows of a source, decoded and resized to what an architecture takes."""

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import ray
import torch
from ray.data import DataContext, Dataset
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import center_crop, resize

from study.data.source import ExampleSource
from study.data.splits import DatasetSplits
from trainables.architecture import Preprocessing
from trainables.numbering import numbers
from trainables.splits import ImagesKey

ROWS_PER_BLOCK = 512

Convert = Callable[[np.ndarray], np.ndarray]


def quiet() -> None:
    """Ray Data without progress bars and notices, in this process."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False


def read(source: ExampleSource, rows: np.ndarray, convert: Convert = np.asarray, *, cpus: float = 1) -> Dataset:
    """The given rows as a Ray Dataset of `position, index, image, label`; nothing is read before it is asked for.

    `position` is a row's place in `rows`: Ray Data promises no order. `convert` makes of a decoded image, (H, W) or
    (H, W, 3) uint8, what is kept of it. Each task asks for so many logical `cpus`.
    """
    everything = ray.put((source.images, source.labels, rows, convert))

    def gather(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        images, labels, rows, convert = ray.get(everything)
        position = batch["id"]
        index = rows[position]
        pixels = column((convert(image) for image in images.decoded(index)), len(index))
        return {"position": position, "index": index, "image": pixels, "label": labels[index]}

    blocks = max(1, len(rows) // ROWS_PER_BLOCK)
    return numbers(len(rows), blocks=blocks, cpus=cpus).map_batches(gather, batch_size=None, num_cpus=cpus)


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


def resized(image: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """One image (H, W) or (H, W, 3) uint8 -> (size, size, 3) uint8: shorter side to size / crop, then the centre."""
    grey_or_rgb = image[..., None] if image.ndim == 2 else image
    chw = torch.tensor(grey_or_rgb).permute(2, 0, 1)  # a copy: Ray's arrays may not be written to
    mode = InterpolationMode(preprocessing.interpolation)
    side = round(preprocessing.size / preprocessing.crop)
    sized = center_crop(resize(chw, [side], mode, antialias=True), [preprocessing.size, preprocessing.size])
    return sized.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()


def datasets_of_study(
    splits: DatasetSplits, preprocessing: Preprocessing, *, margin: bool, cpus: float = 1
) -> dict[ImagesKey, Dataset]:
    """Everything that the runs of a study may read.

    Args:
        margin: some of them crop at random, and so read what they train on with a margin too.
        cpus: logical CPUs that a task may ask for, which are free on every node: `Resources.data_cpus`.
    """
    datasets = {
        ImagesKey(name): images
        for name, images in prepare(splits, preprocessing, ("train", "val", "test"), cpus=cpus).items()
    }
    if margin:
        with_margin = prepare(splits, preprocessing.with_margin, ("train", "val"), cpus=cpus)
        datasets |= {ImagesKey(name, margin=True): images for name, images in with_margin.items()}
    return datasets


def prepare(
    splits: DatasetSplits, preprocessing: Preprocessing, names: tuple[str, ...], *, cpus: float = 1
) -> Mapping[str, Dataset]:
    """Each named split as a Ray Dataset of `position, index, image (size, size, 3) uint8, label`, in any order."""
    quiet()
    convert = partial(resized, preprocessing=preprocessing)
    return {name: read(splits.source, splits.rows(name), convert, cpus=cpus) for name in names}
