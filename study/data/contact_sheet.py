"""A page that shows in ten seconds whether a dataset was understood: some images of each class, and the odd ones."""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment
from PIL import Image

from study.data import decoding, findings, libjpeg, near_copies
from study.data.check import Contents
from study.data.pixel_range import PixelRange
from study.data.source import Arrays
from study.text import plural

SIDE = 96  # pixels of the longer side
OF_A_CLASS = 8
MOST_CLASSES = 40
OF_A_KIND = 8

TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ report.dataset }}</title>
<style>
:root { color-scheme: light dark; }
body { margin: 2rem auto; padding: 0 1rem; max-width: 72rem; font: 1rem/1.5 system-ui, sans-serif; }
body { overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.said { margin: .3rem 0; padding: .4rem .8rem; border-left: 4px solid #888; background: #8881; }
.problem { border-color: #d55e00; } .warning { border-color: #e69f00; } .fine { border-color: #0072b2; }
.row { display: grid; grid-template-columns: 13rem 1fr; gap: 1rem; padding: .5rem 0; border-top: 1px solid #8884; }
.row p { margin: 0; } .row small { color: #808080; display: block; }
.images { display: flex; flex-wrap: wrap; gap: .4rem; }
figure { margin: 0; width: 6.2rem; } figcaption { font-size: .65rem; line-height: 1.3; color: #808080; }
img { max-width: 6rem; max-height: 6rem; min-width: 3rem; display: block; outline: 1px solid #8886; }
@media (max-width: 40rem) { .row { grid-template-columns: 1fr; } }
</style></head><body>
<h1>{{ report.dataset }}</h1>
<p>{{ "{:,}".format(report.images) }} images, {{ counted }}{% if report.splits %}; {{ sizes }}{% endif %}</p>
{% for text in report.problems %}<p class="said problem">A study refuses it: {{ text }}</p>
{% else %}<p class="said fine">A study takes it.</p>
{% endfor %}
{% for text in report.warnings %}<p class="said warning">{{ text }}</p>
{% endfor %}
{% for section in sections %}
<h2>{{ section.title }}</h2>
{% for row in section.rows %}
<div class="row"><p>{{ row.name }}<small>{{ row.note }}</small></p><div class="images">
{% for picture in row.pictures %}
<figure><img alt="{{ picture.alt }}" src="data:image/png;base64,{{ picture.png }}">
<figcaption>{{ picture.alt }}</figcaption></figure>
{% endfor %}
</div></div>
{% endfor %}
{% endfor %}
</body></html>
"""


class Picture(NamedTuple):
    alt: str
    png: str


class Row(NamedTuple):
    name: str
    note: str
    pictures: list[Picture]


class Section(NamedTuple):
    title: str
    rows: list[Row]


def page(report: Mapping[str, Any], found: Contents) -> str:
    """One file that opens without a network."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    with libjpeg.unheard():
        sections = [of_classes(found), of_the_odd(found, report)]
    return environment.from_string(TEMPLATE).render(
        report=report,
        counted=findings.counted(found.classes, found.labels),
        sizes=findings.sizes(report["splits"] or {}),
        sections=[section for section in sections if section.rows],
    )


def of_classes(found: Contents) -> Section:
    """Images spread over each class; of many classes, the ones with the fewest and the most images."""
    counts = np.bincount(found.labels, minlength=len(found.classes))
    shown = np.argsort(counts, kind="stable")
    if len(shown) > MOST_CLASSES:
        shown = np.concatenate([shown[: MOST_CLASSES // 2], shown[-MOST_CLASSES // 2 :]])
    title = "Classes" if len(shown) == len(counts) else f"The {len(shown)} smallest and largest classes"
    rows = []
    for label in np.sort(shown) if len(shown) == len(counts) else shown:
        members = np.flatnonzero(found.labels == label)
        some = members[np.unique(np.linspace(0, len(members) - 1, OF_A_CLASS).astype(int))]
        rows.append(Row(found.classes[label], plural(len(members), "image"), pictures(found, some)))
    return Section(title, rows)


def of_the_odd(found: Contents, report: Mapping[str, Any]) -> Section:
    """The smallest, largest, darkest, brightest and most alike, of those that can be read."""
    width, height = (found.metadata[side].fill_null(0).to_numpy().astype(np.int64) for side in ("width", "height"))
    readable = np.flatnonzero(found.metadata["problem"].is_null().to_numpy())
    if not len(readable):
        return Section("", [])
    area = (width * height)[readable]
    table = found.metadata.take(readable)
    pixel_range = range_of(found)
    bright = findings.brightness(table, *findings.extremes(table, pixel_range), pixel_range)
    rows = [
        Row(name, "", pictures(found, readable[np.argsort(sign * values, kind="stable")[:OF_A_KIND]]))
        for name, values, sign in (
            ("smallest", area, 1),
            ("largest", area, -1),
            ("darkest", bright, 1),
            ("brightest", bright, -1),
        )
    ]
    alike = closest(near_copies.pictures(table["tiny"]), readable)
    rows.append(Row("most alike", "in pairs", pictures(found, alike)))
    return Section("The odd ones", rows)


def closest(tiny: np.ndarray, rows: np.ndarray) -> list[int]:
    """The rows of those pairs that differ least, though they are not the same byte for byte."""
    from scipy.spatial import cKDTree

    some = np.linspace(0, len(rows) - 1, min(5000, len(rows))).astype(int)
    if len(some) < 2:
        return []
    distance, other = cKDTree(tiny[some]).query(tiny[some], k=2)
    pairs: list[int] = []
    for i in np.argsort(distance[:, 1], kind="stable"):
        pair = int(rows[some[i]]), int(rows[some[other[i, 1]]])
        if pair[0] != pair[1] and not {*pair} & {*pairs}:
            pairs += pair
        if len(pairs) >= OF_A_KIND:
            break
    return pairs


def range_of(found: Contents) -> PixelRange:
    facts = {name: (low, high) for name, (low, high) in found.source.pixel_range.items()}
    return PixelRange(facts.get("integers"), facts.get("fractions"))


def pictures(found: Contents, rows: Iterable[int]) -> list[Picture]:
    """As a study reads them, and small; one that cannot be read has no picture."""
    made = []
    for row in map(int, rows):
        try:
            pixels = pixels_of(found, row)
        except ValueError:
            continue
        image = Image.fromarray(pixels)
        image.thumbnail((SIDE, SIDE))
        file = BytesIO()
        image.save(file, "PNG")
        size = f"{pixels.shape[1]} x {pixels.shape[0]}"
        made.append(Picture(f"{found.name(row)} {size}", b64encode(file.getvalue()).decode()))
    return made


def pixels_of(found: Contents, row: int) -> np.ndarray:
    """Raises ValueError."""
    if found.index is None:
        assert isinstance(found.source.images, Arrays)
        return found.source.images.pixels[row]
    [data] = found.index.images.read(np.array([row]))
    if isinstance(data, OSError):
        raise ValueError(decoding.reason(data))
    return decoding.decode(data, range_of(found))
