"""Whether a Ray head answers at an address, and takes this machine's token: known in milliseconds, without Ray.

Ray itself waits half a minute for a head that wants another token, for minutes where something else listens, and ends
the process where it is to use a token and finds none.
"""

import os
import socket
from enum import Enum, auto
from pathlib import Path
from time import monotonic

SECONDS = 3  # for the connection, and again for the answer

# gRPC over HTTP/2 (RFC 9113) by hand: one call without arguments, of which only the status is read
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS = 1, 4
CALL = "/ray.rpc.NodeInfoGcsService/GetClusterId"
NO_ARGUMENTS = bytes(5)  # not compressed, of length 0
OK, UNAUTHENTICATED = 0, 16


class Answer(Enum):
    """What is at an address."""

    HEAD = auto()
    REFUSES_TOKEN = auto()  # or the lack of one
    SOMETHING_ELSE = auto()
    NOBODY = auto()


MEANS: dict[int | None, Answer] = {OK: Answer.HEAD, UNAUTHENTICATED: Answer.REFUSES_TOKEN}


def ask(host: str, port: int, token: str | None = None) -> Answer:
    """What is at an address; a head that knows the token, or wants none, is a HEAD."""
    try:
        with socket.create_connection((host, port), timeout=SECONDS) as connection:
            return MEANS.get(status(connection, token), Answer.SOMETHING_ELSE)
    except OSError:
        return Answer.NOBODY


def status(connection: socket.socket, token: str | None) -> int | None:
    """gRPC's status of the call; None where what listens does not speak gRPC."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": CALL,
        ":authority": "ray",
        "te": "trailers",
        "content-type": "application/grpc",
        **({"authorization": f"Bearer {token}"} if token else {}),
    }
    block = b"".join(map(literal, headers.items()))
    call = frame(HEADERS, END_HEADERS, 1, block) + frame(DATA, END_STREAM, 1, NO_ARGUMENTS)
    received, deadline = b"", monotonic() + SECONDS
    try:
        connection.sendall(PREFACE + frame(SETTINGS, 0, 0, b"") + call)
        while monotonic() < deadline:
            connection.settimeout(max(deadline - monotonic(), 0.01))
            more = connection.recv(65536)
            received += more
            # what a server says first is its settings: anything else is no HTTP/2
            if not more or (len(received) > 3 and received[3] != SETTINGS):
                return None
            # a name's first use in a connection is written out, and gRPC compresses no short values
            _, found, value = received.partition(b"grpc-status")
            if found and len(value) > value[0]:
                return int(value[1 : 1 + value[0]])
    except (OSError, ValueError, IndexError):
        pass
    return None


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(header: tuple[str, str]) -> bytes:
    """A header without compression (RFC 7541, 6.2.2)."""
    return b"\0" + b"".join(length(len(text)) + text for text in map(str.encode, header))


def length(of: int) -> bytes:
    """An integer with a prefix of 7 bits (RFC 7541, 5.1)."""
    if of < 127:
        return bytes([of])
    rest, written = of - 127, [127]
    while rest > 127:
        written.append(128 | rest & 127)
        rest >>= 7
    return bytes([*written, rest])


def token() -> tuple[str | None, str]:
    """The token that Ray would use on this machine, None for none; and where it is, or would be, kept."""
    if given := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return given, "RAY_AUTH_TOKEN"
    path = os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token"
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").strip() or None, path
    except (OSError, UnicodeDecodeError):
        return None, path
