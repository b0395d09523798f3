"""`torch.compile` of stages that are trained: fewer kernels a step, for the price of a minute or more beforehand.

Each stage by itself, so that blocks that are alike are compiled once, and only where it trains: validation, tests and
frozen stages compute as without it. What it changes is how numbers are rounded.
"""

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from trainables.cache_folder import cache_folder

# Dropout masks are drawn by torch's generator, as without compiling: a run that goes on draws on
HOW: dict[str, Any] = {"options": {"fallback_random": True}}
# One code object serves all stages of a kind, at every depth and rate. Beyond its limit torch silently compiles no more
MOST_GRAPHS = 1000


def compiled(stage: nn.Module) -> Callable[..., Any]:
    """A stage as `torch.compile` has it, on the same tensors; compiled when it is called first."""
    import torch._dynamo as dynamo

    # by default /tmp/torchinductor_USER, where another user could lay down code for us
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "compiled"))
    dynamo.config.recompile_limit = dynamo.config.accumulated_recompile_limit = MOST_GRAPHS
    return torch.compile(stage, **HOW)


def reason(error: BaseException) -> str | None:
    """In one line why a stage could not be compiled; None for an error that is another's."""
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import CppCompileError, InvalidCxxCompiler

    if not isinstance(error, TorchDynamoException | CppCompileError | InvalidCxxCompiler):
        return None
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if said.startswith("backend=") and said.endswith("raised:"):
        said = next((line.strip() for line in str(error).splitlines()[1:] if line.strip()), said)
    return f"torch.compile cannot compile a stage: {said[:200]}: leave out --compile"
