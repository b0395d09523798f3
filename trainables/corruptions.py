"""Common corruptions of test images, in the manner of Hendrycks & Dietterich (2019): how a model bears worse images.

Each has three severities and changes what a model is given: uint8 images of its own size, after resizing and cropping.
Blur goes with the size of the images, so that it hides as much of a digit at 32 px as of a photograph at 224 px. Noise
is drawn from a seed, the same for every model on images of one size.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from trainables import process
from trainables.images import SplitImages
from trainables.loop import EVALUATION_BATCH
from trainables.memory import DoesNotFit, out_of_memory
from trainables.precision import Precision, precision
from trainables.run import Run
from trainables.splits import ImagesKey
from trainables.stages import StagedModel
from trainables.trainer import reader_of

SEVERITIES = (1, 2, 3)
CLEAN = "none"
BLUR, NOISE = (0.01, 0.02, 0.04), (0.05, 0.1, 0.2)  # standard deviations, of the side and of white
QUALITY, DETAIL = (40, 15, 5), (0.6, 0.35, 0.2)  # of a JPEG; of the side that is kept
BRIGHTER, DARKER, FLATTER = (1.3, 1.7, 2.2), (0.7, 0.5, 0.3), (0.7, 0.45, 0.25)

Corruption = Callable[[Tensor, int, torch.Generator], Tensor]


def blur(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    from torchvision.transforms.v2 import functional

    side = images.shape[-1]
    sigma = BLUR[severity - 1] * side
    width = min(2 * ceil(3 * sigma) + 1, side - 1 + side % 2)
    return functional.gaussian_blur(images, [width, width], [sigma, sigma])


def noise(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    drawn = 255 * NOISE[severity - 1] * torch.randn(images.shape, generator=generator)
    return (images + drawn).round().clamp(0, 255).to(torch.uint8)


def jpeg(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    from torchvision.transforms.v2 import functional

    return functional.jpeg(images, QUALITY[severity - 1])


def pixelate(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    from torchvision.transforms.v2 import InterpolationMode, functional

    side = images.shape[-1]
    small = functional.resize(images, [max(1, round(DETAIL[severity - 1] * side))] * 2)
    return functional.resize(small, [side, side], interpolation=InterpolationMode.NEAREST)


def brighter(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    from torchvision.transforms.v2 import functional

    return functional.adjust_brightness(images, BRIGHTER[severity - 1])


def darker(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    from torchvision.transforms.v2 import functional

    return functional.adjust_brightness(images, DARKER[severity - 1])


def flatter(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    from torchvision.transforms.v2 import functional

    return functional.adjust_contrast(images, FLATTER[severity - 1])


CORRUPTIONS: Mapping[str, Corruption] = {
    "blur": blur,
    "noise": noise,
    "jpeg": jpeg,
    "pixelate": pixelate,
    "brighter": brighter,
    "darker": darker,
    "less contrast": flatter,
}


@dataclass(frozen=True)
class Corrupted:
    """How many of the test images a model gets right under a corruption; `none` has severity 0."""

    corruption: str
    severity: int
    right: int
    images: int


def corrupted(
    run: Run, state: dict[str, Tensor], datasets: Mapping[ImagesKey, SplitImages], threads: int
) -> list[Corrupted]:
    """The test images as they are, and under every corruption and severity.

    Args:
        run: its model, splits and precision; nothing is trained.
        state: of the model, under its library's names.

    Raises DoesNotFit where the device has too little memory.
    """
    torch.set_num_threads(threads)
    device = process.device()
    choice = precision(run.precision, device, tiny=run.model.scale == "mini")
    choice.apply()
    model = run.model.build().to(device)
    model.load(state, head=True)
    reader = reader_of(run, model.freeze(0).eval(), choice, device, datasets.__getitem__, process.current())
    try:
        images = reader.source("test", epochs=1).at(0)
        cases = [(CLEAN, 0), *((name, severity) for name in CORRUPTIONS for severity in SEVERITIES)]
        right = dict.fromkeys(cases, 0)
        for number, (batch, labels) in enumerate(images.in_order(EVALUATION_BATCH)):
            for case, changed in versions(batch.cpu(), cases, number):
                right[case] += int((answers(model, changed.to(device), choice) == labels).sum())
        reader.check()
        return [Corrupted(*case, right[case], len(images)) for case in cases]
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise DoesNotFit("out of memory while corrupted images are tested: choose a larger device") from None
    finally:
        reader.close()


def versions(batch: Tensor, cases: list[tuple[str, int]], number: int) -> Iterator[tuple[tuple[str, int], Tensor]]:
    """A batch under every case; the noise of each batch and severity has a seed of its own."""
    for name, severity in cases:
        generator = torch.Generator().manual_seed(1000 * number + severity)
        yield (name, severity), CORRUPTIONS[name](batch, severity, generator) if severity else batch


@torch.inference_mode()
def answers(model: StagedModel, images: Tensor, choice: Precision) -> Tensor:
    with choice.autocast():
        return model(images).argmax(dim=1)
