"""Faults of what lies on a disk: results, activations, images; and of two commands that want the same place."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random
from time import monotonic, sleep

from tests.faults.suite.faults import FAULTS, SINGLE, TRIAL, Fault, Given, Moment, Target, at_a_moment
from tests.faults.suite.victim import SETTLE, Command, Ended

FAILED, MISTAKE = 1, 2
BRING_BACK = "bring it back from a copy"
AWAY = 4.0  # seconds


def may_mount() -> bool:
    return os.geteuid() == 0 and shutil.which("mount") is not None


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


@contextmanager
def small_disk(folder: Path, room: int) -> Iterator[Given]:
    """A folder on a disk that has so many bytes left; what is in it afterwards stays."""
    folder.mkdir(exist_ok=True)
    kept = folder.with_name(f"{folder.name}-kept")
    shutil.copytree(folder, kept, symlinks=True)
    blocks = sum(4096 for _ in folder.rglob("*"))  # a file takes whole pages
    limit = size(kept) + blocks + room + (64 << 10)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={limit}", "none", str(folder)], check=True)
    low = [limit]

    def struck() -> bool:
        return low[0] < (256 << 10)

    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True, symlinks=True)
        yield Given(struck=struck)
    finally:
        low[0] = shutil.disk_usage(folder).free
        shutil.rmtree(kept)
        shutil.copytree(folder, kept, symlinks=True)
        subprocess.run(["umount", "-l", str(folder)], check=True)
        shutil.rmtree(folder)
        shutil.copytree(kept, folder, symlinks=True)
        shutil.rmtree(kept)


FAULTS["no room on the disk of the results"] = Fault(
    codes=(0, 1),
    worlds=("study", "comparison"),
    ends=True,
    kind="disk",
    around=lambda target, random: small_disk(target.victim.results, int(10 ** random.uniform(3, 6))),
    needs=may_mount,
)
FAULTS["no room on the disk of the activations"] = Fault(
    kind="cache",
    around=lambda target, random: small_disk(target.victim.cache, int(10 ** random.uniform(4, 6))),
    needs=may_mount,
)


@at_a_moment("the folder of results is removed", 0, 1, ends=True, results_gone=True)
def _(command: Command, random: Random, target: Target) -> bool:
    there = target.victim.records
    for record in there:
        shutil.rmtree(record, ignore_errors=True)
    return bool(there) and command.running


@at_a_moment("the cache is removed", kind="cache")
def _(command: Command, random: Random, target: Target) -> bool:
    there = target.victim.cache.exists()
    shutil.rmtree(target.victim.cache, ignore_errors=True)
    return there and command.running


@at_a_moment("files of the cache are damaged", kind="cache")
def _(command: Command, random: Random, target: Target) -> bool:
    found = [path for path in sorted(target.victim.cache.rglob("*")) if path.is_file()]
    chosen = [path for path in found if random.random() < 0.5]
    for path in chosen:
        damage(path, random)
    return bool(chosen) and command.running


def damage(path: Path, random: Random) -> None:
    with suppress(OSError):
        content = bytearray(path.read_bytes())
        if not content or random.random() < 0.2:
            path.write_bytes(bytes(content[: len(content) // 2]))
            return
        for _ in range(random.choice([1, 1, 8])):
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        path.write_bytes(bytes(content))


def contents(folder: Path) -> dict[str, bytes]:
    """Of all its files but locks, which name who looked last; of a link, where it leads."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {
        str(path.relative_to(folder)): os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
        for path in files
    }


def stopped(target: Target, moment: Moment) -> None:
    """A command that is killed at a moment."""
    command = target.victim.start()
    moment.comes(command)
    command.signal(signal.SIGKILL)
    command.process.wait()
    deadline = monotonic() + SETTLE
    while command.members(*TRIAL) and monotonic() < deadline:  # they write until they find that they are alone
        sleep(0.2)


def refused_until_mended(target: Target, harm: Callable[[], bool], mend: Callable[[], None]) -> tuple[Ended, bool]:
    """A stopped study, harmed. A command that refuses to go on with it leaves all as it was, and it is mended then."""
    results = target.victim.results
    if not harm():
        return target.victim.finish(), False
    before = contents(results)
    ended = target.victim.finish()
    if ended.code == FAILED and BRING_BACK in ended.said:  # the other rows have gone on
        mend()
    if ended.code == MISTAKE:
        now = contents(results)
        different = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
        assert not different, f"a refusal changed {sorted(different)}"
        mend()
    return ended, True


