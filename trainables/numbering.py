"""Where every Ray Dataset of ours begins: numbers, in blocks, each of which one task makes something of."""

import ray
from ray.data import Dataset
from ray.data._internal.datasource.range_datasource import RangeDatasource


def numbers(n: int, *, blocks: int, cpus: float, labels: dict[str, str] | None = None) -> Dataset:
    """`id` from 0 to n - 1, as `ray.data.range` gives them, whose tasks always ask for a whole CPU.

    On nodes where trials leave less than one, such a task waits for ever. What follows must ask for the same `cpus` and
    `labels`, so that Ray makes one task of both.

    Args:
        cpus: logical CPUs of each task.
        labels: of the nodes where it may run.
    """
    source = RangeDatasource(n, block_format="arrow", column_name="id")
    return ray.data.read_datasource(source, num_cpus=cpus, label_selector=labels, override_num_blocks=blocks)
