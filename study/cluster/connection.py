"""Ray: the cluster that this command runs on, or one of its own on loopback, quiet, and gone when it ends.

Imports no torch: Ray is started while that is imported.
"""

import contextlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import ray
from ray._private import auto_init_hook

from study.cluster import compatibility, ending, environment, noise, sessions, token
from trainables import preemption, scratch

# A stopped trial must be able to unwind: past this, Tune gives up on its process, and two such hang the search
WORKERS = {"TUNE_FUNCTION_THREAD_TIMEOUT_S": "120", "TOKENIZERS_PARALLELISM": "false"}


def quieten() -> None:
    """No banners, warnings and tracebacks of the libraries: what went wrong is in the record, with its reason.

    To be called after they are imported: Optuna sets its level then.
    """
    warnings.filterwarnings("ignore")
    noise.hush()
    os.environ["HF_HUB_VERBOSITY"] = "error"
    for library in ("ray", "optuna", "timm"):
        logging.getLogger(library).setLevel(logging.ERROR)
    for library in ("ray.tune", "PIL"):
        logging.getLogger(library).setLevel(logging.CRITICAL)


def check() -> None:
    """Raises ValueError, within seconds, if the cluster that there is, or was asked for, cannot run a study of ours."""
    environment.check()
    if address := environment.address():
        if os.environ.get(environment.AUTH_MODE) == "token":
            # Ray may have been imported before the token was seen to be wanted
            ray._raylet.Config.initialize("")  # type: ignore[attr-defined]
        compatibility.check_head(address)


def start(*, verbose: bool = False) -> None:
    """Connects to the cluster there is, else starts Ray on loopback.

    Raises ValueError for a node without this package, or with another version of it.
    """
    os.environ.update(WORKERS)  # processes that are started here inherit it
    scratch.claim()
    if not verbose:
        ignore_reports()
        noise.hush()
    address = environment.address()
    # not STUDY_CACHE: where a node keeps its activations, and how many, is that node's own affair
    there_or_here: dict[str, Any]
    if address:
        token.protect()
        there_or_here = {"runtime_env": {"env_vars": WORKERS | {preemption.HEEDS: "1"}}}
    else:
        token.provide()
        sessions.sweep()
        there_or_here = {"include_dashboard": False, "_temp_dir": str(sessions.folder())}
    try:
        with ending.within(ending.STARTING, "starting it"):
            ray.init(
                address=address or "local",
                log_to_driver=verbose,
                logging_level=logging.INFO if verbose else logging.ERROR,
                **there_or_here,
            )
    except ValueError:
        raise
    except Exception as error:  # a part of it has ended meanwhile, or the machine is too slow for it
        if ending.told is None:
            raise
        ending.told(f"while it started: {str(error).partition('. ')[0]}")
    if address:
        try:
            compatibility.check_nodes()
        except ValueError:
            ray.shutdown()
            raise


def ignore_reports() -> None:
    """Keeps what nodes report from the terminal: the last hundred lines that one wrote before it died, and errors of
    calls whose answer nobody waits for any more.

    Ray prints both whatever `log_to_driver` says. What became of a run is in the record.
    """
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    ray._private.worker.print_to_stdstream = lambda *report, **given: None


_ahead = False


def start_while_importing(module: str, *, verbose: bool) -> None:
    """Starts Ray, or connects to it, while a thread imports a module: both take seconds.

    Not the other way round: Ray's processes end with the thread that started them. Starts none here where the module
    is imported already, for then there is nothing to gain. Raises ValueError for a cluster that is a mistake.
    """
    global _ahead
    if ray.is_initialized():
        return
    check()  # before the thread, which would have to come to its end
    if module in sys.modules and environment.address() is None:
        return
    scratch.claim()  # torch looks for its folder while it is imported
    thread = threading.Thread(target=import_ahead, args=(module,))
    thread.start()
    try:
        start(verbose=verbose)
    finally:
        # an interpreter that ends while torch is imported crashes; and two threads that import modules which import
        # each other, as those of narwhals and scikit-learn, are a deadlock, which Python raises in one of them
        thread.join()
    _ahead = True


def import_ahead(module: str) -> None:
    """Imports a module; whoever needs it imports it again, and is told what is wrong with it."""
    with contextlib.suppress(Exception):
        import_module(module)


@contextlib.contextmanager
def connected(*, verbose: bool = False) -> Iterator[None]:
    """Inside, Ray is there; at the end it is left, or stopped, by whoever started it.

    Raises ValueError for a cluster that is a mistake.
    """
    global _ahead
    if ray.is_initialized() and not _ahead:
        yield
        return
    if not _ahead:
        check()
        start(verbose=verbose)
    _ahead = False
    try:
        with ending.watched():
            yield
    finally:
        if ending.told is not None:  # in a command's own process
            start_none_by_chance()
        with ending.within(ending.LEAVING, "leaving it"):
            ray.shutdown()


def start_none_by_chance() -> None:
    """From here on only `ray.init` starts a Ray.

    What is left of a search that ended with an exception calls Ray once more when it is collected, and Ray takes that
    for a wish: it would start another one, with a folder that all may enter, and on all interfaces.
    """
    auto_init_hook.enable_auto_connect = False


def put(value: Any) -> Any:
    """The value in Ray's object store, from where every node takes it once; None stays None."""
    return None if value is None else ray.put(value)
