"""The hyperparameters: each is declared once, here, and everything else iterates over what is declared.

A field of `Hyperparameters` is one declaration: its name and type, the title that a reader sees, the values that it may
take, and why it may matter. Spaces, `--fix`, recipes, trial 0, the record's columns, replicates, the page and W&B
follow from it. To add one: declare it here, and use it in the loop, the optimiser or the model.

Imports neither torch nor Ray: the command line checks its options with it.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from math import inf
from typing import Any

from trainables.choices import choose

MOST = {int: 1 << 31, float: 1e300}  # a file's numbers may be larger than any that a machine counts with
Value = float | int | str | None  # None: as the model was built


@dataclass(frozen=True)
class Hyperparameter:
    """One declaration.

    Attributes:
        name: as options, files and columns have it.
        title: for a reader.
        kind: float, int or str; a str takes one of `choices`.
        low, high: the bounds of what it may be, both included unless `above_low`, `below_high`.
        log: searched and drawn on a logarithmic axis unless a space says otherwise.
        why: why it may matter, in a sentence.
        required: the paper's point of each architecture says it; the others have a `default`.
        default: for what neither the recipe, the paper nor the search says; None is as the model was built.
        part_of_model: which of the architecture's features it needs, None for any model's.
    """

    name: str
    title: str
    kind: type
    why: str
    low: float = -inf
    high: float = inf
    above_low: bool = False
    below_high: bool = False
    log: bool = False
    choices: tuple[str, ...] = ()
    required: bool = False
    default: Value = None
    part_of_model: str | None = None

    def check(self, value: Any) -> Value:
        """The value in the declared type. Raises ValueError, naming it, for one that it cannot be."""
        if value is None and self.default is None and not self.required:
            return None
        if self.kind is str:
            if not isinstance(value, str):
                raise ValueError(f"{self.name} takes one of {', '.join(self.choices)}, got {value!r}")
            return choose(self.name, value, self.choices)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{self.name} takes {self.takes}, got {value!r}")
        low_enough = value < self.high if self.below_high else value <= self.high
        high_enough = value > self.low if self.above_low else value >= self.low
        if not (abs(value) <= MOST[self.kind] and low_enough and high_enough):  # nan is not either
            most = f", and at most {MOST[self.kind]:g}" if MOST[self.kind] < value < inf else ""
            raise ValueError(f"{self.name} must be {self.range}{most}, got {value}")
        if self.kind is int and value != int(value):
            raise ValueError(f"{self.name} takes {self.takes}, got {value!r}")
        return self.kind(value)

    def parse(self, text: str) -> Value:
        """The value that a command line or a W&B config gives as text. Raises ValueError."""
        if self.kind is str:
            return self.check(text)
        try:
            number = float(text)
            whole = int(text) if self.kind is int else number
        except ValueError:
            raise ValueError(f"{self.name} takes {self.takes}, got {text!r}") from None
        return self.check(whole)

    def format(self, value: Value) -> str:
        """For a reader: `1.0e-03` on a logarithmic axis, as short as possible elsewhere, `–` for none."""
        if value is None:
            return "–"
        if self.kind is float:
            return f"{value:.1e}" if self.log and value else f"{value:.4g}"
        return str(value)

    @property
    def takes(self) -> str:
        return {int: "a whole number", float: "a number", str: f"one of {', '.join(self.choices)}"}[self.kind]

    @property
    def range(self) -> str:
        """`above 0 and at most 1`, `0 or more`."""
        low = f"above {self.low:g}" if self.above_low else f"at least {self.low:g}"
        high = f"below {self.high:g}" if self.below_high else f"at most {self.high:g}"
        if self.high == inf:
            return low if self.above_low or self.low > 0 else f"{self.low:g} or more"
        return f"{low} and {high}"


def declare(title: str, why: str, *, default: Any = MISSING, **details: Any) -> Any:
    """A field of `Hyperparameters`; without a default it is required."""
    return field(default=default, metadata={"title": title, "why": why, **details})


@dataclass(frozen=True)
class Hyperparameters:
    """A point: everything about the training of one run that a search may move. Validated where it is born."""

    lr: float = declare(
        "learning rate", "too small and nothing is learnt, too large and what was pretrained is lost",
        low=0, above_low=True, log=True,
    )  # fmt: skip
    weight_decay: float = declare("weight decay", "regularises what is trained", low=0, log=True)
    freeze_depth: int = declare(
        "freeze depth", "how many stages, from the input, stay as they were pretrained", low=0
    )  # at most the model's own number of backbone stages: `check_model` knows it
    batch_size: int = declare("batch size", "fewer images give noisier and more steps", default=64, low=1, log=True)
    optimizer: str = declare(
        "optimizer", "SGD with momentum 0.9 suits convolutions, AdamW attention", default="adamw",
        choices=("adamw", "sgd"),
    )  # fmt: skip
    schedule: str = declare(
        "schedule", "how the learning rate changes during a run", default="cosine",
        choices=("onecycle", "step", "cosine", "constant"),
    )  # fmt: skip
    warmup: float = declare(
        "warm-up", "the share of the run in which the learning rate rises to its peak; onecycle has its own of 0.3",
        default=0.1, low=0, high=1, below_high=True,
    )  # fmt: skip
    step_factor: float = declare(
        "step factor", "what the step schedule multiplies the learning rate by at each milestone", default=0.1,
        low=0, above_low=True,
    )  # fmt: skip
    layer_decay: float = declare(
        "layer decay", "the learning rate of a stage is lr times this to the power of the stages above it", default=1.0,
        low=0, above_low=True, high=1,
    )  # fmt: skip
    head_lr_scale: float = declare(
        "head's lr scale", "the new head may learn faster than what was pretrained", default=1.0, low=0, above_low=True,
        log=True,
    )  # fmt: skip
    head_first_share: float = declare(
        "head-first share", "the share of the epochs that trains the head alone, before the rest; 0 for none",
        default=0.0, low=0, high=1, below_high=True,
    )  # fmt: skip
    head_first_lr_scale: float = declare(
        "lr scale after the head", "the learning rate of the epochs that follow a head-first phase is lr times this",
        default=1.0, low=0, above_low=True, log=True,
    )  # fmt: skip
    clip_norm: float = declare("gradient clipping", "the largest norm of the gradient; 0 for none", default=1.0, low=0)
    label_smoothing: float = declare(
        "label smoothing", "keeps the model from being too sure", default=0.0, low=0, high=1, below_high=True
    )
    class_weights: str = declare(
        "class weights", "balanced weighs each class by one over its number of training images", default="none",
        choices=("none", "balanced"),
    )  # fmt: skip
    augmentation: str = declare(
        "augmentation", "changes every training image anew in every epoch", default="none",
        choices=("none", "flip", "crop_flip", "autoaugment_cifar10", "alexnet"),
    )  # fmt: skip
    mixup: float = declare(
        "mixup", "the alpha of the beta distribution that two images and their labels are mixed by; 0 for none",
        default=0.0, low=0,
    )  # fmt: skip
    dropout: float | None = declare(
        "dropout", "the rate of the model's own dropout layers where they are trained", default=None, low=0, high=1,
        below_high=True, part_of_model="dropout",
    )  # fmt: skip
    drop_path: float = declare(
        "stochastic depth", "the rate at which residual blocks are left out, rising to this at the last one",
        default=0.0, low=0, high=1, below_high=True, part_of_model="drop_path",
    )  # fmt: skip

    def __post_init__(self) -> None:
        for name, declared in DECLARED.items():
            object.__setattr__(self, name, declared.check(getattr(self, name)))

    def check_model(self, *, backbone_stages: int, features: tuple[str, ...], model: str) -> None:
        """Raises ValueError where a model has not so many stages to freeze, or no layer that a value would change."""
        if self.freeze_depth > backbone_stages:
            raise ValueError(f"freeze_depth must be 0 to {backbone_stages}, got {self.freeze_depth}")
        for name, declared in DECLARED.items():
            check_feature(declared, getattr(self, name), features=features, model=model)


def check_feature(declared: Hyperparameter, value: Value, *, features: tuple[str, ...], model: str) -> None:
    """Raises ValueError for a value other than the default of what the model has not got."""
    if declared.part_of_model and declared.part_of_model not in features and value != declared.default:
        raise ValueError(f"{model} has no {declared.title} to set: leave out {declared.name}")


def _declared(of: "Field[Any]") -> Hyperparameter:
    kinds = {"float": float, "int": int, "str": str, "float | None": float}
    kind = kinds[of.type if isinstance(of.type, str) else getattr(of.type, "__name__", str(of.type))]
    required = of.default is MISSING
    default: Any = None if required else of.default
    return Hyperparameter(name=of.name, kind=kind, required=required, default=default, **of.metadata)


DECLARED: Mapping[str, Hyperparameter] = {of.name: _declared(of) for of in fields(Hyperparameters)}
REQUIRED = tuple(name for name, declared in DECLARED.items() if declared.required)


def declared(name: str) -> Hyperparameter:
    """Raises ValueError, naming the nearest, for one that is not declared."""
    return DECLARED[choose("hyperparameter", name, DECLARED)]


def as_row(point: Hyperparameters) -> dict[str, Value]:
    """A point as columns of a table."""
    return asdict(point)


def from_row(row: Mapping[str, Any], otherwise: Hyperparameters) -> Hyperparameters:
    """The point of a row of the record. A row from before something was declared has `otherwise`'s value of it."""
    values = {name: row.get(name) for name in DECLARED}
    return Hyperparameters(**asdict(otherwise) | {name: value for name, value in values.items() if value is not None})
