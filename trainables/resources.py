"""What one run may use of the machines."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Resources:
    """What one run may use: its workers, and for each of them logical CPUs, threads and GPUs (fractions share one).

    As for Ray Train, no workers means local mode: the run is trained in the process that asks for it.
    """

    workers: int = 0
    cpus: float = 1
    threads: int = 1
    gpus: float = 0
