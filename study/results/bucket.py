"""Records in a bucket: a working copy here, brought up to date before it is read, and to the bucket as it is written.

    with mirrored(folder, say):   # what is written into the folder, every few seconds; all of it at the end
        ...

Libraries that know paths alone (Optuna's journal, W&B, safetensors) work in the copy. Each of its folders has a file
that says how its files lay in the bucket when they were last seen there: so a file that was changed here, one that was
changed there, and one that was changed in both places are told apart, and nothing that only one side has is lost.
Every object is written as a whole; of a record the journal comes first and `study.json` last.
"""

import json
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from study.files import replacing, write_json
from study.results import journal, place
from trainables.checkpoint_folder import FOLDER

if TYPE_CHECKING:
    import pyarrow.fs as pafs

STATE = ".bucket.json"
LOCK = ".lock"  # see study/results/lock.py: brought by itself, for it changes in both places
TRANSFERS = 8  # at a time
EVERY_SECONDS, SHARE = 2.0, 10  # between two looks, and at least so many times what bringing files took last
LONGEST_PAUSE, PATIENCE = 60.0, 60.0  # seconds: between two tries, and of tries at the end
FOLLOWED = "STUDY_FOLLOWED"  # the folders that are mirrored: a variable, for rows run in processes of their own
LARGE = (".safetensors", ".onnx", ".pt2")  # models: a reader of records does without, as without W&B's files

Stamp = tuple[int, int]  # size and time of change, in nanoseconds
Say = Callable[[str], object]


class NotBrought(OSError):
    """The bucket lacks what the working copy has."""


class Elsewhere(Exception):
    """Another machine has written what this one writes."""


class Seen(NamedTuple):
    """A file when both places had the same of it.

    Attributes:
        sending: the hash of what was last sent, while it is not known to have arrived.
    """

    here: Stamp | None
    there: Stamp | None
    sending: str | None = None


@dataclass(frozen=True)
class Folder:
    """A folder in a bucket, and its working copy."""

    path: Path
    filesystem: "pafs.FileSystem"
    base: str

    def files(self) -> dict[str, Stamp]:
        """What is in the bucket, by the path below the folder. Raises OSError."""
        import pyarrow.fs as pafs

        selector = pafs.FileSelector(self.base, recursive=True, allow_not_found=True)
        with asked():
            found = self.filesystem.get_file_info(selector)
        return {
            one.path.removeprefix(f"{self.base}/"): (one.size, one.mtime_ns)
            for one in found
            if one.type == pafs.FileType.File and one.base_name != LOCK
        }

    def read(self, name: str) -> bytes:
        with asked(), self.filesystem.open_input_stream(f"{self.base}/{name}") as file:
            return bytes(file.read())

    def write(self, name: str, content: bytes) -> None:
        with asked(), self.filesystem.open_output_stream(f"{self.base}/{name}") as file:
            file.write(content)

    def remove(self, name: str) -> None:
        with asked():
            self.filesystem.delete_file(f"{self.base}/{name}")

    def local(self, *, tracking: bool = True) -> dict[str, Stamp]:
        """What is in the working copy, but for what is being written, and without `tracking` for W&B's files."""
        found = {}
        for folder, below, files in os.walk(self.path):
            if not tracking and "wandb" in below:
                below.remove("wandb")
            for path in (Path(folder) / name for name in files):
                if path.name not in (STATE, LOCK) and not path.name.endswith(".part") and not path.is_symlink():
                    with suppress(FileNotFoundError):
                        found[path.relative_to(self.path).as_posix()] = stamp(path)
        return found

    def seen(self) -> dict[str, Seen]:
        """What the working copy knows of its files in the bucket."""
        known: dict[str, Seen] = {}
        for state in self.path.rglob(STATE):
            below = state.parent.relative_to(self.path)
            with suppress(ValueError, TypeError, OSError):  # what it does not know it asks the bucket
                for name, (here, there, sending) in json.loads(state.read_text(encoding="utf-8")).items():
                    known[(below / name).as_posix()] = Seen(as_stamp(here), as_stamp(there), sending)
        return known

    def keep(self, known: dict[str, Seen]) -> None:
        by_folder: dict[Path, dict[str, Seen]] = {path.parent: {} for path in self.path.rglob(STATE)}
        for name, seen in known.items():
            by_folder.setdefault((self.path / name).parent, {})[name.rpartition("/")[2]] = seen
        for folder, seen_here in by_folder.items():
            if seen_here and folder.is_dir():
                write_json(folder / STATE, seen_here)
            else:
                (folder / STATE).unlink(missing_ok=True)

    def __str__(self) -> str:
        return place.shown(self.path)


