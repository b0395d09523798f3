"""Features: what flows into the head of a model whose whole backbone is frozen, for every image of some splits."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from trainables import process
from trainables.batches import Examples
from trainables.images import SplitImages
from trainables.loop import EVALUATION_BATCH
from trainables.memory import DoesNotFit, out_of_memory
from trainables.precision import Precision, precision
from trainables.run import Run
from trainables.splits import ImagesKey
from trainables.stages import StagedModel
from trainables.trainer import prepared_model, reader_of


@dataclass(frozen=True)
class Features:
    """In the order of its split: values (N, D) float32, label (N,) int64, index (N,) in the dataset."""

    values: np.ndarray
    label: np.ndarray
    index: np.ndarray


def features(run: Run, datasets: Mapping[ImagesKey, SplitImages], threads: int) -> dict[str, Features]:
    """Of each of the run's splits: from the store of this node, or else computed here, and stored for the next one.

    Args:
        run: with `boundaries` "always", so that nothing is planned; its hyperparameters and recipe do not matter.

    Raises DoesNotFit where the device has too little memory.
    """
    torch.set_num_threads(threads)
    device = process.device()
    choice = precision(run.precision, device, tiny=run.model.scale == "mini")
    choice.apply()
    cache = process.current()
    model = prepared_model(run.model, run.seed, cache).to(device)
    model.freeze(model.backbone_stages)
    reader = reader_of(run, model, choice, device, datasets.__getitem__, cache)
    try:
        by_split = {
            name: at_the_head(model, reader.source(name).at(model.backbone_stages), choice)
            for name in sorted({*run.fit_on, *run.evaluated})
        }
        reader.check()
        return by_split
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise DoesNotFit(
            "out of memory while features are computed: choose a smaller model or a larger device"
        ) from None
    finally:
        reader.close()
        cache.residents.clear()  # who asks for features has other work for the GPU next


@torch.inference_mode()
def at_the_head(model: StagedModel, rows: Examples, choice: Precision) -> Features:
    """The features of rows at any boundary: what is left of the backbone is computed, as the store would have it."""
    with choice.autocast():
        values = [
            model.frozen(rows.boundary, model.backbone_stages, images).flatten(1).float().cpu()
            for images, _ in rows.in_order(EVALUATION_BATCH)
        ]
    return Features(torch.cat(values).numpy(), rows.labels.cpu().numpy(), rows.index)
