"""A study under way: what its steps share (record, data, terminal, W&B), and what happens between them."""

import argparse
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from types import FrameType
from typing import Any, Self

from ray.exceptions import RayError
from torch import Tensor

from study import tracking
from study.cluster import connection
from study.cluster.allocation import allocate
from study.data import resolve
from study.data.reading import datasets_of_study
from study.data.splits import DatasetSplits, choose, split
from study.design.states import Phase, RunStatus, StudyStatus
from study.design.study import Study
from study.execution import evaluate
from study.execution.pool import Pool
from study.execution.search import search
from study.execution.searcher import SAMPLER
from study.options import command_line
from study.report import study as report
from study.results import best, cost, provenance, samples
from study.results.record import Record, Row
from study.results.study_file import FORMAT, plain
from study.terminal.progress import Terminal
from study.terminal.runs import format_run
from study.text import shorten
from trainables import building
from trainables.augmentation import needs_margin
from trainables.trainer import Model, Outcome, Run
from trainables.weights.reading import digest


class Interrupted(Exception):
    """The user pressed Ctrl-C: what is finished is in the record."""


class NoCompletedRuns(Exception):
    """Every run of a step failed, so the next one has nothing to work on."""


@contextmanager
def graceful_shutdown(interrupted: threading.Event, say: Callable[[str], None]) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) sets the event, the second ends everything at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        say("stopping: what is finished is kept; Ctrl-C again to leave at once")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class Session:
    study: Study
    options: argparse.Namespace
    terminal: Terminal
    record: Record
    splits: DatasetSplits
    weights: dict[str, Tensor] | None
    interrupted: threading.Event = field(default_factory=threading.Event)
    _said: set[str] = field(default_factory=set)

    @classmethod
    def prepare(cls, options: argparse.Namespace, study: Study) -> Self:
        """Everything that may be a user's mistake, before anything starts or is written. Raises ValueError."""
        command_line.check_folder(study, resume=options.resume)
        record = Record(study.folder)
        if record.begun:
            command_line.check_same(study, plain(record.configuration), tested=bool(record.tables["predictions"]))
        splits = choose(
            split(resolve.load(study.dataset, study.request)),
            fraction=study.train_fraction,
            images_per_class=study.images_per_class,
            seed=study.seed,
        )
        if record.begun:
            command_line.check_same_images(study, record.data.fingerprint, splits.fingerprint)
        weights = building.pretrained(
            study.architecture, study.pretrained_variant, path=options.weights, offline=options.offline
        )
        if record.begun:
            command_line.check_same_weights(study, record.model.weights, digest(weights))
        command_line.make_folder(study.folder)
        return cls(study, options, Terminal(quiet=options.quiet, metric=study.metric), record, splits, weights)

    @property
    def finished(self) -> bool:
        """Whether the record holds all that this study asks for."""
        return self.record.study.status is StudyStatus.FINISHED

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ends in order when it is interrupted; the record says how it ended."""
        study = self.study
        with graceful_shutdown(self.interrupted, self.terminal.warn):
            self.resources, self.max_concurrent = allocate(study.workers_per_trial, self.options.max_concurrent)
            self.pool = Pool(self.resources, self.max_concurrent)
            self.tracker = tracking.start(
                self.options.wandb, folder=study.folder, group=study.name, say=self.terminal.warn
            )
            try:
                yield
            except (Interrupted, NoCompletedRuns) as end:
                interrupted = isinstance(end, Interrupted)
                self.record.note(status=StudyStatus.INTERRUPTED if interrupted else StudyStatus.FAILED)
                self.tracker.close(timeout=10)
                with suppress(Exception):  # the page is a courtesy here; the record is complete
                    report.write(study.folder)
                raise
            except OSError:  # the record cannot be written; a comparison goes on with its next row
                self.tracker.close(timeout=10)
                raise
            finally:
                self.pool.close()

    def start(self, command: str, *, since: float) -> None:
        """Writes the head of the record and gets ready what every run shares."""
        study, source = self.study, self.splits.source
        if source.left_out:
            shown = shorten([f"{name} ({why})" for name, why in source.left_out])
            self.warn_once([f"{len(source.left_out)} images are left out: {shown}"])
        variant = study.pretrained_variant
        self.template = self.run()
        whole = self.template.model.build()
        self.record.note(
            format=FORMAT,
            status=StudyStatus.RUNNING,
            study=study.facts() | {"max_concurrent": self.max_concurrent},
            data={
                "name": source.name,
                "classes": source.classes,
                "fingerprint": self.splits.fingerprint,
                "test_set": self.template.split_digests["test"].content,
                "sizes": self.splits.sizes(),
                "left_out": source.left_out,
            },
            preprocessing=variant.preprocessing,
            model={
                "parameters": whole.parameter_counts()[0],
                "stage_names": whole.stage_names,
                "weights": digest(self.weights),
            },
            space={name: domain.facts() for name, domain in study.space.items()},
            sampler={"name": "TPE", **SAMPLER},
            command=command,
            versions=provenance.versions(),
            hardware=provenance.hardware(),
            resources=self.resources,
            started=self.record.study.started or datetime.now(UTC).isoformat(timespec="seconds"),
        )
        margin = any(needs_margin(str(name)) for name in study.possible("augmentation"))
        self.datasets = datasets_of_study(self.splits, variant.preprocessing, margin=margin)
        self.check()
        self._spent("startup", since)

    def run(self) -> Run:
        """What every run of the study has in common."""
        study, classes = self.study, len(self.splits.source.classes)
        return Run(
            run_id="",
            model=Model(
                *(study.model, study.scale, study.variant, classes),
                weights=connection.put(self.weights),
                preprocessing=study.preprocessing,
            ),
            hyperparameters=study.point({}),
            recipe=study.recipe,
            seed=study.seed,
            split_digests=self.splits.digests(),
            precision=study.precision,
            boundaries=self.options.boundaries,
            grad_accum_steps=study.grad_accum,
            metric=study.metric,
            readers=study.trials if "freeze_depth" in study.fixed else study.trials / (study.backbone_stages + 1),
        )

    def search(self) -> None:
        start = perf_counter()
        if self.study.budget < self.study.trials:
            self.warn_once([f"the space has {self.study.budget} points, so as many trials train each of them once"])
        with self.terminal.phase(Phase.SEARCH, self.study.budget, len(self.record.trials)):
            search(
                self.study,
                self.record,
                self.template,
                self.datasets,
                self.resources,
                max_concurrent=self.max_concurrent,
                interrupted=self.interrupted,
                on_start=self._trial_started,
                on_epoch=self.tracker.log,
                on_end=self._trial_ended,
            )
        statuses = [row["status"] for row in self.record.trials]
        self.record.note(search={status: statuses.count(status) for status in RunStatus})
        self._spent("search", start)
        self.check()
        if RunStatus.COMPLETED not in statuses:
            raise NoCompletedRuns(
                f"no trial was completed, so none can be evaluated: {self._reasons(self.record.trials)}"
            )

    def replicate(self) -> None:
        start = perf_counter()
        self._run_all(Phase.REPLICATE, evaluate.replicate_runs(self.study, self.record, self.template))
        ranked = evaluate.ranking(self.study, self.record)
        if ranked[0]["score"] is None:
            raise NoCompletedRuns(f"no replicate was completed: {self._reasons(self.record.runs)}")
        paper = next((row for row in ranked if row["trial_id"] == evaluate.PAPER), None)
        self.record.note(replicates=ranked, winner=ranked[0], paper=paper)
        self._spent("replicate", start)

    def test(self) -> None:
        start = perf_counter()
        self._run_all(Phase.TEST, evaluate.test_runs(self.study, self.record.winner, self.template))
        if not self.record.tables["predictions"]:
            raise NoCompletedRuns(f"no test run was completed: {self._reasons(self.record.runs)}")
        self.record.note(test=evaluate.verdict(self.record, self.splits.source.classes))
        self._spent("test", start)

    def finish(self) -> None:
        try:
            self.record.note(cost=self.pool.call(cost.of_a_study, self.template, self.resources.threads))
        except RayError as error:  # the study is complete without it
            self.terminal.warn(f"note: inference could not be measured: {str(error).strip().splitlines()[-1]}")
        best.describe(self.record)
        self.record.note(status=StudyStatus.FINISHED)
        self.tracker.close(timeout=60)
        report.write(self.study.folder)

    def _reasons(self, rows: list[Row]) -> str:
        failed = {row["reason"] for row in rows if row["status"] == RunStatus.FAILED}
        return "; ".join(sorted(failed)) or "see trials.parquet"

    def check(self) -> None:
        if self.interrupted.is_set():
            raise Interrupted

    def warn_once(self, notes: Iterable[str]) -> None:
        """What a run had to say besides its result, once each."""
        for note in notes:
            if note not in self._said:
                self._said.add(note)
                self.terminal.warn(f"note: {note}")

    def _trial_started(self, name: str, point: dict[str, Any]) -> None:
        self.tracker.begin(name, Phase.SEARCH, self._config(point, self.study.seed))

    def _trial_ended(self, row: Row, curve: list[Row]) -> None:
        self.warn_once(row.get("notes", ()))
        self.record.add(trials=[row], curves=curve)
        self.tracker.finish(row["trial_id"], summary_of(row), row["status"])
        self.terminal.finished(
            row["trial_id"], self.line(row), self.study.metric.of(row), completed=row["status"] == RunStatus.COMPLETED
        )

    def _run_all(self, phase: Phase, planned: dict[str, tuple[Row, Run]]) -> None:
        """Trains the runs of a phase that the record lacks, and records each as it ends."""
        done = {row["run_id"] for row in self.record.runs}
        runs = [run for name, (_, run) in planned.items() if name not in done]

        def on_start(run: Run) -> None:
            self.tracker.begin(run.run_id, phase, self._config(asdict(run.hyperparameters), run.seed))

        with self.terminal.phase(phase, len(planned), len(planned) - len(runs)):
            ended = self.pool.outcomes(runs, self.datasets, interrupted=self.interrupted, on_start=on_start)
            for run, outcome in ended:
                self._run_ended(phase, planned[run.run_id][0]["trial_id"], run, outcome)
        self.check()

    def _run_ended(self, phase: Phase, trial_id: str, run: Run, outcome: Outcome) -> None:
        seen = outcome.predictions
        self.warn_once(outcome.notes)
        row = {
            **asdict(run.hyperparameters),
            **outcome.summary(),
            "run_id": run.run_id,
            "phase": phase,
            "trial_id": trial_id,
            "seed": run.seed,
            "status": RunStatus.FAILED if outcome.failure else RunStatus.COMPLETED,
            "reason": outcome.failure,
            "test_accuracy": seen.accuracy if seen else None,
        }
        curve = [{"run_id": run.run_id, "phase": phase, "seed": run.seed, **asdict(epoch)} for epoch in outcome.epochs]
        for epoch in curve:
            self.tracker.log(run.run_id, epoch)
        if seen:
            self.record.keep_predictions(run.seed, seen, self.splits.source.images.name)
        kept = {seed["seed"] for seed in self.record.tables["predictions"]}
        if seen and outcome.state is not None and run.seed == min(kept):
            best.save(self.record, outcome.state)
            self.record.replace("samples", samples.choose(self.splits.source, seen, run.seed))
        self.record.add(runs=[row], curves=curve)
        test = samples.for_tracking(self.record, seen, self.splits.source.classes) if seen else None
        self.tracker.finish(run.run_id, summary_of(row), row["status"], test=test)
        self.terminal.finished(run.run_id, self.line(row), self.study.metric.of(row), completed=not outcome.failure)

    def line(self, row: Row) -> str:
        """A run for the terminal."""
        return format_run(row, [*self.study.space, *self.study.fixed], self.study.metric)

    def _config(self, point: dict[str, Any], seed: int) -> dict[str, Any]:
        return asdict(self.study.point(point)) | self.study.facts() | {"seed": seed}

    def _spent(self, step: str, since: float) -> None:
        seconds = self.record.study.seconds
        self.record.note(seconds=seconds | {step: round(seconds.get(step, 0.0) + perf_counter() - since, 2)})


def summary_of(row: Row) -> dict[str, Any]:
    """What W&B shows of a run as its summary."""
    return {
        name: value for name, value in row.items() if isinstance(value, int | float) and not isinstance(value, bool)
    }
