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
    """A file of weights: `fetch(offline)` returns its path, downloading it where that is needed.

    Attributes:
        name: the file's in a folder of weights, empty where it is looked for in none.
    """

    file: str
    fetch: Callable[[bool], Path]
    name: str = ""

    def at(self, path: Path) -> Path:
        """The file that --weights means: itself, or that of its name in a folder."""
        return path / self.name if self.name and path.is_dir() else path


def check(weights: Weights | None, path: Path | None) -> None:
    """Raises ValueError for a path of weights where there is none, or none is wanted. Reads nothing."""
    if path is None:
        return
    if weights is None:
        raise ValueError(f"pretraining none takes no weights: leave out --weights {path}, or name a pretraining")
    if not weights.at(path).is_file():
        folder = f", or a folder that holds {weights.name}" if weights.name else ""
        raise ValueError(f"no weights at {weights.at(path)}: --weights takes the file {weights.file}{folder}")


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
        assert config is not None, f"timm has no weights for {name}"
        if not config.hf_hub_id:
            return torch_hub(str(config.url)).fetch(offline)
        file = config.hf_hub_filename or "model.safetensors"
        try:
            return Path(hf_hub_download(config.hf_hub_id, file, local_files_only=True))
        except LocalEntryNotFoundError:
            if offline:
                raise
        reach("huggingface.co")
        return Path(hf_hub_download(config.hf_hub_id, file))

    return Weights(f"model.safetensors of huggingface.co/timm/{name}", fetch, name=f"{name}.safetensors")


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
