"""What surrounds W&B's own client: its modes, environment and settings, who is logged in, how its service ends."""

import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from study.tracking.tracker import Mode
from trainables import scratch

if TYPE_CHECKING:
    import wandb

# The client's own names for modes that it still accepts in WANDB_MODE.
MODES: dict[str, Mode] = {
    "online": "online",
    "run": "online",
    "shared": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}
# Each describes one run of somebody else, as the one that `wandb agent` starts a command for: the client would take its
# project and id for all of a study's runs, or log the first of them alone. The last names another process's service.
OF_ANOTHER_RUN = (
    *("WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_CONFIG_PATHS", "WANDB_RUN_ID", "WANDB_RUN_NAME"),
    *("WANDB_NAME", "WANDB_RUN_GROUP", "WANDB_JOB_TYPE", "WANDB_RUN_DIR", "WANDB_RUN_STORAGE_ID", "WANDB_RESUME"),
    *("WANDB_RESUME_FROM", "WANDB_FORK_FROM", "WANDB_LAUNCH", "WANDB_LAUNCH_CONFIG_PATH", "WANDB_SERVICE"),
)
Answer = TypeVar("Answer")
EXIT_SECONDS = 10.0
LOOK_SECONDS = 10.0


class Unreachable(Exception):
    """W&B's server did not answer in time, or refused."""


@contextmanager
def account(folder: Path) -> Iterator[str | None]:
    """The entity that the user has in W&B; None for a user who is not logged in, or whom WANDB_MODE keeps offline.

    Within the block the client is quiet, and what it writes lies in `folder`, under `wandb/`.
    Raises Unreachable where the server does not answer, or refuses; ValueError for a key that cannot be one.
    """
    environment = Environment(**quiet(folder), **dict.fromkeys(of_another_run()))
    exits = sys.exit, sys.excepthook
    try:
        yield _entity() if MODES.get(mode_of_environment() or "", "online") == "online" else None
    finally:
        sys.exit, sys.excepthook = exits
        teardown()
        environment.restore()


@contextmanager
def swept() -> Iterator[None]:
    """What is made inside for a while lies where the next study removes it, if this process is killed."""
    before, tempfile.tempdir = tempfile.tempdir, str(scratch.here())
    try:
        yield
    finally:
        tempfile.tempdir = before


def started(settings: "wandb.Settings | None" = None) -> Any:
    """The client, whose service has its temporary files where the next study removes them, too.

    The variable is there while the service starts, and not around each call: changing the environment is not safe
    beside other threads, of Ray's C++ as well, which read it without asking Python.
    """
    import wandb

    environment = Environment(TMPDIR=str(scratch.here()))
    try:
        with swept():
            return wandb.setup(settings)
    finally:
        environment.restore()


def load() -> None:
    """Imports the client, which makes temporary folders."""
    with swept():
        import wandb  # noqa: F401


def _entity() -> str | None:
    load()
    import wandb

    if not wandb.login(prompt=False, verify=False):
        return None
    library = started()
    look(library.settings.base_url)  # the client itself tries for 20 seconds
    try:
        api = wandb.Api()
        return api.settings["entity"] or api.default_entity
    except Exception as error:
        raise Unreachable(first_line(error)) from error


def look(url: str) -> None:
    """Raises Unreachable where nobody listens at the URL, unless a proxy stands before it."""
    there = urlsplit(url)
    if not there.hostname or (there.scheme in getproxies() and not proxy_bypass(there.hostname)):
        return
    try:
        port = there.port or {"http": 80}.get(there.scheme, 443)
        socket.create_connection((there.hostname, port), timeout=LOOK_SECONDS).close()
    except (OSError, ValueError) as error:
        raise Unreachable(f"{url} does not answer ({error})") from None


def mode_of_environment() -> str | None:
    """What the user's variables say of W&B; None if they say nothing. Other libraries know WANDB_DISABLED."""
    off = os.environ.get("WANDB_DISABLED", "").lower() in {"1", "true", "yes", "on"}
    return "disabled" if off else os.environ.get("WANDB_MODE")


def of_another_run() -> list[str]:
    """The variables here that are of somebody else's run."""
    return [name for name in OF_ANOTHER_RUN if os.environ.get(name)]


class Environment:
    """Variables of the environment, None for one that is not to be there, until they are restored.

    The client reads its folders nowhere else.
    """

    def __init__(self, **variables: str | None) -> None:
        self._before = {name: os.environ.get(name) for name in variables}
        change(variables)

    def restore(self) -> None:
        change(self._before)
        self._before = {}


def change(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def quiet(folder: Path) -> dict[str, str]:
    """The client's environment in a study's folder."""
    return {
        # The payloads of tables lie in the data folder until they are uploaded; the client's service logs to the cache.
        "WANDB_DATA_DIR": str(folder / "wandb"),
        "WANDB_CACHE_DIR": str(folder / "wandb" / "cache"),
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
    }


def settings(patience: float, **more: Any) -> "wandb.Settings":
    """The client's settings of a study, and of each of its runs."""
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
        init_timeout=patience,
        finish_timeout=2 * patience,
        finish_timeout_raises=True,
        # The stop button of one run must not interrupt the study, which is what it does by default.
        stop_fn=lambda: None,
        x_save_requirements=False,
        # A study that is killed has lost one second at most.
        x_transaction_log_flush_interval=1,
        **more,
    )


def settings_of_a_run(patience: float, *, command: str, sweep: str | None, here: bool) -> "wandb.Settings":
    """The client's settings of one run.

    Args:
        patience: as of `settings`.
        command: that runs the study, which W&B shows as the run's.
        sweep: id of the sweep that it belongs to, if it does.
        here: whether it trains on this machine, whose statistics W&B then shows beside its curves.
    """
    more: dict[str, Any] = {"sweep_id": sweep} if sweep else {}
    of_machine = {"x_disable_machine_info": not here, "x_disable_stats": not here}
    program = " ".join(command.split()[1:3])  # `-m study.run`; the client knows its arguments
    return settings(patience, x_disable_meta=False, program=program, **of_machine, **more)


def tag(path: str, ids: Sequence[str], tag: str) -> None:
    """Tags runs that W&B has. Raises what the client does."""
    import wandb

    api = wandb.Api()
    for one in ids:
        run = api.run(f"{path}/{one}")
        if tag not in run.tags:
            run.tags.append(tag)
            run.update()


def within(seconds: float, call: Callable[[], Answer]) -> Answer:
    """What a call returns, or raises, within so many seconds; Unreachable after them: the client itself would wait."""
    done: SimpleQueue[tuple[Answer | None, BaseException | None]] = SimpleQueue()

    def work() -> None:
        try:
            done.put((call(), None))
        except BaseException as error:
            done.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        answer, error = done.get(timeout=seconds)
    except Empty:
        raise Unreachable(f"W&B did not answer for {seconds:g} s") from None
    if error:
        raise error
    return cast("Answer", answer)


def teardown(within: float | None = None) -> None:
    """Ends the client's service, and forgets who is logged in.

    Now and then a service whose server was silent never ends: docs/decisions.md.
    """

    def end() -> None:
        # Leaving with the exit code of a service that died, or finding it gone, is no news here.
        with suppress(Exception, SystemExit):
            import wandb

            wandb.teardown()

    ending = threading.Thread(target=end, daemon=True)
    ending.start()
    ending.join(EXIT_SECONDS if within is None else within)
    if ending.is_alive():
        with suppress(Exception):
            from wandb.sdk.lib import wbauth  # the client would do this after the wait that does not end

            wbauth.unauthenticate_session(update_settings=False)


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
