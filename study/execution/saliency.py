"""What the best model looked at in some test images that the record has, computed where runs are trained."""

from typing import Any

import numpy as np
import torch
from ray.exceptions import RayError
from safetensors.torch import load_file
from torch import Tensor, nn

from study.execution.pool import Pool, Unanswered
from study.execution.session import Session
from study.results import best, saliency
from trainables import architecture, process
from trainables.images import SplitImages
from trainables.run import Run
from trainables.saliency import maps
from trainables.stages import Normalize


def keep(session: Session, pool: Pool, run: Run, images: SplitImages) -> None:
    """Writes the file; without it a study is complete too. Raises OSError."""
    record = session.record
    rows = saliency.chosen(record.tables["samples"])
    weights = record.folder / best.FOLDER / best.WEIGHTS
    if not rows or not weights.is_file():
        return
    position = {int(row): i for i, row in enumerate(session.splits.rows("test"))}
    positions = np.array([position[row["index"]] for row in rows])
    predicted = torch.tensor([row["predicted"] for row in rows])
    try:
        found: Any = pool.call("saliency", looked_at, run, load_file(weights), images, positions, predicted)
    except (RayError, Unanswered) as error:
        why = str(error).strip().splitlines()[-1]
        session.terminal.warn(f"note: what the model looked at could not be found: {why}")
        return
    saliency.write(record.folder, rows, *found)


def looked_at(
    run: Run, state: dict[str, Tensor], images: SplitImages, positions: np.ndarray, predicted: Tensor
) -> tuple[np.ndarray, dict[str, np.ndarray | None]]:
    """The images (N, size, size, 3) as the model is given them, and by method where it looked, (N, h, w)."""
    device = process.device()
    whole = run.model.described.build(run.model.classes)  # its stages may be computed in a way of their own
    whole.load_state_dict(state)
    normalize = Normalize(run.model.described.preprocessing.mean, run.model.described.preprocessing.std)
    model = nn.Sequential(normalize, whole).eval().to(device)
    given, _ = images.take(positions)
    family = architecture.get(run.model.architecture).family
    found = maps(model, given.to(device), predicted.to(device), convolutions=family != "attention")
    as_arrays = {name: None if map_ is None else map_.cpu().numpy() for name, map_ in vars(found).items()}
    return given.permute(0, 2, 3, 1).contiguous().numpy(), as_arrays
