"""What is read from the store of boundaries gives the numbers that the images give: at every depth of every model."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.contract.reading import POINT, RECIPE, TRAIN, VAL, Pictures, Trained, built, reader_of, reading, trained
from tests.contract.stored import contents, store_in
from tests.contract.tiny import CPU, FP32
from tests.contract.variants import MINI, MODELS_OF_THE_PAPER, Pair, depths, title
from trainables.batches import CachedSplit
from trainables.boundaries import Store
from trainables.precision import Precision
from trainables.splits import ImagesKey

pytestmark = pytest.mark.usefixtures("one_thread")

BF16 = Precision("bf16", CPU)
BF16_TOLERANCE = 1e-3  # relative: what is promised of bf16; on one machine it is equal too
UNTRAINED = [pair for pair in MINI if pair[1].pretraining == "none"]
AT_EVERY_DEPTH = [
    pytest.param(pair, depth, id=f"{title(pair)}-{depth}") for pair in UNTRAINED for depth in depths(pair)
]
RESNET = next(pair for pair in UNTRAINED if pair[0].name == "resnet")
VIT = next(pair for pair in UNTRAINED if pair[0].name == "vit")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for all models and depths, as on a node: each depth is filled from the one before."""
    return store_in(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_in(tmp_path)


@pytest.mark.parametrize(("pair", "depth"), AT_EVERY_DEPTH)
def test_in_fp32_the_numbers_are_the_same_to_the_bit(pair: Pair, depth: int, shared: Store) -> None:
    stored = trained(pair, shared, depth)
    assert stored == trained(pair, None, depth)
    assert stored.line.startswith(f"reads boundary {depth} of {depth} ")
    assert shared.notes == []


@pytest.mark.parametrize(("pair", "depth"), AT_EVERY_DEPTH[::2])
def test_in_bf16_the_numbers_are_the_same_within_the_tolerance(pair: Pair, depth: int, shared: Store) -> None:
    once = replace(RECIPE, epochs=1)
    stored, computed = (trained(pair, store, depth, precision=BF16, recipe=once) for store in (shared, None))
    for ours, theirs in zip(stored.curve, computed.curve, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=BF16_TOLERANCE)
        assert ours.val_loss == pytest.approx(theirs.val_loss, rel=BF16_TOLERANCE)
        assert ours.val_accuracy == pytest.approx(theirs.val_accuracy, rel=BF16_TOLERANCE)
    assert shared.notes == []


@pytest.mark.parametrize("precision", [FP32, BF16], ids=lambda given: given.name)
@pytest.mark.parametrize("pair", UNTRAINED, ids=title)
def test_a_boundary_is_the_same_from_whichever_boundary_it_was_filled(
    pair: Pair, precision: Precision, store: Store
) -> None:
    last = depths(pair)[-1]
    model = built(pair).freeze(last)
    one_by_one, at_once = (Store(store.folder / name, store.limit) for name in ("one_by_one", "at_once"))
    with reading(pair, one_by_one, model, precision=precision) as reader:
        steps = {depth: reader.boundary("train", depth) for depth in range(1, last + 1)}
    for depth in range(1, last + 1):
        shutil.rmtree(at_once.folder, ignore_errors=True)
        with reading(pair, at_once, model, precision=precision) as reader:
            direct = reader.boundary("train", depth)
        assert isinstance(direct, CachedSplit)
        step = steps[depth]
        assert isinstance(step, CachedSplit)
        assert direct.images.dtype == step.images.dtype
        assert direct.images.stride() == step.images.stride()
        assert torch.equal(direct.images, step.images), f"boundary {depth}"
        assert np.array_equal(direct.index, TRAIN.index)


@pytest.mark.parametrize("pair", MODELS_OF_THE_PAPER, ids=title)
def test_a_model_of_the_paper_trains_to_the_same_bit(pair: Pair, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    depth = depths(pair)[-2]
    few: dict[str, Any] = {"train": Pictures(6, size=224), "validate": False, "recipe": replace(RECIPE, epochs=1)}
    model = built(pair)
    model.frozen_rows = few["train"].n  # fewer than usual: a second less for each of the largest
    pretrained = {name: t.clone() for name, t in model.tensors(head=True).items()}
    stored = trained(pair, store, depth, model=model, **few)
    stored.weights = {name: t.clone() for name, t in stored.weights.items()}
    model.load(pretrained, head=True)
    assert stored == trained(pair, None, depth, model=model, **few)
    assert stored.line.startswith(f"reads boundary {depth} of {depth} ")
    assert len(contents(store)) == 2


def files(store: Store) -> dict[Path, tuple[int, int]]:
    """What would change if an entry were written again."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in store.folder.rglob("*.np[yz]")}


def test_a_second_run_fills_nothing_new_and_needs_no_images(store: Store) -> None:
    first = trained(RESNET, store, 3)
    before = files(store)
    assert len(before) == 2 * 4  # images and boundary 3, each of train and val

    def nowhere(key: ImagesKey) -> Any:
        raise AssertionError(f"{key} was asked for")

    assert trained(RESNET, store, 3, shard=nowhere) == first
    assert files(store) == before


def test_the_deeper_trial_fills_from_what_the_other_left(store: Store) -> None:
    trained(RESNET, store, 2)
    before = files(store)
    assert trained(RESNET, store, 4) == trained(RESNET, None, 4)
    assert files(store).items() > before.items()
    assert len(contents(store)) == 6


def changed(pair: Pair, stage: int) -> Any:
    """The model with one number of one stage changed."""
    model = built(pair)
    parameter = next(list(model.stages.values())[stage].parameters())
    with torch.no_grad():
        parameter.view(-1)[0] += 0.5
    return model


@pytest.mark.parametrize("pair", UNTRAINED, ids=title)
def test_the_key_knows_the_weights_of_the_prefix_and_of_nothing_else(pair: Pair, store: Store) -> None:
    depth = depths(pair)[-1] - 1
    key = reader_of(pair, store, built(pair).freeze(depth)).facts("train", depth)
    with_weights = [stage for stage, module in enumerate(built(pair).stages.values()) if list(module.parameters())]
    for stage in with_weights:
        other = reader_of(pair, store, changed(pair, stage).freeze(depth)).facts("train", depth)
        assert (other == key) == (stage >= depth), f"stage {stage}"


def test_the_key_knows_the_statistics_of_batch_norm(store: Store) -> None:
    model = built(RESNET).freeze(3)
    key = reader_of(RESNET, store, model).facts("train", 3)
    next(buffer for name, buffer in model.named_buffers() if name.endswith("running_var")).add_(0.01)
    assert reader_of(RESNET, store, model).facts("train", 3) != key


@pytest.mark.parametrize(
    "other",
    [
        {"train": Pictures(70, seed=9)},
        {"train": Pictures(71)},
        {"precision": BF16},
        {"variant": "another"},
        *({"preprocessing": change} for change in ({"size": 64}, {"crop": 0.5}, {"interpolation": "bicubic"})),
    ],
    ids=str,
)
def test_the_key_knows_the_images_how_they_were_resized_and_what_computes(other: dict[str, Any], store: Store) -> None:
    model = built(RESNET).freeze(3)
    if "preprocessing" in other:
        other = {"preprocessing": replace(RESNET[1].preprocessing, **other["preprocessing"])}
    key = reader_of(RESNET, store, model).facts("train", 3)
    assert store.path(reader_of(RESNET, store, model, **other).facts("train", 3)) != store.path(key)
    assert reader_of(RESNET, store, model).facts("train", 3) == key
    assert reader_of(RESNET, store, model).facts("val", 3) != key
    assert reader_of(RESNET, store, model).facts("train", 2) != key


def test_another_pretraining_has_an_entry_and_numbers_of_its_own(store: Store) -> None:
    runs = [trained(RESNET, store, 3, model=built(RESNET, seed)) for seed in (0, 1)]
    assert runs == [trained(RESNET, None, 3, model=built(RESNET, seed)) for seed in (0, 1)]
    assert runs[0].curve != runs[1].curve
    assert len(contents(store)) == 2 + 2 * 2


def test_architectures_share_the_images_and_nothing_else(store: Store) -> None:
    for pair in UNTRAINED:
        trained(pair, store, 2)
    assert len(contents(store)) == 2 + 2 * len(UNTRAINED)


def test_images_that_are_kept_in_memory_are_not_taken_for_those_of_another_size() -> None:
    with reading(RESNET, None) as small, reading(RESNET, None) as large:
        wanted = Pictures(TRAIN.n, size=64)
        large.split_digests = {"train": TRAIN.part}  # the same content of the dataset, resized for another model
        large.preprocessing = replace(large.preprocessing, size=64)
        large.shard = lambda key: wanted  # type: ignore[assignment, return-value]
        first = torch.zeros(1, dtype=torch.int64)
        assert small.images("train").images_at(first).shape[-1] == 32
        assert large.images("train").images_at(first).shape[-1] == 64


@pytest.mark.parametrize("store_is", ["on", "off"])
def test_the_images_come_in_the_order_of_their_positions(store_is: str, store: Store) -> None:
    images, labels = TRAIN.drawn()
    with reading(VIT, store if store_is == "on" else None) as reader:
        split = reader.images("train")
        assert np.array_equal(split.images_at(torch.arange(TRAIN.n)).permute(0, 2, 3, 1).numpy(), images)
        assert np.array_equal(split.labels.numpy(), labels)
        assert np.array_equal(split.index, TRAIN.index)


@pytest.mark.parametrize("depth", [0, 3])
def test_splits_together_hold_the_rows_of_both(depth: int, store: Store) -> None:
    with reading(RESNET, store, built(RESNET).freeze(depth)) as reader:
        both = reader.source("train", "val").at(depth)
        single = [reader.source(name).at(depth) for name in ("train", "val")]
        assert len(both) == TRAIN.n + VAL.n
        assert both.boundary == depth
        assert np.array_equal(both.index, np.concatenate([TRAIN.index, VAL.index]))
        assert torch.equal(both.labels, torch.cat([split.labels for split in single]))
        images = torch.cat([split.images_at(torch.arange(len(split))) for split in single])
        order = torch.randperm(len(both), generator=torch.Generator().manual_seed(0))
        assert torch.equal(both.images_at(order), images[order])


@pytest.mark.parametrize("rows", [[3, 1, 2], [71, 70], [1, 71]], ids=str)
def test_rows_of_splits_together_lie_in_memory_as_those_of_one(rows: list[int], store: Store) -> None:
    """Kernels round channels-last images differently, so a batch that is all of one split must look like any other."""
    with reading(RESNET, store) as reader:
        both = reader.source("train", "val").at(0)
        assert both.images_at(torch.tensor(rows)).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("val", [Pictures(40, seed=1), Pictures(2, seed=1)], ids=lambda given: f"{given.n} of val")
@pytest.mark.parametrize("pair", UNTRAINED, ids=title)
def test_a_run_on_train_and_val_together_gives_the_same_numbers(pair: Pair, val: Pictures, store: Store) -> None:
    depth = depths(pair)[-1] - 1
    small: dict[str, Any] = {"fit_on": ("train", "val"), "validate": False, "val": val}
    small |= {"recipe": replace(RECIPE, epochs=1), "point": replace(POINT, batch_size=16)}
    assert trained(pair, store, depth, **small) == trained(pair, None, depth, **small)


def test_a_planned_run_gives_the_numbers_of_every_forced_one(store: Store) -> None:
    runs: list[Trained] = [trained(VIT, store, 5, mode=mode) for mode in ("on", "off", "always", "on")]
    assert all(run == runs[0] for run in runs)
    assert runs[1].line == "reads boundary 0, computes 5 of 5 frozen stages: as asked"
    assert all(run.line for run in runs)


# Images with a margin, for random crops


def test_images_with_a_margin_are_an_entry_of_their_own_and_the_others_are_read_without_one(store: Store) -> None:
    train, val = ImagesKey("train"), ImagesKey("val")
    train_with_margin, val_with_margin = ImagesKey("train", margin=True), ImagesKey("val", margin=True)
    datasets = {
        train: TRAIN,
        val: VAL,
        train_with_margin: Pictures(TRAIN.n, size=37),
        val_with_margin: Pictures(VAL.n, size=37),
    }
    opened: list[ImagesKey] = []

    def shard(key: ImagesKey) -> Any:
        opened.append(key)
        return datasets[key]

    with reading(RESNET, store, shard=shard) as reader:
        margin = reader.source("train", "val", augmentation="alexnet").at(0)
        assert margin.images_at(torch.arange(len(margin))).shape == (TRAIN.n + VAL.n, 3, 37, 37)
        assert reader.source("val").at(0).images_at(torch.arange(3)).shape == (3, 3, 32, 32)
        assert reader.source("train", augmentation="flip").at(0).images_at(torch.arange(3)).shape == (3, 3, 32, 32)
    assert opened == [train_with_margin, val_with_margin, val, train]
    assert len(contents(store)) == 4


def test_an_augmented_split_is_one_stream_whatever_a_phase_freezes(store: Store) -> None:
    with reading(RESNET, store) as reader:
        train = reader.source("train", augmentation="flip", epochs=2)
        assert train.at(5) is train.at(0)
        assert train.at(5).boundary == 0
        assert len(reader.streams) == 1


def test_a_run_that_mixes_reads_the_images_whatever_is_frozen_and_says_why(store: Store) -> None:
    mixed = replace(POINT, mixup=0.2)
    stored = trained(RESNET, store, 3, point=mixed)
    assert stored == trained(RESNET, None, 3, point=mixed)
    assert stored.curve != trained(RESNET, store, 3).curve
    assert stored.line == "reads boundary 0, computes 3 of 3 frozen stages: mixup needs images"


def test_a_run_that_mixes_what_it_augments_says_both(store: Store) -> None:
    with reading(RESNET, store) as reader:
        reader.source("train", augmentation="flip", images_for="mixup").at(2)
        assert reader.line.endswith(": flip changes them at random, mixup needs images")