@contextmanager
def asked() -> Iterator[None]:
    """Around what a bucket is asked for. Raises OSError also for what pyarrow has no name for: it does so for Azure."""
    import pyarrow as pa

    try:
        yield
    except pa.ArrowException as error:
        raise OSError(one_line(error)) from None


def folder_of(path: Path) -> Folder | None:
    """The place of a working copy; None for a path that is no copy. Raises ValueError where it cannot be asked."""
    given = place.address(path)
    if given is None:
        return None
    try:
        filesystem, base = opened(given)
    except (OSError, ValueError) as error:
        raise ValueError(f"results {given} cannot be reached: {one_line(error)}") from None
    return Folder(path, filesystem, base)


@cache
def opened(given: str) -> "tuple[pafs.FileSystem, str]":
    import pyarrow.fs as pafs

    from study.data.resolve import impatient

    filesystem, base = pafs.FileSystem.from_uri(impatient(given))
    # pyarrow finds Azure's logins in the environment, but not the key of an account, and takes none in an address
    if given.startswith("abfs") and (key := os.environ.get("AZURE_STORAGE_KEY")):
        filesystem = pafs.AzureFileSystem(**{**filesystem.__reduce__()[1][0], "account_key": key})
    return filesystem, base.rstrip("/")


def fetch(path: Path, *, whole: bool = True) -> None:
    """Brings a working copy up to what its bucket holds; does nothing for a path that is no copy.

    Args:
        whole: with the best model and W&B's files, which whoever only reads results does without; a reader also takes
            what changed in both places as it is here, where a study may be writing it.

    Raises ValueError where the bucket cannot be read, or both places have changed.
    """
    folder = None if followed(path) else folder_of(path)
    if folder is None:
        return
    try:
        there = folder.files()
        known, local = folder.seen(), folder.local()
        wanted = [name for name in there if whole or not for_writers(name)]
        stale = []
        for name in wanted:
            before, here = known.get(name, Seen(None, None)), local.get(name)
            if here is None:
                stale.append(name)
            elif before.there != there[name]:
                if before.here == here or passing(name):
                    stale.append(name)
                elif whole:
                    known[name] = Seen(arrived(folder, name, before), there[name])
        with ThreadPoolExecutor(TRANSFERS) as threads:
            for name, here in zip(stale, threads.map(lambda name: download(folder, name), stale), strict=True):
                known[name] = Seen(here, there[name])
        for name in known.keys() - there.keys():
            if name in local and known[name].there is not None:
                if local[name] != known[name].here and not passing(name):
                    if not whole:
                        continue
                    raise ValueError(both_changed(folder, name))
                (folder.path / name).unlink()
            del known[name]
        folder.keep(known)
        remove_empty(folder.path)
    except OSError as error:
        raise ValueError(f"results {folder} cannot be read: {one_line(error)}") from error


def arrived(folder: Folder, name: str, before: Seen) -> Stamp | None:
    """What lies here of a file that both places have, if it is the same; None where what was sent has changed since.

    A machine that stopped while it sent a file did not note that it arrived. Raises ValueError where the bucket has
    something else.
    """
    content, (here, local) = folder.read(name), content_of(folder.path / name)
    if content == local:
        return here
    if digest(content) != before.sending:
        raise ValueError(both_changed(folder, name))
    return None


def for_writers(name: str) -> bool:
    """Whether a reader of records does without a file."""
    return name.endswith(LARGE) or "wandb" in name.split("/")[:-1] or passing(name)