def to_the_record(
    target: Target, random: Random, moment: Moment, harm: Callable[[Path, Random], None], suffixes: Collection[str]
) -> tuple[Ended, bool]:
    """To one file of it, while the study is stopped. Where that is refused, it is brought back, as the refusal says."""
    stopped(target, moment)
    victim, kept = target.victim, target.victim.folder / "kept"
    shutil.copytree(victim.results, kept, symlinks=True) if victim.results.exists() else kept.mkdir()
    chosen: list[Path] = []

    def harm_one() -> bool:
        held = [path for record in victim.records for path in sorted(record.glob("*")) if path.is_file()]
        if held := [path for path in held if path.suffix in suffixes]:
            chosen.append(random.choice(held))
            harm(chosen[0], random)
        return bool(held)

    def mend() -> None:
        shutil.rmtree(victim.results)
        shutil.copytree(kept, victim.results, symlinks=True)

    try:
        ended, happened = refused_until_mended(target, harm_one, mend)
        for path in chosen:
            if path.is_symlink():  # that file was not needed
                path.unlink()
                shutil.copy2(kept / path.relative_to(victim.results), path)
        return ended, happened
    finally:
        shutil.rmtree(kept)


def truncate(path: Path, random: Random) -> None:
    os.truncate(path, random.randrange(path.stat().st_size))


def make_unreadable(path: Path, random: Random) -> None:
    """As on a disk that is broken there: it can be opened, and reading is an OSError (EIO), for root, too."""
    path.unlink()
    path.symlink_to("/proc/self/mem")


PARTS_OF_RECORDS = (".parquet", ".json", ".journal")
for what, harm, suffixes in (
    ("is damaged", damage, (*PARTS_OF_RECORDS, ".html")),
    ("is truncated", truncate, PARTS_OF_RECORDS),
    ("cannot be read", make_unreadable, PARTS_OF_RECORDS),
):
    FAULTS[f"a file of the record {what}"] = Fault(
        codes=(0, 1, 2),
        worlds=SINGLE,
        ends=True,
        whole=partial(to_the_record, harm=harm, suffixes=suffixes),
    )


def images_of(target: Target, random: Random) -> tuple[Path, bytes]:
    path = random.choice(sorted(path for path in target.victim.data.rglob("*.png")))
    return path, path.read_bytes()


def another_image(content: bytes) -> bytes:
    """The same picture with one pixel changed: as good an image."""
    from io import BytesIO

    import numpy as np
    from PIL import Image

    pixels = np.array(Image.open(BytesIO(content)))
    pixels[0, 0] ^= 255
    out = BytesIO()
    Image.fromarray(pixels).save(out, "png")
    return out.getvalue()


def images_change(remove: bool) -> Callable[[Target, Random, Moment], tuple[Ended, bool]]:
    def happens(target: Target, random: Random, moment: Moment) -> tuple[Ended, bool]:
        stopped(target, moment)
        path, content = images_of(target, random)

        def harm() -> bool:
            path.unlink() if remove else path.write_bytes(another_image(content))
            return bool(target.victim.records)

        try:
            return refused_until_mended(target, harm, lambda: None)
        finally:
            path.write_bytes(content)

    return happens


for what, remove in (("removed", True), ("changed", False)):
    FAULTS[f"an image is {what} before the study goes on"] = Fault(
        codes=(0, 2), worlds=("images",), ends=True, whole=images_change(remove)
    )

    @at_a_moment(f"an image is {what} while it runs, for some seconds", worlds=("images",))
    def _(command: Command, random: Random, target: Target, remove: bool = remove) -> bool:
        path, content = images_of(target, random)
        running = command.running
        path.unlink() if remove else path.write_bytes(another_image(content))
        command.sleep(AWAY)
        path.write_bytes(content)
        return running


def twice(target: Target, random: Random, moment: Moment) -> tuple[Ended, bool]:
    first = target.victim.start()
    running = moment.comes(first)
    second = target.victim.start()
    began = monotonic()
    said = second.wait()
    assert said.code == MISTAKE or not running or not first.running, f"the second ended with {said.code}: {said.said}"
    assert said.in_order, f"the second said: {said.said}"
    assert said.seconds < 60, f"the second took {monotonic() - began:.0f} s to say so"
    return first.wait(), running and said.code == MISTAKE


FAULTS["the same command a second time, meanwhile"] = Fault(worlds=("study", "comparison"), whole=twice)
