"""W&B: a view of the study that its driver writes while the study runs. The record on disk stays the source of truth.

Every trial, replicate and test run is one run of one W&B group. The driver only puts calls into a queue; one daemon
thread imports the client, logs in and writes, so neither a trial nor the driver ever waits for W&B, and whatever
fails there is one line on the terminal. Everything that the client writes lies in the study's folder, under `wandb/`.
"""

import atexit
import io
import os
import re
import secrets
import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import wandb

Mode = Literal["online", "offline", "disabled"]
JobType = Literal["search", "replicate", "test"]
Status = Literal["completed", "pruned", "failed"]
Row = Mapping[str, Any]

# The client's own names for modes that it still accepts in WANDB_MODE.
MODES: dict[str, Mode] = {
    "online": "online",
    "run": "online",
    "shared": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}
TAGGED = ("model", "scale", "pretraining", "dataset")
MOST_TAG_CHARACTERS = 64
MOST_ID_CHARACTERS = 64
EXIT_SECONDS = 10.0


class Sample(NamedTuple):
    """A test image to look at."""

    png: bytes
    label: int
    predicted: int
    confidence: float


@dataclass(frozen=True)
class Predictions:
    """What a test run predicted.

    Args:
        classes: names, in label order.
        label: (images,) int, as are `predicted` and, as float, `confidence`.
        per_class: rows of the classification report, `statistics.scores(...)["per_class"]`.
    """

    classes: Sequence[str]
    label: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    per_class: Sequence[Row]
    samples: Sequence[Sample]


class Tracker(Protocol):
    """What the driver calls. No call waits, and none raises."""

    def begin(self, run_id: str, job_type: JobType, config: Row) -> None:
        """Opens a run; where the folder has one of that id, which was interrupted, the new one takes its place."""

    def log(self, run_id: str, row: Row) -> None:
        """Logs one epoch: `row["epoch"]` is the step."""

    def finish(self, run_id: str, summary: Row, status: Status, test: Predictions | None = None) -> None:
        """Closes a run."""

    def close(self, timeout: float) -> None:
        """Waits at most `timeout` seconds until all is written; runs that are still open count as interrupted."""


def start(
    mode: str | None,
    folder: Path,
    group: str,
    *,
    project: str = "study",
    say: Callable[[str], object] = print,
    patience: float = 15.0,
) -> Tracker:
    """Tracker of the study in `folder`.

    Args:
        mode: `online`, `offline` or `disabled`; None is what WANDB_MODE says, else online if the user is logged in.
        group: the name of the study.
        project: the W&B project, unless WANDB_PROJECT names another.
        say: prints a line; called from the tracker's thread.
        patience: how many seconds a run may wait for the server to begin, and twice that to end, before the study
            goes on offline; `close` then needs longer than that to lose nothing.
    """
    asked = mode or os.environ.get("WANDB_MODE")
    if asked and asked not in MODES:
        raise ValueError(f"W&B's mode must be online, offline or disabled, got {asked}")
    chosen = MODES[asked] if asked else None
    if chosen == "disabled":
        return Disabled()
    project = os.environ.get("WANDB_PROJECT") or project
    return Client(chosen, folder.resolve(), group, project=project, say=say, patience=patience)


@dataclass(frozen=True)
class Tracked:
    """The W&B runs of a study's folder.

    Attributes:
        record: what `config.record` of each of its runs is, and of no other study's runs.
        entity: whose project it is; None for the entity that the user has in W&B.
        project: where its runs are, or will be once they are uploaded.
        waiting: how many runs are on disk only, for `wandb sync` to upload.
    """

    folder: Path
    record: str
    entity: str | None
    project: str
    waiting: int


def tracked(folder: Path) -> Tracked | None:
    """The W&B runs of the study in `folder`; None where there are none, or none that say which record is theirs."""
    place = folder / "wandb"
    files = [place / "stamp", place / "project"]
    if not any(place.glob("*run-*/run-*.wandb")) or not all(file.is_file() for file in files):
        return None
    stamp, path = (file.read_text().strip() for file in files)
    entity, _, project = path.rpartition("/")
    offline = place.glob("offline-run-*/run-*.wandb")
    waiting = sum(not file.with_suffix(".wandb.synced").exists() for file in offline)
    return Tracked(folder, stamp, entity or None, project, waiting)


