"""Predictions for any number of images: decoded by threads while the model computes, in the order that they come in."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from study.data.decoding import Unreadable, reason
from study.prediction.images import Item
from study.prediction.loading import BATCH, BestModel
from trainables.memory import out_of_memory

Row = dict[str, Any]
Decoded = tuple[str, Tensor | None, str]  # path, pixels or none, and then why
GPU_BATCH = 256


def columns(model: BestModel, top_k: int) -> dict[str, type]:
    """The columns of a table of predictions, and what is in them."""
    others = {f"{name}_{k}": kind for k in range(2, top_k + 1) for name, kind in LIKELIEST.items()}
    several = {"disagreement": float, "spread": float} if len(model.models) > 1 else {}
    return {"path": str, **LIKELIEST, **others, **several, "problem": str}


LIKELIEST: Mapping[str, type] = {"predicted": str, "confidence": float}


def rows(model: BestModel, images: Iterable[Item], *, top_k: int = 3, batch: int | None = None) -> Iterator[list[Row]]:
    """The rows of a table of predictions, a portion at a time, in the order of the images.

    An image that cannot be read is a row with the reason. At most two batches of images are in memory.

    Args:
        top_k: how many classes a row has, the likeliest first.
        batch: images that the model takes together; None for what the device is good for.
    """
    size = batch or (GPU_BATCH if model.device.type == "cuda" else BATCH)
    for portion in portions(decoded(model, images, ahead=size), size):
        good = [pixels for _, pixels, _ in portion if pixels is not None]
        answers = iter(answered(model, torch.stack(good), top_k) if good else ())
        yield [
            {"path": path, **({"problem": problem} if pixels is None else next(answers))}
            for path, pixels, problem in portion
        ]


def portions(images: Iterator[Decoded], size: int) -> Iterator[list[Decoded]]:
    while portion := list(islice(images, size)):
        yield portion


def decoded(model: BestModel, images: Iterable[Item], *, ahead: int) -> Iterator[Decoded]:
    """Each image's path and pixels, or why there are none; so many are read ahead."""

    def prepare(item: Item) -> Decoded:
        try:
            return item.path, model.pixels(item.read()), ""
        except (Unreadable, OSError) as error:
            return item.path, None, reason(error)

    coming, waiting = iter(images), deque[Future[Decoded]]()
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        try:
            waiting.extend(threads.submit(prepare, item) for item in islice(coming, ahead))
            while waiting:
                done = waiting.popleft().result()
                waiting.extend(threads.submit(prepare, item) for item in islice(coming, 1))
                yield done
        finally:
            threads.shutdown(cancel_futures=True)


def answered(model: BestModel, images: Tensor, top_k: int) -> Iterator[Row]:
    """Of each image what a row says of it. Smaller parts where the device has no memory for all of them."""
    try:
        probabilities = model.probabilities(images)
    except RuntimeError as error:
        if len(images) == 1 or not out_of_memory(error):
            raise
        for half in images.split((len(images) + 1) // 2):
            yield from answered(model, half, top_k)
        return
    mean = probabilities.mean(dim=0)
    values, classes = mean.topk(min(top_k, mean.shape[1]))
    votes = probabilities.argmax(dim=2)
    for i in range(len(images)):
        row: Row = {}
        for k, (value, number) in enumerate(zip(values[i].tolist(), classes[i].tolist(), strict=True), start=1):
            end = "" if k == 1 else f"_{k}"
            row |= {f"predicted{end}": model.classes[number], f"confidence{end}": value}
        if len(model.models) > 1:
            first = classes[i, 0]
            row["disagreement"] = float((votes[:, i] != first).float().mean())
            row["spread"] = float(probabilities[:, i, first].std())
        yield row
