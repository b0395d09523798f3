"""What --dataset may be, before anything is read: one of ours by name, or a place.

Imports no reader of images: the command line checks its options with it.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from study.data import named
from study.files import expanded
from trainables.choices import choose

SHOWN = 40
SECRETS = ("secret", "key", "token", "password")  # in the name of an address's option


def written_out(given: str | os.PathLike[str]) -> str:
    """A name or place with its `~`, which shells leave as it is in `--dataset=~/photos`. Raises ValueError."""
    text = os.fspath(given)
    return str(expanded(text)) if text.startswith("~") else text


def name_of(given: str) -> str:
    """A short name, for folders and tables."""
    if given in named.names():
        return given
    return re.sub(r"[^\w.-]+", "-", Path(given.split("?")[0].rstrip("/")).stem).strip("-.") or "images"


def check_address(given: str) -> None:
    """Raises ValueError for an address with a secret in it."""
    parts = urlsplit(given)
    if parts.password or any(word in name.lower() for name, _ in parse_qsl(parts.query) for word in SECRETS):
        raise ValueError(
            f"the address of a dataset in {parts.hostname} holds a password, which every record would keep: leave it "
            "out, and give it as the cloud's own tools take it, as in AWS_SECRET_ACCESS_KEY"
        )


def check(given: str, settings: Iterable[str] = ()) -> None:
    """Raises ValueError where it can be neither a name nor a place, or has a name and takes no such settings."""
    if given in named.names():
        named.check_settings(given, settings)
        return
    if "://" in given:
        check_address(given)
        return
    try:
        if Path(given).exists():
            return
    except OSError as error:  # a name that is longer than a file system takes
        raise ValueError(f"dataset {given[:SHOWN]}...: {error.strerror}") from None
    if "/" in given or given.startswith("."):
        raise ValueError(f"dataset {given}: no such folder or file")
    choose("dataset", given, [*named.names(), "a folder", "a Parquet file", "s3://..."])