def passing(name: str) -> bool:
    """Whether it is the state of a run under way: of two the bucket's is as good, and it goes when the run ends."""
    return FOLDER in name.split("/")


def both_changed(folder: Folder, name: str) -> str:
    return (
        f"{place.shown(folder.path / name)} was changed from elsewhere, and its copy {folder.path / name} has what the "
        f"bucket lacks: remove {folder.path} to go on with the bucket's, or choose another --name"
    )


def download(folder: Folder, name: str) -> Stamp:
    path = folder.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = folder.read(name)
    with replacing(path) as part:
        part.write_bytes(content)
    return stamp(path)


def remove_empty(path: Path) -> None:
    """Removes folders without a file, from the inside out, so that a record that was removed is not there."""
    for folder in sorted((one for one in path.rglob("*") if one.is_dir()), reverse=True):
        with suppress(OSError):
            folder.rmdir()
    with suppress(OSError):
        path.rmdir()


def check_writable(path: Path) -> None:
    """Raises ValueError where nothing can be written to the bucket of a working copy: it writes, and removes it."""
    folder = None if followed(path) else folder_of(path)
    if folder is None:
        return
    name = f".writable-{secrets.token_hex(4)}"
    try:
        folder.write(name, b"")
        folder.remove(name)
    except OSError as error:
        raise ValueError(
            f"results {folder} cannot be written: {one_line(error)}: choose another --results, or credentials that may"
        ) from error


def read_lock(path: Path) -> bytes | None:
    """The file of a lock in the bucket of a working copy; None for none, and for a path that is no copy.

    Raises ValueError where the bucket cannot be read.
    """
    folder = folder_of(path)
    try:
        return folder.read(LOCK) if folder else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"results {folder} cannot be read: {one_line(error)}") from error


def write_lock(path: Path, content: bytes) -> None:
    """What cannot be brought now is brought with the next sign of the holder."""
    if folder := folder_of(path):
        with suppress(OSError):
            folder.write(LOCK, content)


def remove_lock(path: Path) -> None:
    if folder := folder_of(path):
        with suppress(OSError):
            folder.remove(LOCK)


@contextmanager
def mirrored(path: Path, say: Say) -> Iterator[None]:
    """Inside, what is written into a working copy is brought to its bucket, every few seconds and at the end.

    Does nothing for a path that is no copy, and for one whose folder above is mirrored already.

    Raises NotBrought where the bucket does not take it in time; everything lies in the working copy then.
    """
    folder = None if followed(path) else folder_of(path)
    if folder is None:
        yield
        return
    mirror = Mirror(folder, say)
    before = os.environ.get(FOLLOWED, "")
    os.environ[FOLLOWED] = f"{before}\n{folder.path}".strip()
    thread = threading.Thread(target=mirror.follow, name="bucket", daemon=True)
    thread.start()
    try:
        try:
            yield
        finally:
            mirror.ended.set()
            thread.join()
    except BaseException:
        try:
            mirror.finish()
        except NotBrought as reason:
            say(f"note: {reason}")
        raise
    else:
        mirror.finish()
    finally:
        os.environ[FOLLOWED] = before


def followed(path: Path) -> bool:
    """Whether this process, or the one that started it, brings what is written there to its bucket."""
    return any(path.is_relative_to(one) for one in os.environ.get(FOLLOWED, "").splitlines())


