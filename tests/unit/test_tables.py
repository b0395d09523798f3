"""Images in tables are read in any order, by row groups."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from study.data.resolve import image_index
from study.data.source import DatasetRequest
from study.data.tables import TableFile, Tables

ROWS, GROUP = 40, 8


@pytest.fixture
def images(tmp_path: Path) -> Tables:
    table = pa.table(
        {"image": [f"image {row}".encode() for row in range(ROWS)], "label": [row % 2 for row in range(ROWS)]}
    )
    pq.write_table(table, tmp_path / "all.parquet", row_group_size=GROUP)
    found = image_index(str(tmp_path / "all.parquet"), DatasetRequest()).images
    assert isinstance(found, Tables)
    return found


def test_a_row_group_is_read_once_whatever_order_its_rows_are_asked_for_in(
    images: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    group = TableFile.group

    def counted(file: TableFile, number: int, column: str) -> pa.Array | pa.ChunkedArray:
        read.append(number)
        return group(file, number, column)

    monkeypatch.setattr(TableFile, "group", counted)
    rows = np.random.default_rng(0).permutation(ROWS)[:30]
    assert list(images.read(rows)) == [f"image {row}".encode() for row in rows]
    assert sorted(read) == sorted(set(read))


def test_a_table_says_how_many_rows_are_read_for_one(images: Tables) -> None:
    assert images.rows_at_once == GROUP
