"""Whether the nodes of a study have room for its images, said before it starts where they do not."""

from collections.abc import Iterable

from study.data.splits import DatasetSplits
from trainables import neighbours
from trainables.architecture import Preprocessing
from trainables.boundaries import GIB, Store
from trainables.decoded import fits_in_memory, image_bytes
from trainables.images import several_nodes

WORTH_ASKING = GIB  # what is less than this finds room on any node


def notes(splits: DatasetSplits, preprocessing: Preprocessing, boundaries: str) -> list[str]:
    """A line for each split that is read and decoded whenever it is needed: neither disk nor memory takes it.

    Args:
        preprocessing: how large its images are as a model takes them.
        boundaries: one of BOUNDARY_MODES.
    """
    sizes = {name: len(splits.rows(name)) * image_bytes(preprocessing) for name in ("train", "val", "test")}
    limit = smallest_limit(sizes.values()) if boundaries != "off" else 0
    too_large = {name: size for name, size in sizes.items() if size > limit and not fits_in_memory(size)}
    return [line(splits, name, size, limit) for name, size in too_large.items()]


def line(splits: DatasetSplits, name: str, size: int, limit: int) -> str:
    """What is not kept of a split, and what that costs."""
    images, source = len(splits.rows(name)), splits.source
    at_once = source.images.rows_at_once
    read = source.encoded_bytes * images / len(source.labels) * at_once
    tables = f", for it is read in row groups of {at_once:.0f}" if at_once > 1 else ""
    return (
        f"{name} ({images:,} images x {size / images / 1024:.0f} KiB = {size / GIB:.3g} GiB) does not fit the "
        f"{limit / GIB:.3g} GiB that boundaries may take (STUDY_CACHE_GIB): where no boundary of frozen stages is "
        f"stored, it is streamed every epoch: about {read / 1e9:.3g} GB read per epoch{tables}"
    )


def smallest_limit(sizes: Iterable[int]) -> int:
    """Of the stores of all nodes there are; of this one where the others need not be asked."""
    own = Store.here().limit
    if max(sizes) < WORTH_ASKING or not several_nodes():
        return own
    return min([own, *neighbours.answers(limit_here)])


def limit_here() -> int:
    return Store.here().limit
