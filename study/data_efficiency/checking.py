"""What may be wrong with the options, seen before torch is imported or a record read."""

from study.cluster import environment
from study.data_efficiency import finished
from study.design.execution import Execution
from study.options.command_line import stall_timeout
from study.options.keywords import DataEfficiencyKeywords
from study.results import bucket, lock


def check(options: DataEfficiencyKeywords) -> None:
    """Raises ValueError."""
    environment.check()
    execution(options)
    if options.seeds is not None and options.seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {options.seeds}")
    if options.weights and len(options.studies) > 1:
        raise ValueError(f"weights are those of one study, got {len(options.studies)} studies: give one at a time")
    for folder in options.studies:
        bucket.fetch(folder)
        lock.check(folder)
        finished.check(folder)


def execution(options: DataEfficiencyKeywords) -> Execution:
    """How every study's runs are. Raises ValueError."""
    return Execution(
        resume=True,
        max_concurrent=options.max_concurrent,
        max_failures=options.max_failures,
        stall_timeout=stall_timeout(options.stall_timeout),
        weights=options.weights,
        offline=options.offline,
        quiet=options.quiet,
    )
