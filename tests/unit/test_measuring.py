"""What a run takes of memory at most is measured by a step of it."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

from tests.contract.tiny import POINT, RECIPE
from trainables.measuring import peak_bytes
from trainables.run import Model, Run

RUN = Run("", Model("alexnet", "mini", "alexnet_mini", 10), POINT, RECIPE, seed=0, split_digests={}, precision="fp32")


def of_batches(size: int, freeze_depth: int) -> int:
    """In a process that has had no other: on a CPU it is the process's memory that is measured."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(measured, size, freeze_depth).result()


def measured(size: int, freeze_depth: int) -> int:
    return peak_bytes(replace(RUN, hyperparameters=replace(POINT, batch_size=size, freeze_depth=freeze_depth)))


def test_what_is_trained_in_a_large_batch_is_kept_and_counted_and_what_is_frozen_is_not() -> None:
    deepest = RUN.model.build().backbone_stages
    assert of_batches(384, 0) > of_batches(384, deepest) + 30e6
