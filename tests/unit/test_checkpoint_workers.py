"""Workers of one run are kept together, after the same step, and go on together as if nothing had been."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from tests.contract.tiny import CPU, FP32, POINT, RECIPE, digits, losses, run, untrained
from trainables.checkpoint import Keeper
from trainables.checkpoint_folder import Checkpoints
from trainables.hyperparameters import Hyperparameters
from trainables.loop import EVALUATION_BATCH, Training, predict
from trainables.preemption import Preempted
from trainables.world import World, current_world

WORKERS, STEPS = 3, 3  # steps of an epoch
CASES: dict[str, tuple[str, Hyperparameters]] = {
    "batch norm": ("resnet", POINT),  # each worker has its own statistics until the epoch ends
    "mixed, with dropout, the head first": (
        "alexnet",
        replace(POINT, dropout=0.5, mixup=0.4, freeze_depth=1, head_first_share=0.5, head_first_lr_scale=0.5),
    ),
}


class Killed(Exception):
    pass


def trained(
    case: str, keeper: Keeper, world: World, *, until: int | None = None, images: int = 17, leaves: bool = False
) -> dict[str, Any]:
    """What a run comes to that is kept after each step, and ends after some of them.

    Args:
        case, keeper, world: what is trained, what keeps it, and this worker.
        until: it is killed after so many steps; None: it is not.
        images: that it validates on.
        leaves: whether this worker's node has notice when it validates.
    """
    name, point = CASES[case]
    kept, steps = keeper.load(), 0

    def after_step(training: Training) -> None:
        nonlocal steps
        keeper.after_step(training)
        steps += 1
        if steps == until:
            raise Killed

    def while_validating(training: Training) -> None:
        keeper.leaving = lambda: leaves
        keeper.after_step(training)

    model, val = untrained(name), digits(images, start=48)
    given: dict[str, Any] = {"point": point, "world": world, "state": kept.training if kept else None}
    try:
        curve = run(model, digits(47), val, after_step=after_step, while_validating=while_validating, **given)
    except (Killed, Preempted) as end:
        return {"ended": type(end).__name__, "steps": steps}
    return {
        "steps": steps,
        "losses": losses(curve),
        "val_losses": [epoch.val_loss for epoch in curve],
        "confidence": predict(model, val, FP32, world=world).confidence,
        "weights": model.library_state_dict(),
    }


def keeper_in(folder: Path, world: World, *, every: float = 0.0, leaves: bool = False) -> Keeper:
    return Keeper(
        Checkpoints(folder, every=every), "run", "this", POINT, world, CPU, describe=dict, leaving=lambda: leaves
    )


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=Path(folder, "meeting").as_uri(), rank=rank, world_size=WORKERS)
    world = current_world()
    seen: dict[str, Any] = {}
    for number, case in enumerate(CASES):
        place = Path(folder, f"case-{number}")
        seen[case] = [trained(case, keeper_in(place, world, every=1e9), world)]
        for until in (2, STEPS, STEPS + 1):
            trained(case, keeper_in(place, world), world, until=until)
            seen[case].append(trained(case, keeper_in(place, world, every=1e9), world))
            dist.barrier()
            if rank == 0:
                Checkpoints(place).clear()
            dist.barrier()
    leaving = Path(folder, "leaving")
    seen["one leaves"] = trained("batch norm", keeper_in(leaving, world, every=1e9, leaves=rank == 1), world)
    dist.barrier()
    if rank == 0:
        (leaving / "run.checkpoint").write_bytes(b"damaged")
    dist.barrier()
    seen["damaged"] = trained("batch norm", keeper_in(leaving, world, every=1e9), world)
    validates, many = Path(folder, "validates"), WORKERS * EVALUATION_BATCH + 1
    left = trained("batch norm", keeper_in(validates, world), world, images=many, leaves=rank == 1)
    seen["validates"] = [
        left,
        trained("batch norm", keeper_in(validates, world, every=1e9), world, images=many),
        trained("batch norm", keeper_in(leaving / "not", world, every=1e9), world, images=many),
    ]
    torch.save(seen, Path(folder, f"{rank}.pt"))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("workers")
    spawn(worker, args=(str(folder),), nprocs=WORKERS)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(WORKERS)]


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return (
        all(one[name] == other[name] for name in ("losses", "val_losses"))
        and (one["confidence"] == other["confidence"]).all()
        and all(torch.equal(tensor, other["weights"][name]) for name, tensor in one["weights"].items())
    )


@pytest.mark.parametrize("case", CASES)
def test_workers_that_go_on_give_the_run_of_workers_that_were_never_ended(
    case: str, workers: list[dict[str, Any]]
) -> None:
    for seen in workers:
        undisturbed, *again = seen[case]
        assert [one["steps"] for one in again] == [undisturbed["steps"] - until for until in (2, STEPS, STEPS + 1)]
        assert [same(one, undisturbed) for one in again] == [True] * 3


def test_all_workers_end_after_the_same_step_where_the_node_of_one_goes_away(workers: list[dict[str, Any]]) -> None:
    assert {seen["one leaves"]["ended"] for seen in workers} == {"Preempted"}
    assert len({seen["one leaves"]["steps"] for seen in workers}) == 1


def test_all_workers_leave_validation_where_the_node_of_one_goes_away(workers: list[dict[str, Any]]) -> None:
    for seen in workers:
        left, again, undisturbed = seen["validates"]
        assert left == {"ended": "Preempted", "steps": STEPS}
        assert same(again, undisturbed)


def test_a_damaged_checkpoint_is_used_by_no_worker(workers: list[dict[str, Any]]) -> None:
    for seen in workers:
        assert same(seen["damaged"], seen["batch norm"][0])
        assert seen["damaged"]["steps"] == RECIPE.epochs * STEPS
