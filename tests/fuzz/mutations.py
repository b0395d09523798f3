"""Damage to a file, as disks, copies, networks and strangers do it; the same of the same random numbers."""

import json
from random import Random
from typing import Any

MOST = 4  # changes to one file
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62, (1 << 64) - 1)


def mutated(data: bytes, random: Random) -> bytes:
    """Never the same bytes again, unless several changes undo each other."""
    changed = bytearray(data)
    for _ in range(random.randint(1, MOST)):
        random.choice(CHANGES)(changed, random)
    return bytes(changed)


def place(data: bytearray, random: Random) -> int:
    """Somewhere; more often near one of the ends, where files say what they are."""
    at = random.choice((random.randrange(max(1, len(data))), random.randrange(64), len(data) - random.randint(1, 64)))
    return max(0, min(at, len(data) - 1))


def part(data: bytearray, random: Random) -> slice:
    start = place(data, random)
    return slice(start, start + random.choice((1, 2, 4, 8, random.randint(1, max(1, len(data))))))


def flip(data: bytearray, random: Random) -> None:
    if data:
        data[place(data, random)] ^= 1 << random.randrange(8)


def replace(data: bytearray, random: Random) -> None:
    if data:
        data[place(data, random)] = random.randrange(256)


def number(data: bytearray, random: Random) -> None:
    """A number that a reader may count, allocate or skip by, of either order of bytes."""
    size = random.choice((1, 2, 4, 8))
    written = (random.choice(NUMBERS) & ((1 << 8 * size) - 1)).to_bytes(size, random.choice(("little", "big")))
    at = place(data, random)
    data[at : at + size] = written


def cut(data: bytearray, random: Random) -> None:
    del data[place(data, random) :]


def remove(data: bytearray, random: Random) -> None:
    del data[part(data, random)]


def double(data: bytearray, random: Random) -> None:
    copied = data[part(data, random)]
    at = random.choice((len(data), place(data, random)))
    data[at:at] = copied


def empty(data: bytearray, random: Random) -> None:
    """Zeros, as a file has that was grown and not written before the power failed."""
    these = part(data, random)
    data[these] = bytes(len(data[these]))


def insert(data: bytearray, random: Random) -> None:
    at = place(data, random)
    data[at:at] = random.randbytes(random.choice((1, 2, 4, 16, 300)))


ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1 << 70,
    1e308,
    float("inf"),
    float("nan"),
    "",
    "\0",
    "../../x",
    "x" * 300,
    [],
    {},
    [[]],
    "é",
)


def mutated_json(data: bytes, random: Random) -> bytes:
    """JSON still, in which something else stands in some places."""
    content = json.loads(data)
    for _ in range(random.randint(1, MOST)):
        inner = [node for node in nodes(content) if node]
        if not inner:
            break
        node = random.choice(inner)
        key: Any = random.choice(list(node) if isinstance(node, dict) else range(len(node)))
        change = random.randrange(4)
        if change == 0:
            del node[key]
        elif change == 1 and isinstance(node, dict):
            node[random.choice(["", "x", "format", key + "s"])] = node.pop(key)
        elif change == 2:
            node[key] = json.loads(json.dumps(random.choice(nodes(content))))
        else:
            node[key] = random.choice(ODD)
    return json.dumps(content).encode()


def nodes(content: Any) -> list[Any]:
    """All lists and objects."""
    inner = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return [content, *(one for each in inner for one in nodes(each))] if isinstance(content, dict | list) else []


CHANGES = (flip, flip, replace, number, number, cut, remove, double, empty, insert)