@contextmanager
def account(folder: Path) -> Iterator[str | None]:
    """The entity that the user has in W&B; None for a user who is not logged in, or whom WANDB_MODE keeps offline.

    Within the block the client is quiet, and what it writes lies in `folder`, under `wandb/`.
    Raises Unreachable where the server does not answer, or refuses; ValueError for a key that cannot be one.
    """
    environment = _Environment(**_quiet(folder))
    exits = sys.exit, sys.excepthook
    try:
        yield _entity() if MODES.get(os.environ.get("WANDB_MODE", ""), "online") == "online" else None
    finally:
        sys.exit, sys.excepthook = exits
        _teardown()
        environment.restore()


def _entity() -> str | None:
    import wandb

    if not wandb.login(prompt=False, verify=False):
        return None
    try:
        api = wandb.Api()
        return api.settings["entity"] or api.default_entity
    except Exception as error:
        raise Unreachable(_first_line(error)) from error


class Disabled:
    """Tracks nothing, and never imports the client."""

    def begin(self, run_id: str, job_type: JobType, config: Row) -> None:
        pass

    def log(self, run_id: str, row: Row) -> None:
        pass

    def finish(self, run_id: str, summary: Row, status: Status, test: Predictions | None = None) -> None:
        pass

    def close(self, timeout: float) -> None:
        pass


@dataclass
class Ending:
    summary: Row
    status: str
    test: Predictions | None


@dataclass
class Run:
    """A run that is open, with all that was asked of it, so that it can be written again offline."""

    job_type: JobType
    config: Row
    rows: list[Row] = field(default_factory=list)
    ending: Ending | None = None
    written: "wandb.Run | None" = None


class Unreachable(Exception):
    """W&B's server did not answer in time, or refused."""


