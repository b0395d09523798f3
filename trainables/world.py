"""The workers of one run: alone, or several that average their gradients. The loop runs the same lines in both."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Value = TypeVar("Value")


@dataclass(frozen=True)
class World:
    """This worker's rank among `size` workers; the default is a worker alone."""

    rank: int = 0
    size: int = 1

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model as the loop calls it: itself, or in DistributedDataParallel."""
        if self.size == 1:
            return model
        # BatchNorm's running statistics are this worker's own until the epoch ends: see `average_statistics`
        return nn.parallel.DistributedDataParallel(model, broadcast_buffers=False)

    def share(self, rows: Tensor, *, pairs: bool = False) -> Tensor:
        """This worker's rows of a batch: shares differ by one row at most, and together they are the batch.

        A batch of fewer rows than workers leaves some without any: they get its first row, which is to count for
        nothing, so that they compute when the others do.

        Args:
            rows: of the whole batch, the same in every worker.
            pairs: then come, as many again, the rows before them in the batch, the last one before the first.
        """
        if pairs:
            return torch.cat([self.share(rows), self.share(rows.roll(1))])
        return rows[self.rank :: self.size] if self.rank < len(rows) else rows[:1]

    def largest_share(self, rows: int) -> int:
        """The rows of the worker that has most of a batch."""
        return ceil(rows / self.size)

    def chunk(self, rows: Tensor) -> Tensor:
        """This worker's rows of a split that is gone through in order: a run of neighbours."""
        return rows.tensor_split(self.size)[self.rank]

    def no_sync(self, model: nn.Module) -> AbstractContextManager[None]:
        """Gradients of a wrapped model stay with this worker, until a backward pass outside of this averages them."""
        return model.no_sync() if isinstance(model, nn.parallel.DistributedDataParallel) else nullcontext()

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """The sum over workers."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def gather(self, values: Tensor, places: Tensor, rows: int) -> Tensor:
        """The values of all workers, each of which has those of some places out of `rows`."""
        if self.size == 1:
            return values
        whole = torch.zeros(rows, dtype=values.dtype, device=values.device)
        whole[places.to(values.device)] = values
        return self.all_reduce_sum(whole)

    def collect(self, value: Value) -> list[Value]:
        """Every worker's value, in their order; all get all."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def hand_out(self, value: Value) -> Value:
        """The first worker's value."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    @contextmanager
    def apart(self, model: nn.Module) -> Iterator[None]:
        """Inside, SyncBatchNorm takes this worker's statistics alone: another may have no memory to come to its own."""
        norms = [module for module in model.modules() if isinstance(module, nn.SyncBatchNorm)]
        for norm in norms:
            norm.process_group = group_of_one()
        try:
            yield
        finally:
            for norm in norms:
                norm.process_group = None

    @torch.no_grad()
    def average_statistics(self, model: nn.Module) -> None:
        """Gives every worker the mean of BatchNorm's running statistics, which each has of its own shares."""
        if self.size == 1:
            return
        moved = running_statistics(model)
        if moved:
            mean = self.all_reduce_sum(torch.cat([statistic.flatten() for statistic in moved])) / self.size
            for statistic, part in zip(moved, mean.split([s.numel() for s in moved]), strict=True):
                statistic.copy_(part.view_as(statistic))


@cache
def group_of_one() -> dist.ProcessGroup:
    """This worker's own; all make theirs at the same time, once."""
    own, _ = dist.new_subgroups(group_size=1)
    return own


def running_statistics(model: nn.Module) -> list[Tensor]:
    """Means and variances of the BatchNorms that are in training mode: of frozen stages they stay as they are."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.training]
    return [kept for norm in norms for kept in (norm.running_mean, norm.running_var) if kept is not None]


def current_world() -> World:
    """The world of this process: its process group, or itself alone."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return World()
