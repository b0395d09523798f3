"""How a model is cut, as data: what is kept of it, and read without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainables.architecture import Preprocessing

HEAD = "head"
Carried = Any  # of JSON: a constant, {"rows": k}, {"tuple": [...]} or {"device": true}
TRACED, IN_PIECES, WHOLE = "traced", "in pieces", "whole"


@dataclass(frozen=True)
class Piece:
    """One stage of a plan.

    Attributes:
        nodes: of the graph, in their order.
        start: whose value it is given; the images' placeholder for the first one.
        stop: whose value it gives.
        carried: by the names of nodes, what stands for values that it is not given: see `points`.
        layout: the order of the axes in which what it is given lies in the memory of the whole model, where rows that
            were stored lie otherwise: a transposed tensor is summed in another order than a contiguous one.
        share: of the model's compute.
        elements: of the boundary that it gives, an image.
    """

    name: str
    nodes: tuple[str, ...]
    start: str
    stop: str
    carried: dict[str, Carried] = field(default_factory=dict)
    layout: tuple[int, ...] = ()
    share: float = 0.0
    elements: int = 0


@dataclass(frozen=True)
class Cut:
    """How a model is cut.

    Attributes:
        how: traced: at points of its graph; in pieces: the same, around submodules that do not trace; whole: not at
            all, so that its backbone is one stage.
        training: the mode in which the graph was traced.
        points: how many there are in the graph.
        pieces: the stages; none where it is whole.
        features: which of the hyperparameters dropout and drop_path it has layers for.
        packs: where several tensors are one boundary: see `packing`.
        why: where it is not traced as a whole, what stands in the way.
    """

    how: str
    training: bool
    points: int
    pieces: tuple[Piece, ...]
    features: tuple[str, ...]
    packs: tuple[Any, ...] = ()
    why: str = ""

    @property
    def backbone_stages(self) -> int:
        return max(len(self.pieces) - 1, 1)

    def __str__(self) -> str:
        stages = f"{self.backbone_stages} backbone stage{'s' * (self.backbone_stages > 1)}"
        if self.how == WHOLE:
            return f"not cut, {stages}: {self.why}"
        return f"{self.how}, {self.points} points, {stages}" + (f": {self.why}" if self.why else "")

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> "Cut":
        pieces = tuple(
            Piece(**one | {"nodes": tuple(one["nodes"]), "layout": tuple(one["layout"])}) for one in facts["pieces"]
        )
        packs = tuple(tuple((name, tuple(sizes)) for name, sizes in pack) for pack in facts["packs"])
        return cls(**{**facts, "pieces": pieces, "features": tuple(facts["features"]), "packs": packs})


@dataclass(frozen=True)
class Described:
    """What timm says of a model, and what it is built of.

    Attributes:
        family: one of FAMILIES.
        space: the table of `search_spaces/` that is searched by default.
        small: the size of its images at the mini scale.
        given: the preprocessing of the model without weights.
        tags: that of each of its weights; the default ones are the first.
    """

    family: str
    space: str
    small: int
    given: Preprocessing
    tags: dict[str, Preprocessing]

    @classmethod
    def read(cls, facts: dict[str, Any]) -> "Described":
        tags = {tag: preprocessing(one) for tag, one in facts["tags"].items()}
        return cls(**{**facts, "given": preprocessing(facts["given"]), "tags": tags})


def preprocessing(facts: dict[str, Any]) -> Preprocessing:
    return Preprocessing(**{**facts, "mean": tuple(facts["mean"]), "std": tuple(facts["std"])})