class Client:
    """Writes through the real client, in one daemon thread."""

    def __init__(
        self,
        mode: Mode | None,
        folder: Path,
        group: str,
        *,
        project: str,
        say: Callable[[str], object],
        patience: float,
    ) -> None:
        self._mode = mode
        self._folder = folder
        self._group = group
        self._project = project
        self._say = say
        self._patience = patience
        self._stamp = ""
        self._runs: dict[str, Run] = {}
        self._complained = False
        self._abandoned = False
        self._environment = _Environment(**_quiet(folder))
        atexit.register(self._close_at_exit)
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    # What the driver calls.

    def begin(self, run_id: str, job_type: JobType, config: Row) -> None:
        self._calls.put(partial(self._begin, run_id, job_type, _present(config)))

    def log(self, run_id: str, row: Row) -> None:
        self._calls.put(partial(self._log, run_id, _present(row)))

    def finish(self, run_id: str, summary: Row, status: Status, test: Predictions | None = None) -> None:
        self._calls.put(partial(self._finish, run_id, Ending(_present(summary), status, test)))

    def close(self, timeout: float) -> None:
        if self._abandoned:
            return
        self._calls.put(None)
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._abandoned = True
            self._say(
                f"W&B: not everything was written within {timeout:g} s. The record in {self._folder} is complete;"
                f" to upload what W&B has: {self._sync('*run-*')}"
            )
            # The client's own exit hook would wait for the server without a bound, unless this removes it.
            _teardown(within=0)
        self._environment.restore()
        atexit.unregister(self._close_at_exit)

    def _close_at_exit(self) -> None:
        self.close(EXIT_SECONDS)

    # What the thread does.

    def _work(self) -> None:
        self._attempt(self._connect)
        while (call := self._calls.get()) is not None and not self._abandoned:
            self._attempt(call)
        for run_id in list(self._runs):
            self._attempt(partial(self._finish, run_id, Ending({}, "interrupted", None)))
        # A thread that was given up must not end the service of the next study.
        if not self._abandoned:
            _teardown()

    def _attempt(self, call: Callable[[], None]) -> None:
        if self._abandoned:
            return
        try:
            try:
                call()
            except Unreachable as error:
                self._go_on_offline(str(error))
        except Exception as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        if not self._complained and not self._abandoned:
            self._complained = True
            self._say(f"W&B: {_first_line(error)}. The study goes on; what W&B lacks is in {self._folder}")

    @contextmanager
    def _server(self) -> Iterator[None]:
        """Around calls that wait for the server, unless the study is offline."""
        try:
            yield
        except Exception as error:
            if self._mode == "offline":
                raise
            raise Unreachable(_first_line(error)) from error

    def _connect(self) -> None:
        (self._folder / "wandb").mkdir(parents=True, exist_ok=True)
        self._stamp = _stamp(self._folder / "wandb" / "stamp")
        import wandb

        exits = sys.exit, sys.excepthook
        library = wandb.setup(self._settings() if self._mode is None else self._settings(mode=self._mode))
        entity = library.settings.entity
        (self._folder / "wandb" / "project").write_text(f"{entity}/{self._project}" if entity else self._project)
        # The client replaces both for an exit code that it does not need here, and prints tracebacks twice.
        sys.exit, sys.excepthook = exits
        # Exit hooks run last in, first out: this one has to come before the client's new one, which has no bound.
        atexit.unregister(self._close_at_exit)
        atexit.register(self._close_at_exit)
        if self._mode == "offline":
            return
        with self._server():
            logged_in = wandb.login(prompt=False, verify=False)
        if self._mode is None:
            self._mode = "online" if logged_in else "disabled" if library.settings.mode == "disabled" else "offline"
        elif not logged_in:
            raise Unreachable("not logged in, which `wandb login` does")

    def _settings(self, **more: Any) -> "wandb.Settings":
        import wandb

        return wandb.Settings(
            console="off",
            silent=True,
            symlink=False,
            use_dot_wandb=False,
            disable_git=True,
            disable_code=True,
            save_code=False,
            label_disable=True,
            init_timeout=self._patience,
            finish_timeout=2 * self._patience,
            finish_timeout_raises=True,
            # The stop button of one run must not interrupt the study, which is what it does by default.
            stop_fn=lambda: None,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_disable_stats=True,
            x_save_requirements=False,
            # A study that is killed has lost one second at most.
            x_transaction_log_flush_interval=1,
            **more,
        )

    def _begin(self, run_id: str, job_type: JobType, config: Row) -> None:
        if run_id in self._runs:
            self._attempt(partial(self._finish, run_id, Ending({}, "interrupted", None)))
        self._runs[run_id] = Run(job_type, config)
        self._open(run_id)

    def _log(self, run_id: str, row: Row) -> None:
        run = self._runs[run_id]
        run.rows.append(row)
        if run.written:
            # Committed at once: the client would else hold a row back until the next one.
            run.written.log(dict(row), step=row["epoch"], commit=True)

    def _finish(self, run_id: str, ending: Ending) -> None:
        run = self._runs[run_id]
        run.ending = ending
        self._end(run)
        del self._runs[run_id]

    def _open(self, run_id: str) -> None:
        import wandb

        run = self._runs[run_id]
        identity = self._identity(run_id)
        for interrupted in (self._folder / "wandb").glob(f"*run-*/run-{identity}.wandb"):
            shutil.rmtree(interrupted.parent)
        with self._server():
            run.written = wandb.init(
                dir=self._folder,
                project=self._project,
                group=self._group,
                job_type=run.job_type,
                id=identity,
                name=f"{self._group} {run_id}",
                # Of all that W&B holds, this alone tells the runs of this record from those of another of its name.
                config={**run.config, "record": self._stamp},
                tags=_tags(run.config),
                mode=self._mode,
                reinit="create_new",
                settings=self._settings(),
            )

    def _end(self, run: Run) -> None:
        written, ending = run.written, run.ending
        if not written or not ending:
            return
        if ending.test:
            media = self._media(ending.test)
            with self._server():
                written.log(media)
        written.summary.update({**ending.summary, "status": ending.status})
        written.tags = (*(written.tags or ()), ending.status)
        with self._server():
            # 255 is the client's own code of an interruption.
            written.finish(exit_code={"failed": 1, "interrupted": 255}.get(ending.status, 0))

    def _media(self, test: Predictions) -> dict[str, Any]:
        try:
            return _media(test)
        except Exception as error:
            # An image that cannot be read must not keep the run open.
            self._complain(error)
            return {}

    def _go_on_offline(self, reason: str) -> None:
        """Writes what is open once more, offline, by a new service: the old one keeps the ids of runs that failed."""
        self._mode = "offline"
        _teardown()
        self._connect()
        self._say(f"W&B: {reason}. Logging offline from here on; to upload it later: {self._sync('offline-run-*')}")
        for run_id, run in list(self._runs.items()):
            rows, run.rows = run.rows, []
            self._attempt(partial(self._open, run_id))
            for row in rows:
                self._attempt(partial(self._log, run_id, row))
            if run.ending:
                self._attempt(partial(self._finish, run_id, run.ending))

    def _identity(self, run_id: str) -> str:
        """The W&B id of a run: the same when the study is resumed, another in a study of that name elsewhere."""
        wanted = f"{self._group}-{run_id}"
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", wanted)[:MOST_ID_CHARACTERS]
        digest = sha256(f"{self._stamp} {wanted}".encode()).hexdigest()
        return f"{plain}-{digest[:6]}"

    def _sync(self, runs: str) -> str:
        return f"wandb sync {shlex.quote(str(self._folder / 'wandb'))}/{runs}"


