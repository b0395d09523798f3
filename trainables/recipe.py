"""A recipe: how long every trial of a study trains, and the values of hyperparameters that are not searched.

Imports neither torch nor Ray.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from types import MappingProxyType
from typing import Any

from trainables.hyperparameters import DECLARED, REQUIRED, Hyperparameters, Value, declared

MOST_EPOCHS = 1_000_000


@dataclass(frozen=True)
class Recipe:
    """What the trials of a study start from.

    Attributes:
        epochs: of every trial.
        milestones: of the step schedule, as shares of the run (or of its phase) in [0, 1).
        settings: hyperparameters that are other than their declared default, by name. Not those that the paper's
            point of each architecture gives (lr, weight_decay, freeze_depth): `--fix` fixes these.
    """

    name: str
    epochs: int
    milestones: tuple[float, ...] = (0.5, 0.75)
    settings: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs must be at least 1, got {self.epochs}")
        if self.epochs > MOST_EPOCHS:
            raise ValueError(f"epochs must be at most {MOST_EPOCHS:,}, got {self.epochs}")
        for i, share in enumerate(self.milestones):
            if not (isfinite(share) and 0 <= share < 1):
                raise ValueError(f"milestones[{i}] must be at least 0 and below 1, got {share}")
        checked = {}
        for name, value in self.settings.items():
            if name in REQUIRED:
                raise ValueError(f"{name} is searched, or fixed with --fix {name}=VALUE: a recipe does not set it")
            checked[name] = declared(name).check(value)
        object.__setattr__(self, "settings", MappingProxyType(checked))

    def __hash__(self) -> int:
        return hash((self.name, self.epochs, self.milestones, tuple(sorted(self.settings.items()))))

    def __reduce__(self) -> tuple[Any, ...]:  # a mapping proxy is not pickled
        return Recipe, (self.name, self.epochs, self.milestones, dict(self.settings))

    def with_settings(self, **settings: Value) -> "Recipe":
        """The same with other values of some hyperparameters."""
        return replace(self, settings={**self.settings, **settings})

    @property
    def values(self) -> dict[str, Value]:
        """Of every hyperparameter that is not part of the paper's point: the recipe's value, or else the default."""
        return {name: self.settings.get(name, one.default) for name, one in DECLARED.items() if not one.required}

    def point(self, **required: Value) -> Hyperparameters:
        """A point with the recipe's values of all that is not given."""
        return Hyperparameters(**{**self.values, **required})  # type: ignore[arg-type]

    def facts(self) -> dict[str, Any]:
        """As the record holds it: every hyperparameter that it decides by name, beside its own fields."""
        return {"name": self.name, "epochs": self.epochs, "milestones": list(self.milestones), **self.values}

    def __str__(self) -> str:
        return f"recipe {self.name}: {', '.join(sentence(self.epochs, self.values))}"

    def phases(self, point: Hyperparameters, head_only: int) -> list["Phase"]:
        """A run at `point` as phases; `head_only` is the freeze depth that trains the head alone."""
        if not point.head_first_share or point.freeze_depth == head_only or self.epochs == 1:
            return [Phase(self.epochs, point)]
        epochs = min(max(1, round(point.head_first_share * self.epochs)), self.epochs - 1)
        return [
            Phase(epochs, replace(point, freeze_depth=head_only)),
            Phase(self.epochs - epochs, replace(point, lr=point.lr * point.head_first_lr_scale)),
        ]


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs with one freeze depth and one schedule, as its own point has them."""

    epochs: int
    point: Hyperparameters


def sentence(epochs: int, values: Mapping[str, Any]) -> list[str]:
    """What a recipe does, in words: of the usual ones always, of the others where they are not the default.

    What is not in `values`, because it is searched, is not in the words either.
    """
    phrases = {
        "batch_size": lambda size: f"batches of {size}",
        "schedule": lambda name: f"{name} schedule",
        "head_first_share": lambda share: (
            f"the head alone for {share:.0%} of the epochs, then the rest at {values['head_first_lr_scale']:g} x lr"
            if share
            else ""
        ),
        "augmentation": lambda name: f"augmentation {name}",
        "label_smoothing": lambda share: f"label smoothing {share:g}" if share else "no label smoothing",
        "clip_norm": lambda norm: f"gradients clipped at {norm:g}" if norm else "no clipping",
    }
    usual = [phrase(values[name]) for name, phrase in phrases.items() if name in values]
    others = [
        f"{DECLARED[name].title} {DECLARED[name].format(value)}"
        for name, value in values.items()
        if name not in phrases and name != "head_first_lr_scale" and value != DECLARED[name].default
    ]
    return [f"{epochs} epoch{'s' if epochs > 1 else ''}", *filter(None, usual), *others]
