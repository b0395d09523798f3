"""Pictures that are nearly the same though their bytes differ: saved again, resized, or another's thumbnail.

Each image's tiny grey picture (see `look`) is its perceptual hash: a copy of another size or quality differs from it by
some levels of 255, another photo by tens.
"""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from study.data import look

PLAIN = 4.0  # standard deviation of a tiny picture below which all are alike
THUMBNAIL = 8.0  # levels between a photo and its own thumbnail, which is known by its name too
MOST_OF_A_NAME = 300  # images of a class: more are called `frame` or `image`, and say nothing by their names
DIRECTIONS = 12  # of most variance: no distance in them is greater than in all
NEIGHBOURS = 3
FOLDERS_AND_SUFFIX = r"^.*/|\.[^./]*$"
AFFIX = r"(?i)[-_. ]*(thumbnails?|thumbs?|small|preview|medium|large|tn|[0-9]+x[0-9]+)[-_. ]*"


def pictures(tiny: pa.ChunkedArray) -> np.ndarray:
    """(N, SIDE ** 2) uint8, zeros where an image cannot be read, of the scan's column."""
    column = tiny.fill_null(b"\0" * look.SIDE**2).combine_chunks()
    found = np.frombuffer(column.buffers()[1], np.uint8).reshape(-1, look.SIDE**2)
    return found[column.offset : column.offset + len(column)]


def limit(found: np.ndarray) -> np.ndarray:
    """How far, in levels, a copy of each may be from it: less for one of little contrast."""
    return 1.5 + 0.04 * found.std(axis=-1)


def levels(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The root of the mean square of differences, by row."""
    return np.sqrt(((one.astype(np.float32) - other) ** 2).mean(axis=-1))


def thumbnails(
    paths: pa.Array, usable: np.ndarray, labels: np.ndarray, tiny: pa.ChunkedArray, sizes: np.ndarray
) -> dict[int, int]:
    """Each image that is a small or converted copy of another one of its name and class, and that other image.

    Args:
        usable: the rows of those that can be read.
        tiny: the tiny pictures of all images, as the scan has them.
        sizes: the pixels of each: of two copies the larger one is the original.
    """
    stems = pc.replace_substring_regex(paths.take(pa.array(usable)), FOLDERS_AND_SUFFIX, "")
    bare = pc.replace_substring_regex(stems, AFFIX, "")
    named = pc.utf8_lower(pc.if_else(pc.equal(bare, ""), stems, bare)).dictionary_encode()
    keys = named.indices.to_numpy().astype(np.int64) * (int(labels.max(initial=0)) + 1) + labels[usable]
    _, group, counts = np.unique(keys, return_inverse=True, return_counts=True)
    several = usable[counts[group] > 1]
    of_group: dict[int, list[int]] = defaultdict(list)
    for row, number in zip(several.tolist(), group[counts[group] > 1].tolist(), strict=True):
        of_group[number].append(row)
    copies: dict[int, int] = {}
    for rows in of_group.values():
        if len(rows) > MOST_OF_A_NAME:
            continue
        ordered = sorted(rows, key=lambda row: -int(sizes[row]))
        found = pictures(tiny.take(pa.array(ordered)))
        for i in range(1, len(ordered)):
            close = (levels(found[:i], found[i]) <= THUMBNAIL) & (found[:i].std(axis=1) >= PLAIN)
            if close.any():
                copies[ordered[i]] = ordered[int(close.argmax())]
    return copies


def across(found: np.ndarray, splits: Mapping[str, np.ndarray]) -> list[tuple[int, int]]:
    """Pairs of images in two splits that are nearly the same, the later split's first: the nearest of each."""
    from scipy.spatial import cKDTree

    of_split = {name: rows[found[rows].std(axis=1) >= PLAIN] for name, rows in splits.items()}
    every = np.concatenate([*of_split.values()])
    if len(every) < 2:
        return []
    sample = found[every[np.linspace(0, len(every) - 1, min(4000, len(every))).astype(int)]]
    centre = sample.mean(axis=0)
    directions = np.linalg.svd(sample - centre, full_matrices=False)[2][:DIRECTIONS].T
    near = {name: (found[rows] - centre) @ directions for name, rows in of_split.items()}
    pairs = []
    for earlier, later in (("train", "val"), ("train", "test"), ("val", "test")):
        before, after = of_split.get(earlier, []), of_split.get(later, [])
        if not len(before) or not len(after):
            continue
        reach = float(limit(found[after]).max()) * found.shape[1] ** 0.5
        tree = cKDTree(near[earlier])
        _, nearest = tree.query(near[later], k=min(NEIGHBOURS, len(before)), distance_upper_bound=reach, workers=-1)
        for rank in nearest.reshape(len(after), -1).T:
            there = np.flatnonzero(rank < len(before))
            mine, other = after[there], before[rank[there]]
            close = levels(found[mine], found[other]) <= limit(found[mine])
            pairs += list(zip(mine[close].tolist(), other[close].tolist(), strict=True))
    return sorted({mine: (mine, other) for mine, other in reversed(pairs)}.values())
