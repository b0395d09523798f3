"""What accuracy costs: counted, measured and read in a record."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import nn

from study.results.cost import (
    COSTS,
    Flops,
    costs,
    flops,
    measure_inference,
    of_a_study,
    pareto_front,
    training_images_per_second,
)
from study.results.device_time import device_seconds
from study.results.record import Record
from study.results.study_file import Inference
from tests import records
from tests.contract.tiny import CPU, FP32, untrained
from tests.contract.variants import PAPER, Pair, library_name, title
from trainables.hyperparameters import Hyperparameters
from trainables.recipe import Recipe
from trainables.resources import Resources
from trainables.run import Model, Run

# Multiply-accumulates of an image at 224 px, in 10^9, from torchvision's and timm's tables of models; the original
# AlexNet is in neither: 105 + 448 + 150 + 224 + 150 million in its convolutions, 38 + 17 + 4 in its linear layers
GMAC = {
    "alexnet": 0.714,
    "alexnet_original": 1.135,
    "resnet50": 4.11,
    "resnetv2_50x1_bit": 4.23,
    "vit_small_patch16_224": 4.61,
    "coatnet_1_rw_224": 8.04,
    "coatnet_rmlp_1_rw2_224": 8.11,
}


@pytest.mark.parametrize("pair", [pair for pair in PAPER if library_name(pair[1]) in GMAC], ids=title)
def test_the_flops_of_every_model_of_the_paper_are_the_published_ones(pair: Pair) -> None:
    family, variant = pair
    counted = flops(family.name, variant.scale, variant.name, 1000)
    assert counted.forward == pytest.approx(2e9 * GMAC[library_name(variant)], rel=0.04)
    assert len(counted.stages) == variant.backbone_stages + 1


def test_attention_is_counted() -> None:
    """One block of the mini ViT: 4 d^2 + 8 d^2 for its linear layers a token, 2 n d for its attention, n tokens."""
    tokens, width = 65, 64
    block = flops("vit", "mini", "vit_mini", 10).stages[1]
    assert block == 2 * tokens * (12 * width**2 + 2 * tokens * width)


def test_a_linear_head_costs_its_matrix() -> None:
    assert flops("resnet", "mini", "resnet_mini", 7).stages[-1] == 2 * 256 * 7


def test_a_step_costs_a_forward_of_what_is_frozen_and_three_of_what_is_trained() -> None:
    counted = Flops((10, 30, 60))
    assert counted.forward == 100
    assert [counted.frozen_share(k) for k in range(3)] == [0, 0.1, 0.4]
    assert [counted.training(k) for k in range(3)] == [300, 10 + 270, 40 + 180]
    assert [counted.training(k, stored=True) for k in range(3)] == [300, 270, 180]
    for depth in range(3):
        share = counted.frozen_share(depth)
        assert counted.training(depth) == pytest.approx(100 * (share + 3 * (1 - share)))


@pytest.mark.usefixtures("one_thread")
def test_inference_is_measured_and_leaves_the_model_as_it_was() -> None:
    model = untrained("resnet").freeze(3).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    seen = measure_inference(model, FP32, CPU, 32, seconds=0.3)
    assert (seen.device, seen.precision, seen.threads) == ("cpu", "fp32", 1)
    assert 0 < seen.latency_ms <= seen.latency_p95_ms
    assert seen.repeats >= 10
    assert seen.images_per_second >= 0.5 * 1000 / seen.latency_ms  # a batch is not slower than its images one by one
    assert model.freeze_depth == 3
    assert model.training
    assert [stage.training for stage in model.stages.values()] == [False] * 3 + [True] * 3
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.usefixtures("one_thread")
def test_a_model_that_does_more_takes_longer() -> None:
    small, large = untrained("resnet"), untrained("resnet")
    layer = large.stages["layer1"]
    large.stages["layer1"] = nn.Sequential(layer, *[nn.Conv2d(48, 48, 7, padding=3) for _ in range(6)])
    fast, slow = (measure_inference(model, FP32, CPU, 32, seconds=0.3) for model in (small, large))
    assert slow.images_per_second < fast.images_per_second
    assert slow.latency_ms > fast.latency_ms


# Read in a record

HELD = {"workers": 0, "cpus": 1, "threads": 2, "gpus": 0}


@pytest.fixture
def record(tmp_path: Path) -> Record:
    record = records.finished(tmp_path)
    record.note(resources=HELD)
    return record


def test_device_seconds_are_seconds_times_devices(record: Record) -> None:
    spent = device_seconds(record)
    assert spent["search"] == pytest.approx(2 * sum(row["total_seconds"] for row in record.trials))
    tests = [row["total_seconds"] for row in record.runs if row["phase"] == "test"]
    assert spent["test"] == pytest.approx(2 * sum(tests))
    assert spent["winner"] == pytest.approx(2 * sum(tests) / len(tests))
    assert spent["all"] == pytest.approx(spent["search"] + spent["replicate"] + spent["test"])


@pytest.mark.parametrize(
    ("resources", "each"),
    [
        (Resources(threads=4), 4),
        (Resources(workers=2, threads=1), 2),
        (Resources(gpus=0.5, threads=8), 0.5),
        (Resources(workers=4, gpus=1), 4),
    ],
)
def test_a_run_holds_gpus_or_else_threads_for_every_worker(resources: Resources, each: float, record: Record) -> None:
    one = device_seconds(record)["all"] / 2
    record.note(resources=asdict(resources))
    assert device_seconds(record)["all"] == pytest.approx(each * one)


def test_runs_that_failed_and_were_pruned_were_paid_for(tmp_path: Path) -> None:
    record = records.failed(tmp_path)
    record.note(resources=HELD)
    spent = device_seconds(record)
    assert spent["search"] == pytest.approx(2 * sum(row["total_seconds"] for row in record.trials)) != 0
    assert "winner" not in spent


def test_training_speed_is_images_of_train_and_validation_a_second(record: Record) -> None:
    sizes = record.data.sizes
    assert training_images_per_second(record) == pytest.approx((sizes["train"] + sizes["val"]) / 0.9)


def test_a_finished_study_tells_every_cost(record: Record) -> None:
    inference = Inference(
        images_per_second=100.0,
        batch=32,
        latency_ms=9.0,
        latency_p95_ms=10.0,
        repeats=10,
        device="cpu",
        precision="fp32",
        threads=1,
    )
    record.note(cost={"stage_flops": [10, 20, 30, 20, 10, 10], "inference": inference})
    found = costs(record)
    assert set(found) == set(COSTS)
    winner = record.winner
    seen = sum(record.data.sizes[name] for name in ("train", "val")) * winner["last_epoch"]
    counted = Flops((10, 20, 30, 20, 10, 10))
    assert found["flops"] == 100
    assert found["training_flops"] == counted.training(winner["freeze_depth"]) * seen
    assert found["parameters"] == records.PARAMETERS
    assert found["trained_parameters"] == int(records.PARAMETERS * records.TRAINED_SHARES[winner["freeze_depth"]])


def test_a_cost_that_a_record_does_not_tell_is_left_out(tmp_path: Path) -> None:
    assert set(costs(records.searched(tmp_path))) == {"parameters"}


# The front


@pytest.mark.parametrize(
    ("accuracy", "cost", "front"),
    [
        ([0.9, 0.8, 0.7], [3, 2, 1], [0, 1, 2]),
        ([0.9, 0.8, 0.7], [1, 2, 3], [0]),
        ([0.9, 0.9, 0.8], [2, 1, 1], [1]),  # as accurate and dearer, as dear and less accurate
        ([0.9, 0.9], [1, 1], [0, 1]),  # equal in both
        ([0.9, 0.9, 0.95], [1, 1, 1], [2]),
        ([0.5, 0.9, 0.99], [1, None, float("nan")], [0]),
        ([], [], []),
    ],
)
def test_the_front_is_what_nothing_beats(accuracy: list[float], cost: list[float | None], front: list[int]) -> None:
    assert pareto_front(accuracy, cost) == front
    speed = [None if c is None else -c for c in cost]
    assert pareto_front(accuracy, speed, higher_is_better=True) == front


def test_what_a_study_measures_is_of_its_own_model() -> None:
    threads = torch.get_num_threads()
    run = Run(
        run_id="any",
        model=Model("alexnet", "mini", "alexnet_mini", 10),
        hyperparameters=Hyperparameters(1e-3, 0, 2),
        recipe=Recipe("any", epochs=1),
        seed=0,
        split_digests={},
    )
    try:
        entry = of_a_study(run, threads=1)
    finally:
        torch.set_num_threads(threads)
    backbone = run.model.described.backbone_stages
    assert len(entry.stage_flops) == backbone + 1
    assert entry.inference is not None
    assert entry.inference.threads == 1
    assert entry.inference.images_per_second > 0
