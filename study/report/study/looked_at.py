"""What the model looked at: Grad-CAM and the rollout of attention over test images that it got wrong, and right."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import ClassVar

import numpy as np
from PIL import Image

from study.report.blocks import Note, Section, empty
from study.report.numbers import percent
from study.report.study import record_view
from study.results import saliency
from study.results.record import Record, Row
from study.results.saliency import SMALL

COLORS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))  # viridis: dark is not looked at
STRONGEST = 0.75  # opacity where it looked most: the image stays visible
FINE = 56  # pixels of a map as it is drawn: browsers enlarge one of 7 x 7 each in a way of their own
METHODS = ("convolution", "attention")


@dataclass(frozen=True)
class Look:
    """An image as the model was given it, and where it looked, by method; pictures are data URIs."""

    picture: str
    small: bool
    overlays: Sequence[tuple[str, str]]
    index: int
    label: str
    predicted: str
    confidence: str

    @property
    def right(self) -> bool:
        return self.label == self.predicted


@dataclass(frozen=True)
class Looks:
    title: str
    caption: str
    looks: Sequence[Look]
    template: ClassVar[str] = "looks.html"


def section(record: Record) -> Section:
    title = "What it looked at"
    try:
        rows = saliency.read(record.folder)
    except ValueError as damaged:
        return empty("looked-at", title, f"{damaged}.")
    if not rows:
        if record_view.finished(record):
            return empty("looked-at", title, "The record keeps none of it: an earlier version wrote it.")
        return empty("looked-at", title, record_view.nothing_yet(record, "map of what the model looked at"))
    blocks: list[Looks | Note] = []
    for name, right, order in (("Misclassified", False, "the most confident first"), ("Correct", True, "some of them")):
        these = [look(row, record) for row in rows if (row["label"] == row["predicted"]) is right]
        if these:
            blocks.append(Looks(name, f"{len(these)} test images, {order}.", these))
    return Section("looked-at", title, blocks, lead=lead(rows))


def lead(rows: Sequence[Row]) -> str:
    """How to read the maps that there are."""
    says = ["Left, what the model was given; beside it, where it looked: yellow most, dark blue least."]
    if any(row["convolution"] for row in rows):
        says.append(
            "Convolution, by Grad-CAM: which places of the last convolutional maps speak for the predicted class."
        )
    if any(row["attention"] for row in rows):
        says.append(
            "Attention, by rollout: from which places it gathered the answer, through all blocks, whatever the class."
        )
    return " ".join([*says, "Each map is scaled to its own largest value. They are hints, not causes."])


def look(row: Row, record: Record) -> Look:
    classes = record_view.class_names(record)
    with Image.open(BytesIO(row["input"])) as image:
        kind, side = image.format, max(image.size)
    return Look(
        picture=uri(row["input"], str(kind).lower()),
        small=side <= SMALL,
        overlays=[(name, overlay(row[name])) for name in METHODS if row[name]],
        index=row["index"],
        label=classes[row["label"]],
        predicted=classes[row["predicted"]],
        confidence=percent(row["confidence"], 0),
    )


def overlay(grey: bytes) -> str:
    """A map as colours that let the image through."""
    with Image.open(BytesIO(grey)) as image:
        fine = image.resize((FINE, FINE), Image.Resampling.BICUBIC)
    value = np.asarray(fine, float) / 255
    stops = np.linspace(0, 1, len(COLORS))
    channels = [np.interp(value, stops, [color[i] for color in COLORS]) for i in range(3)]
    pixels = np.stack([*channels, 255 * np.clip(0.35 + value, 0, STRONGEST)], axis=-1).round().astype(np.uint8)
    content = BytesIO()
    Image.fromarray(pixels).quantize(64, method=Image.Quantize.FASTOCTREE).save(content, format="PNG", optimize=True)
    return uri(content.getvalue(), "png")


def uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{b64encode(content).decode()}"