@dataclass
class Mirror:
    """Brings what changes in a working copy to its bucket."""

    folder: Folder
    say: Say
    ended: threading.Event = field(default_factory=threading.Event)
    known: dict[str, Seen] = field(default_factory=dict)
    were: set[str] = field(default_factory=set)  # what was here since it began: what goes from here goes from there
    lost: Elsewhere | None = None

    def __post_init__(self) -> None:
        self.known = self.folder.seen()
        self.were = set(self.folder.local())

    def follow(self) -> None:
        """Until it is ended. A bucket that does not answer is said once, and tried again."""
        pause, silent = EVERY_SECONDS, False
        while not self.ended.wait(pause):
            start = monotonic()
            try:
                self.bring(tracking=False)
            except Elsewhere as reason:
                self.lost = reason
                self.say(f"note: {reason}")
                return
            except Exception as error:
                if not silent:
                    self.say(
                        f"note: {self.folder} does not answer ({one_line(error)}): the study goes on, and what is "
                        f"finished lies in {self.folder.path} until it does"
                    )
                silent, pause = True, min(2 * pause, LONGEST_PAUSE)
                continue
            if silent:
                self.say(f"note: {self.folder} answers again, and has all that is finished")
            silent, pause = False, max(EVERY_SECONDS, SHARE * (monotonic() - start))

    def finish(self) -> None:
        """Brings the rest. Raises NotBrought."""
        deadline, pause = monotonic() + PATIENCE, 1.0
        while True:
            try:
                if self.lost:
                    raise self.lost
                return self.bring(tracking=True)
            except Elsewhere as reason:
                raise NotBrought(f"{reason}; what this one has lies in {self.folder.path}") from None
            except Exception as error:
                if monotonic() + pause > deadline:
                    lacks = f"{self.folder} lacks what lies in {self.folder.path} ({one_line(error)})"
                    raise NotBrought(f"{lacks}; the same command again brings it") from error
            threading.Event().wait(pause)
            pause *= 2

    def bring(self, *, tracking: bool) -> None:
        """What has changed here since it was brought last.

        Args:
            tracking: with W&B's files, which grow all the time and are of no use before their runs end.

        Raises OSError; Elsewhere.
        """
        local = self.folder.local(tracking=tracking)
        changed = [name for name, here in local.items() if name not in self.known or self.known[name].here != here]
        self.were.update(local)
        gone = [name for name in self.known if name in self.were and not (self.folder.path / name).exists()]
        if not changed and not gone:
            return
        self.check_alone(self.folder.files(), changed)
        for together in in_order(changed):
            self.send(together)
        for name in gone:
            with suppress(FileNotFoundError):
                self.folder.remove(name)
            del self.known[name]
        self.folder.keep(self.known)

    def send(self, names: list[str]) -> None:
        """Some files, at once. What is sent is noted before, and that it arrived after."""
        contents = {}
        for name in names:
            try:
                contents[name] = content_of(self.folder.path / name)
            except FileNotFoundError:
                if not passing(name):  # else its run has ended meanwhile
                    raise
        for name, (_, content) in contents.items():
            before = self.known.get(name, Seen(None, None))
            self.known[name] = Seen(before.here, before.there, digest(content))
        self.folder.keep(self.known)
        with ThreadPoolExecutor(TRANSFERS) as threads:
            list(threads.map(self.folder.write, contents, [content for _, content in contents.values()]))
        there = self.folder.files()
        for name, (here, _) in contents.items():
            self.known[name] = Seen(here, there.get(name))

    def check_alone(self, there: dict[str, Stamp], changed: Iterable[str]) -> None:
        """Raises Elsewhere if somebody else has written what is to be written."""
        for name in changed:
            before = self.known.get(name, Seen(None, None))
            if name in there and before.sending is None and there[name] != before.there:
                raise Elsewhere(f"{place.shown(self.folder.path / name)} is written from elsewhere as well")


def in_order(names: Iterable[str]) -> list[list[str]]:
    """Journals, then all else, then what says how far the studies have come: a few at a time."""
    last = {journal.NAME: 0, "study.json": 2}
    steps: list[list[str]] = [[], [], []]
    for name in sorted(names):
        steps[last.get(name.rpartition("/")[2], 1)].append(name)
    return [step[start : start + TRANSFERS] for step in steps for start in range(0, len(step), TRANSFERS)]


def stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def content_of(path: Path) -> tuple[Stamp, bytes]:
    """A file's, and what it was before that was read: a file that grew meanwhile is sent once more."""
    here = stamp(path)
    return here, path.read_bytes()


def as_stamp(written: Any) -> Stamp | None:
    return None if written is None else (int(written[0]), int(written[1]))


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
