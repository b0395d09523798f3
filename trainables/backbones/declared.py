"""`--model timm/NAME` as an `Architecture`: what timm says of a model, and the stages that are found in it.

Imports torch and timm only where this machine has not seen the model before: `kept` has the rest.
"""

from dataclasses import asdict, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from trainables.architecture import Architecture, Preprocessing, Variant
from trainables.backbones import kept
from trainables.backbones.names import PREFIX, parted
from trainables.backbones.plans import Cut, Described
from trainables.choices import choose
from trainables.hyperparameters import Hyperparameters
from trainables.weights import timm_hub

if TYPE_CHECKING:
    from torch import nn

    from trainables.stages import Stage

NONE = "none"
SPACES = ("normalised_convolution", "attention", "neither")  # by what a model is built of
SMALL = 64  # pixels, of the mini scale, where the model takes them
DATA = ("in21k", "in22k", "in12k", "in1k")  # ImageNet's sets, the largest first; other data has its own names


@cache
def described(name: str) -> Described:
    """As it is kept, or else asked of timm now. Raises ValueError for a model that is no classifier of RGB images."""
    if known := kept.read(name):
        return Described.read(known)
    from trainables.backbones import describing

    found = describing.describe(name, SMALL)
    kept.write(name, asdict(found))
    return found


def pretraining_of(tag: str) -> str:
    """The data of the pretraining: of augreg_in21k_ft_in1k in21k; the tag where it names no data that is known."""
    before = tag.partition("_ft_")[0]
    return next((data for data in DATA if data in before.split("_")), before)


class Found(Architecture):
    """An architecture whose variants are made when they are asked for: each needs the stages at its size of images."""

    def _tags(self) -> list[str]:
        name, tag = parted(self.name)
        there = list(described(name).tags)
        return [choose(f"weights of {PREFIX}{name}", tag, there)] if tag else there

    def pretrainings(self, scale: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*map(pretraining_of, self._tags()), NONE]))

    def variant(self, scale: str, pretraining: str | None = None, name: str | None = None) -> Variant:
        """As of any architecture; the names of variants are timm's, with the tag of the weights."""
        model, _ = parted(self.name)
        tags = {**{f"{model}.{tag}": tag for tag in self._tags()}, model: NONE}
        if name is not None:
            tags = {choose("variant", name, tags): tags[name]}
        elif pretraining is not None:
            own = {one: tag for one, tag in tags.items() if pretraining_of(tag) == pretraining}
            choose(f"pretraining of {self.name}", pretraining, map(pretraining_of, tags.values()))
            tags = own
        return variant(model, next(iter(tags.values())), scale)


def variant(model: str, tag: str, scale: str) -> Variant:
    """A model with weights of a tag, or with none of them."""
    own = described(model)
    given = own.given if tag == NONE else own.tags[tag]
    if scale == "mini":
        given = replace(given, size=own.small)
    return sized(model, tag, scale, given)


@cache
def sized(model: str, tag: str, scale: str, given: Preprocessing) -> Variant:
    found = cut_of(model, given.size)
    return Variant(
        name=model if tag == NONE else f"{model}.{tag}",
        scale=scale,
        pretraining=NONE if tag == NONE else pretraining_of(tag),
        build=partial(build, model, given.size),
        preprocessing=given,
        backbone_stages=found.backbone_stages,
        features=found.features,
        weights=None if tag == NONE else timm_hub(f"{model}.{tag}"),
        found=str(found),
        otherwise=partial(sized, model, tag, scale),
    )


def cut_of(model: str, size: int) -> Cut:
    """Light where it is kept."""

    if known := kept.read(f"{model}@{size}"):
        return Cut.read(known)
    from trainables.backbones import finding

    return finding.cut(model, size)


def build(model: str, size: int, classes: int) -> "nn.Module":
    from trainables.backbones import finding

    return finding.create(model, size, classes)


def cut(model: Any) -> "list[Stage]":
    from trainables.backbones import finding

    return finding.stages_of(model)


def starting_point(backbone_stages: int) -> Hyperparameters:
    """Nothing frozen, and what `study.design.start` gives every model that is trained further than its head."""
    return Hyperparameters(lr=3e-4, weight_decay=1e-2, freeze_depth=0)


@cache
def get(given: str) -> Architecture:
    """The architecture timm/NAME or timm/NAME.TAG. Raises ValueError for what timm lacks, or what cannot be used."""
    name, tag = parted(given)
    own = described(name)
    found = Found(
        name=given,
        title=f"{name}.{tag}" if tag else name,
        family=own.family,
        variants=(),
        cut=cut,
        paper=starting_point,
        from_paper=(),
        space=own.space,
    )
    found._tags()
    return found
