"""The workers of one run: alone, or several that average their gradients. The loop runs the same lines in both."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class World:
    """This worker's rank among `size` workers; the default is a worker alone."""

    rank: int = 0
    size: int = 1

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model as the loop calls it: itself, or in DistributedDataParallel."""
        if self.size == 1:
            return model
        return nn.parallel.DistributedDataParallel(model)

    def no_sync(self, model: nn.Module) -> AbstractContextManager[None]:
        """Gradients of a wrapped model stay with this worker, until a backward pass outside of this averages them."""
        return model.no_sync() if isinstance(model, nn.parallel.DistributedDataParallel) else nullcontext()

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """The sum over workers."""
        if self.size > 1:
            dist.all_reduce(values)
        return values


def current_world() -> World:
    """The world of this process: its process group, or itself alone."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return World()
