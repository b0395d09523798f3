"""A model as a file for other runtimes: ONNX, or torch's exported program. It is tried before it takes its name.

Either takes what the model takes, any number of images (N, 3, size, size) uint8 that were resized and cropped, and
gives logits; the normalisation is in it. What a reader must know (classes, preprocessing) is in its metadata.
"""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from study.files import replacing
from study.prediction.loading import BestModel
from study.results.record import Record
from study.terminal.mistake import Failed

EXTRA = ("onnx", "onnxscript", "onnxruntime")
SAMPLES = 32
CLOSE = 1e-3  # of the largest logit: kernels of other runtimes sum in another order
REPEATS, SECONDS = 50, 2.0

Answer = Callable[[np.ndarray], np.ndarray]  # (N, 3, size, size) uint8 to logits


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how it compares with the model.

    Attributes:
        off: the largest difference of a logit, on so many sample images.
        model_ms, file_ms: the median time of one image on this CPU.
    """

    path: Path
    size: int
    samples: int
    off: float
    model_ms: float
    file_ms: float

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.size / 1e6:.1f} MB; {self.samples} sample images get the model's classes, logits "
            f"within {self.off:.1e}; one image in {self.file_ms:.2f} ms, the model in torch {self.model_ms:.2f} ms "
            f"(CPU, {torch.get_num_threads()} threads)"
        )


class Stages(nn.Module):
    """The stages of a model one after the other, without what only training needs."""

    def __init__(self, model: BestModel) -> None:
        super().__init__()
        self.stages = nn.Sequential(*model.model.stages.values())

    def forward(self, images: Tensor) -> Tensor:
        return self.stages(images)


def check(to: str, path: Path, *, overwrite: bool) -> None:
    """Raises ValueError for what cannot be written, and for an extra that is missing."""
    if to == "onnx" and (missing := [name for name in EXTRA if find_spec(name) is None]):
        raise ValueError(
            f"--to onnx needs {', '.join(missing)}: pip install {' '.join(EXTRA)}, which is the extra onnx"
        )
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{path.parent} is no folder: make it first")
    if path.is_dir() or (path.exists() and not overwrite):
        raise ValueError(f"{path} exists: choose another --output, or --overwrite it")


def export(model: BestModel, to: str, path: Path) -> Exported:
    """Writes the file, when it was found to answer as the model does.

    Raises Failed where it does not; OSError where it cannot be written.
    """
    whole = Stages(model).eval()
    images = samples(model)
    facts = {name: json.dumps(model.config[name]) for name in ("classes", "preprocessing", "variant", "metrics")}
    with replacing(path) as part:
        try:
            answer = {"onnx": to_onnx, "torch": to_torch}[to](whole, images, facts, part)
        except OSError:
            raise
        except Exception as error:  # each of three libraries has its own, with a page of advice
            why = str(error.__cause__ or error).strip().splitlines()[:1]
            raise Failed(f"{path} was not written: the model cannot be exported: {''.join(why)[:300]}") from error
        off = compared(whole, answer, images, path)
        one = images[:1]
        return Exported(
            path=path,
            size=part.stat().st_size,
            samples=len(images),
            off=off,
            model_ms=timed(lambda: answered(whole, one)),
            file_ms=timed(lambda: answer(one.numpy())),
        )


def samples(model: BestModel) -> Tensor:
    """Images of the record, where there are some, else noise: (N, 3, size, size) uint8, two at least."""
    rows = Record(model.folder).tables["samples"][:SAMPLES]
    found = [model.pixels(row["png"]) for row in rows]
    size = model.preprocessing.size
    noise = torch.randint(256, (2, 3, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return torch.stack([*found, *noise])


def to_torch(whole: nn.Module, images: Tensor, facts: dict[str, str], part: Path) -> Answer:
    program = torch.export.export(whole, (images[:2],), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    content = io.BytesIO()
    torch.export.save(program, content, extra_files=facts)
    part.write_bytes(content.getvalue())
    loaded = torch.export.load(io.BytesIO(part.read_bytes())).module()
    return lambda given: answered(loaded, torch.from_numpy(given))


def to_onnx(whole: nn.Module, images: Tensor, facts: dict[str, str], part: Path) -> Answer:
    import onnxruntime

    program: Any = torch.onnx.export(
        whole,
        (images[:2],),
        dynamo=True,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        external_data=False,
        verbose=False,
    )
    program.model.metadata_props.update(facts)
    program.save(str(part), external_data=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(part.read_bytes(), options, providers=["CPUExecutionProvider"])
    return lambda given: session.run(["logits"], {"images": given})[0]


@torch.inference_mode()
def answered(module: Any, images: Tensor) -> np.ndarray:
    return module(images).numpy()


def compared(whole: nn.Module, answer: Answer, images: Tensor, path: Path) -> float:
    """The largest difference of a logit, in batches of several sizes. Raises Failed for another answer."""
    expected = answered(whole, images)
    found = np.concatenate([answer(part.numpy()) for part in images.split([1, len(images) - 1])])
    off = float(np.abs(found - expected).max())
    first, second = np.sort(expected, axis=1)[:, -1], np.sort(expected, axis=1)[:, -2]
    same = (found.argmax(axis=1) == expected.argmax(axis=1)) | (first - second <= 2 * off)  # two that are equal to it
    allowed = CLOSE * max(1.0, float(np.abs(expected).max()))
    if not same.all() or not off <= allowed:
        raise Failed(
            f"{path} was not written: as exported the model's logits differ by up to {off:.2g} on {len(images)} sample "
            f"images, more than {allowed:.2g}"
        )
    return off


def timed(call: Callable[[], object]) -> float:
    """Milliseconds, the median of some calls."""
    times: list[float] = []
    call()
    while len(times) < REPEATS and sum(times) < SECONDS:
        since = perf_counter()
        call()
        times.append(perf_counter() - since)
    return 1000 * median(times)
