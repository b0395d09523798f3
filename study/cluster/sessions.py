"""Where a Ray that is started here keeps its sockets and logs: in this user's folder, which nobody else may enter.

Ray gives every folder that it makes mode 0777, so that is one inside of another. It leaves them behind when it ends,
and its agents outlive a driver that was killed by a minute: the next start ends these, and keeps only the last logs.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import psutil

from trainables import scratch

LOGS = "logs"
KEPT = 20  # sessions whose logs stay, for `study.status --log`
SESSION = re.compile(r"session_.*_(\d+)")
SOCKET = "session_2026-11-27_20-02-45_336022_4194304/sockets/plasma_store"  # below the folder, at its longest
MOST_BYTES = 103 if sys.platform == "darwin" else 107  # of a socket's path
SHORT = Path("/tmp")


def folder() -> Path:
    """Of all sessions: `_temp_dir` of `ray.init`, by a short link where sockets would have paths too long."""
    path = scratch.of_user() / "ray"
    path.mkdir(exist_ok=True)
    if len(os.fsencode(path / SOCKET)) <= MOST_BYTES:
        return path
    link = scratch.of_user(SHORT) / f"ray-{sha256(os.fsencode(path)).hexdigest()[:6]}"
    with suppress(FileExistsError):
        link.symlink_to(path)
    return link


def sweep() -> None:
    """Ends what is left of Ray where the process that started it is gone, and removes its files but for logs."""
    there = [path for path in folder().iterdir() if not path.is_symlink() and SESSION.fullmatch(path.name)]
    living = scratch.living()  # after the sessions were listed: whoever starts one is known before
    dead = [path for path in there if int(path.name.rpartition("_")[2]) not in living]
    unswept = [path for path in dead if any(entry.name != LOGS for entry in path.iterdir())]
    if unswept:
        for process in processes(unswept):
            with suppress(psutil.Error):
                process.kill()
    for session in unswept:
        for entry in session.iterdir():
            if entry.name != LOGS:
                remove(entry)
    for session in sorted(dead)[:-KEPT]:  # their names begin with when they began
        remove(session)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def processes(sessions: Sequence[Path]) -> Iterator[psutil.Process]:
    """This user's processes of some sessions: named in their options, or, under a title of Ray's, writing logs there.

    Not whoever looks into a file of theirs.
    """
    names = {session.name for session in sessions}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.uids().effective != os.geteuid():
                continue
            words = process.cmdline()
            if words and words[0].startswith("ray"):
                paths = [file.path for file in process.open_files()]
            else:
                paths = [word.partition("=")[2] for word in words if word.startswith("--")]
            if any(names & set(Path(path).parts) for path in paths):
                yield process
