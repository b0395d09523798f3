"""A study under way: what exists only while it runs (processes, W&B, datasets), and its steps, one after the other."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ray.exceptions import RayError

from study import tracking
from study.cluster import connection, preemption
from study.data import findings
from study.design.states import Phase, RunStatus, StudyStatus
from study.execution import evaluate, room, saliency, told
from study.execution.attempts import check_most
from study.execution.candidates import START, eligible
from study.execution.failures import Unfinished
from study.execution.pool import Pool, Unanswered
from study.execution.search import search
from study.execution.searcher import RANDOM_TRIALS, SAMPLER
from study.execution.session import Interrupted, NoCompletedRuns, Session, graceful_shutdown
from study.execution.wall_clock import WallClock
from study.report import study as report
from study.report.study.live import LivePage
from study.results import best, bucket, cost, left_out, provenance, samples
from study.results.pace import Pace
from study.results.progress import runs_left
from study.results.record import Record, Row
from study.results.study_file import FORMAT, Data, ModelFacts
from study.results.writer import Writer
from study.text import shorten
from study.tracking import Tracker
from study.tracking.event_files import Both, EventFiles
from trainables.checkpoint_folder import Checkpoints
from trainables.monitoring import tell
from trainables.resources import Resources
from trainables.run import Outcome, Run
from trainables.splits import ImagesKey
from trainables.weights.reading import digest

if TYPE_CHECKING:
    from trainables.images import SplitImages

NO_MORE = sys.maxsize  # epochs of a run that has ended: what it told may be read after its end


def complete(session: Session, command: str, *, since: float) -> None:
    """The steps of a study that its record lacks, and none if it is finished.

    Args:
        command: what runs it, for the record.
        since: when that began, by `perf_counter`.

    Raises NoPlace; Interrupted; NoCompletedRuns; OSError where the record cannot be written.
    """
    with bucket.mirrored(session.record.folder, session.terminal.warn):
        if not session.finished:
            steps(session, command, since=since)
        elif not (session.record.folder / report.PAGE).exists():  # the disk was full
            report.write(session.record.folder)


def steps(session: Session, command: str, *, since: float) -> None:
    with connection.connected(verbose=session.execution.verbose), running(session, command, since=since) as study:
        study.search()
        if session.execution.search_only:
            study.leave()
            return
        study.replicate()
        study.test()
        study.finish()


@dataclass(frozen=True)
class Running:
    """The steps of a study under way.

    Attributes:
        session: the study, and its record.
        resources: what each run may use.
        max_concurrent: how many runs train at a time.
        pool: the processes that train replicates and tests.
        tracker: W&B.
        template: what every run has in common.
        datasets: what the runs may read.
        page: of the study, while it runs.
        pace: of its runs.
        clock: what time there is for them.
        logged: up to which epoch W&B has been told of each replicate and test run.
    """

    session: Session
    resources: Resources
    max_concurrent: int
    pool: Pool
    tracker: Tracker
    template: Run
    datasets: "Mapping[ImagesKey, SplitImages]"
    page: LivePage
    pace: Pace
    clock: WallClock
    logged: Counter[str] = field(default_factory=Counter)

    @property
    def checkpoints(self) -> Checkpoints:
        assert self.template.checkpoints
        return self.template.checkpoints

    def search(self) -> None:
        session, study, record = self.session, self.session.study, self.session.record
        start = perf_counter()
        if study.budget < study.trials:
            session.warn_once([f"the space has {study.budget} points, so as many trials train each of them once"])
        if 1 < study.budget <= RANDOM_TRIALS and len(record.trials) < study.budget:
            session.terminal.say(
                f"all {study.budget} trials but the first are drawn at random: TPE proposes from the "
                f"{RANDOM_TRIALS + 1}th on"
            )
        with session.terminal.phase(Phase.SEARCH, study.budget, len(record.trials)):
            if not self.clock.searched:
                self._search()
        statuses = [row["status"] for row in record.trials]
        record.note(search={status: statuses.count(status) for status in RunStatus})
        spent(session, "search", start)
        session.check()
        self.clock.end_search()
        completed = RunStatus.COMPLETED in statuses
        if not completed and not (self.clock.limited and eligible(study, record)):
            raise NoCompletedRuns(f"no trial was completed, so none can be evaluated: {reasons(record.trials)}")

    def _search(self) -> None:
        session, study = self.session, self.session.study
        search(
            study,
            session.record,
            self.template,
            self.datasets,
            self.resources,
            max_concurrent=self.max_concurrent,
            interrupted=session.interrupted,
            on_start=self._trial_started,
            on_epoch=self._epoch_ended,
            on_end=self._trial_ended,
            say=session.note,
            attempts=self.pool.attempts,
            watchdog=self.pool.watchdog,
            clock=self.clock,
        )

    def replicate(self) -> None:
        session, record = self.session, self.session.record
        start = perf_counter()
        planned = evaluate.replicate_runs(session.study, record, self.template)
        for runs in self.clock.replicates(planned):
            self._run_all(Phase.REPLICATE, runs, of=len(planned))
        ranked = [row for row in evaluate.ranking(session.study, record) if row["seeds"] or row["failed"]]
        if ranked[0]["score"] is None:
            raise NoCompletedRuns(f"no replicate was completed: {reasons(record.runs)}")
        paper = next((row for row in ranked if row["trial_id"] == START), None)
        record.note(replicates=ranked, candidates=len(eligible(session.study, record)), winner=ranked[0], paper=paper)
        of_winner = [row["run_id"] for row in record.runs if row["trial_id"] == ranked[0]["trial_id"]]
        self.tracker.tag([ranked[0]["trial_id"], *of_winner], told.WINNER)
        spent(session, "replicate", start)

    def test(self) -> None:
        session, record = self.session, self.session.record
        start = perf_counter()
        planned = evaluate.test_runs(session.study, record.winner, self.template)
        self._run_all(Phase.TEST, self.clock.tests(planned), of=len(planned))
        if not record.tables["predictions"]:
            raise NoCompletedRuns(f"no test run was completed: {reasons(record.runs)}")
        record.note(test=evaluate.verdict(record, session.splits.source.classes))
        planned = evaluate.start_runs(session.study, record, self.template)
        self._run_all(Phase.START, self.clock.start_tests(planned), of=len(planned))
        record.note(gain=evaluate.gain(record))
        spent(session, "test", start)
        self.clock.note()
        if self.clock.left < 0 or self.clock.left_out:
            session.note(left_out.sentence(record))

    def finish(self) -> None:
        session, record = self.session, self.session.record
        session.terminal.doing("measuring how fast the model answers, writing the page")
        try:
            found = self.pool.call("inference", cost.of_a_study, self.template, self.resources.threads)
            record.note(cost=found)
        except (RayError, Unanswered) as error:  # the study is complete without it
            session.terminal.warn(f"note: inference could not be measured: {str(error).strip().splitlines()[-1]}")
        saliency.keep(session, self.pool, self.template, self.datasets[ImagesKey("test")])
        best.describe(record)
        record.note(status=StudyStatus.FINISHED)
        self.checkpoints.clear()
        self.tracker.conclude(*told.of_the_end(session), model=record.folder / "best")
        self.tracker.close(timeout=60)
        try:
            report.write(record.folder)
        except OSError:
            (record.folder / report.PAGE).unlink(missing_ok=True)  # of an earlier session: --resume writes another
            raise

    def leave(self) -> None:
        """Ends after the search, as an interruption would: going on replicates and tests."""
        self.session.record.note(status=StudyStatus.INTERRUPTED)
        self.tracker.close(timeout=60)
        report.write(self.session.record.folder)

    def _trial_started(self, name: str, point: dict[str, Any]) -> None:
        self.clock.began()
        self.session.terminal.began(name)
        known = told.config(self.session, point, self.session.study.search_seed, name)
        self.tracker.begin(name, Phase.SEARCH, known, told.tags_of(Phase.SEARCH, name))

    def _epoch_ended(self, name: str, row: Row) -> None:
        self.tracker.log(name, row)
        self._show_epoch(self.template, name, row)

    def _show_epoch(self, like: Run, run_id: str, row: Row) -> None:
        images = sum(like.split_digests[name].examples for name in like.fit_on)
        self.session.terminal.epoch(run_id, row, epochs=like.last_epoch or like.recipe.epochs, images=images)

    def _trial_ended(self, row: Row, curve: list[Row]) -> None:
        session = self.session
        session.warn_once(row.get("notes", ()))
        session.record.add(trials=[{**row, **session.record.attempts_at(row["trial_id"])}], curves=curve)
        self.checkpoints.remove(row["trial_id"])
        self.tracker.finish(row["trial_id"], told.summary_of(row), row["status"])
        self._tell(Phase.SEARCH, row["trial_id"], row)
        check_most(session.record.trials, "trial")

    def _run_all(self, phase: Phase, planned: Mapping[str, tuple[Row, Run]], *, of: int) -> None:
        """Trains the runs of a phase that the record lacks, out of so many, and records each as it ends."""
        session = self.session
        done = {row["run_id"] for row in session.record.runs}
        runs = [run for name, (_, run) in planned.items() if name not in done]

        def on_start(run: Run) -> None:
            session.terminal.began(run.run_id)
            trial_id = planned[run.run_id][0]["trial_id"]
            known = told.config(session, asdict(run.hyperparameters), run.seed, trial_id)
            self.tracker.begin(run.run_id, phase, known, told.tags_of(phase, trial_id))

        def on_epoch(run: Run, epoch: Row) -> None:
            self._epoch_told(run.run_id, curve_row(run, phase, epoch))
            self._show_epoch(run, run.run_id, epoch)

        with session.terminal.phase(phase, of, len(planned) - len(runs)):
            ended = self.pool.outcomes(
                runs, self.datasets, interrupted=session.interrupted, on_start=on_start, on_epoch=on_epoch
            )
            for run, outcome in ended:
                self._run_ended(phase, planned[run.run_id][0]["trial_id"], run, outcome)
        session.check()

    def _run_ended(self, phase: Phase, trial_id: str, run: Run, outcome: Outcome) -> None:
        session, record = self.session, self.session.record
        predictions = outcome.predictions
        session.warn_once(outcome.notes)
        row = {
            **asdict(run.hyperparameters),
            **outcome.summary(),
            "run_id": run.run_id,
            "phase": phase,
            "trial_id": trial_id,
            "seed": run.seed,
            "status": RunStatus.FAILED if outcome.failure else RunStatus.COMPLETED,
            "reason": outcome.failure,
            "cause": self.pool.attempts.cause(run.run_id) if outcome.failure else None,
            **record.attempts_at(run.run_id),
            "test_accuracy": predictions.accuracy if predictions else None,
        }
        curve = [curve_row(run, phase, asdict(epoch)) for epoch in outcome.epochs]
        for epoch in curve:
            self._epoch_told(run.run_id, epoch)
        self.logged[run.run_id] = NO_MORE
        source = session.splits.source
        if predictions:
            session.looked("test", run.run_id)
        if predictions and phase is Phase.START:
            record.keep_predictions(run.seed, predictions, source.images.name, table="start")
        elif predictions:
            record.keep_predictions(run.seed, predictions, source.images.name)
        kept = {row["seed"] for row in record.tables["predictions"]}
        if predictions and outcome.state is not None and session.execution.keep_models:
            best.keep(record, run.seed, outcome.state)
        if predictions and outcome.state is not None and run.seed == min(kept):
            best.save(record, outcome.state)
            record.replace("samples", samples.choose(source, predictions, run.seed))
        record.add(runs=[row], curves=curve)
        self.checkpoints.remove(run.run_id)
        test = samples.for_tracking(record, predictions, source.classes) if predictions else None
        self.tracker.finish(run.run_id, told.summary_of(row), row["status"], test=test)
        self._tell(phase, run.run_id, row)
        check_most([row for row in record.runs if row["phase"] == phase], f"{phase} run")

    def _epoch_told(self, run_id: str, epoch: Row) -> None:
        """Logs an epoch unless it has been: whoever trains tells of it at once, and the outcome has all."""
        if epoch["epoch"] > self.logged[run_id]:
            self.logged[run_id] = epoch["epoch"]
            self.tracker.log(run_id, epoch)

    def _tell(self, phase: Phase, run_id: str, row: Row) -> None:
        """Page, terminal and Prometheus of a run that has ended."""
        session, study = self.session, self.session.study
        self.page.update()
        self.pace.add(phase, row, session.record.curve(run_id))
        completed, score = row["status"] == RunStatus.COMPLETED, study.metric.of(row)
        session.terminal.finished(run_id, session.line(row), score, completed=completed)
        tell("study_runs_ended", 1, study=study.name, phase=phase, status=row["status"])
        tell("study_runs_left", session.terminal.left, study=study.name, phase=phase)
        tell("study_device_seconds", row.get("total_seconds") or 0.0, study=study.name)
        if session.terminal.best is not None:
            tell("study_best", session.terminal.best, study=study.name)


@contextmanager
def running(session: Session, command: str, *, since: float) -> Iterator[Running]:
    """The study under way; it ends in order when it is interrupted, and its record says how it ended.

    Raises Interrupted.
    """
    study, record, terminal = session.study, session.record, session.terminal
    with graceful_shutdown(session.interrupted, terminal.warn), preemption.watched(terminal.warn):
        allocation = session.allocate()
        resources, max_concurrent = allocation.resources, allocation.at_a_time
        pool = session.pool(resources, max_concurrent, record)
        terminal.doing("starting W&B" if session.execution.wandb != "disabled" else "reading the images")
        tracker = tracking.start(
            session.execution.wandb, study.folder, study.name, say=terminal.warn, about=told.about(session, command)
        )
        if session.execution.tensorboard:
            tracker = Both(tracker, EventFiles(study.folder / "tensorboard", metric=study.metric.column))
        try:
            template = session.template()
            begin(session, template, resources, max_concurrent, command)
            datasets = session.datasets()
            session.check()
            spent(session, "startup", since)
            pace = Pace.of(record)
            clock = WallClock.of(study, record, pace, search_only=session.execution.search_only)
            terminal.expect(pace, lambda: runs_left(record), within=lambda: (clock.for_the_search, clock.left))
            page = LivePage(study.folder, lambda line: session.warn_once([line]))
            yield Running(session, resources, max_concurrent, pool, tracker, template, datasets, page, pace, clock)
        except (Interrupted, NoCompletedRuns) as end:
            interrupted = isinstance(end, Interrupted | Unfinished)
            record.note(status=StudyStatus.INTERRUPTED if interrupted else StudyStatus.FAILED)
            tracker.close(timeout=10)
            with suppress(Exception):  # the page is a courtesy here; the record is complete
                report.write(study.folder)
            raise
        except OSError:  # the record cannot be written; a comparison goes on with its next row
            with suppress(OSError):
                record.note(status=StudyStatus.INTERRUPTED)
            tracker.close(timeout=10)
            raise
        except BaseException:  # no end that was foreseen: whoever reads the record must not wait for more
            with suppress(Exception):
                record.note(status=StudyStatus.INTERRUPTED)
            raise
        finally:
            with suppress(OSError):  # the journal has what the tables lack
                record.write_tables()
            pool.close()


def begin(session: Session, template: Run, resources: Resources, max_concurrent: int, command: str) -> None:
    """Writes the head of the record."""
    study, source, record = session.study, session.splits.source, session.record
    session.terminal.say(
        f"{source.name}: {findings.counted(source.classes, source.labels)}; {findings.sizes(session.splits.sizes())}"
    )
    warnings = findings.of_splits(session.splits)
    session.warn_once(warnings)
    if source.left_out:
        names = shorten([f"{name} ({why})" for name, why in source.left_out])
        session.warn_once([f"{len(source.left_out)} images are left out: {names}"])
    as_read = template.model.described.preprocessing
    if resources.gpus and source.side is not None and source.side < as_read.size:
        as_read = as_read.of_side(source.side)  # a GPU makes them larger itself
    session.warn_once(room.notes(session.splits, as_read, template.boundaries))
    whole = template.model.build()
    if study.pretrained_variant.found:
        session.terminal.say(f"{study.model}: {study.pretrained_variant.found}: {', '.join(whole.stage_names)}")
    known = record.study.model
    if known and known.stage_names != whole.stage_names:
        raise ValueError(
            f"{study.name} was begun with other stages of {study.model}, by other versions of timm or torch: go on "
            "with those, or choose another --name"
        )
    record.note(
        format=FORMAT,
        status=StudyStatus.RUNNING,
        study=study.facts() | {"max_concurrent": max_concurrent},
        data=Data(
            name=source.name,
            classes=source.classes,
            fingerprint=session.splits.fingerprint,
            test_set=template.split_digests["test"].content,
            sizes=session.splits.sizes(),
            left_out=source.left_out,
            aside=dict(source.aside),
            pixel_range={name: (low, high) for name, (low, high) in source.pixel_range.items()},
            warnings=tuple(warnings),
        ),
        preprocessing=study.pretrained_variant.preprocessing,
        model=ModelFacts(
            parameters=whole.parameter_counts()[0],
            stage_names=tuple(whole.stage_names),
            weights=digest(session.weights),
            found=study.pretrained_variant.found or None,
        ),
        space={name: domain.facts() for name, domain in study.space.items()},
        sampler={"name": "TPE", **SAMPLER},
        command=command,
        writer=Writer.this(),
        versions=provenance.versions(),
        hardware=provenance.hardware() | devices(record),
        resources=resources,
        started=record.study.started or datetime.now(UTC).isoformat(timespec="seconds"),
    )


def devices(record: Record) -> dict[str, list[str]]:
    """Of `hardware`: every kind of device that a run of the record was trained on."""
    named = {row["device"] for row in (*record.trials, *record.runs) if row.get("device")}
    return {"devices": sorted(named)} if named else {}


def curve_row(run: Run, phase: Phase, epoch: Mapping[str, Any]) -> Row:
    return {"run_id": run.run_id, "phase": phase, "seed": run.seed, **epoch}


def reasons(rows: list[Row]) -> str:
    """Why runs failed, each once."""
    failed = {row["reason"] for row in rows if row["status"] == RunStatus.FAILED}
    return "; ".join(sorted(failed)) or "see trials.parquet"


def spent(session: Session, step: str, since: float) -> None:
    """Adds what a step took to the seconds of the record, which earlier sessions have spent some of."""
    seconds = session.record.study.seconds
    took = round(seconds.get(step, 0.0) + perf_counter() - since, 2)
    hardware = session.record.study.hardware | devices(session.record)
    session.record.note(seconds=seconds | {step: took}, hardware=hardware)
