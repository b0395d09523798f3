"""Reading pretrained weights, and checking that they fit before anything starts."""

import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor, nn

from trainables.weights import Weights


def read(weights: Weights, *, path: Path | None = None, offline: bool = False) -> dict[str, Tensor]:
    """The state dict at `path`, or of the weights as published.

    Raises ValueError, naming the file and the way out, if it cannot be had or read.
    """
    if path is None:
        try:
            path = weights.fetch(offline)
        except Exception as error:  # the hub's client raises many kinds, some of them not its own
            because = "--offline is set and it is not cached" if offline else f"{type(error).__name__}"
            raise ValueError(
                f"weights cannot be fetched: {weights.file} ({because}); fetch that file elsewhere and give it "
                "with --weights PATH, or choose --pretraining none"
            ) from error
    path = weights.at(path)
    from timm.models import load_state_dict

    try:
        return load_state_dict(str(path), device="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"weights at {path} cannot be read: {error}".splitlines()[0]) from error


def digest(state: Mapping[str, Tensor] | None) -> str | None:
    """A hash of tensors and their names; None without any."""
    if state is None:
        return None
    content = sha256()
    for name, tensor in sorted(state.items()):
        content.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        content.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()[:16]


def fit_to(whole: nn.Module, wanted: dict[str, Tensor], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The part of `state` that `wanted` names, in its dtypes, checked name by name and shape by shape.

    Args:
        whole: the model as its library builds it, which knows how to read its own older files.
        wanted: the tensors to be filled, under the library's names: all but the head's, which is new.
        state: a state dict as published.

    Raises ValueError if a tensor is missing or has another shape.
    """
    adapt = getattr(sys.modules[type(whole).__module__], "checkpoint_filter_fn", None)
    if adapt is not None:
        try:
            state = adapt(state, whole)
        except Exception as error:  # it walks the model by the names in the file
            raise ValueError(f"it is of another model ({error})") from error
    missing = [name for name in wanted if name not in state]
    if missing:
        raise ValueError(f"{len(missing)} of {len(wanted)} tensors are missing, the first is {missing[0]}")
    for name, tensor in wanted.items():
        if state[name].shape != tensor.shape:
            raise ValueError(f"{name} is {tuple(state[name].shape)}, the model has {tuple(tensor.shape)}")
    return {name: state[name].to(tensor.dtype) for name, tensor in wanted.items()}
