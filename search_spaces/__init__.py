"""What is searched: one module an architecture, each with `space(backbone_stages)` of Ray Tune's domains.

Edit a table, or add a file named like an architecture. `lr` and `weight_decay` are floats, `freeze_depth` an
integer whose bound is the architecture's own number of backbone stages (`tune.randint` leaves its end out).
"""

from importlib import import_module
from pkgutil import iter_modules

from ray.tune.search.sample import Domain


def names() -> list[str]:
    return sorted(module.name for module in iter_modules(__path__))


def get(model: str, backbone_stages: int) -> dict[str, Domain]:
    """The search space of an architecture with that many backbone stages."""
    return import_module(f"search_spaces.{model}").space(backbone_stages)
