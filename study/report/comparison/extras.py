"""What may lie beside a record in a study's folder: runs on parts of the training images."""

from dataclasses import replace

from study.comparison import Row
from study.results import data_efficiency
from study.results.data_efficiency import Measured
from study.results.study_file import damaged


def requirements(row: Row) -> Measured | None:
    """From `data_efficiency.parquet`; None where it is not there. Raises ValueError for a file that is damaged."""
    path = data_efficiency.path(row.record.folder)
    if not path.exists():
        return None
    try:
        return replace(Measured.of(row.record, data_efficiency.read(row.record.folder)), name=row.label)
    except (KeyError, TypeError) as error:
        raise damaged(path, error) from None
