"""The file that W&B's client writes for a run: records of a LevelDB log (blocks of 32 KiB) behind a header of 7 bytes.

A copy of it may say more than the client knew when it wrote: `copies` makes it. W&B's own reader left the client, so
this one reads as it does.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator

HEADER = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
BLOCK = 32 * 1024
HEAD = struct.Struct("<IHB")  # of a part of a record: its checksum, its size, which part it is
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(content: bytes) -> Iterator[bytes]:
    """Up to the first that is incomplete. Raises ValueError for what is no such file, or is damaged."""
    if not content.startswith(HEADER):
        raise ValueError("it is no file of a W&B run")
    position, record = len(HEADER), b""
    while position + HEAD.size <= len(content):
        left = BLOCK - position % BLOCK
        if left < HEAD.size:
            position += left
            continue
        summed, size, part = HEAD.unpack_from(content, position)
        start = position + HEAD.size
        if part == 0 or start + size > len(content):
            return
        if checksum(part, memoryview(content)[start : start + size]) != summed:
            raise ValueError(f"it is damaged at byte {position}")
        record += content[start : start + size]
        position = start + size
        if part in (WHOLE, LAST):
            yield record
            record = b""


def written(records: Iterable[bytes]) -> bytes:
    """The file of some records."""
    file = bytearray(HEADER)
    for record in records:
        rest, begun = memoryview(record), False
        while True:
            left = BLOCK - len(file) % BLOCK
            if left < HEAD.size:
                file += bytes(left)
                left = BLOCK
            taken, rest = rest[: left - HEAD.size], rest[left - HEAD.size :]
            part = (MIDDLE if rest else LAST) if begun else (FIRST if rest else WHOLE)
            file += HEAD.pack(checksum(part, taken), len(taken), part) + taken
            begun = True
            if not rest:
                break
    return bytes(file)


def checksum(part: int, content: memoryview) -> int:
    """As the client's writer has it: of the part's number and its content."""
    return zlib.crc32(content, zlib.crc32(bytes([part])))
