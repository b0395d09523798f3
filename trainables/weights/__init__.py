"""Where pretrained weights come from. The small ones of the mini scale lie beside this file (see README.md there).

Imports no torch before something is fetched; `trainables.weights.reading` reads and checks what was.
"""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

PACKAGED = Path(__file__).parent


@dataclass(frozen=True)
class Weights:
    """A file of weights: `fetch(offline)` returns its path, downloading it where that is needed."""

    file: str
    fetch: Callable[[bool], Path]


def check(weights: Weights | None, path: Path | None) -> None:
    """Raises ValueError for a path of weights where there is none, or none is wanted. Reads nothing."""
    if path is None:
        return
    if weights is None:
        raise ValueError(f"pretraining none takes no weights: leave out --weights {path}, or name a pretraining")
    if not path.is_file():
        raise ValueError(f"no weights at {path}: --weights takes the file {weights.file}")


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
        import torch

        path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
        if not path.exists():
            if offline:
                raise FileNotFoundError(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), progress=False)
        return path

    return Weights(url, fetch)
