"""What a GPU would show, on a CPU: a second device stands in for it, `meta` or one whose answers are given."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch
from torch import Tensor

from study.design.study import Study
from study.execution import search
from tests.contract.reading import reader_of
from tests.contract.tiny import CPU, POINT, RECIPE, digits, numbers, run, untrained
from trainables import architecture, batches, building, loop, process, trainer
from trainables.batches import CachedSplit, ConcatSplits
from trainables.memory import DoesNotFit, out_of_memory, share_device
from trainables.process import ProcessCache
from trainables.resources import Resources
from trainables.run import Model, Run
from trainables.splits import SplitDigest
from trainables.stages import StagedModel
from trainables.streaming import Streamed, pixels_of
from trainables.trainer import prepared_model

META = torch.device("meta")
CUDA = torch.device("cuda", 0)


def mapped(folder: Path, n: int = 16) -> CachedSplit:
    """n images as the store maps them, each full of its own number, which is its label."""
    pixels = np.arange(n, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2).repeat(3, 3)
    np.save(folder / "boundary.npy", pixels)
    images = torch.from_numpy(np.load(folder / "boundary.npy", mmap_mode="c")).permute(0, 3, 1, 2)
    return CachedSplit(images, torch.arange(n), np.arange(n), file=folder / "boundary.npy")


# Where images lie


def test_a_part_that_was_copied_to_a_device_is_no_longer_what_its_file_holds(tmp_path: Path) -> None:
    part = mapped(tmp_path).only(torch.tensor([7, 8, 9])).to(META)
    assert part.images.device == META
    assert (part.file, part.places) == (None, None)


def test_images_that_are_augmented_stay_where_their_stream_reads_them() -> None:
    reader = reader_of((architecture.get("resnet"), architecture.get("resnet").variant("mini", "none")), None)
    reader.device = META
    stream = reader.source("train", augmentation="flip").at(0)
    assert isinstance(stream, Streamed)
    assert isinstance(stream.rows, CachedSplit)
    assert stream.rows.images.device == CPU
    assert stream.labels.device == META  # where the batches go
    assert reader.peak.resident == 0


def test_a_chosen_part_is_streamed_from_its_own_images(tmp_path: Path) -> None:
    part = mapped(tmp_path).only(torch.tensor([7, 8, 9])).with_batches_on(META)
    assert pixels_of(part).at(np.arange(3))[:, 0, 0, 0].tolist() == [7, 8, 9]


def test_two_splits_give_one_batch_though_only_one_of_them_lies_on_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "fits_on_device", lambda size, device: size < 2_000)
    both = ConcatSplits(mapped(tmp_path, 16).to(META), mapped(tmp_path, 4).to(META))
    assert [split.gathers_on for split in both.splits] == [CPU, META]
    images, labels = both.batch(torch.tensor([0, 17, 3]))
    assert (images.device, labels.device) == (META, META)
    assert images.shape == (3, 3, 8, 8)


def test_images_for_which_the_device_has_no_room_after_all_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(array: Tensor, rows: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(batches, "gather_rows", full)
    split = digits(8).only(torch.arange(4)).to(META)
    assert split.images.device == CPU
    assert split.labels.device == META
    assert len(split) == 4


def test_what_may_lie_on_a_gpu_follows_from_its_size_and_not_from_what_neighbours_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Card:
        total_memory = 1000

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Card)
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device: 0.5)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: pytest.fail("this depends on earlier runs"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: pytest.fail("this asks about everybody"))
    assert batches.fits_on_device(125, CUDA)
    assert not batches.fits_on_device(126, CUDA)


# Which device, and how much of it


@pytest.mark.parametrize(
    ("initialised", "given", "kind"), [(True, [], "cpu"), (True, ["1"], "cuda"), (False, [], "cuda")]
)
def test_a_process_uses_a_gpu_that_ray_gave_it_or_any_without_ray(
    monkeypatch: pytest.MonkeyPatch, initialised: bool, given: list[str], kind: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(ray, "is_initialized", lambda: initialised)
    monkeypatch.setattr(ray, "get_gpu_ids", lambda: given)
    assert process.device().type == kind


def test_a_trial_that_shares_a_gpu_is_kept_to_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    fractions = []
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda fraction, device: fractions.append((fraction, device))
    )
    share_device(CUDA, 0.25)
    share_device(CUDA, 1)
    share_device(CPU, 0.25)
    assert fractions == [(0.25, CUDA), (1.0, CUDA)]


# What is drawn


def test_a_head_is_drawn_on_the_cpu_wherever_the_model_lies() -> None:
    """Or a process's second run would begin with another head than its first."""
    family = architecture.get("resnet")
    variant = family.variant("mini", "fashion60k")
    weights: Any = "in the object store"
    model, cache = Model("resnet", "mini", variant.name, 10, weights=weights), ProcessCache()
    state = building.pretrained(family, variant, offline=True)
    assert state is not None
    cache.weights[weights] = state
    first = prepared_model(model, 3, cache)
    head, drawn = [p.clone() for p in first.head.parameters()], torch.get_rng_state()
    cache.models[model].model.to(META)
    second = prepared_model(model, 3, cache)
    assert next(second.parameters()).device == META
    assert torch.equal(torch.get_rng_state(), drawn)
    torch.testing.assert_close(list(cache.models[model].head.parameters()), head, rtol=0, atol=0)


