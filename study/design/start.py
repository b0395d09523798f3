"""Where a search starts: trial 0.

The paper gives every model's freeze depth, and learning rate and weight decay for AlexNet's head alone. With a recipe
of the model's own the rest is the architecture's (docs/paper.md). With one that all models share, what the paper leaves
out is the same for all of them: two starts differ in nothing but how much the paper freezes. A head starts from
AlexNet's point, whatever features it reads; what is trained further down from the learning rate below.
`docs/decisions.md` has what these reach.
"""

from collections.abc import Mapping

from study.design.space import DEPTH
from trainables.architecture import Architecture
from trainables.hyperparameters import REQUIRED, Value, as_row
from trainables.recipe import Recipe

HEAD: Mapping[str, Value] = {"lr": 1e-2, "weight_decay": 1e-2}  # section I-B of the paper
FURTHER: Mapping[str, Value] = {"lr": 3e-4, "weight_decay": 1e-2}  # what the paper fine-tunes by is not given


COMPARABLE_FROM = 3  # the protocol


def is_comparable(architecture: Architecture, recipe: str, protocol: int) -> bool:
    """Whether what the paper leaves out of a start is the same for all models: not with a recipe of the model's own."""
    return protocol >= COMPARABLE_FROM and recipe not in {own.name for own in architecture.recipes}


def start(
    architecture: Architecture, recipe: Recipe, backbone_stages: int, fixed: Mapping[str, Value], protocol: int
) -> dict[str, Value]:
    """The point of trial 0, with what is fixed.

    Args:
        architecture: whose freeze depth it is, and with a recipe of its own the rest.
        recipe: gives the values of what no architecture does.
        backbone_stages: how many stages can be frozen.
        fixed: what is not searched.
        protocol: of the study.

    Returns:
        A value of every hyperparameter.
    """
    papers = as_row(architecture.paper(backbone_stages))
    own: dict[str, Value] = {name: papers[name] for name in REQUIRED}
    if is_comparable(architecture, recipe.name, protocol):
        head_alone = fixed.get(DEPTH, own[DEPTH]) == backbone_stages
        own |= HEAD if head_alone else FURTHER
    return {**recipe.values, **own, **fixed}
