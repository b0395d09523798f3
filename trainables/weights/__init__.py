"""Where pretrained weights come from, and how they are checked before anything starts.

The small weights of the mini scale lie beside this file (see README.md there).
"""

import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlparse

import torch
from torch import Tensor, nn

PACKAGED = Path(__file__).parent


@dataclass(frozen=True)
class Weights:
    """A file of weights: `fetch(offline)` returns its path, downloading it where that is needed."""

    file: str
    fetch: Callable[[bool], Path]


def packaged(stem: str) -> Weights:
    """Weights that ship with this package."""
    return Weights(f"{stem}.safetensors", lambda offline: PACKAGED / f"{stem}.safetensors")


def timm_hub(name: str) -> Weights:
    """timm's weights of that model, from the local cache of the Hugging Face hub, else from the hub."""

    def fetch(offline: bool) -> Path:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import LocalEntryNotFoundError
        from timm.models import get_pretrained_cfg

        config = get_pretrained_cfg(name)
        assert config is not None and config.hf_hub_id, f"timm has no weights for {name}"
        try:
            return Path(hf_hub_download(config.hf_hub_id, "model.safetensors", local_files_only=True))
        except LocalEntryNotFoundError:
            if offline:
                raise
        reach("huggingface.co")
        return Path(hf_hub_download(config.hf_hub_id, "model.safetensors"))

    return Weights(f"model.safetensors of huggingface.co/timm/{name}", fetch)


def reach(host: str) -> None:
    """Raises OSError at once where the hub's client would try again for half a minute: there is no network."""
    if not {"HTTPS_PROXY", "https_proxy", "HF_ENDPOINT"} & set(os.environ):
        socket.getaddrinfo(host, 443)


def torch_hub(url: str) -> Weights:
    """Weights at a URL, kept in torch hub's folder as torchvision does."""

    def fetch(offline: bool) -> Path:
        path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
        if not path.exists():
            if offline:
                raise FileNotFoundError(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), progress=False)
        return path

    return Weights(url, fetch)


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
    if not path.is_file():
        raise ValueError(f"no weights at {path}: --weights takes the file {weights.file}")
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
