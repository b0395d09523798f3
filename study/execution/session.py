"""A study that may begin, or go on: all of it that could be a user's mistake is checked, and nothing has started."""

import shlex
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from math import ceil
from types import FrameType
from typing import TYPE_CHECKING, Self

from torch import Tensor

from study.cluster import connection, environment, gpu, nodes
from study.cluster.allocation import GIB, Allocation, allocate
from study.data import place, resolve
from study.data.reading import datasets_of_study, start_helpers_here
from study.data.splits import DatasetSplits, split, subset
from study.design.execution import Execution
from study.design.states import StudyStatus
from study.design.study import Study
from study.execution.attempts import Attempts
from study.execution.failures import NoCompletedRuns as NoCompletedRuns
from study.execution.pool import Pool
from study.execution.watchdog import Watchdog
from study.results import going_on, ledger, lock, resume
from study.results.lock import Lock
from study.results.record import Record, Row
from study.terminal.progress import Terminal
from study.terminal.runs import format_run
from study.terminal.supervisor import in_order, tell
from trainables import building, checkpoint_folder, measuring
from trainables.augmentation import needs_margin
from trainables.checkpoint_folder import Checkpoints
from trainables.images import here
from trainables.memory import training_bytes
from trainables.resources import Resources
from trainables.run import Model, Run
from trainables.splits import ImagesKey
from trainables.weights.reading import digest

if TYPE_CHECKING:
    from trainables.images import SplitImages


MARGIN = 1.1  # for what torch's allocator keeps of memory in pieces


class Interrupted(Exception):
    """The user pressed Ctrl-C: what is finished is in the record."""


@contextmanager
def graceful_shutdown(interrupted: threading.Event, say: Callable[[str], None]) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) sets the event, the second ends everything at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        say("stopping: what is finished is kept; Ctrl-C again to leave at once")

    with in_order(stop):
        yield


