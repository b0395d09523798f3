"""Datasets from where their publishers keep them: downloaded once, checked, and unpacked into a folder of their own."""

import fcntl
import hashlib
import lzma
import shutil
import ssl
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError, URLError
from urllib.parse import urlparse
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.text import Text

from study.data.source import DatasetRequest
from trainables.boundaries import Store

CHUNK = 1 << 18
TIMEOUT_SECONDS = 30.0
TRIES, PAUSE_SECONDS = 5, 2.0  # tries in a row that bring nothing new

NETWORK = (URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError)  # any other OSError is the disk's
DAMAGED = (tarfile.ReadError, EOFError, zlib.error, lzma.LZMAError)
RANGE_NOT_SATISFIABLE, TRY_LATER = 416, (408, 425, 429)


@dataclass(frozen=True)
class Archive:
    """A dataset as its publisher offers it.

    Attributes:
        checksum: `md5:...` or `sha256:...`, as published.
        folder: what it unpacks into.
        sign: a glob pattern of what lies in that folder, by which it is known under another name.
    """

    url: str
    size: int
    checksum: str
    folder: str
    sign: str


def downloads() -> Path:
    """Where datasets are downloaded to: beside this node's cached activations."""
    return Store.here().folder / "datasets"


def obtain(archive: Archive, request: DatasetRequest) -> Path:
    """The unpacked folder: where --data-dir has it or its archive, else downloaded, there or to the cache.

    Raises ValueError if it cannot be had.
    """
    place = search_folder(request)
    if place.is_file():
        return extract(place, place.parent / archive.folder)
    if (place / archive.folder).is_dir():
        return place / archive.folder
    if any(place.glob(archive.sign)):
        return place
    target = place / file_name(archive.url)
    fetch(archive.url, target, size=archive.size, checksum=archive.checksum, offline=request.offline)
    return extract(target, place / archive.folder)


def search_folder(request: DatasetRequest) -> Path:
    """Where to look first and download to. Raises ValueError for a --data-dir that does not exist."""
    if request.data_dir is None:
        return downloads()
    if not request.data_dir.exists():
        raise ValueError(f"there is no {request.data_dir}, which --data-dir names")
    return request.data_dir.absolute()


def fetch(url: str, target: Path, *, size: int, checksum: str, offline: bool) -> Path:
    """The file at `target`, downloaded if it is not there.

    What an interrupted download left in `target`.part is gone on with. Only a file of the right size and checksum
    gets its name.

    Args:
        size: in bytes, as published.
        checksum: `md5:...` or `sha256:...`, as published.
        offline: never try the network.

    Raises:
        ValueError: it cannot be had, with the way out.
    """
    if target.is_file():
        return target
    if offline:
        raise ValueError(f"{target.name} is not in {target.parent} and --offline is set: {way_out(url)}")
    part = target.with_name(f"{target.name}.part")
    try:
        with locked(target):
            if not target.is_file():
                download(url, part, size)
                verify(part, url, checksum)
                part.replace(target)
    except OSError as error:
        raise ValueError(
            f"{target.name} cannot be kept in {target.parent} ({error.strerror or error}): choose another folder by "
            "--data-dir"
        ) from error
    return target


def download(url: str, part: Path, size: int) -> None:
    """Appends to `part` until it has `size` bytes. Raises ValueError if they do not come, OSError of the disk."""
    if length(part) > size:
        part.unlink()
    needs_room(part, size)
    at_start = furthest = length(part)
    fruitless = 0
    with progress_bar(url, part, size) as show:
        while length(part) < size:
            try:
                transfer(url, part, size, show)
            except NETWORK as error:
                reached = length(part)
                fruitless = 0 if reached > furthest else fruitless + 1
                furthest = max(furthest, reached)
                if fruitless == TRIES or is_permanent(error, received=furthest > at_start):
                    raise ValueError(f"{url} cannot be downloaded ({reason(error)}): {way_out(url)}") from error
                time.sleep(PAUSE_SECONDS)


