"""The planner reads what costs the run least, and measuring the costs changes nothing in the model."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.contract.tiny import CPU, FP32, digits, untrained
from trainables import architecture
from trainables.planner import Costs, Plan, measure, plan, rows_to_measure
from trainables.precision import Precision

pytestmark = pytest.mark.usefixtures("one_thread")

# Four stages of a second an image each; a boundary is read in a tenth of a second, but the large ones 1 and 2 take 3 s
COSTS = Costs(stage_seconds=(1.0, 1.0, 1.0, 1.0), boundary_bytes=(10, 300, 300, 10, 10), bytes_per_second=100.0)


def chosen(freeze_depth: int, costs: Costs = COSTS, **given: Any) -> Plan:
    usual: dict[str, Any] = {"images": 10, "stored": 10, "epochs": 5, "readers": 8, "existing": (), "limit": 10_000}
    return plan(freeze_depth, costs, **{**usual, **given})


def test_costs_add_up() -> None:
    assert COSTS.compute(1, 3) == 2.0
    assert COSTS.compute(2, 2) == 0.0
    assert COSTS.read(1) == 3.0
    assert COSTS.read(4) == 0.1


@pytest.mark.parametrize(
    ("freeze_depth", "boundary"),
    [(0, 0), (1, 0), (2, 0), (3, 3), (4, 4)],  # 1 and 2 are read more slowly than computed
)
def test_the_boundary_is_the_one_that_costs_least(freeze_depth: int, boundary: int) -> None:
    assert chosen(freeze_depth).boundary == boundary
    assert chosen(freeze_depth).freeze_depth == freeze_depth


def test_an_earlier_boundary_is_read_where_the_one_at_the_freeze_depth_is_too_large() -> None:
    costs = replace(COSTS, boundary_bytes=(10, 10, 10, 10, 900))
    assert chosen(4, costs).boundary == 3
    assert chosen(4, costs, limit=50).boundary == 0
    assert chosen(4, costs, limit=50, existing=[2]).boundary == 2


def test_what_is_stored_already_needs_no_room_and_no_filling() -> None:
    assert chosen(4, epochs=1, readers=1).boundary == 0
    assert chosen(4, epochs=1, readers=1, existing=[4]).boundary == 4
    assert chosen(4, limit=0).boundary == 0
    assert chosen(4, limit=0, existing=[4]).boundary == 4


def test_filling_starts_from_the_nearest_boundary_that_exists() -> None:
    """A boundary that one epoch reads only pays if three of its four stages are done."""
    slow_to_read = replace(COSTS, boundary_bytes=(10, 10, 10, 150, 10))
    assert chosen(4, slow_to_read, epochs=2, readers=1, existing=[3]).boundary == 4
    assert chosen(4, slow_to_read, epochs=1, readers=1, existing=[]).boundary == 0
    assert chosen(4, slow_to_read, epochs=1, readers=1, existing=[2]).boundary == 2


def test_readers_share_the_cost_of_filling() -> None:
    assert [chosen(4, epochs=1, readers=readers).boundary for readers in (0.5, 1, 2, 32)] == [0, 0, 4, 4]


def test_many_epochs_pay_for_filling_even_alone() -> None:
    assert [chosen(4, epochs=epochs, readers=1).boundary for epochs in (1, 2, 5)] == [0, 4, 4]


def test_at_equal_cost_the_later_boundary_is_read() -> None:
    free = Costs((0.0, 0.0), (10, 10, 10), 100.0)
    assert chosen(2, free, existing=[1, 2]).boundary == 2


def test_copies_to_a_device_count_for_what_does_not_stay_there() -> None:
    slow_bus = replace(COSTS, copy_bytes_per_second=1.0)  # 10 s a boundary, of 4 s that it takes to compute
    assert chosen(4, slow_bus, existing=[4]).boundary == 4  # the images are copied as slowly
    large = replace(slow_bus, boundary_bytes=(1, 300, 300, 10, 10))
    assert chosen(4, large, existing=[4]).boundary == 0
    assert chosen(4, replace(large, resident_bytes=100), existing=[4]).boundary == 4  # and copied once in all epochs
    assert chosen(4, replace(large, resident_bytes=99), existing=[4]).boundary == 0


def test_what_storing_takes_counts_for_a_fill() -> None:
    assert chosen(4).boundary == 4
    assert chosen(4, replace(COSTS, store_bytes_per_second=0.01), readers=4).boundary == 0
    assert chosen(4, replace(COSTS, store_bytes_per_second=0.01), readers=4, existing=[4]).boundary == 4


def test_a_fill_reads_computes_and_stores() -> None:
    costs = replace(COSTS, copy_bytes_per_second=50.0, store_bytes_per_second=5.0, decode_seconds=0.25)
    assert costs.fill(0, 4) == pytest.approx(0.25 + (0.1 + 0.2) + 4.0 + (0.1 + 2.0))
    assert costs.fill(3, 4) == pytest.approx((0.1 + 0.2) + 1.0 + (0.1 + 2.0))


def test_images_that_lie_on_a_gpu_are_computed_again_where_storing_what_comes_of_them_costs_more() -> None:
    """An H200 and AlexNet, of docs/gpu.md: 13 us for all stages, 18 kB of features, stored at 1 GB/s, read at 4."""
    alexnet = Costs((13e-6,), (150_528, 18_432), 4e9, 8e9, 1e9, resident_bytes=1 << 30)
    usual: dict[str, Any] = {"images": 5_000, "stored": 5_000, "existing": (), "limit": 1 << 40}
    assert plan(1, alexnet, epochs=1, readers=1, **usual).boundary == 0
    assert plan(1, alexnet, epochs=10, readers=32, **usual).boundary == 1


def test_an_h200_stores_nothing_of_a_vit_that_it_computes_faster_than_a_disk_reads() -> None:
    """Figures of docs/gpu.md: 49 us an image for all of ViT-S, boundaries of 302.6 kB read at 2.44 GB/s."""
    blocks, image, tokens = 12, 150_528, 302_600
    vit = Costs((49e-6 / blocks,) * blocks, (image, *(tokens,) * blocks), 2.44e9, 9.3e9, 1e9)
    usual: dict[str, Any] = {"images": 100_000, "stored": 100_000, "epochs": 10, "readers": 3, "limit": 1 << 40}
    assert plan(blocks, vit, existing=(), **usual).boundary == 0


def test_a_gpu_is_measured_on_as_many_rows_as_frozen_stages_compute_and_a_cpu_on_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = untrained("resnet")
    sizes: list[int] = []
    for stage in list(model.stages.values())[:-1]:
        stage.register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))
    measure(model, digits(5).images, FP32, CPU)
    assert set(sizes) == {rows_to_measure(model, CPU)} == {8}
    monkeypatch.setattr(model, "rows_at_once", lambda device: 256)
    assert rows_to_measure(model, torch.device("cuda")) == 256


@pytest.mark.parametrize("freeze_depth", range(5))
@pytest.mark.parametrize(("mode", "reads"), [("off", 0), ("always", 1)])
def test_a_forced_mode_asks_for_no_costs(mode: str, reads: int, freeze_depth: int) -> None:
    nothing = Costs((), (), 1.0)
    assert chosen(freeze_depth, nothing, mode=mode, existing=[1, 2], limit=0).boundary == reads * freeze_depth


@pytest.mark.parametrize(
    ("decision", "line"),
    [
        (chosen(4), "reads boundary 4 of 4 frozen stages: 10 s against 2e+02 s from the images"),
        (
            chosen(4, limit=0, existing=[3]),
            "reads boundary 3, computes 1 of 4 frozen stages: 55 s against 2e+02 s from the images",
        ),
        (chosen(1), "reads boundary 0, computes 1 of 1 frozen stages: nothing stored is faster"),
        (chosen(0), "reads boundary 0 of 0 frozen stages: nothing is frozen"),
        (chosen(0, mode="always"), "reads boundary 0 of 0 frozen stages: nothing is frozen"),
        (chosen(2, mode="off"), "reads boundary 0, computes 2 of 2 frozen stages: as asked"),
        (chosen(2, mode="always"), "reads boundary 2 of 2 frozen stages: as asked"),
    ],
    ids=str,
)
def test_the_decision_is_one_line_that_says_why(decision: Plan, line: str) -> None:
    assert str(decision) == line


@pytest.mark.parametrize("name", architecture.names())
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_measuring_gives_a_time_for_every_stage_and_leaves_the_model_as_it_was(name: str, precision: str) -> None:
    model = untrained(name).train()
    before = {key: t.clone() for key, t in model.state_dict().items()}
    images = digits(5).images  # fewer than are measured
    torch.manual_seed(3)
    costs = measure(model, images, Precision(precision, CPU), CPU)
    drawn = torch.rand(1)

    assert len(costs.stage_seconds) == model.backbone_stages
    assert min(costs.stage_seconds) > 0
    assert costs.bytes_per_second > 0
    after = model.state_dict()
    assert all(torch.equal(t, after[key]) for key, t in before.items())
    assert model.training
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))  # nor does it draw the numbers that dropout would get


@pytest.mark.parametrize("name", architecture.names())
def test_the_bytes_that_are_measured_are_those_of_the_boundaries(name: str) -> None:
    model, images = untrained(name), digits(3).images
    costs = measure(model, images, FP32, CPU)
    boundaries = [model.frozen(0, k, images) for k in range(model.backbone_stages + 1)]
    assert list(costs.boundary_bytes) == [boundary[0].nbytes for boundary in boundaries]
