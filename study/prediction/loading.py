"""A study's model from its folder, ready to be asked. `study.load_best` is `load` with what is most often wanted.

best = load_best("results/NAME")
best.predict(["a.jpg", "b.png"])    # or bytes, Pillow's images, arrays
best.model                          # a torch module: (N, 3, size, size) uint8 to logits
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from study.data.decoding import decode
from study.data.pixel_range import PixelRange
from study.data.resizing import resized
from study.design.states import StudyStatus
from study.results import best
from study.results.study_file import StudyFile
from trainables import architecture, building
from trainables.architecture import Preprocessing
from trainables.precision import Precision, precision
from trainables.stages import StagedModel

Given = str | PathLike[str] | bytes | Image.Image | np.ndarray
BATCH = 64


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image: the likeliest class, its probability, and the first classes with theirs."""

    predicted: str
    confidence: float
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class BestModel:
    """The models of a study, in eval mode: one, or those of all its test runs, whose probabilities are averaged.

    Attributes:
        folder: the study's, or that of the model alone.
        family: what it is built of: convolution, attention, hybrid.
        pixel_range: how pixels of more than eight bits become eight.
        arithmetic: what it computes in.
    """

    folder: Path
    models: tuple[StagedModel, ...]
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    family: str
    pixel_range: PixelRange
    arithmetic: Precision
    config: Mapping[str, Any]

    @property
    def model(self) -> StagedModel:
        """That of the first seed."""
        return self.models[0]

    @property
    def device(self) -> torch.device:
        return self.arithmetic.device

    def pixels(self, image: Given) -> Tensor:
        """(3, size, size) uint8 of an image: a path, a file's bytes, or pixels; as in training, bit for bit.

        Raises Unreadable, which is a ValueError; OSError.
        """
        if isinstance(image, str | PathLike):
            image = Path(image).read_bytes()
        if isinstance(image, Image.Image):
            lossless = BytesIO()
            image.save(lossless, format="PNG")
            image = lossless.getvalue()
        decoded = image if isinstance(image, np.ndarray) else decode(image, self.pixel_range)
        return torch.from_numpy(resized(decoded, self.preprocessing)).permute(2, 0, 1)

    @torch.inference_mode()
    def probabilities(self, images: Tensor) -> Tensor:
        """(models, N, classes) float32 on the CPU, of (N, 3, size, size) uint8."""
        there = images.to(self.device)
        with self.arithmetic.autocast():
            logits = [model(there) for model in self.models]
        return torch.stack([one.float().softmax(dim=1) for one in logits]).cpu()

    def predict(self, images: Iterable[Given], *, top_k: int = 3) -> list[Prediction]:
        """What it says of each image, in their order. Raises Unreadable, OSError."""
        pixels = [self.pixels(image) for image in images]
        found = []
        for batch in torch.stack(pixels).split(BATCH) if pixels else ():
            for row in self.probabilities(batch).mean(dim=0):
                values, classes = row.topk(min(top_k, len(self.classes)))
                top = tuple((self.classes[i], p) for i, p in zip(classes.tolist(), values.tolist(), strict=True))
                found.append(Prediction(*top[0], top))
        return found


class Known(msgspec.Struct, frozen=True):
    """What of `config.json` says which model it is."""

    model: str
    scale: str
    variant: str
    classes: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    preprocessing: dict[str, Any]
    precision: str = "auto"


def load(folder: Path, *, seeds: str = "first", device: str | None = None) -> BestModel:
    """The model of a finished study, or of a folder that was its `best`.

    Args:
        seeds: `first` for the model that the record is about, `all` for those of all test runs.
        device: where it computes; the GPU by default, if there is one.

    Raises ValueError, in one line: the study is not finished, there is no model, or it is no such one.
    """
    place = folder_of_model(folder)
    config = described(place / best.CONFIG)
    try:
        known = msgspec.convert(config, Known)
        preprocessing = msgspec.convert(known.preprocessing, Preprocessing)
        range_ = msgspec.convert(known.preprocessing.get("pixel_range", {}), PixelRange)
        family = architecture.get(known.model)
        variant = family.variant(known.scale, name=known.variant)
    except ValueError as error:  # msgspec's ValidationError is one
        raise ValueError(f"{place / best.CONFIG} describes no model of ours: {error}") from None
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    models = []
    for path in weights_of(folder, place, seeds):
        model = building.assemble(family, variant.with_preprocessing(preprocessing), len(known.classes))
        fill(model, path, known.classes)
        models.append(model.freeze(0).eval().requires_grad_(False).to(where))
    arithmetic = able(known.precision, where, tiny=variant.scale == "mini")
    return BestModel(folder, tuple(models), known.classes, preprocessing, family.family, range_, arithmetic, config)


def folder_of_model(folder: Path) -> Path:
    """Where the model of a study lies, or the folder itself, if it is one of a model. Raises ValueError."""
    study = StudyFile.read(folder)
    if study.configuration is None:
        if not (folder / best.CONFIG).is_file():
            what = "holds neither a study nor a model" if folder.is_dir() else "is no folder"
            raise ValueError(f"{folder} {what}: give that of a finished study, or its {best.FOLDER}")
        place = folder
    elif study.status is not StudyStatus.FINISHED:
        raise ValueError(
            f"{folder} is {study.status}, and has no model before it is finished: {study.command} --resume"
        )
    else:
        place = folder / best.FOLDER
    for name in (best.CONFIG, best.WEIGHTS):
        if not (place / name).is_file():
            raise ValueError(f"{place / name} is missing: this record has no model; bring it back from a copy")
    return place


def described(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(config, dict) or "variant" not in config:
        raise ValueError(f"{path} describes no model of ours: load it with timm")
    return config


def weights_of(folder: Path, place: Path, seeds: str) -> Sequence[Path]:
    """The files of the models that are asked for. Raises ValueError where they were not kept."""
    if seeds == "first":
        return [place / best.WEIGHTS]
    test = StudyFile.read(folder).test
    if test is None:
        raise ValueError(f"{folder} is one model: --seeds all is of a study, whose folder has those of all test runs")
    paths = [best.kept(folder, seed) for seed in test.seeds]
    missing = [str(seed) for seed, path in zip(test.seeds, paths, strict=True) if not path.is_file()]
    if missing:
        raise ValueError(
            f"{folder} keeps no model of seed {', '.join(missing)}: a study keeps them all with --keep-models"
        )
    return paths


def fill(model: StagedModel, path: Path, classes: Sequence[str]) -> None:
    """Loads the weights. Raises ValueError where they are not the model's."""
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    wanted, body = model.tensors(head=True), model.tensors(head=False)
    if missing := sorted(wanted.keys() - state.keys()):
        raise ValueError(f"{path} is of another model: it lacks {missing[0]}")
    for name, tensor in wanted.items():
        if state[name].shape != tensor.shape:
            if name not in body:
                raise ValueError(
                    f"{path} has a head for {len(state[name])} classes, and {best.CONFIG} names {len(classes)}: "
                    "they are of two models"
                )
            raise ValueError(f"{path} is of another model: {name} is {tuple(state[name].shape)}")
    model.load(state, head=True)


def able(requested: str, device: torch.device, *, tiny: bool) -> Precision:
    """What the study computed in, where this device can do that; else exactly."""
    try:
        chosen = precision(requested, device, tiny=tiny)
    except ValueError:  # of a GPU, and this is a CPU
        chosen = Precision("fp32", device)
    if device.type == "cuda":
        chosen.apply()
    return chosen
