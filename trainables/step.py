"""One step of training: a batch, through the frozen stages, to the optimiser."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from itertools import islice
from math import ceil
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from trainables import progress
from trainables.hyperparameters import Hyperparameters
from trainables.memory import TRAINING, DoesNotFit, ForwardState, Memory, out_of_memory
from trainables.optimisation import DeviceRates, optimizer
from trainables.precision import Precision
from trainables.stages import StagedModel
from trainables.world import World


def carried(
    model: StagedModel,
    batches: Iterator[tuple[Tensor, Tensor]],
    boundary: int,
    precision: Precision,
    batch_size: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches that were read at `boundary`, at the model's freeze depth.

    A GPU's frozen stages compute more rows at once than a batch may have, and fill up what is missing: so they take as
    many batches together as fill them. What they give is, bit for bit, what each batch alone would.
    """
    if boundary == model.freeze_depth:
        yield from batches
        return
    while group := list(islice(batches, 1)):
        rows = model.rows_at_once(group[0][0].device)
        group += islice(batches, max(1, rows // batch_size) - 1)
        images = torch.cat([images for images, _ in group]) if len(group) > 1 else group[0][0]
        try:
            with precision.autocast():
                frozen = model.frozen(boundary, model.freeze_depth, images)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise DoesNotFit(
                f"out of memory with {rows} images at a time in frozen stages: take a smaller model or larger device"
            ) from None
        yield from zip(frozen.split([len(images) for images, _ in group]), [labels for _, labels in group], strict=True)


class Step:
    """One optimiser step on one batch: mix, forward, loss, backward, clip, update, schedule.

    A batch that is divided has the gradient of the whole batch, but for BatchNorm, which normalises each part by its
    own mean and variance; and dropout draws other masks.

    Args:
        model: frozen as deep as the point has it.
        point: the run's hyperparameters, of which it takes the optimiser's, the loss's and the batch's.
        labels: (N,) int64 of all images that are trained on, for the weights of their classes.
        mixes: what the workers of a group draw their mixes from, all the same.

    `schedule` is set once it is known over how many steps. `rates`: where the optimiser is to read its learning rates
    on the device.
    """

    schedule: torch.optim.lr_scheduler.LRScheduler
    rates: DeviceRates | None = None

    def __init__(
        self,
        model: StagedModel,
        point: Hyperparameters,
        precision: Precision,
        world: World,
        memory: Memory,
        *,
        labels: Tensor,
        mixes: torch.Generator | None = None,
    ) -> None:
        self.alone, self.model = model, world.wrap(model)
        self.point = point
        self.precision = precision
        self.world, self.memory = world, memory
        self.memory_probes = 0
        self.goes_on = False
        self.before = ForwardState(model)
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = optimizer(model, point)
        self.scaler = precision.scaler()
        together = mixes if world.size > 1 else None
        self.mix = Mixup(point.mixup, model.classes, together) if point.mixup else None
        self.class_weights = balanced(labels, model.classes) if point.class_weights == "balanced" else None

    def state_dict(self) -> dict[str, Any]:
        """Of all that a step leaves for the next one, but for the model. Workers have it alike."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])  # the rates too, which its schedule goes on from
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self.goes_on = True

    @property
    def lr(self) -> float:
        """Of the next step, before layer decay and the head's scale."""
        group = self.optimizer.param_groups[-1]
        return group["lr"] / group["lr_scale"]

    def __call__(self, images: Tensor, labels: Tensor, boundary: int = 0, batch_size: int | None = None) -> Tensor:
        """Returns the loss of a batch that was read at `boundary`, still on the device.

        Given this worker's share of a batch of `batch_size` images, the mean over the workers is the batch's loss.
        """
        batch_size = batch_size or len(labels)
        if self.mix:  # once for a batch, however often memory makes us divide it anew
            assert boundary == 0, "mixup mixes images"
            images, labels = self.mix(images.float(), labels)
        loss = self.backward(images, labels, boundary, batch_size)
        try:
            self.update()  # the first makes the optimiser's state
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise DoesNotFit(
                "out of memory in the optimizer's step, whose state does not fit beside the model: choose a smaller "
                "model, a larger freeze_depth or a larger device"
            ) from None
        self.scaler.update()
        self.advance()
        return loss

    def update(self) -> None:
        """Clips the gradients, and lets the optimiser take its step."""
        self.scaler.unscale_(self.optimizer)
        if self.point.clip_norm:
            nn.utils.clip_grad_norm_(self.trained, self.point.clip_norm)
        with self.rates.read_by_optimizer() if self.rates else nullcontext():
            self.scaler.step(self.optimizer)

    def advance(self) -> None:
        """To the next step."""
        self.schedule.step()
        progress.tick()

    def backward(self, images: Tensor, labels: Tensor, boundary: int, batch_size: int) -> Tensor:
        """Leaves the gradient of the batch's mean loss in the model, and returns this worker's part of that loss.

        `labels` are (N,) int64, or mixed: (N, classes) float32.

        A worker in a group must not halve a batch by itself: the others would wait for it. So they find the size
        together, by computing the first two batches on trial (the optimiser's state is made between them), and memory
        that runs out later ends the run.
        """

        share = self.world.largest_share(batch_size)  # all workers divide theirs alike

        def compute(size: int) -> Tensor:
            return self.gradients(self.model, images, labels, boundary, batch_size, size)

        if self.world.size > 1 and self.memory_probes == 2:
            return compute(self.memory.size(TRAINING, share))
        self.before.capture(labels.device)

        def probe_memory(size: int) -> None:
            lacking = torch.zeros((), device=labels.device)
            try:
                with self.world.apart(self.alone):
                    self.gradients(self.alone, images, labels, boundary, batch_size, size)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                lacking += 1
            if self.world.all_reduce_sum(lacking):
                raise torch.OutOfMemoryError("a worker of the group is out of memory")

        def undo() -> None:
            self.optimizer.zero_grad(set_to_none=True)
            self.before.restore()

        if self.world.size == 1:
            return self.memory.run_with_oom_backoff(TRAINING, share, compute, undo)
        self.memory.run_with_oom_backoff(TRAINING, share, probe_memory, undo)
        undo()
        self.memory_probes += 1
        if self.goes_on:  # DDP adds gradients up in other groups from its second backward pass on
            compute(self.memory.size(TRAINING, share))
            undo()
            self.goes_on = False
        return compute(self.memory.size(TRAINING, share))

    def gradients(
        self, model: nn.Module, images: Tensor, labels: Tensor, boundary: int, batch_size: int, size: int
    ) -> Tensor:
        """`backward`, with at most `size` images at once: each part's mean loss weighs by its share of the batch."""
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        count = ceil(self.world.largest_share(batch_size) / size)
        micro_batches = zip(images.tensor_split(count), labels.tensor_split(count), strict=True)
        for number, (some_images, some_labels) in enumerate(micro_batches, 1):
            counts = len(some_labels) > 0 and self.world.rank < batch_size
            if not len(some_labels):  # a part for which another worker has an image
                some_images, some_labels = images[:1], labels[:1]
            with self.world.no_sync(model) if number < count else nullcontext():
                with self.precision.autocast():
                    loss = cross_entropy(
                        model(some_images, boundary),
                        some_labels,
                        weight=self.class_weights,
                        label_smoothing=self.point.label_smoothing,
                    )
                loss = loss * (self.share(some_labels, batch_size) if counts else 0.0)
                self.scaler.scale(loss).backward()
            losses.append(loss.detach())
        return torch.stack(losses).sum()

    def share(self, labels: Tensor, batch_size: int) -> float | Tensor:
        """What the mean loss over some labels counts for in a batch of `batch_size` images.

        Workers are averaged, whatever each has of a batch: so each counts as often as there are workers.

        torch divides a mean with class weights by the sum of these weights, which is another in each part and worker:
        this multiplies it in again, so that every image counts by its class wherever it is computed.
        """
        workers = self.world.size
        if self.class_weights is None or labels.is_floating_point():
            return workers * len(labels) / batch_size
        return workers * self.class_weights[labels].sum() / batch_size


def balanced(labels: Tensor, classes: int) -> Tensor:
    """Weights (classes,) float32 in inverse proportion to a class's images, 1 on average over the images."""
    images = torch.bincount(labels, minlength=classes)
    return torch.where(images > 0, len(labels) / ((images > 0).sum() * images.clamp(min=1)), 0.0).float()


class Mixup:
    """Zhang et al. 2018: every image of a batch is mixed with the one before it, in one proportion that is drawn.

    Args:
        mixes: draws the proportions that all workers of a group use; their batches come as pairs (`World.share`).
            Without it the process's own random numbers do, and a batch is whole, as for torchvision's MixUp.
    """

    def __init__(self, alpha: float, classes: int, mixes: torch.Generator | None = None) -> None:
        self.classes, self.mixes = classes, mixes
        self.proportions = torch.distributions.Beta(torch.tensor([alpha]), torch.tensor([alpha]))

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(N, ...) float32 and (N,) int64 labels, which become (N, classes) float32; of N pairs 2 N of each."""
        lam = self.draw()
        return self.mixed(images, lam), self.mixed(one_hot(labels, self.classes).float(), lam)

    def mixed(self, given: Tensor, lam: float) -> Tensor:
        own, before = (given, given.roll(1, 0)) if self.mixes is None else given.tensor_split(2)
        return before.mul_(1.0 - lam).add_(own.mul(lam))

    def draw(self) -> float:
        if self.mixes is None:
            return float(self.proportions.sample(()))
        own = torch.get_rng_state()  # which dropout has moved by another number of draws in each worker
        torch.set_rng_state(self.mixes.get_state())
        lam = float(self.proportions.sample(()))
        self.mixes.set_state(torch.get_rng_state())
        torch.set_rng_state(own)
        return lam
