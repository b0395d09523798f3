"""The ridge regression beside a study: what it came to in `probe.json`, its answers in `probe.parquet`."""

import json
from pathlib import Path

FACTS, ANSWERS = "probe.json", "probe.parquet"


def whole(folder: Path) -> bool:
    """Whether both are there and can be read."""
    import pyarrow.parquet as pq

    try:
        json.loads((folder / FACTS).read_text(encoding="utf-8"))["probes"]
        pq.read_table(folder / ANSWERS, page_checksum_verification=True)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True
