"""What may lie beside a record in a study's folder: a linear probe, and runs on parts of the training images."""

import json
from dataclasses import dataclass, replace

from study.comparison import Row
from study.results import data_efficiency
from study.results.data_efficiency import Measured
from study.results.study_file import damaged
from study.statistics import Interval


@dataclass(frozen=True)
class Probe:
    """Ridge regression on the frozen features of the row's variant."""

    accuracy: float
    interval: Interval


def probe(row: Row) -> Probe | None:
    """From `probe.json`; None where there is none of this variant. Raises ValueError for a file that is damaged."""
    path = row.record.folder / "probe.json"
    if not path.exists():
        return None
    try:
        probes = [one for one in json.loads(path.read_text())["probes"] if one["variant"] == row.variant]
        return Probe(probes[0]["accuracy"], Interval(*probes[0]["interval"])) if probes else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, error) from None


def requirements(row: Row) -> Measured | None:
    """From `data_efficiency.parquet`; None where it is not there. Raises ValueError for a file that is damaged."""
    path = data_efficiency.path(row.record.folder)
    if not path.exists():
        return None
    try:
        return replace(Measured.of(row.record, data_efficiency.read(row.record.folder)), name=row.label)
    except (KeyError, TypeError) as error:
        raise damaged(path, error) from None
