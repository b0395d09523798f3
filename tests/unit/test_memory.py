"""A batch that does not fit in memory is divided, and trains as the whole batch would have."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.contract.tiny import CPU, FP32, POINT, RECIPE, digits, little_memory, losses, numbers, run, untrained
from trainables import architecture
from trainables.batches import CachedSplit
from trainables.decoded import fits_in_memory
from trainables.hyperparameters import Hyperparameters
from trainables.loop import predict
from trainables.memory import EVALUATION, TRAINING, DoesNotFit, Memory, out_of_memory
from trainables.stages import StagedModel
from trainables.step import Step
from trainables.world import World

pytestmark = pytest.mark.usefixtures("one_thread")

every_architecture = pytest.mark.parametrize("name", architecture.names())


@pytest.fixture(scope="module")
def train() -> CachedSplit:
    return digits(48)


def gradients(model: StagedModel, batch: CachedSplit, memory: Memory, point: Hyperparameters = POINT) -> list[Tensor]:
    """Of one batch, and last its loss."""
    model.freeze(0).train()
    step = Step(model, point, FP32, World(), memory, labels=batch.labels)
    loss = step.backward(batch.images, batch.labels, 0, len(batch))
    return [p.grad for p in model.parameters() if p.grad is not None] + [loss]


# What is computed


@pytest.mark.parametrize("parts", [2, 3, 7, 16])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("class_weights", ["none", "balanced"])
def test_the_gradient_of_the_parts_is_that_of_the_whole_batch(parts: int, smoothing: float, class_weights: str) -> None:
    batch = digits(16)  # 3 and 7 parts are of unequal size, and the classes too
    point = replace(POINT, label_smoothing=smoothing, class_weights=class_weights)
    whole = gradients(untrained("vit"), batch, Memory(grad_accum_steps=1), point)
    divided = gradients(untrained("vit"), batch, Memory(grad_accum_steps=parts), point)
    assert len(whole) == len(divided) > 10
    torch.testing.assert_close(divided, whole, rtol=1e-3, atol=1e-6)


def test_a_run_in_parts_has_the_curve_of_the_undivided_run(train: CachedSplit) -> None:
    whole = run(untrained("vit"), train, train)
    divided = run(untrained("vit"), train, train, memory=Memory(grad_accum_steps=4))
    assert losses(divided) == pytest.approx(losses(whole), rel=1e-4)
    assert [e.val_loss for e in divided] == pytest.approx([e.val_loss for e in whole], rel=1e-3)


@every_architecture
@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_a_run_that_finds_out_of_memory_is_to_the_bit_the_run_that_knew_before(
    name: str, mixup: float, train: CachedSplit
) -> None:
    """So neither dropout's draws nor BatchNorm's statistics keep a trace of what was tried in vain, nor does a mix."""
    knew, found_out = untrained(name), little_memory(untrained(name), limit=5)
    point = replace(POINT, mixup=mixup)
    before = numbers(run(knew, train, point=point, memory=Memory(grad_accum_steps=4)))
    memory = Memory()
    assert numbers(run(found_out, train, point=point, memory=memory)) == before
    assert memory.micro_batch_size == 4  # 16, 8, 4
    assert all(
        torch.equal(a, b) for a, b in zip(knew.state_dict().values(), found_out.state_dict().values(), strict=True)
    )


def test_evaluation_is_divided_where_it_does_not_fit_and_says_the_same(train: CachedSplit) -> None:
    model, memory = untrained("resnet"), Memory()
    whole = predict(model, train, FP32)
    divided = predict(little_memory(model, limit=20), train, FP32, memory)
    assert (divided.predicted == whole.predicted).all()
    assert divided.confidence == pytest.approx(whole.confidence, rel=1e-4)
    assert divided.loss == pytest.approx(whole.loss, rel=1e-4)
    assert memory.notes == ("a batch of 48 images of evaluation does not fit in the device's memory: 12 at a time",)


# What is remembered, and said


def test_the_smaller_size_is_kept_for_the_rest_of_the_run_and_said_once(train: CachedSplit) -> None:
    tried: list[int] = []
    model = untrained("alexnet")
    model.head.register_forward_pre_hook(lambda module, given: tried.append(len(given[0])))
    memory = Memory()
    run(little_memory(model, limit=9), train, memory=memory)
    steps = RECIPE.epochs * 3  # 48 images in batches of 16
    assert tried == [16] + [8, 8] * steps
    assert memory.notes == (
        "a batch of 16 images of training does not fit in the device's memory: 8 at a time, their gradients added up",
    )


def test_a_run_that_fits_has_whole_batches_and_says_nothing(train: CachedSplit) -> None:
    memory = Memory()
    run(untrained("alexnet"), train, train, memory=memory)
    assert (memory.micro_batch_size, memory.notes) == (16, ())


def test_the_parts_that_were_asked_for_are_the_parts_that_are_made(train: CachedSplit) -> None:
    memory = Memory(grad_accum_steps=3)
    run(untrained("alexnet"), train, memory=memory)
    assert memory.micro_batch_size == 6
    assert memory.size(TRAINING, 16) == 6
    assert memory.size(EVALUATION, 16) == 16


# What cannot be done


def test_when_one_image_does_not_fit_the_run_fails_with_one_reason(train: CachedSplit) -> None:
    with pytest.raises(DoesNotFit, match=r"^out of memory with one image at a time: choose a smaller model"):
        run(little_memory(untrained("vit"), limit=0), train)


def test_when_the_parts_that_were_asked_for_do_not_fit_the_reason_names_them(train: CachedSplit) -> None:
    with pytest.raises(DoesNotFit, match=r"with 8 images at a time: give --grad-accum auto or above 2$"):
        run(little_memory(untrained("vit"), limit=7), train, memory=Memory(grad_accum_steps=2))


def test_the_allocator_of_the_cpu_is_understood() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(1 << 60, dtype=torch.uint8, device=CPU)
    assert out_of_memory(error.value)


def test_another_error_is_not_taken_for_a_lack_of_memory(train: CachedSplit) -> None:
    wrong = CachedSplit(train.images, train.labels + 10, train.index)  # no such classes
    with pytest.raises(IndexError):
        run(untrained("vit"), wrong)
    model = untrained("vit")
    model.head.register_forward_pre_hook(lambda module, given: (given[0][:, :3],))
    with pytest.raises(RuntimeError, match="shapes"):
        run(model, train)


def test_images_are_gathered_in_memory_only_where_those_of_other_runs_find_room_too() -> None:
    assert fits_in_memory(1 << 20)
    assert not fits_in_memory(1 << 50)
