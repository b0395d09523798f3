"""What a run reads of a dataset: decoded and resized to what an architecture takes."""

from collections.abc import Mapping
from functools import partial

import numpy as np
from ray.data import Dataset

from study.data.resizing import resized
from study.data.source import ExampleSource
from study.data.splits import DatasetSplits
from trainables.architecture import Preprocessing
from trainables.images import Convert, SplitImages
from trainables.splits import ImagesKey


def read(source: ExampleSource, rows: np.ndarray, convert: Convert = np.asarray) -> Dataset:
    """The given rows as a Ray Dataset of `position, index, image, label`; nothing is read before it is asked for.

    `position` is a row's place in `rows`: Ray Data promises no order. `convert` makes of a decoded image, (H, W) or
    (H, W, 3) uint8, what is kept of it.
    """
    [images] = SplitImages.put(source.images, source.labels, [(rows, convert)])
    return images.dataset()


def start_helpers_here() -> None:
    """Starts Ray Data's own two actors on this node, the study's: they would start where a trial first reads, and stay.

    A node with them is never idle, so an autoscaler would never end it; and they would be lost with it.
    """
    from ray.data._internal.cluster_autoscaler import get_or_create_autoscaling_coordinator
    from ray.data._internal.stats import get_or_create_stats_actor

    get_or_create_autoscaling_coordinator()
    get_or_create_stats_actor()


def datasets_of_study(
    splits: DatasetSplits, preprocessing: Preprocessing, *, margin: bool
) -> dict[ImagesKey, SplitImages]:
    """Everything that the runs of a study may read.

    Args:
        margin: some of them crop at random, and so read what they train on with a margin too.
    """
    sizes = {ImagesKey(name): preprocessing for name in ("train", "val", "test")}
    if margin:
        sizes |= {ImagesKey(name, margin=True): preprocessing.with_margin for name in ("train", "val")}
    if (side := splits.source.side) is not None and side < preprocessing.size:
        sizes |= {ImagesKey(name, own=True): preprocessing.of_side(side) for name in ("train", "val", "test")}
    parts = [(splits.rows(key.split), partial(resized, preprocessing=size)) for key, size in sizes.items()]
    source = splits.source
    return dict(zip(sizes, SplitImages.put(source.images, source.labels, parts), strict=True))


def prepare(splits: DatasetSplits, preprocessing: Preprocessing, names: tuple[str, ...]) -> Mapping[str, SplitImages]:
    """The images (size, size, 3) uint8 of each named split."""
    every = datasets_of_study(splits, preprocessing, margin=False)
    return {name: every[ImagesKey(name)] for name in names}