# What is made ahead


@pytest.mark.parametrize(("gpus", "fills"), [(0, ["images", "boundaries"]), (1, ["images"])])
def test_images_are_decoded_ahead_whatever_device_trains_on_them(
    gpus: float, fills: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead: list[str] = []
    monkeypatch.setattr(search, "cache_images", lambda template, datasets, on_gpu: ahead.append("images"))
    monkeypatch.setattr(search, "fill_boundaries", lambda template, datasets, threads: ahead.append("boundaries"))
    study = Study("resnet", "mini", "resnet_mini", "digits", "x", Path("x"), RECIPE, fixed={"freeze_depth": 2})
    search.fill_ahead(study, template(), {}, Resources(gpus=gpus))
    assert ahead == fills


# Frozen stages of a GPU, which compute more rows at once than a batch has


@pytest.fixture
def many_rows(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(StagedModel, "rows_at_once", lambda self, device: 48)
    return 48


def test_batches_are_carried_through_frozen_stages_together_and_the_curve_is_the_same(many_rows: int) -> None:
    train, point = digits(80), POINT.__class__(lr=1e-3, weight_decay=0.0, freeze_depth=2, batch_size=16)
    sizes: list[int] = []
    together, alone = untrained("resnet"), untrained("resnet")
    next(iter(together.stages.values())).register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))
    curve = run(together, train, point=point)
    assert sizes == [48, 48] * RECIPE.epochs  # 5 batches of 16: 3 and, filled up, 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "carried", lambda model, batches, boundary, *_: at_depth(model, batches))
        assert numbers(run(alone, train, point=point)) == numbers(curve)


def at_depth(model: StagedModel, batches: Any) -> Any:
    """Each batch by itself."""
    for images, labels in batches:
        yield model.frozen(0, model.freeze_depth, images), labels


# Running out of memory


@pytest.mark.parametrize(
    "words",
    [
        "CUDA out of memory. Tried to allocate 2.00 MiB",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "GET was unable to find an engine to execute this computation",
    ],
)
def test_a_lack_of_memory_is_understood_in_the_words_of_every_library(words: str) -> None:
    assert out_of_memory(RuntimeError(words))


def test_other_errors_of_the_device_are_no_lack_of_memory() -> None:
    for words in ("CUDA error: device-side assert triggered", "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"):
        assert not out_of_memory(RuntimeError(words))


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*arguments: Any, **named: Any) -> Any:
        raise error

    return fail


def test_memory_that_ends_when_the_optimizer_makes_its_state_ends_the_run_with_one_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.optim.AdamW, "step", failing(torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(DoesNotFit, match=r"^out of memory in the optimizer's step, .*larger device$"):
        run(untrained("vit"), digits(32))


def test_memory_that_ends_in_frozen_stages_ends_the_run_with_one_reason() -> None:
    model = untrained("resnet")
    next(iter(model.stages.values())).register_forward_pre_hook(failing(torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(DoesNotFit, match=r"^out of memory with 32 images at a time in frozen stages: "):
        run(model, digits(32), point=POINT.__class__(lr=1e-3, weight_decay=0.0, freeze_depth=2))


def template() -> Run:
    digests = {"train": SplitDigest("x", 10), "val": SplitDigest("y", 10)}
    return Run("run", Model("resnet", "mini", "resnet_mini", 10), POINT, RECIPE, 0, digests, boundaries="off")


@pytest.mark.parametrize("where", ["prepared_model", "fit"])
def test_memory_that_ends_anywhere_in_a_run_is_its_failure_and_not_the_process_s(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, where, failing(torch.OutOfMemoryError("CUDA out of memory")))
    outcome = trainer.work(template(), {}, Resources(), lambda row: None, ProcessCache())
    assert outcome.failure == "out of memory outside of a training step: choose a smaller model or a larger device"
    monkeypatch.setattr(trainer, where, failing(RuntimeError("CUDA error: device-side assert triggered")))
    with pytest.raises(RuntimeError, match="device-side assert"):
        trainer.work(template(), {}, Resources(), lambda row: None, ProcessCache())