def transfer(url: str, part: Path, size: int, show: Callable[[int], None]) -> None:
    """One request, for what `part` lacks. Raises one of NETWORK if that does not come."""
    have = length(part)
    headers = {"User-Agent": "attention-or-convolution"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urlopen(HttpRequest(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except HTTPError as error:
        error.close()
        if error.code == RANGE_NOT_SATISFIABLE:
            part.unlink()  # the next request is for the whole file, and says what is wrong with it
        raise
    with answer, part.open("ab") as file:
        if have and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = file.truncate(0)  # this server sends the whole file whatever it is asked for
        if answer.length not in (None, size - have):
            part.unlink()
            raise ValueError(
                f"{url} has {have + answer.length:,} bytes instead of the published {size:,}: {way_out(url)}"
            )
        while chunk := answer.read(min(CHUNK, size - have)):
            file.write(chunk)
            have += len(chunk)
            show(have)
    if have < size:
        raise ConnectionError("the connection was closed")  # of which http.client says nothing


def is_permanent(error: Exception, *, received: bool) -> bool:
    """Whether trying again is of no use: the server refuses, or was not reached at all."""
    if isinstance(error, HTTPError):
        return error.code < 500 and error.code not in (RANGE_NOT_SATISFIABLE, *TRY_LATER)
    return isinstance(error, URLError) and not received


def reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"the server answers {error.code}"
    cause = error.reason if isinstance(error, URLError) else error
    return str(getattr(cause, "strerror", None) or cause or type(cause).__name__)


def way_out(url: str) -> str:
    return f"download {url} elsewhere and name its place by --data-dir"


def verify(part: Path, url: str, checksum: str) -> None:
    """Removes a file with another checksum and raises ValueError."""
    method, _, published = checksum.partition(":")
    with part.open("rb") as file:
        actual = hashlib.file_digest(file, method).hexdigest()
    if actual != published:
        part.unlink()
        raise ValueError(
            f"what came from {url} has the {method} {actual} instead of {published}: removed; run again, "
            f"or {way_out(url)}"
        )


def needs_room(part: Path, size: int) -> None:
    """Raises ValueError where the disk has less left than what is to come."""
    missing, free = size - length(part), shutil.disk_usage(part.parent).free
    if missing > free:
        raise ValueError(
            f"{part.stem} needs {megabytes(missing)}, {part.parent} has {megabytes(free)} left: make room, or choose "
            "another folder by --data-dir"
        )


def length(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def file_name(url: str) -> str:
    return Path(urlparse(url).path).name


@contextmanager
def progress_bar(url: str, part: Path, size: int) -> Iterator[Callable[[int], None]]:
    """A progress bar for whoever calls the result with the bytes there are; one line where there is no terminal."""
    console = notices()
    if not console.is_terminal:
        console.print(Text(f"downloading {url} ({megabytes(size)}) to {part.parent}"))
    columns = (BarColumn(24), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(file_name(url), total=size, completed=length(part))
        yield lambda have: bar.update(task, completed=have)


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """One process at a time; the kernel takes the lock back from a process that dies."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            notices().print(Text(f"waiting for another process that gets {target}"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def notices() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def extract(archive: Path, folder: Path) -> Path:
    """The folder of that name that a tar archive holds; it appears when it is whole.

    Raises ValueError if the archive is damaged, holds no such folder, or has a member that would land elsewhere.
    """
    part = folder.with_name(f".{folder.name}.part")
    try:
        with locked(folder):
            if not folder.is_dir():
                notices().print(Text(f"unpacking {archive} to {folder}"))
                shutil.rmtree(part, ignore_errors=True)
                try:
                    unpack(archive, part, folder)
                finally:
                    shutil.rmtree(part, ignore_errors=True)
    except DAMAGED as error:
        why = " ".join(str(error).split())[:200]
        raise ValueError(f"{archive} is damaged or no tar archive ({why}): remove it, and download it again") from error
    except OSError as error:
        raise ValueError(
            f"{archive} cannot be unpacked in {folder.parent} ({error.strerror or error}): unpack it elsewhere and "
            "name the folder by --data-dir"
        ) from error
    return folder


def unpack(archive: Path, part: Path, folder: Path) -> None:
    """Files and folders only: tarfile's own filters came with Python 3.11.4."""
    with tarfile.open(archive) as tar:
        for member in tar:
            path = part / member.name
            if why := unsafe(member):
                raise ValueError(f"{archive} is not safe to unpack: {why}: get it again from its publisher")
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
            elif content := tar.extractfile(member):
                path.parent.mkdir(parents=True, exist_ok=True)
                with content, path.open("wb") as file:
                    shutil.copyfileobj(content, file)
    if not (part / folder.name).is_dir():
        raise ValueError(f"{archive} holds no folder {folder.name}: is it the archive of another dataset?")
    (part / folder.name).rename(folder)


def unsafe(member: tarfile.TarInfo) -> str:
    """What is wrong with it, in one line; empty if nothing."""
    if not (member.isfile() or member.isdir()):
        return f"{member.name!r} is neither a file nor a folder"
    if member.name.startswith("/") or ".." in PurePosixPath(member.name).parts:
        return f"{member.name!r} would land elsewhere"
    return ""
