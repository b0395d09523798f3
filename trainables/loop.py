"""The one training loop. It is handed its device, data, workers and report function, and knows no Ray."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from time import perf_counter

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from trainables.batches import Source
from trainables.precision import Precision
from trainables.recipe import Hyperparameters, Recipe, optimizer, schedule
from trainables.stages import StagedModel
from trainables.world import World

EVALUATION_BATCH = 256


class NotFinite(ArithmeticError):
    """The loss became infinite or not a number: a result of these hyperparameters, not a fault of the program."""


@dataclass(frozen=True)
class Epoch:
    """One row of a learning curve; val_* are None where a run has no validation split."""

    epoch: int
    train_loss: float
    val_loss: float | None
    val_accuracy: float | None
    lr: float
    train_seconds: float
    seconds: float

    def beats(self, other: "Epoch | None") -> bool:
        """The better epoch on validation: by accuracy, at equal accuracy by loss. Unvalidated ones beat nothing."""
        if self.val_accuracy is None or self.val_loss is None:
            return False
        if other is None:
            return True
        assert other.val_accuracy is not None and other.val_loss is not None
        return (self.val_accuracy, -self.val_loss) > (other.val_accuracy, -other.val_loss)


@dataclass(frozen=True)
class Predictions:
    """What a model says of a split: label, predicted class and its probability for each image, and the mean loss."""

    index: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    loss: float

    @property
    def accuracy(self) -> float:
        return float((self.label == self.predicted).mean())


def fit(
    model: StagedModel,
    train: Source,
    val: Source | None,
    *,
    hyperparameters: Hyperparameters,
    recipe: Recipe,
    precision: Precision,
    seed: int,
    report: Callable[[Epoch], None],
    world: World | None = None,
    last_epoch: int | None = None,
    validate_every_epoch: bool = True,
) -> None:
    """Trains `model` in place and reports every epoch.

    Args:
        model: on its device, with the weights to start from.
        train, val: with batches on the same device; without `val` the reports carry None.
        seed: decides the order of the images and the dropout masks.
        last_epoch: stop after this epoch of the recipe's schedule, all of them by default.
        validate_every_epoch: if not, only after the last one; the reports before it carry None.

    Raises NotFinite when an epoch's loss is not a finite number.
    """
    world = world or World()
    torch.manual_seed(seed)
    order = torch.Generator().manual_seed(seed)
    epoch = 0
    last = min(recipe.epochs, last_epoch or recipe.epochs)
    for phase in recipe.phases(hyperparameters, head_only=model.backbone_stages):
        model.freeze(phase.freeze_depth)
        images = train.at(phase.freeze_depth)
        step = Step(model, recipe, precision, world, lr=phase.lr, weight_decay=hyperparameters.weight_decay)
        step.plan(lr=phase.lr, steps=phase.epochs * images.steps(recipe.batch_size, world.size))
        for _ in range(phase.epochs):
            epoch += 1
            if epoch > last:
                return
            start = perf_counter()
            lr = step.lr
            model.train()
            losses = [step(*batch, images.boundary) for batch in images.shuffled(recipe.batch_size, order, world)]
            train_loss = float(world.total(torch.stack(losses).mean())) / world.size
            trained = perf_counter()
            if not isfinite(train_loss):
                raise NotFinite(f"the training loss is {train_loss} in epoch {epoch}")
            validated = val is not None and (validate_every_epoch or epoch == last)
            seen = predict(model, val, precision) if val is not None and validated else None
            report(
                Epoch(
                    epoch=epoch,
                    train_loss=train_loss,
                    val_loss=seen.loss if seen else None,
                    val_accuracy=seen.accuracy if seen else None,
                    lr=lr,
                    train_seconds=trained - start,
                    seconds=perf_counter() - start,
                )
            )


class Step:
    """One optimiser step on one batch: forward, loss, backward, clip, update, schedule."""

    def __init__(
        self, model: StagedModel, recipe: Recipe, precision: Precision, world: World, *, lr: float, weight_decay: float
    ) -> None:
        self.model = world.wrap(model)
        self.recipe = recipe
        self.precision = precision
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = optimizer(model, lr=lr, weight_decay=weight_decay)
        self.scaler = precision.scaler()

    def plan(self, *, lr: float, steps: int) -> None:
        self.schedule = schedule(self.optimizer, self.recipe, lr=lr, steps=steps)

    @property
    def lr(self) -> float:
        return float(self.schedule.get_last_lr()[0])

    def __call__(self, images: torch.Tensor, labels: torch.Tensor, boundary: int = 0) -> torch.Tensor:
        """Returns the loss of a batch that was read at `boundary`, still on the device."""
        with self.precision.autocast():
            loss = cross_entropy(self.model(images, boundary), labels, label_smoothing=self.recipe.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        if self.recipe.clip_norm:
            nn.utils.clip_grad_norm_(self.trained, self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        return loss.detach()


@torch.inference_mode()
def predict(model: StagedModel, source: Source, precision: Precision) -> Predictions:
    """The model's predictions on a split, in the split's order. Raises NotFinite if it has none to give."""
    model.eval()
    split = source.at(model.freeze_depth)
    predicted, confidence, loss = [], [], torch.zeros((), device=split.labels.device)
    for images, labels in split.in_order(EVALUATION_BATCH):
        with precision.autocast():
            logits = model(images, split.boundary)
        probability, best = logits.float().softmax(dim=1).max(dim=1)
        loss += cross_entropy(logits.float(), labels, reduction="sum")
        predicted.append(best)
        confidence.append(probability)
    if not isfinite(loss):
        raise NotFinite(f"the model's loss is {float(loss)} after training")
    return Predictions(
        index=split.index,
        label=split.labels.cpu().numpy(),
        predicted=torch.cat(predicted).cpu().numpy(),
        confidence=torch.cat(confidence).cpu().numpy(),
        loss=float(loss) / len(split),
    )
