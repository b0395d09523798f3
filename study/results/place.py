"""Where records lie: in a folder, or in a bucket with a working copy here.

Only this module and `bucket` know of buckets. Everything else reads and writes a plain path, which `local` gives: that
of the folder, or of the working copy. Which place it is a copy of can be read from the path itself.
"""

import os
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from study.data.place import SECRETS
from study.files import expanded

SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss")
LONGEST = 200  # of a folder's name; a file system takes 255 bytes
LONGEST_PATH = 3500  # of the folder of all results; a file in it may have 4,096


def copies() -> Path:
    """The folder of all working copies: below it SCHEME?OPTIONS/BUCKET/what the address has."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "attention-or-convolution-results"


def local(given: str | os.PathLike[str]) -> Path:
    """The path of a place that is given as a folder or as an address. Raises ValueError, in one line."""
    text = os.fspath(given)
    scheme, slashes, _ = text.partition(":/")
    if not slashes or not scheme.isalnum() or len(scheme) < 2:
        return folder(text)
    if not text.startswith(f"{scheme}://"):
        raise ValueError(f"{text} has one slash where an address has two: give {scheme}://..., in Python as text")
    parts = urlsplit(text)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if parts.scheme not in SCHEMES:
        raise ValueError(f"{text}: results lie in a folder, or at {', '.join(f'{one}://' for one in SCHEMES)}")
    if not parts.netloc.strip("@"):
        raise ValueError(f"{text} names no bucket: give {scheme}://BUCKET/FOLDER")
    if parts.password or any(word in name.lower() for name, _ in parse_qsl(parts.query) for word in SECRETS):
        raise ValueError(
            f"the address of results at {parts.hostname} holds a secret, which every record would keep: leave it out, "
            "and give it as the cloud's own tools take it, as in AWS_SECRET_ACCESS_KEY"
        )
    folders = [unquote(folder) for folder in parts.path.split("/") if folder]
    if {".", ".."} & {*folders}:
        raise ValueError(f"{text} has . or .. in it: write the address out")
    first = quote(f"{parts.scheme}?{parts.query}", safe="?=&") if parts.query else parts.scheme
    if len(first) > LONGEST:
        raise ValueError(f"{text}: what follows the ? is longer than {LONGEST} letters")
    return copies().joinpath(first, parts.netloc, *folders)


def folder(given: str) -> Path:
    """Raises ValueError for what can be none."""
    if not given.strip():
        raise ValueError("results need a folder: got an empty name")
    path = expanded(given)
    if len(os.fsencode(path.absolute())) > LONGEST_PATH:
        raise ValueError(
            f"results in {given[:20]}...: its path is longer than {LONGEST_PATH} bytes: choose a shorter one"
        )
    if long := [name for name in path.parts if len(os.fsencode(name)) > LONGEST]:
        raise ValueError(f"{long[0][:20]}... is longer than {LONGEST} bytes, which no folder's name may be")
    return path


def address(path: Path) -> str | None:
    """The place that a path is the working copy of; None for a path that is its own place."""
    try:
        first, bucket, *folders = path.absolute().relative_to(copies().absolute()).parts
    except ValueError:  # elsewhere, or above the buckets
        return None
    scheme, mark, options = first.partition("?")
    return f"{scheme}://{'/'.join([bucket, *folders])}{mark}{unquote(options)}"


def shown(path: Path) -> str:
    """The place as its user gave it."""
    return address(path) or str(path)