class _Environment:
    """Variables of the environment, until they are restored: the client reads its folders nowhere else."""

    def __init__(self, **variables: str) -> None:
        self._before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)

    def restore(self) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._before = {}


def _quiet(folder: Path) -> dict[str, str]:
    """The client's environment in a study's folder."""
    return {
        # The payloads of tables lie in the data folder until `wandb sync`; the client's service logs to the cache.
        "WANDB_DATA_DIR": str(folder / "wandb"),
        "WANDB_CACHE_DIR": str(folder / "wandb" / "cache"),
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
    }


def _teardown(within: float | None = None) -> None:
    """Ends the client's service; now and then one whose server was silent never ends: docs/decisions.md."""

    def end() -> None:
        # Leaving with the exit code of a service that died, or finding it gone, is no news here.
        with suppress(Exception, SystemExit):
            import wandb

            wandb.teardown()

    ending = threading.Thread(target=end, daemon=True)
    ending.start()
    ending.join(EXIT_SECONDS if within is None else within)


def _stamp(path: Path) -> str:
    """What tells this folder's runs from those of a study of the same name in another folder."""
    if not path.exists():
        path.write_text(secrets.token_hex(8))
    return path.read_text()


def _present(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def _tags(config: Row) -> list[str]:
    # A tag that is too long keeps its end, which is what tells one path from another.
    tags = [str(config[name])[-MOST_TAG_CHARACTERS:] for name in TAGGED if config.get(name)]
    return list(dict.fromkeys(tags))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def _media(test: Predictions) -> dict[str, Any]:
    """The confusion matrix, the classification report, sample images, and how sure the model was."""
    import wandb

    columns = list(test.per_class[0])
    names = test.classes
    correct = test.label == test.predicted
    media: dict[str, Any] = {
        "confusion_matrix": wandb.plot.confusion_matrix(
            y_true=test.label.tolist(),
            preds=test.predicted.tolist(),
            class_names=list(names),
            title="Confusion matrix",
        ),
        "classification_report": wandb.Table(
            columns=[*columns], data=[[row[column] for column in columns] for row in test.per_class]
        ),
        "samples": wandb.Table(
            columns=["image", "label", "predicted", "confidence", "correct"],
            data=[
                [
                    wandb.Image(Image.open(io.BytesIO(sample.png))),
                    names[sample.label],
                    names[sample.predicted],
                    sample.confidence,
                    sample.label == sample.predicted,
                ]
                for sample in test.samples
            ],
        ),
    }
    for outcome, which in (("correct", correct), ("wrong", ~correct)):
        if which.any():
            media[f"confidence_{outcome}"] = wandb.Histogram(test.confidence[which])
    return media
