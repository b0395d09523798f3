"""What was found of a model, kept in this machine's cache folder: by name, size, and the versions of timm and torch.

A file that cannot be read, or has other fields, is as good as none: it is found again.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trainables.cache_folder import cache_folder

FORMAT = 4  # raised where the same model comes to be cut otherwise


def folder() -> Path:
    """Of what these versions found."""
    return cache_folder() / "backbones" / f"{FORMAT}-timm-{version('timm')}-torch-{version('torch')}"


def read(key: str) -> dict[str, Any] | None:
    """What `write` was given; None where there is nothing that can be read."""
    try:
        found = json.loads((folder() / f"{key}.json").read_text(encoding="utf-8"))
        content = found.pop("sha256")
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    return found if content == digest(found) else None


def write(key: str, found: Mapping[str, Any]) -> None:
    """Keeps it where that is possible; a folder that cannot be written costs the next process some seconds."""
    text = json.dumps({**found, "sha256": digest(found)})
    try:
        folder().mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=folder(), suffix=".part")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(part).replace(folder() / f"{key}.json")
    except OSError:
        return


def digest(found: Mapping[str, Any]) -> str:
    return sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]
