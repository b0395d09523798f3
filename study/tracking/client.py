"""The tracker that writes: what the driver calls goes into a queue, and one thread hands it to W&B's client."""

import atexit
import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from study.design.states import Phase, RunStatus
from study.tracking import copies, service, sweep
from study.tracking.folder import open_mark, stamp
from study.tracking.media import artifact, media
from study.tracking.run import RESULT, Ending, Run, id_of, name_of_model, tags
from study.tracking.tracker import About, Mode, Predictions, Row

INTERRUPTED = "interrupted"  # a run that was open when its study ended
FIRST_TRIAL = "trial-000"
UPLOADS = 20  # times as much patience has the run that uploads a model
NOTHING = About()
WHOSE = ("run_id", "phase", "seed")  # of an epoch's row: of the whole run, and in its configuration


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
        about: About = NOTHING,
    ) -> None:
        self._mode = mode
        self._folder = folder
        self._group = group
        self._project = project
        self._say = say
        self._patience = patience
        self._about = about
        self._entity: str | None = None
        self._sweep: str | None = None
        self._no_sweep = False
        self._path = ""
        self._stamp = ""
        self._runs: dict[str, Run] = {}
        self._complained = False
        self._abandoned = False
        self._environment = service.Environment(**service.quiet(folder), **dict.fromkeys(service.of_another_run()))
        atexit.register(self._close_at_exit)
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    # What the driver calls.

    def begin(self, run_id: str, phase: Phase, config: Row, tags: Sequence[str] = ()) -> None:
        self._calls.put(partial(self._begin, run_id, Run(str(phase), _present(config), tags)))

    def log(self, run_id: str, row: Row) -> None:
        logged = {name: value for name, value in _present(row).items() if name not in WHOSE}
        self._calls.put(partial(self._log, run_id, logged))

    def finish(self, run_id: str, summary: Row, status: RunStatus, test: Predictions | None = None) -> None:
        self._calls.put(partial(self._finish, run_id, Ending(_present(summary), str(status), test)))

    def tag(self, run_ids: Sequence[str], tag: str) -> None:
        self._calls.put(partial(self._tag, run_ids, tag))

    def conclude(self, config: Row, summary: Row, model: Path) -> None:
        run = Run(RESULT, _present(config), ("winner",))
        self._calls.put(partial(self._begin, RESULT, run))
        self._calls.put(partial(self._finish, RESULT, Ending(_present(summary), RunStatus.COMPLETED, model=model)))

    def close(self, timeout: float) -> None:
        if self._abandoned:
            return
        self._calls.put(None)
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._abandoned = True
            self._say(
                f"W&B: not everything was written within {timeout:g} s. The record in {self._folder} is complete;"
                f" to upload what W&B lacks: {self._sync}"
            )
            # The client's own exit hook would wait for the server without a bound, unless this removes it.
            service.teardown(within=0)
        self._environment.restore()
        atexit.unregister(self._close_at_exit)

    def _close_at_exit(self) -> None:
        self.close(service.EXIT_SECONDS)

    # What the thread does.

    def _work(self) -> None:
        self._attempt(self._connect)
        while (call := self._calls.get()) is not None and not self._abandoned:
            self._attempt(call)
        for run_id in list(self._runs):
            self._attempt(partial(self._finish, run_id, Ending({}, INTERRUPTED)))
        # A thread that was given up must not end the service of the next study.
        if not self._abandoned:
            service.teardown()

    def _attempt(self, call: Callable[[], None]) -> None:
        if self._abandoned:
            return
        try:
            try:
                call()
            except service.Unreachable as error:
                self._go_on_offline(str(error))
        except Exception as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        if not self._complained and not self._abandoned:
            self._complained = True
            self._say(f"W&B: {service.first_line(error)}. The study goes on; what W&B lacks is in {self._folder}")

    @contextmanager
    def _server(self) -> Iterator[None]:
        """Around calls that wait for the server, unless the study is offline."""
        try:
            with service.swept():
                yield
        except Exception as error:
            if self._mode == "offline":
                raise
            raise service.Unreachable(service.first_line(error)) from error

    def _connect(self) -> None:
        (self._folder / "wandb").mkdir(parents=True, exist_ok=True)
        self._stamp = stamp(self._folder / "wandb" / "stamp")
        service.load()
        import wandb

        exits = sys.exit, sys.excepthook
        chosen = {} if self._mode is None else {"mode": self._mode}
        library = service.started(service.settings(self._patience, **chosen))
        self._entity = entity = library.settings.entity
        if agents := self._about.agents:
            sweep.note(self._folder, sweep.Sweep(entity or "", self._project, agents.sweep, agents.run))
        known = sweep.known(self._folder)
        if self._about.sweep and not (known and known.run):
            sweep.write(self._folder, self._about.sweep)
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
            raise service.Unreachable("not logged in, which `wandb login` does")

    def _begin(self, run_id: str, run: Run) -> None:
        if run_id in self._runs:
            self._attempt(partial(self._finish, run_id, Ending({}, INTERRUPTED)))
        self._runs[run_id] = run
        if run.job == Phase.SEARCH and not self._sweep:
            self._sweep = self._sweep_of_trials()
        self._open(run_id)

    def _sweep_of_trials(self) -> str | None:
        """The id of the sweep in W&B that trials belong to; None where W&B makes none: that is no reason to stop."""
        about = self._about
        if known := sweep.known(self._folder):
            return known.id
        if self._mode != "online" or not about.sweep or self._no_sweep:
            return None
        make = partial(sweep.made, self._folder, about.sweep, entity=self._entity, project=self._project)
        try:
            return service.within(self._patience, make).id
        except Exception as error:
            self._no_sweep = True
            self._complain(error)
            return None

    def _identity(self, run_id: str) -> str:
        """The id of a run in W&B."""
        known = sweep.known(self._folder)
        if known and known.run and run_id == FIRST_TRIAL:
            return known.run
        return id_of(run_id, group=self._group, stamp=self._stamp)

    def _tag(self, run_ids: Sequence[str], tag: str) -> None:
        ids = [self._identity(run_id) for run_id in run_ids]
        told = False
        try:
            if self._mode == "online" and self._path:
                service.within(self._patience, partial(service.tag, self._path, ids, tag))
                told = True
        except Exception as error:  # `study.sync` will tell it
            self._complain(error)
        finally:
            copies.note_tag(self._folder, ids, tag, told=told)

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
                job_type=run.job,
                id=identity,
                name=f"{self._group} {run_id}",
                # Of all that W&B holds, this alone tells the runs of this record from those of another of its name.
                config={**run.config, "record": self._stamp},
                tags=[*tags(run.config), *run.tags],
                mode=self._mode,
                reinit="create_new",
                settings=service.settings_of_a_run(
                    self._patience * (UPLOADS if run.job == RESULT else 1),
                    command=self._about.command,
                    sweep=self._sweep if run.job == Phase.SEARCH else None,
                    here=self._about.here and run.job != RESULT,
                ),
            )
        if self._mode == "online":
            self._path = f"{run.written.entity}/{run.written.project}"
            open_mark(Path(run.written.dir).parent / f"run-{identity}.wandb").touch()

    def _end(self, run: Run) -> None:
        written, ending = run.written, run.ending
        if not written or not ending:
            return
        if ending.test:
            media = self._media(ending.test)
            with self._server():
                written.log(media)
        if ending.model:
            with self._server():
                written.log_artifact(artifact(ending.model, name_of_model(self._group), ending.summary))
        written.summary.update({**ending.summary, "status": ending.status})
        written.tags = (*(written.tags or ()), ending.status)
        with self._server():
            # 255 is the client's own code of an interruption.
            written.finish(exit_code={RunStatus.FAILED: 1, INTERRUPTED: 255}.get(ending.status, 0))
        for mark in (self._folder / "wandb").glob(f"run-*/run-{written.id}.wandb.open"):
            mark.unlink()

    def _media(self, test: Predictions) -> dict[str, Any]:
        try:
            return media(test)
        except Exception as error:
            # An image that cannot be read must not keep the run open.
            self._complain(error)
            return {}

    def _go_on_offline(self, reason: str) -> None:
        """Writes what is open once more, offline, by a new service: the old one keeps the ids of runs that failed."""
        self._mode = "offline"
        service.teardown()
        self._connect()
        self._say(f"W&B: {reason}. Logging offline from here on; to upload it later: {self._sync}")
        for run_id, run in list(self._runs.items()):
            rows, run.rows = run.rows, []
            self._attempt(partial(self._open, run_id))
            for row in rows:
                self._attempt(partial(self._log, run_id, row))
            if run.ending:
                self._attempt(partial(self._finish, run_id, run.ending))

    @property
    def _sync(self) -> str:
        return f"python -m study.sync {shlex.quote(str(self._folder))}"


def _present(row: Row) -> dict[str, Any]:
    """What W&B is told: an enumeration as its value, where the client would write its name."""
    known = {name: value for name, value in row.items() if value is not None}
    return {name: str(value) if isinstance(value, StrEnum) else value for name, value in known.items()}
