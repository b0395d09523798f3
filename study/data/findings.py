"""What a person should know of a dataset before a study of it, though a study takes it all the same."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from study.data import near_copies
from study.data.decoding import UPPER_EIGHT
from study.data.image_index import Aside
from study.data.pixel_range import PixelRange
from study.data.splits import DatasetSplits
from study.text import plural, shorten

UNBALANCED = 20  # times as many images in the largest class as in the smallest
DARK, BRIGHT = 4, 251
PLAIN_LEVELS = 12  # between the darkest and the brightest pixel of an image with nothing on it
TELLS = 0.99  # the share of pairs of images, one in a class and one outside, that brightness alone puts in order
MOST_COMPARED = 200_000  # images whose near copies are looked for: 100,000 take 1.4 s
ENOUGH = 20  # images of a class, for that to be no accident
Name = Callable[[int], str | None]


def of_classes(classes: Sequence[str], labels: np.ndarray) -> list[str]:
    counts = np.bincount(labels, minlength=len(classes))
    least, most = int(counts.argmin()), int(counts.argmax())
    if not len(counts) or not counts[least] or counts[most] < UNBALANCED * counts[least]:
        return []
    return [
        f"classes are out of balance: {classes[most]!r} has {counts[most]:,} images, {classes[least]!r} "
        f"{counts[least]:,} (1 : {counts[most] / counts[least]:.0f}): see --fix class_weights=balanced, and "
        "--metric mean_class_accuracy or macro_f1"
    ]


def of_files(aside: Sequence[Aside]) -> list[str]:
    """Files that a person would take for images of the dataset."""
    images = [str(one) for one in aside if one.images]
    return [f"passed over: {'; '.join(images)}"] if images else []


def of_pixels(
    table: pa.Table, rows: np.ndarray, labels: np.ndarray, classes: Sequence[str], name: Name, pixel_range: PixelRange
) -> list[str]:
    """What the pixels of some rows of a scan look like.

    Args:
        table: of the whole scan.
        rows: those that a study uses.
        labels: of these rows.
        name: of an image, by its row in the table.
        pixel_range: that the images are read with.
    """
    if not len(rows):
        return []
    table = table.take(pa.array(rows))
    darkest, brightest = extremes(table, pixel_range)
    said = [f"pixels of more than 8 bits are scaled by what they use: {pixel_range}"] if pixel_range.facts() else []
    upper = pc.sum(pc.equal(table["mode"], UPPER_EIGHT)).as_py()
    if upper:
        said.append(
            f"{plural(upper, 'TIFF')} with colours of 16 bits: only the upper 8 are read, so what uses fewer is "
            "dark: save them as PNG, of which all are read"
        )
    plain = brightest - darkest <= PLAIN_LEVELS
    kinds = {
        "black": plain & (brightest <= DARK),
        "white": plain & (darkest >= BRIGHT),
        "of one colour": plain & (brightest == darkest) & (brightest > DARK) & (darkest < BRIGHT),
    }
    kinds["nearly of one colour"] = plain & ~np.any([*kinds.values()], axis=0)
    for words, mask in kinds.items():
        if mask.any():
            found = [str(name(int(row))) for row in rows[np.flatnonzero(mask)[:3]]]
            count = int(mask.sum())
            said.append(f"{plural(count, 'image')} {'is' if count == 1 else 'are'} {words}: {shorten_of(found, count)}")
    said += of_brightness(brightness(table, darkest, brightest, pixel_range), labels, classes)
    colours, grey = pc.count(table["same_channels"]).as_py(), pc.sum(table["same_channels"]).as_py() or 0
    if grey and grey == colours:
        said.append(f"{'all ' if grey == len(rows) else ''}{grey:,} colour images have three equal channels: grey")
    return said


def shorten_of(found: list[str], total: int) -> str:
    return ", ".join(found) + (f" and {total - len(found)} more" if total > len(found) else "")


def extremes(table: pa.Table, pixel_range: PixelRange) -> tuple[np.ndarray, np.ndarray]:
    """The darkest and the brightest pixel of each image, 0 to 255 as a study reads it."""
    least, most = (table[name].to_numpy() for name in ("least", "most"))
    deep = pc.is_valid(table["nearly_most"]).to_numpy()
    floats = pc.equal(table["mode"], "F").to_numpy()
    both = []
    for values in (least, most):
        shown = values.copy()
        for mask, kind in ((deep & floats, np.float64), (deep & ~floats, np.int64)):
            shown[mask] = pixel_range.eight_bits(values[mask].astype(kind))
        both.append(shown)
    return both[0], both[1]


def brightness(table: pa.Table, darkest: np.ndarray, brightest: np.ndarray, pixel_range: PixelRange) -> np.ndarray:
    """The mean of each image, 0 to 255."""
    mean = near_copies.pictures(table["tiny"]).mean(axis=1)
    deep = pc.is_valid(table["nearly_most"]).to_numpy()
    return np.where(deep, darkest + mean * (brightest - darkest) / 255, mean)


def of_brightness(mean: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> list[str]:
    """Classes whose images are all brighter, or all darker, than the others': a model may learn that and no more."""
    from scipy.stats import rankdata

    counts = np.bincount(labels, minlength=len(classes))
    sums = np.bincount(labels, weights=rankdata(mean), minlength=len(classes))
    others = len(labels) - counts
    with np.errstate(divide="ignore", invalid="ignore"):
        above = (sums - counts * (counts + 1) / 2) / (counts * others)
    telling = (counts >= ENOUGH) & (others >= ENOUGH) & (np.abs(above - 0.5) >= TELLS - 0.5)
    found = [f"{classes[i]!r} ({'brighter' if above[i] > 0.5 else 'darker'})" for i in np.flatnonzero(telling).tolist()]
    return [f"brightness alone tells {shorten(found)} from the rest: were they taken alike?"] if found else []


def of_splits(splits: DatasetSplits) -> list[str]:
    """What is said of a dataset and its splits, before a study of them."""
    source, pictures = splits.source, splits.source.pictures
    if pictures is None or len(pictures) > MOST_COMPARED:
        return [*source.warnings]
    pairs = near_copies.across(pictures, {name: splits.rows(name) for name in splits.sizes()})
    return [*source.warnings, *of_near_copies(pairs, source.images.name)]


def of_near_copies(pairs: Sequence[tuple[int, int]], name: Name) -> list[str]:
    if not pairs:
        return []
    shown = shorten([f"{name(one)} ~ {name(other)}" for one, other in pairs], 2)
    return [
        f"{plural(len(pairs), 'image')} of one split {'looks' if len(pairs) == 1 else 'look'} nearly like one of "
        f"another: {shown}: are they copies? --data-option group= keeps what belongs together in one split"
    ]


def counted(classes: Sequence[str], labels: np.ndarray) -> str:
    """`3 classes: fox 62, dog 91, cat 151`; of many, only the ends."""
    counts = np.bincount(labels, minlength=len(classes))
    order = np.argsort(counts, kind="stable")
    if len(classes) <= 8:
        return f"{len(classes)} classes: " + ", ".join(f"{classes[i]} {counts[i]:,}" for i in range(len(classes)))
    if counts.min() == counts.max():
        return f"{len(classes):,} classes ({shorten(classes)}), {counts[0]:,} images in each"
    few, many = int(order[0]), int(order[-1])
    return f"{len(classes):,} classes, from {classes[few]!r} ({counts[few]:,}) to {classes[many]!r} ({counts[many]:,})"


def sizes(splits: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in splits.items())
