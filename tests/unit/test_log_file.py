"""Files of W&B's runs are read and written as its client does it."""

import struct

import pytest

from study.tracking import log_file

RECORDS = [b"", b"a", b"b" * 32_741, b"c" * 7, b"d" * 100_000, bytes(range(256)) * 128, b"e"]


def test_what_is_written_is_read_wherever_the_blocks_end() -> None:
    for number in range(len(RECORDS)):
        some = RECORDS[number:]
        assert list(log_file.records(log_file.written(some))) == some


def test_a_block_holds_no_head_of_a_part_that_does_not_fit_into_it() -> None:
    first = b"x" * (log_file.BLOCK - len(log_file.HEADER) - log_file.HEAD.size - 3)  # three bytes are left
    file = log_file.written([first, b"y"])
    assert file[log_file.BLOCK - 3 : log_file.BLOCK] == bytes(3)
    assert struct.unpack_from("<IHB", file, log_file.BLOCK)[1:] == (1, log_file.WHOLE)


def test_a_file_that_is_still_written_is_read_up_to_its_last_whole_record() -> None:
    file = log_file.written(RECORDS)
    assert list(log_file.records(file[:-3])) == RECORDS[:-1]


def test_another_file_and_a_damaged_one_are_refused() -> None:
    with pytest.raises(ValueError, match="no file of a W&B run"):
        list(log_file.records(b"something else"))
    file = bytearray(log_file.written(RECORDS))
    file[50_000] ^= 1
    with pytest.raises(ValueError, match="damaged at byte"):
        list(log_file.records(bytes(file)))
