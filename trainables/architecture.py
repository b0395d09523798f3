"""What an architecture file declares: its variants and how it is cut into stages. Found by file name.

Imports neither torch nor timm, nor do the architecture files before they build something: the command line reads what
they declare. `trainables.building` makes models of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from math import isfinite
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from trainables import architectures
from trainables.choices import FAMILIES, INTERPOLATIONS, choose
from trainables.hyperparameters import Hyperparameters
from trainables.margin import margin_side
from trainables.recipe import Recipe
from trainables.weights import Weights

if TYPE_CHECKING:
    from torch import nn

    from trainables.stages import Stage


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
        return replace(self, size=margin_side(self.size), crop=1.0)

    def of_side(self, side: int) -> "Preprocessing":
        """What leaves square images of a side as they are."""
        return replace(self, size=side, crop=1.0)


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
MINI_INPUT = Preprocessing(32, *HALF)


@dataclass(frozen=True)
class Variant:
    """One model of a family.

    Attributes:
        scale: one of SCALES.
        pretraining: what its weights were trained on; none: without weights.
        build: gives it with random weights, for a number of classes, as its library builds it.
        backbone_stages: the largest freeze depth: all stages but the head. A contract test counts them.
        features: which of the hyperparameters that are part of a model it has layers for: dropout, drop_path.
        weights: where others than random ones are.
        found: how its stages were found; empty where they are written.
        otherwise: makes the variant for another preprocessing, where the stages depend on the size of the images.
    """

    name: str
    scale: str
    pretraining: str
    build: "Callable[[int], nn.Module]"
    preprocessing: Preprocessing
    backbone_stages: int
    features: tuple[str, ...]
    weights: Weights | None = None
    found: str = ""
    otherwise: "Callable[[Preprocessing], Variant] | None" = None

    def with_preprocessing(self, given: Preprocessing | None) -> "Variant":
        """The variant for images that are prepared like this; its own preprocessing where that is None."""
        if given is None or given == self.preprocessing:
            return self
        return self.otherwise(given) if self.otherwise else replace(self, preprocessing=given)


@dataclass(frozen=True)
class Architecture:
    """A family of models: its variants, its cut into stages, and how the paper trained it.

    Attributes:
        title: the name for a reader.
        family: what it is built of, one of FAMILIES.
        paper: the paper's hyperparameters as far as it gives them, for a given number of backbone stages: where a
            search by one of `recipes` starts. By a recipe that models share, it starts at this freeze depth.
        from_paper: which of these it gives; the others are ours.
        cut: a built model as its stages, from the images to the head.
        recipes: the family's own, of which the one named paper makes that point the paper's row; docs/paper.md says
            where each number is from.
        space: the name of its table in `search_spaces/`, where that is not its own.
    """

    name: str
    title: str
    family: str
    variants: tuple[Variant, ...]
    cut: "Callable[[Any], list[Stage]]"
    paper: Callable[[int], Hyperparameters]
    from_paper: tuple[str, ...] = ("freeze_depth",)
    recipes: tuple[Recipe, ...] = ()
    space: str = ""

    def __post_init__(self) -> None:
        choose("family", self.family, FAMILIES)

    @property
    def table(self) -> str:
        """The name of what is searched by default, in `search_spaces/`."""
        return self.space or self.name

    def pretrainings(self, scale: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(v.pretraining for v in self.variants if v.scale == scale))

    def variant(self, scale: str, pretraining: str | None = None, name: str | None = None) -> Variant:
        """The first variant of that scale, with that pretraining (the first one's by default) or that name.

        Raises ValueError, which names the scale that has it, if one has.
        """
        here = [v for v in self.variants if v.scale == scale]
        others = [v for v in self.variants if v.scale != scale]
        if name is not None:
            elsewhere = next((f"it is one of --scale {v.scale}" for v in others if v.name == name), "")
            choose("variant", name, [v.name for v in here], elsewhere=elsewhere)
            here = [v for v in here if v.name == name]
        if pretraining is not None:
            elsewhere = next((f"--scale {v.scale} has it" for v in others if v.pretraining == pretraining), "")
            of = f"{scale} pretraining of {self.name}"
            choose(of, pretraining, [v.pretraining for v in here], elsewhere=elsewhere)
            here = [v for v in here if v.pretraining == pretraining]
        return here[0]


def names() -> list[str]:
    """The architectures there are: one module each under `trainables/architectures`."""
    return sorted(module.name for module in iter_modules(architectures.__path__))


def get(name: str) -> Architecture:
    """That architecture, or timm/NAME. Raises ValueError, which says of which model `name` is a variant, if of one."""
    if name.startswith("timm/"):
        return import_module("trainables.backbones.declared").get(name)
    if name not in names():
        of = next(
            (family.name for family, variant in every() if name in (variant.name, variant.name.split(".")[0])), ""
        )
        elsewhere = f"it is a variant: give --model {of} --variant ..." if of else ""
        if not of and name.partition(".")[0] in import_module("trainables.backbones.names").tags():
            elsewhere = f"it is one of timm's: give --model timm/{name}"
        choose("model", name, [*names(), "timm/NAME"], elsewhere=elsewhere)
    return import_module(f"trainables.architectures.{name}").ARCHITECTURE


def every() -> Iterator[tuple[Architecture, Variant]]:
    """Every variant of every architecture."""
    for name in names():
        architecture = get(name)
        for variant in architecture.variants:
            yield architecture, variant