@dataclass(frozen=True)
class Session:
    """One study, as this process runs it; `execution.running.Running` is what exists only while it does.

    Attributes:
        study: what is studied.
        execution: how it is run.
        terminal: where it says what it does.
        lock: on the folder of the record, which no other process writes meanwhile.
        record: the study's record, which may hold what an earlier session finished.
        splits: the dataset, split; of train the part that the study is about.
        weights: of the pretrained backbone, by tensor name; None for a model that starts from random ones.
        interrupted: set when the user asks to stop.
    """

    study: Study
    execution: Execution
    terminal: Terminal
    lock: Lock
    record: Record
    splits: DatasetSplits
    weights: dict[str, Tensor] | None
    interrupted: threading.Event = field(default_factory=threading.Event)
    _noted: set[str] = field(default_factory=set)

    @classmethod
    def prepare(
        cls,
        study: Study,
        execution: Execution,
        *,
        command: str | None = None,
        interrupted: threading.Event | None = None,
        terminal: Terminal | None = None,
    ) -> Self:
        """Everything that may be a user's mistake, before anything starts or is written.

        Args:
            command: that the lock on the folder names; this process's own if it is not given.
            interrupted: the event that asks to stop, where several sessions share one.
            terminal: that shows something already; by default one of its own.

        Raises ValueError.
        """
        resume.check_folder(study, resume=execution.resume)
        held = lock.take(study.folder, command or shlex.join(sys.orig_argv))  # now nobody changes what is read
        tell(folders=[study.folder], made=held.made)
        try:
            resume.check_new(study.folder, resume=execution.resume)
            terminal = terminal or Terminal(quiet=execution.quiet)
            return cls._prepared(study, execution, terminal, held, interrupted or threading.Event())
        except BaseException:
            held.release()
            raise

    @classmethod
    def _prepared(
        cls, study: Study, execution: Execution, terminal: Terminal, held: Lock, interrupted: threading.Event
    ) -> Self:
        terminal.begin(study.metric)
        record = Record(study.folder)
        resume.check_begun(study.folder, record.study)
        if record.begun:
            study = resume.by_its_rules(study, record.study)
            resume.check_same(study, record.study, tested=bool(record.tables["predictions"]))
        terminal.doing(f"looking at the images of {place.name_of(study.dataset)}")
        splits = subset(
            split(resolve.load(study.dataset, study.request), seed=study.split_seed),
            fraction=study.train_fraction,
            images_per_class=study.images_per_class,
            seed=study.seed,
        )
        if record.begun:
            resume.check_same_images(study, record.data.fingerprint, splits.fingerprint)
        variant = study.pretrained_variant
        terminal.doing(f"loading the weights of {variant.name}")
        weights = building.pretrained(study.architecture, variant, path=execution.weights, offline=execution.offline)
        if record.begun:
            resume.check_same_weights(study, record.model.weights, digest(weights))
        for note in record.notes:
            terminal.warn(f"note: {note}")
        if record.notes:
            with suppress(OSError):  # those of a finished study, too, which nothing else would write again
                record.write_tables()

        if record.begun and record.study.status is not StudyStatus.FINISHED:
            terminal.say(going_on.found(record, study.budget, going_on.take_back(record)))

        def stop(line: str) -> None:
            terminal.warn(f"error: {line}")
            interrupted.set()

        held.on_loss = stop
        return cls(study, execution, terminal, held, record, splits, weights, interrupted)

    @property
    def finished(self) -> bool:
        """Whether the record holds all that this study asks for."""
        return self.record.study.status is StudyStatus.FINISHED

    def model(self) -> Model:
        """The model, with its weights in Ray's object store."""
        study, classes = self.study, len(self.splits.source.classes)
        return Model(
            *(study.model, study.scale, study.variant, classes),
            weights=connection.put(self.weights),
            preprocessing=study.preprocessing,
            sync_batchnorm=study.sync_batchnorm,
        )

    def template(self) -> Run:
        """What every run of the study has in common."""
        study = self.study
        return Run(
            run_id="",
            model=self.model(),
            hyperparameters=study.point({}),
            recipe=study.recipe,
            seed=study.search_seed,
            split_digests=self.splits.digests(),
            precision=study.precision,
            boundaries=self.execution.boundaries,
            grad_accum_steps=study.grad_accum,
            compile=study.compile,
            metric=study.metric,
            checkpoints=self.checkpoints(),
            readers=study.trials if "freeze_depth" in study.fixed else study.trials / (study.backbone_stages + 1),
        )

    def checkpoints(self) -> Checkpoints:
        """Where its runs are kept while they train."""
        folder = self.study.folder.absolute() / checkpoint_folder.FOLDER
        return Checkpoints(folder, here(), self.execution.checkpoint_every, digest(self.weights))

    def datasets(self) -> "dict[ImagesKey, SplitImages]":
        """All that its runs may read."""
        if environment.address() is not None:
            start_helpers_here()
        margin = any(needs_margin(str(name)) for name in self.study.possible("augmentation"))
        return datasets_of_study(self.splits, self.study.pretrained_variant.preprocessing, margin=margin)

    def allocate(self) -> Allocation:
        """What each of its runs may use of the cluster, and how many run at a time. Raises NoPlace."""
        execution = self.execution
        shared = execution.max_concurrent is not None or execution.trials_per_gpu is not None
        cluster = nodes.here(gpu_memory=shared)
        measures = execution.trials_per_gpu == "auto" and any(node.gpus for node in cluster.nodes)
        found = allocate(
            self.study.workers_per_trial,
            execution.max_concurrent,
            cluster,
            self.measured_bytes if measures else self.run_bytes,
            per_gpu=execution.trials_per_gpu,
        )
        self.warn_once(found.notes)
        return found

    def run_bytes(self) -> float:
        """An estimate of what the tensors of a run take, in the largest batch that its workers may have."""
        study = self.study
        batch = max(float(size) for size in study.possible("batch_size") if size is not None) / study.workers_per_trial
        built = building.assemble(study.architecture, study.pretrained_variant, len(self.splits.source.classes))
        size = (study.preprocessing or study.pretrained_variant.preprocessing).size
        half = gpu.available() and study.precision not in {"fp32", "tf32"}
        return training_bytes(built, size, ceil(batch / (study.grad_accum or 1)), half=half)

    def measured_bytes(self) -> float:
        """What the tensors of a run take at most, as its largest step takes it on a GPU; an estimate where none does.

        A trial that has ended is no measure of it: the next one may freeze less, and have larger batches.
        """
        study = self.study
        sizes = [int(str(size)) for size in study.possible("batch_size")]
        depths = [int(str(depth)) for depth in study.possible("freeze_depth")]
        largest = study.point({"batch_size": max(sizes), "freeze_depth": min(depths)})
        run = replace(self.template(), model=replace(self.model(), weights=None), hyperparameters=largest)
        measured = measuring.on_a_gpu(run)
        if measured is None:
            return self.run_bytes()
        self.warn_once([f"a run takes {measured / GIB:.1f} GiB of a GPU, measured by a step of the largest"])
        return MARGIN * measured

    def pool(self, resources: Resources, size: int, record: Record | None = None) -> Pool:
        """Processes for the study, `size` of them at a time.

        Args:
            resources: of each.
            record: where attempts at its runs are noted; None for what is no part of one.
        """
        attempts = Attempts(self.execution.max_failures, self.note, record)
        watchdog = Watchdog(attempts, self.study.folder, self.execution.stall_timeout, self.terminal.told)
        return Pool(resources, size, self.note, attempts, watchdog)

    def check(self) -> None:
        """Raises Interrupted if the user has asked to stop."""
        if self.interrupted.is_set():
            raise Interrupted

    def looked(self, what: str, run_id: str = "") -> None:
        """The test images were predicted, by a run where it has an id: the machine's ledger counts it."""
        started = self.record.study.started or ""
        ledger.note(self.splits.test_set, what=what, study=self.study.name, started=started, run=run_id)

    def note(self, line: str) -> None:
        """Something that happens to the study while it runs."""
        self.terminal.warn(f"note: {line}")

    def warn_once(self, notes: Iterable[str]) -> None:
        """What a run had to say besides its result, once each."""
        for note in notes:
            if note not in self._noted:
                self._noted.add(note)
                self.terminal.warn(f"note: {note}")

    def line(self, row: Row) -> str:
        """A run for the terminal."""
        return format_run(row, self.study.shown, self.study.metric)
