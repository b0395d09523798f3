"""Ray's token, with which anybody may run anything as this user: for nobody else to read.

Ray itself makes one where a cluster that it starts finds none, in a file and a folder that all may read.
"""

import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from study.cluster import head
from study.cluster.environment import AUTH_MODE

PLACE = Path("~/.ray/auth_token")


def protect() -> None:
    """Closes the token that this user has, and its folder, to everybody else."""
    path = PLACE.expanduser()
    for each, mode in ((path.parent, 0o700), (path, 0o600)):
        with suppress(OSError):
            state = each.stat()
            if state.st_uid == os.geteuid() and state.st_mode & 0o077:
                each.chmod(mode)


def provide() -> None:
    """Makes a token for a Ray that is started here, if there is none. Raises ValueError where it cannot be kept."""
    protect()
    if os.environ.get(AUTH_MODE, "token").lower() != "token" or head.token()[0] is not None:
        return
    if given := os.environ.get("RAY_AUTH_TOKEN_PATH"):
        raise ValueError(f"RAY_AUTH_TOKEN_PATH={given}: there is no token in it; unset it to have one made in {PLACE}")
    path = PLACE.expanduser()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(token_hex(32))
        with suppress(FileExistsError):  # another study has made one at the same time
            os.link(part, path)
        part.unlink()
    except OSError as error:
        raise ValueError(
            f"Ray's token cannot be kept in {path} ({error.strerror}): give a HOME that can be written to, or a token "
            "in RAY_AUTH_TOKEN"
        ) from None
