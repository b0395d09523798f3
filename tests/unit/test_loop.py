"""The training loop on real digits, against a loop written by hand."""

from copy import deepcopy
from dataclasses import replace
from math import cos, nan, pi
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from tests.contract.tiny import CPU, FP32, POINT, RECIPE, digits, losses, numbers, run, untrained
from trainables.batches import CachedSplit
from trainables.hyperparameters import Hyperparameters
from trainables.loop import EVALUATION_BATCH, Epoch, NotFinite, predict
from trainables.metrics import Metric, scores
from trainables.precision import Precision
from trainables.stages import StagedModel
from trainables.step import Mixup, balanced

pytestmark = pytest.mark.usefixtures("one_thread")

# After some steps of Adam, which divides even the smallest gradients by their own size: kernels round differently from
# one memory layout to another, and from one kind of CPU to another
ROUNDING = 5e-3


@pytest.fixture(scope="module")
def train() -> CachedSplit:
    return digits(48)


@pytest.fixture(scope="module")
def val() -> CachedSplit:
    return digits(24, start=48)


def by_hand(model: StagedModel, train: CachedSplit, point: Hyperparameters, epochs: int) -> list[float]:
    """Plain AdamW, cosine without warm-up, written out; the mean loss of every epoch."""
    model.freeze(point.freeze_depth).train()
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": POINT.weight_decay}, {"params": others, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, foreach=False, fused=False)
    order = torch.Generator().manual_seed(0)
    steps = -(-len(train) // point.batch_size)
    seen = []
    for epoch in range(epochs):
        total = 0.0
        batches = torch.randperm(len(train), generator=order).tensor_split(steps)
        for step, rows in enumerate(batches, start=epoch * steps):
            for group in adamw.param_groups:
                group["lr"] = POINT.lr * (1 + cos(pi * step / (steps * epochs))) / 2
            adamw.zero_grad()
            loss = cross_entropy(model(train.images[rows]), train.labels[rows], label_smoothing=point.label_smoothing)
            loss.backward()
            if point.clip_norm:
                gradients = [p.grad for p in decayed + others if p.grad is not None]
                norm = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
                for gradient in gradients:
                    gradient.mul_(min(1.0, point.clip_norm / (norm + 1e-6)))
            adamw.step()
            total += loss.item()
        seen.append(total / steps)
    return seen


@pytest.mark.parametrize("name", ["vit", "resnet"])
@pytest.mark.parametrize("freeze_depth", [0, 3])
@pytest.mark.parametrize(
    "changed",
    [{}, {"clip_norm": 0.0}, {"clip_norm": 0.05}, {"label_smoothing": 0.2}, {"batch_size": 20}],
    ids=str,
)
def test_the_loop_gives_the_losses_of_a_loop_written_by_hand(
    name: str, freeze_depth: int, changed: dict[str, Any], train: CachedSplit
) -> None:
    point = replace(POINT, freeze_depth=freeze_depth, warmup=0.0, **changed)
    wanted = by_hand(untrained(name), train, point, epochs=3)
    seen = run(untrained(name), train, point=point, recipe=replace(RECIPE, epochs=3))
    assert losses(seen)[0] == pytest.approx(wanted[0], rel=1e-4)
    assert losses(seen) == pytest.approx(wanted, rel=ROUNDING)
    assert wanted[0] != pytest.approx(wanted[-1], rel=1e-3)


@pytest.mark.parametrize("name", ["resnet", "coatnet"])
def test_the_loop_learns_to_read_digits_that_it_has_not_seen(name: str) -> None:
    every = digits(1000)
    rows = (every.labels < 2).nonzero().flatten()  # zeros and ones
    few = CachedSplit(every.images[rows], every.labels[rows], every.index[rows.numpy()])
    train, val = (CachedSplit(few.images[i::2], few.labels[i::2], few.index[i::2]) for i in (0, 1))
    curve = run(untrained(name), train, val, recipe=replace(RECIPE, epochs=8))
    assert curve[-1].train_loss < 0.2
    assert curve[-1].val_accuracy is not None
    assert curve[-1].val_accuracy > 0.9


def test_the_training_loss_is_smoothed_and_the_validation_loss_is_not(train: CachedSplit) -> None:
    point = replace(POINT, batch_size=len(train), label_smoothing=0.3)
    model = untrained("vit")
    wanted = cross_entropy(model.train()(train.images), train.labels, label_smoothing=0.3).item()
    [epoch] = run(model, train, train, point=point, recipe=replace(RECIPE, epochs=1))
    assert epoch.train_loss == pytest.approx(wanted, rel=1e-5)
    with torch.no_grad():
        plain = cross_entropy(model.eval()(train.images), train.labels).item()
    assert epoch.val_loss == pytest.approx(plain, rel=1e-5)


def first_step(point: Hyperparameters, batch: CachedSplit) -> float:
    """The loss of one batch of all images."""
    [epoch] = run(
        untrained("vit"), batch, point=replace(point, batch_size=len(batch)), recipe=replace(RECIPE, epochs=1)
    )
    return epoch.train_loss


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_balanced_classes_weigh_by_one_over_their_images_in_the_whole_split(smoothing: float) -> None:
    batch = digits(21)  # three of the first class, two of the others
    images = torch.bincount(batch.labels, minlength=10)
    weights = len(batch) / (10 * images)
    with torch.no_grad():
        logits = untrained("vit").train()(batch.images)
    wanted = cross_entropy(logits, batch.labels, weights, reduction="sum", label_smoothing=smoothing) / len(batch)
    assert weights[batch.labels].mean().item() == pytest.approx(1)
    given = first_step(replace(POINT, class_weights="balanced", label_smoothing=smoothing), batch)
    assert given == pytest.approx(wanted.item(), rel=1e-5)


def test_a_class_without_an_image_weighs_nothing_and_the_others_weigh_one_on_average() -> None:
    labels = torch.tensor([0, 0, 0, 2])
    torch.testing.assert_close(balanced(labels, 3), torch.tensor([2 / 3, 0.0, 2.0]))


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_mixup_mixes_images_and_labels_by_the_same_share_and_smoothing_still_applies(weights: str) -> None:
    batch = digits(21)
    point = replace(POINT, mixup=5.0, label_smoothing=0.1, class_weights=weights)
    torch.manual_seed(0)
    order = torch.Generator().manual_seed(0)
    rows = torch.randperm(len(batch), generator=order)
    images, labels = batch.images[rows].float(), one_hot(batch.labels[rows], 10).float()
    share = float(torch.distributions.Beta(torch.tensor([5.0]), torch.tensor([5.0])).sample())
    with torch.no_grad():
        mixed = share * images + (1 - share) * images.roll(1, 0)
        logits = untrained_with_the_same_numbers().train()(mixed)
    targets = share * labels + (1 - share) * labels.roll(1, 0)
    by_class = balanced(batch.labels, 10) if weights == "balanced" else None
    wanted = cross_entropy(logits, targets, by_class, label_smoothing=0.1).item()
    assert 0.1 < share < 0.9
    assert first_step(point, batch) == pytest.approx(wanted, rel=1e-4)


def untrained_with_the_same_numbers() -> StagedModel:
    """The model of `first_step`, and the generator of the process as it was."""
    with torch.random.fork_rng(devices=[]):
        return untrained("vit")


def test_a_worker_alone_mixes_as_torchvision_does_bit_for_bit() -> None:
    from torchvision.transforms import v2

    images, labels = torch.rand(7, 3, 4, 4), torch.arange(7)
    torch.manual_seed(5)
    theirs = v2.MixUp(alpha=0.4, num_classes=9)(images.clone(), labels)
    torch.manual_seed(5)
    ours = Mixup(0.4, 9)(images.clone(), labels)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_validation_is_not_mixed_and_frozen_stages_compute_the_mixed_images(train: CachedSplit) -> None:
    point = replace(POINT, mixup=0.4, lr=1e-30, freeze_depth=5)
    inputs: list[torch.Tensor] = []
    model = untrained("vit")
    next(iter(model.stages.values())).register_forward_pre_hook(lambda module, given: inputs.append(given[0]))
    [epoch] = run(model, train, train, point=point, recipe=replace(RECIPE, epochs=1))
    assert {images.dtype for images in inputs} == {torch.float32, torch.uint8}
    assert epoch.val_loss == pytest.approx(predict(untrained("vit").freeze(5), train, FP32).loss)


def test_a_run_without_a_validation_split_reports_none(train: CachedSplit, val: CachedSplit) -> None:
    [epoch] = run(untrained("resnet"), train, recipe=replace(RECIPE, epochs=1))
    assert (epoch.val_loss, epoch.val_accuracy) == (None, None)
    [validated] = run(untrained("resnet"), train, val, recipe=replace(RECIPE, epochs=1))
    assert validated.train_loss == epoch.train_loss


def test_looking_at_validation_changes_nothing_in_training(train: CachedSplit, val: CachedSplit) -> None:
    for name in ("resnet", "coatnet"):  # BatchNorm would move if it were not in eval mode
        first, second = untrained(name), untrained(name)
        assert losses(run(first, train)) == losses(run(second, train, val))
        assert all(torch.equal(a, b) for a, b in zip(first.buffers(), second.buffers(), strict=True))


@pytest.mark.parametrize("last_epoch", [None, 3])
def test_a_run_that_validates_once_does_so_after_its_last_epoch(
    last_epoch: int | None, train: CachedSplit, val: CachedSplit
) -> None:
    recipe, point = replace(RECIPE, epochs=4), replace(POINT, head_first_share=0.5, head_first_lr_scale=0.1)
    every = run(untrained("resnet"), train, val, point=point, recipe=recipe, last_epoch=last_epoch)
    once = run(
        untrained("resnet"), train, val, point=point, recipe=recipe, last_epoch=last_epoch, validate_every_epoch=False
    )
    assert [epoch.val_accuracy for epoch in once[:-1]] == [None] * (len(every) - 1)
    assert numbers(once[-1:]) == numbers(every[-1:])


@pytest.mark.parametrize("last_epoch", [1, 2, 3])
def test_a_run_that_stops_early_has_the_first_epochs_of_the_whole_run(last_epoch: int, train: CachedSplit) -> None:
    recipe, point = replace(RECIPE, epochs=4), replace(POINT, head_first_share=0.5, head_first_lr_scale=0.1)
    whole = run(untrained("resnet"), train, point=point, recipe=recipe)
    assert len(whole) == 4
    stopped = run(untrained("resnet"), train, point=point, recipe=recipe, last_epoch=last_epoch)
    assert numbers(stopped) == numbers(whole[:last_epoch])


def test_an_epoch_reports_its_number_and_the_learning_rate_it_began_with(train: CachedSplit) -> None:
    curve = run(untrained("resnet"), train, point=replace(POINT, warmup=0.0), recipe=replace(RECIPE, epochs=4))
    assert [epoch.epoch for epoch in curve] == [1, 2, 3, 4]
    assert [e.lr for e in curve] == pytest.approx([POINT.lr * (1 + cos(pi * e / 4)) / 2 for e in range(4)])
    assert all(0 < epoch.train_seconds <= epoch.seconds for epoch in curve)


def test_the_head_is_trained_alone_first_and_then_the_stages_after_the_freeze_depth(train: CachedSplit) -> None:
    model = untrained("resnet")
    point = replace(POINT, freeze_depth=2, warmup=0.0, head_first_share=0.5, head_first_lr_scale=0.1)
    states = [deepcopy(model.state_dict())]
    curve = run(
        model,
        train,
        point=point,
        recipe=replace(RECIPE, epochs=4),
        also=lambda epoch: states.append(deepcopy(model.state_dict())),
    )

    def moved(before: int, after: int) -> set[str]:
        """Names of the stages with a tensor that changed."""
        pairs = zip(states[before].items(), states[after].values(), strict=True)
        return {name.split(".")[1] for (name, old), new in pairs if not torch.equal(old, new)}

    *_, head = model.stage_names
    assert moved(0, 1) == moved(1, 2) == {head}
    assert moved(2, 3) == moved(3, 4) == set(model.stage_names[2:])
    assert curve[0].lr == pytest.approx(POINT.lr)
    assert curve[2].lr == pytest.approx(0.1 * POINT.lr)


# Numbers that are none


def test_weights_that_are_no_numbers_end_the_run_and_name_the_epoch(train: CachedSplit) -> None:
    model = untrained("vit")
    with torch.no_grad():
        next(model.head.parameters()).fill_(nan)
    with pytest.raises(NotFinite, match="the training loss is nan in epoch 1"):
        run(model, train)


def test_an_absurd_learning_rate_ends_the_run_without_a_report_of_that_epoch(train: CachedSplit) -> None:
    reported: list[int] = []
    with pytest.raises(NotFinite):
        run(
            untrained("vit"),
            train,
            point=replace(POINT, lr=1e30),
            recipe=replace(RECIPE, epochs=3),
            also=lambda epoch: reported.append(epoch.epoch),
        )
    assert reported == []


def test_weights_that_break_in_the_very_last_step_are_not_a_result(train: CachedSplit, val: CachedSplit) -> None:
    point = replace(POINT, lr=1e30, batch_size=len(train))  # the loss of the only step is taken before it
    with pytest.raises(NotFinite):
        run(untrained("vit"), train, val, point=point, recipe=replace(RECIPE, epochs=1))


# Predictions


def test_predictions_are_the_arg_max_of_the_logits_in_the_order_of_the_split() -> None:
    split = digits(EVALUATION_BATCH + 30)
    model = untrained("resnet").train()
    seen = predict(model, split, FP32)
    with torch.no_grad():
        logits = model.eval()(split.images)
    assert np.array_equal(seen.predicted, logits.argmax(dim=1).numpy())
    assert np.array_equal(seen.index, split.index)
    assert np.array_equal(seen.label, split.labels.numpy())
    assert seen.confidence == pytest.approx(logits.softmax(dim=1).max(dim=1).values.numpy(), abs=1e-5)
    assert seen.loss == pytest.approx(cross_entropy(logits, split.labels).item(), rel=1e-5)
    assert seen.accuracy == pytest.approx((logits.argmax(dim=1) == split.labels).float().mean().item())
    assert len(set(seen.predicted.tolist())) > 1


# Which epoch is the best


def epoch_with(accuracy: float | None, loss: float | None) -> Epoch:
    return Epoch(1, 0.5, loss, accuracy, None, None, 1e-3, 1.0, 1.0)


@pytest.mark.parametrize(
    ("new", "old", "better"),
    [
        (epoch_with(0.6, 2.0), epoch_with(0.5, 1.0), True),  # accuracy decides
        (epoch_with(0.5, 1.0), epoch_with(0.6, 2.0), False),
        (epoch_with(0.5, 0.9), epoch_with(0.5, 1.0), True),  # at equal accuracy the loss
        (epoch_with(0.5, 1.1), epoch_with(0.5, 1.0), False),
        (epoch_with(0.5, 1.0), epoch_with(0.5, 1.0), False),  # the first of equals stays
        (epoch_with(0.0, 9.0), None, True),
        (epoch_with(None, None), None, False),
        (epoch_with(None, None), epoch_with(0.1, 1.0), False),
    ],
)
def test_the_best_epoch_has_the_highest_accuracy_then_the_lowest_loss_then_came_first(
    new: Epoch, old: Epoch | None, better: bool
) -> None:
    assert new.beats(old) is better


@pytest.mark.parametrize(
    ("metric", "winner"),
    [(Metric.ACCURACY, 0), (Metric.MEAN_CLASS_ACCURACY, 1), (Metric.MACRO_F1, 2), (Metric.LOSS, 3)],
)
def test_the_best_epoch_is_that_of_the_metric(metric: Metric, winner: int) -> None:
    epochs = [
        Epoch(1, 0.5, 1.0, 0.9, 0.5, 0.5, 1e-3, 1.0, 1.0),
        Epoch(2, 0.5, 1.0, 0.5, 0.9, 0.5, 1e-3, 1.0, 1.0),
        Epoch(3, 0.5, 1.0, 0.5, 0.5, 0.9, 1e-3, 1.0, 1.0),
        Epoch(4, 0.5, 0.1, 0.5, 0.5, 0.5, 1e-3, 1.0, 1.0),
    ]
    best = epochs[winner]
    assert all(best.beats(other, metric) and not other.beats(best, metric) for other in epochs if other is not best)
    assert replace(best, val_loss=0.01).beats(best, metric)  # at equal the loss


def test_an_epoch_has_every_metric_of_its_predictions(train: CachedSplit, val: CachedSplit) -> None:
    model = untrained("resnet")
    [epoch] = run(model, train, val, recipe=replace(RECIPE, epochs=1))
    predictions = predict(model, val, FP32)
    values = scores(predictions.label, predictions.predicted, 10)
    assert {metric: epoch.score(metric) for metric in values} == values
    assert epoch.val_accuracy == predictions.accuracy
    assert epoch.val_loss == predictions.loss
    assert len(set(values.values())) == len(values)


# Precision


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_a_run_in_bf16_stays_close_to_fp32_and_is_not_the_same(name: str, train: CachedSplit, val: CachedSplit) -> None:
    fp32 = run(untrained(name), train, val)
    bf16 = run(untrained(name), train, val, precision=Precision("bf16", CPU))
    assert losses(bf16) != losses(fp32)
    assert losses(bf16) == pytest.approx(losses(fp32), rel=0.03)
    for narrow, wide in zip(bf16, fp32, strict=True):
        assert narrow.val_loss == pytest.approx(wide.val_loss, rel=0.05)


def test_weights_and_gradients_stay_in_fp32_under_bf16(train: CachedSplit) -> None:
    model = untrained("vit")
    run(model, train, precision=Precision("bf16", CPU))
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.float32}


def test_a_model_in_channels_last_trains_to_the_same_losses(train: CachedSplit) -> None:
    plain = run(untrained("resnet"), train)
    packed: StagedModel = untrained("resnet").to(memory_format=torch.channels_last)
    assert losses(run(packed, train)) == pytest.approx(losses(plain), rel=ROUNDING)
