"""A selection from its candidates to its record and page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from study.cluster import connection, nodes
from study.cluster.allocation import GIB, allocate
from study.data.splits import DatasetSplits
from study.options.keywords import SelectKeywords
from study.report import selection as report
from study.results.selection import Selection
from study.selection import candidates, race
from study.selection.candidates import Field
from study.selection.limits import within
from study.selection.measuring import Runs
from study.selection.options import limits, named
from study.selection.race import Race, Rules
from study.selection.recording import Context, recorded
from study.selection.subsets import nested, sizes
from study.text import duration, plural, shorten
from trainables.weights import reach

Say = Callable[[str], object]
BYTES_ON_A_GPU, BYTES_ON_A_CPU = 8 * GIB, GIB  # of a large model and a batch of its images, 256 or 16
FINISHING = 0.5  # seconds of the budget for the record and the page


@dataclass(frozen=True)
class Plan:
    """What is selected from, all of it checked.

    Attributes:
        budget: seconds, of which those before the race count too.
        latency: seconds that an image may take; None for any.
        margin: of accuracy, that a gap may close when the images double.
        keep: how many to continue with at most.
        seed: of the subsets.
        folder: where the record is written.
        command: the line that does it again.
        dataset: as --dataset has it, for the command that continues; and `shared`, what that is given, too.
    """

    field: Field
    splits: DatasetSplits
    scale: str
    budget: float
    latency: float | None
    margin: float
    keep: int
    seed: int
    precision: str
    offline: bool
    folder: Path
    command: str
    dataset: str
    split_seed: int
    shared: Sequence[str]


def run(plan: Plan, *, since: float, say: Say, verbose: bool = False) -> Selection:
    """Races, writes the record and the page, and gives back what came of it.

    Raises ValueError for a budget that is too small for one candidate, and where none can be measured.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    splits, field = plan.splits, plan.field
    for note in field.notes:
        say(note)
    labels = splits.source.labels[splits.train]
    rules = Rules(sizes(len(labels), len(splits.source.classes)), plan.budget - FINISHING, plan.margin)
    say(
        f"{plural(len(field.candidates), 'candidate')} on {splits.source.name}, subsets of "
        f"{' '.join(f'{size:,}' for size in rules.sizes)} training images, {duration(plan.budget)}"
    )
    with connection.connected(verbose=verbose):
        here = nodes.here()
        needed = BYTES_ON_A_GPU if here.gpus else BYTES_ON_A_CPU
        runs = Runs(
            candidates={one.name: one for one in field.candidates},
            splits=splits,
            order=nested(labels, plan.seed),
            sizes=rules.sizes,
            allocation=allocate(1, None, here, lambda: needed, per_gpu="auto" if here.gpus else None),
            budget=rules.budget,
            began=since,
            precision=plan.precision,
            latency=plan.latency,
            offline=plan.offline,
        )
        begun = Race(
            [one.name for one in field.candidates],
            rules,
            hints={one.name: float(one.parameters) for one in field.candidates if one.parameters},
        )
        finished = race.run(begun, runs, say=lambda now, round, gone: say(of_round(now, round, gone)))
    if not finished.measured:
        raise none_measured(finished, runs, plan)
    context = Context(
        dataset=splits.source.name,
        place=plan.dataset,
        fingerprint=splits.fingerprint,
        split=splits.sizes(),
        split_seed=plan.split_seed,
        scale=plan.scale,
        budget=plan.budget,
        keep=plan.keep,
        seed=plan.seed,
        notes=field.notes,
        started=started,
        command=plan.command,
        shared=plan.shared,
    )
    found = recorded(finished, runs, context, seconds=perf_counter() - since)
    found.write(plan.folder)
    report.write(found, plan.folder)
    return found


def field(options: SelectKeywords, scale: str, in_time: Callable[[], bool]) -> Field:
    """Who takes part: named, within the limits, with weights that are to be had, in order.

    Args:
        options: as the command line has them.
        scale: mini or paper.
        in_time: whether there is time to count parameters.

    Raises ValueError for a mistake, and where nobody is left.
    """
    found = named(options, scale)
    if options.scores is not None:
        found = candidates.with_scores(found, options.scores)
    found, notes = candidates.at_hand(found, options.weights_dir, offline=lambda: options.offline or not reachable())
    if not found:
        raise ValueError(f"no candidate is left: {notes[0]}")
    found, more = within(candidates.in_turn(found), limits(options), in_time=in_time)
    return Field(tuple(candidates.in_turn(found)), (*notes, *more))


def reachable() -> bool:
    try:
        reach("huggingface.co")
    except OSError:
        return False
    return True


def of_round(now: Race, round: int, gone: Sequence[str]) -> str:
    """What a round has come to, in a line."""
    leader = now.leader
    assert leader is not None
    there = [name for name in now.measured if now.rounds(name) > round]
    line = f"{now.rules.sizes[round]:>7,} images: {plural(len(there), 'candidate')} measured, {len(gone)} dropped"
    accuracy = now.measured[leader][-1].accuracy
    return f"{line}, {len(now.alive)} left; ahead: {leader} ({accuracy:.1%})"


def none_measured(finished: Race, runs: Runs, plan: Plan) -> ValueError:
    if runs.cut_short or not finished.failed:
        name = runs.cut_short[0] if runs.cut_short else finished.order[0]
        return ValueError(
            f"--budget {plan.budget:g}s is too small for one candidate: {name} was not through with "
            f"{plural(finished.rules.sizes[0], 'image')} by then; give more"
        )
    reasons = [f"{name}: {why}" for name, why in finished.failed.items()]
    return ValueError(f"none of {plural(len(reasons), 'candidate')} could be measured: {shorten(reasons)}")
