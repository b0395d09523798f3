"""What an architecture file declares: its variants and how it is cut into stages. Found by file name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from math import isfinite
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import torch
from torch import Tensor, nn

from trainables import architectures, augmentation, weights
from trainables.choices import choose
from trainables.recipe import Hyperparameters, Recipe
from trainables.stages import Normalize, Stage, StagedModel
from trainables.weights import Weights

SCALES = ("mini", "paper")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
FAMILIES = ("convolution", "attention", "hybrid")


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes boundary 0, and boundary 0 becomes an input. It follows the checkpoint.

    The shorter side is resized to `size / crop`, the centre `size` x `size` is cut out; mean and std are of
    RGB in [0, 1].
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: float = 1.0
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")
        if not 0 < self.crop <= 1:
            raise ValueError(f"crop must be above 0 and at most 1, got {self.crop}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3 or not all(map(isfinite, values)):
                raise ValueError(f"{name} must be three numbers, got {values}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be above 0, got {self.std}")
        choose("interpolation", self.interpolation, INTERPOLATIONS)

    @property
    def with_margin(self) -> "Preprocessing":
        """The same with a margin that random crops move in: of 224 px, the central 256 x 256 of the image."""
        return replace(self, size=augmentation.margin_side(self.size), crop=1.0)


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
MINI_INPUT = Preprocessing(32, *HALF)


@dataclass(frozen=True)
class Variant:
    """One model of a family: `build(classes)` gives it with random weights; `weights` says where others are."""

    name: str
    scale: str
    pretraining: str
    build: Callable[[int], nn.Module]
    preprocessing: Preprocessing
    weights: Weights | None = None


@dataclass(frozen=True)
class Architecture:
    """A family of models: its variants, its cut into stages, and how the paper trained it.

    Attributes:
        title: the name for a reader.
        family: what it is built of, one of FAMILIES.
        paper: the paper's hyperparameters, for a given number of backbone stages.
        recipes: the family's own, of which the one named paper makes that point the paper's row; docs/paper.md says
            where each number is from.
    """

    name: str
    title: str
    family: str
    variants: tuple[Variant, ...]
    cut: Callable[[Any], list[Stage]]
    paper: Callable[[int], Hyperparameters]
    recipes: tuple[Recipe, ...] = ()

    def __post_init__(self) -> None:
        choose("family", self.family, FAMILIES)

    def pretrainings(self, scale: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(v.pretraining for v in self.variants if v.scale == scale))

    def variant(self, scale: str, pretraining: str | None = None, name: str | None = None) -> Variant:
        """The first variant of that scale, with that pretraining (the first one's by default) or that name."""
        here = [v for v in self.variants if v.scale == scale]
        if name is not None:
            choose("variant", name, [v.name for v in here])
            here = [v for v in here if v.name == name]
        if pretraining is not None:
            choose(f"{scale} pretraining of {self.name}", pretraining, [v.pretraining for v in here])
            here = [v for v in here if v.pretraining == pretraining]
        return here[0]

    def assemble(self, variant: Variant, classes: int) -> StagedModel:
        """The variant with random weights, cut into stages, taking uint8 images."""
        whole = variant.build(classes)
        first, *others = self.cut(whole)
        normalize = Normalize(variant.preprocessing.mean, variant.preprocessing.std)
        stages = [Stage(first.name, nn.Sequential(normalize, first.module)), *others]
        return StagedModel(stages, whole, frozen_rows=32 if variant.preprocessing.size <= 64 else 16)

    def backbone_stages(self, variant: Variant) -> int:
        """The largest freeze depth, counted without allocating a weight."""
        with torch.device("meta"):
            return len(self.cut(variant.build(2))) - 1

    def check_size(self, variant: Variant) -> None:
        """Raises ValueError if the variant cannot take images of the size of its preprocessing. Allocates nothing."""
        size = variant.preprocessing.size
        try:
            with torch.device("meta"), torch.no_grad():
                self.assemble(variant, 2).eval()(torch.zeros(1, 3, size, size, dtype=torch.uint8))
        except (AssertionError, RuntimeError, ValueError):
            raise ValueError(
                f"{variant.name} cannot take images of {size} px: leave size as its weights have it"
            ) from None

    def pretrained(
        self, variant: Variant, *, path: Path | None = None, offline: bool = False
    ) -> dict[str, Tensor] | None:
        """The backbone's weights under the library's names, from `path` or as published; None if there are none.

        Raises ValueError, with the way out, if they cannot be had or do not fit.
        """
        source = variant.weights
        if source is None:
            if path is not None:
                raise ValueError(
                    f"pretraining none takes no weights: leave out --weights {path}, or name a pretraining"
                )
            return None
        state = weights.read(source, path=path, offline=offline)
        whole = variant.build(2)
        wanted = StagedModel(self.cut(whole), whole).tensors(head=False)
        try:
            return weights.fit_to(whole, wanted, state)
        except ValueError as error:
            raise ValueError(f"weights at {path or source.file} do not fit {variant.name}: {error}") from None


def names() -> list[str]:
    """The architectures there are: one module each under `trainables/architectures`."""
    return sorted(module.name for module in iter_modules(architectures.__path__))


def get(name: str) -> Architecture:
    choose("model", name, names())
    return import_module(f"trainables.architectures.{name}").ARCHITECTURE


def every() -> Iterator[tuple[Architecture, Variant]]:
    """Every variant of every architecture."""
    for name in names():
        architecture = get(name)
        for variant in architecture.variants:
            yield architecture, variant
