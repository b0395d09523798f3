"""Ray is started once for the whole session, on loopback, as a study starts it."""

import os
import sys
from collections.abc import Iterator

import pytest
import torch

import study  # noqa: F401  # Ray reads the variables that it sets when it is imported, by whichever test

OF_THE_USER = (
    *("RAY_ADDRESS", "WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"),
    *("XDG_CACHE_HOME", "STUDY_CACHE", "STUDY_CACHE_GIB"),
)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In continuous integration a failure is printed as it happens: of a long log, often only a part is kept."""
    if report.failed and "CI" in os.environ:
        reason = " ".join(report.longreprtext.splitlines()[-12:])[-600:]
        print(f"\nFAILED {report.nodeid} ({report.when}): {reason}", file=sys.__stdout__, flush=True)


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes what the user has: tokens, caches, logins, a cluster that happens to run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        for name in OF_THE_USER:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def ray_session(home: None) -> Iterator[None]:
    """Ray with two CPUs' worth of room, whatever this machine has."""
    from study.cluster import connection

    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))
    with connection.connected():
        yield


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small models on one thread: faster, and the same numbers on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
