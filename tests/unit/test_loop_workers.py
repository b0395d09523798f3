"""Two workers with DistributedDataParallel over gloo run the same lines as one, and train the same model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from tests.contract.tiny import FP32, POINT, RECIPE, digits, little_memory, losses, run, untrained
from trainables.hyperparameters import Hyperparameters
from trainables.loop import NotFinite, predict
from trainables.memory import DoesNotFit, Memory
from trainables.recipe import Recipe
from trainables.world import World, current_world

pytestmark = pytest.mark.usefixtures("one_thread")

WORKERS = 2
# Of the losses, in fp32: sums of other lengths round otherwise; 2e-7 was seen
TOLERANCE = 1e-5
CASES: dict[str, tuple[str, Hyperparameters, Recipe]] = {
    "the whole model": ("vit", POINT, RECIPE),
    "a frozen prefix": ("vit", replace(POINT, freeze_depth=5), RECIPE),
    "batches of an odd size": ("vit", replace(POINT, batch_size=15), RECIPE),
    "the head first": (
        "vit",
        replace(POINT, freeze_depth=4, head_first_share=0.5, head_first_lr_scale=0.5),
        RECIPE,
    ),
    "balanced classes": ("vit", replace(POINT, class_weights="balanced", label_smoothing=0.1), RECIPE),
    "mixed": ("vit", replace(POINT, mixup=0.4, label_smoothing=0.1), RECIPE),
    "mixed batches of an odd size": ("vit", replace(POINT, mixup=0.4, batch_size=15), RECIPE),
    "clipped gradients": ("vit", replace(POINT, clip_norm=0.1, batch_size=13), RECIPE),
    "SGD, whose steps are as long as gradients are": ("vit", replace(POINT, optimizer="sgd", batch_size=13), RECIPE),
    "fewer images than workers": ("vit", replace(POINT, batch_size=1), replace(RECIPE, epochs=1)),
    "batch norm": ("resnet", POINT, RECIPE),
    "batch norm, frozen": ("resnet", replace(POINT, freeze_depth=5), RECIPE),
}
SAME_AS_ALONE = [case for case in CASES if case != "batch norm"]  # which sees half a batch in each worker


def trained(case: str, world: World) -> dict[str, Any]:
    name, point, recipe = CASES[case]
    model = untrained(name)
    val = digits(17, start=48)
    curve = run(model, digits(47), val, point=point, recipe=recipe, world=world)
    predictions = predict(model, val, FP32, world=world)
    return {
        "predictions": predictions,
        "statistics": {name: b.detach().clone() for name, b in model.named_buffers()},
        "losses": losses(curve),
        "val_losses": [epoch.val_loss for epoch in curve],
        "parameters": {name: p.detach().clone() for name, p in model.named_parameters()},
    }


def divided(world: World, memory: Memory, limit: int = 8) -> dict[str, Any]:
    """Batches of 16 images over the workers, on a device that has memory for `limit`; the last ones are of 15."""
    curve = run(little_memory(untrained("vit"), limit), digits(47), recipe=RECIPE, world=world, memory=memory)
    return {"losses": losses(curve), "at once": memory.micro_batch_size, "notes": memory.notes}


def worker(rank: int, folder: str) -> None:
    """One process: joins the others, runs every case, and writes down what it saw."""
    torch.set_num_threads(1)
    meeting = Path(folder, "meeting").as_uri()
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=WORKERS)
    world = current_world()
    seen: dict[str, Any] = {"world": (world.rank, world.size)}
    seen |= {case: trained(case, world) for case in CASES}
    try:
        run(untrained("vit"), digits(48), point=replace(POINT, lr=1e30), world=world)
    except NotFinite as reason:
        seen["absurd lr"] = str(reason)
    seen["parts"] = divided(world, Memory(grad_accum_steps=3))
    seen["as many parts as images"] = divided(world, Memory(grad_accum_steps=8))
    seen["one lacks memory"] = divided(world, Memory(), limit=3 if rank == 1 else 8)
    try:
        divided(world, Memory(), limit=0 if rank == 1 else 8)
    except DoesNotFit as reason:
        seen["no memory"] = str(reason)
    torch.save(seen, Path(folder, f"{rank}.pt"))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("workers")
    spawn(worker, args=(str(folder),), nprocs=WORKERS)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(WORKERS)]


def test_each_worker_knows_its_rank_and_how_many_there_are(workers: list[dict[str, Any]]) -> None:
    assert [seen["world"] for seen in workers] == [(0, 2), (1, 2)]


@pytest.mark.parametrize("case", SAME_AS_ALONE)
def test_two_workers_have_the_losses_of_one(case: str, workers: list[dict[str, Any]]) -> None:
    alone = trained(case, World())
    for seen in workers:
        assert seen[case]["losses"] == pytest.approx(alone["losses"], rel=TOLERANCE)
        assert seen[case]["val_losses"] == pytest.approx(alone["val_losses"], rel=TOLERANCE)


@pytest.mark.parametrize("case", CASES)
def test_each_worker_has_all_predictions_of_the_split_in_its_order(case: str, workers: list[dict[str, Any]]) -> None:
    alone = trained(case, World())["predictions"]
    for seen in workers:
        given = seen[case]["predictions"]
        assert (given.index == alone.index).all()
        assert (given.label == alone.label).all()
        assert given.loss == seen[case]["val_losses"][-1]
        if case in SAME_AS_ALONE:
            assert given.confidence == pytest.approx(alone.confidence, rel=1e-3)
            assert (given.predicted == alone.predicted).all()


def test_running_statistics_are_the_mean_of_what_the_workers_have_seen(workers: list[dict[str, Any]]) -> None:
    alone = trained("batch norm", World())["statistics"]
    ours, others = (seen["batch norm"]["statistics"] for seen in workers)
    for name, statistic in ours.items():
        assert torch.equal(statistic, others[name]), name
    first = next(name for name in alone if name.endswith("running_mean"))  # of the layer that sees the same images
    assert torch.allclose(ours[first], alone[first], atol=0.01)


@pytest.mark.parametrize("case", CASES)
def test_workers_agree_on_the_loss_and_hold_the_same_parameters(case: str, workers: list[dict[str, Any]]) -> None:
    first, second = (seen[case] for seen in workers)
    assert first["losses"] == second["losses"]
    assert len(first["losses"]) == CASES[case][2].epochs
    for name, parameter in first["parameters"].items():
        assert torch.equal(parameter, second["parameters"][name]), name


@pytest.mark.parametrize("case", CASES)
def test_workers_really_train(case: str, workers: list[dict[str, Any]]) -> None:
    begun = dict(untrained(CASES[case][0]).named_parameters())
    moved = {name for name, p in workers[0][case]["parameters"].items() if not torch.equal(p, begun[name])}
    model = untrained(CASES[case][0]).freeze(CASES[case][1].freeze_depth)
    assert moved == {name for name, p in model.named_parameters() if p.requires_grad}


def test_a_run_that_breaks_ends_in_every_worker(workers: list[dict[str, Any]]) -> None:
    assert [seen["absurd lr"] for seen in workers] == ["the training loss is nan in epoch 1"] * WORKERS


# Batches in parts


def test_workers_that_divide_their_batches_have_the_losses_of_one_that_does_not(workers: list[dict[str, Any]]) -> None:
    whole = losses(run(untrained("vit"), digits(47)))
    for seen in workers:
        assert seen["parts"]["losses"] == pytest.approx(whole, rel=TOLERANCE)
        assert seen["parts"]["at once"] == 3
        assert seen["as many parts as images"]["losses"] == pytest.approx(whole, rel=TOLERANCE)
        assert seen["as many parts as images"]["at once"] == 1


def test_when_one_worker_lacks_memory_all_divide_their_batches_alike(workers: list[dict[str, Any]]) -> None:
    whole = losses(run(untrained("vit"), digits(47)))
    for seen in workers:
        assert seen["one lacks memory"]["losses"] == pytest.approx(whole, rel=TOLERANCE)
        assert seen["one lacks memory"]["at once"] == 2
        [note] = seen["one lacks memory"]["notes"]
        assert "8 images of training" in note


def test_when_one_worker_has_no_memory_at_all_the_run_ends_in_every_worker(workers: list[dict[str, Any]]) -> None:
    assert ["one image at a time" in seen["no memory"] for seen in workers] == [True, True]
