"""A file is replaced as a whole, or stays as it was."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from study.files import replacing, write_json, write_parquet, write_text


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_text(path, "old")
    with replacing(path) as part:
        part.write_text("ne")
        assert path.read_text() == "old"
        part.write_text("new")
    assert path.read_text() == "new"


@pytest.mark.parametrize("several_writers", [False, True])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, several_writers: bool) -> None:
    path = tmp_path / "page.html"
    write_text(path, "old")

    def write() -> None:
        with replacing(path, several_writers=several_writers) as part:
            part.write_text("ne")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_takes_what_json_has_no_word_for_as_text(tmp_path: Path) -> None:
    write_json(tmp_path / "facts.json", {"results": Path("results")})
    assert json.loads((tmp_path / "facts.json").read_text()) == {"results": "results"}


def test_a_table_is_written_as_it_was_given(tmp_path: Path) -> None:
    table = pa.table({"n": [1, 2]})
    write_parquet(tmp_path / "n.parquet", table)
    assert pq.read_table(tmp_path / "n.parquet").equals(table)
